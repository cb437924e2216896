"""Training of the keypoints network on the synthetic world: resumable, on any number of processes.

One process a core, one thread each (small tensors gain nothing from more), gradients averaged with
gloo. Step k of rank r draws the same scenes whether or not the run was interrupted.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from tqdm import tqdm

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.keypoints import canvas_scale, canvas_size, draw_pyramid
from mvssm_ros.frontends.proposals import two_view_proposals
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.pss import LayerOutput
from mvssm_ros.network.weights import load_state, read_weights, save_weights

from .losses import LossWeights, decoder_loss
from .matching import survivors
from .synthetic.world import SceneBatch, SyntheticWorld, WorldConfig

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class TrainingConfig:
    """A training run. Everything that decides the outcome, so that a checkpoint can tell.

    view_budget  views a process and step: scenes = view_budget / views
    views        numbers of views and how often each is drawn
    grid         start poses over each rig's space, whatever its size: pitches of 0.4 to 1.1 m
    start_from   weights file to begin with (same network), else random weights
    """

    steps: int = 6000
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    view_budget: int = 20
    views: dict[int, float] = field(
        default_factory=lambda: {2: 0.15, 3: 0.22, 4: 0.22, 5: 0.23, 6: 0.06, 8: 0.1, 10: 0.02}
    )
    max_people: int = 6
    grid: tuple[int, int] = (6, 6)
    survivors: tuple[int, ...] = (24, 14, 12)
    ema_decay: float = 0.998
    seed: int = 0
    start_from: str = ""
    loss: LossWeights = field(default_factory=LossWeights)


def prepare(batch: SceneBatch) -> tuple[Cameras, Tensor, tuple[int, int]]:
    """Scenes in network pixels: cameras [B, T], keypoints [B, T, D, 15, 3], canvas (w, h)."""
    scale = canvas_scale(batch.cameras.size_px)  # [B, T]
    cameras = batch.cameras.affine(scale, torch.zeros_like(batch.cameras.size_px))
    keypoints = batch.keypoints_px.clone()
    keypoints[..., :2] *= scale[..., None, None, None]
    return cameras, keypoints, canvas_size(batch.cameras.size_px)


def training_loss(
    model: MVSSM, batch: SceneBatch, config: TrainingConfig
) -> tuple[Tensor, dict[str, float], list[LayerOutput]]:
    """Loss of one batch, its log, and the layers' outputs."""
    cameras, keypoints, canvas = prepare(batch)
    pyramid = draw_pyramid(keypoints, canvas)
    space = batch.space_center_m, batch.space_size_m
    start = model.start_poses(*space, grid=config.grid)
    if model.config.n_proposals:
        proposals, _ = two_view_proposals(cameras, keypoints, *space, model.config.n_proposals)
        start = torch.cat([start, proposals], 1)
    truth, valid = batch.joints_m, batch.person_valid
    inputs = [start]

    def select(layer: int, out: LayerOutput) -> Tensor:
        poses = out.poses_m.detach()
        index = survivors(poses, out.scores.detach(), truth, valid, config.survivors[layer])
        inputs.append(out.pick(index).poses_m.detach())
        return index

    outputs = model(pyramid, cameras, start, select)
    loss, log = decoder_loss(outputs, inputs, cameras, truth, valid, config.loss)
    return loss, log, outputs


class Trainer:
    """Runs `config.steps` steps in `folder`, going on from its checkpoint where there is one."""

    def __init__(
        self,
        network: MVSSMConfig,
        config: TrainingConfig,
        folder: Path,
        rank: int = 0,
        world: int = 1,
    ):
        self.network, self.config, self.folder = network, config, folder
        self.rank, self.world = rank, world
        torch.manual_seed(config.seed)
        self.model = MVSSM(network)
        if config.start_from:
            weights = read_weights(config.start_from)
            load_state(self.model, weights.part("network"), weights.path)
        decay = [p for p in self.model.parameters() if p.dim() >= 2]
        rest = [p for p in self.model.parameters() if p.dim() < 2]
        groups: list[dict[str, Any]] = [{"params": decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict] = []
        self._resume()

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = read_checkpoint(path)
        asked = json.loads(json.dumps([asdict(self.network), asdict(self.config)]))
        if state["settings"] != asked:
            differ = [
                k
                for a, b in zip(state["settings"], asked, strict=True)
                for k in b
                if a.get(k) != b[k]
            ]
            raise UserError(
                f"{path} was trained with other settings ({', '.join(differ)} differ): "
                "give the same ones to resume, or another folder to start anew "
                "(with --start-from to begin with exported weights)"
            )
        if state["world"] != self.world:
            raise UserError(
                f"{path} was trained by {state['world']} processes, got {self.world}: the number "
                "decides the outcome; give the same one, or another folder to start anew"
            )
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        path = self.folder / CHECKPOINT
        state = {
            "settings": json.loads(json.dumps([asdict(self.network), asdict(self.config)])),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "world": self.world,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def averaged_model(self) -> MVSSM:
        """The model with exponentially averaged weights: the one to evaluate and to ship."""
        model = MVSSM(self.network)
        model.load_state_dict(self.average)
        return model.eval()

    def run(self, *, save_every: int = 200, log_every: int = 20, progress: bool = True) -> None:
        """Train to the end; the log goes to log.jsonl, one line every `log_every` steps."""
        recent: list[dict[str, float]] = []
        bar = tqdm(
            self._steps(),
            total=self.config.steps,
            initial=self.step,
            disable=not progress or self.rank > 0,
        )
        for log in bar:
            recent.append(log)
            last = self.step == self.config.steps
            if self.rank == 0 and (self.step % log_every == 0 or last):
                keys = sorted({k for r in recent for k in r})
                means = {k: float(np.mean([r[k] for r in recent if k in r])) for k in keys}
                self._log(means)
                recent.clear()
                bar.set_postfix(loss=f"{means['loss']:.2f}", error_mm=f"{means['error_mm']:.0f}")
            if self.rank == 0 and (self.step % save_every == 0 or last):
                self.save()

    def _log(self, means: dict[str, float]) -> None:
        line = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            **{k: round(v, 4) for k, v in means.items()},
        }
        self.history.append({k: line[k] for k in ("step", "seconds", "loss", "error_mm")})
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _steps(self) -> Iterator[dict[str, float]]:
        world = SyntheticWorld(WorldConfig.training(self.config.max_people), self.config.seed)
        self.model.train()
        while self.step < self.config.steps:
            began = time.monotonic()
            world.batch_index = self.step * self.world + self.rank
            rng = np.random.default_rng([self.config.seed, self.step])  # the same on every rank
            views = int(rng.choice(list(self.config.views), p=list(self.config.views.values())))
            batch = world.batch(max(1, self.config.view_budget // views), views)
            loss, log, outputs = training_loss(self.model, batch, self.config)
            self.optimizer.zero_grad(set_to_none=False)
            loss.backward()
            log["loss"] = float(loss.detach())
            log["error_mm"] = (
                100.0 * log[f"joints_3d/{len(outputs) - 1}"] * 10 / self.config.loss.joints_3d
            )
            log["skipped"] = float(not self._apply())
            self.step += 1
            self.seconds += time.monotonic() - began
            yield log

    def _apply(self) -> bool:
        """Average gradients over the processes, clip, step; False where they are not finite."""
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        if self.world > 1:
            flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
            dist.all_reduce(flat)
            flat /= self.world
            for p, g in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
                assert p.grad is not None
                p.grad.copy_(g.view_as(p.grad))
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        if not torch.isfinite(norm):
            return False
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self._schedule()
        self.optimizer.step()
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)
        return True

    def _schedule(self) -> float:
        """Linear warm-up, then a cosine to one hundredth."""
        c = self.config
        if self.step < c.warmup_steps:
            return (self.step + 1) / c.warmup_steps
        done = (self.step - c.warmup_steps) / max(1, c.steps - c.warmup_steps)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `Trainer.save` wrote. Raises UserError where it is damaged or something else."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        if not {"settings", "model", "average", "optimizer", "step", "world"} <= set(state):
            raise KeyError("keys are missing")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, IndexError, EOFError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise UserError(
            f"{path} is no checkpoint of a training, or is damaged ({type(error).__name__}): "
            "remove it to start anew, or give another folder"
        ) from None
    return dict(state)


def train(
    network: MVSSMConfig,
    config: TrainingConfig,
    folder: Path,
    processes: int = 1,
    save_every: int = 200,
) -> None:
    """Train in `folder` with `processes` processes; blocks until done.

    Raises UserError before anything is started: the folder cannot be made, its checkpoint is
    damaged or of other settings, the weights to start from do not fit.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made: {error.strerror}") from None
    trainer = Trainer(network, config, folder, 0, processes)
    if trainer.step >= config.steps:
        print(f"{folder} is already trained to its {trainer.step} steps")
        return
    if processes == 1:
        torch.set_num_threads(1)
        trainer.run(save_every=save_every)
        return
    del trainer  # each process makes its own
    rendezvous = folder / ".rendezvous"
    rendezvous.unlink(missing_ok=True)
    torch.multiprocessing.spawn(
        _work, (network, config, folder, processes, save_every), nprocs=processes
    )


def _work(
    rank: int,
    network: MVSSMConfig,
    config: TrainingConfig,
    folder: Path,
    world: int,
    save_every: int,
) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / ".rendezvous"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    Trainer(network, config, folder, rank, world).run(save_every=save_every)
    dist.destroy_process_group()


def export(folder: Path, path: Path) -> None:
    """Write the averaged weights of a run's checkpoint as a weights file, with their provenance."""
    checkpoint = folder / CHECKPOINT
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint} does not exist: train there first")
    state = read_checkpoint(checkpoint)
    network, settings = state["settings"]
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in network.items()}
    provenance = {
        "trained_on": "mvssm_ros synthetic world (2D keypoints)",
        "step": state["step"],
        "hours": round(state["seconds"] / 3600, 2),
        "world": state.get("world", 1),
        "training": settings,
    }
    save_weights(path, MVSSMConfig(**values), state["average"], provenance)
