"""The LightningModule: optimiser, schedule, clipping, averaged weights; what is trained is the task's.

Where a run stands is this module's own `step`, not Lightning's loops: batch `step` of a process is a
function of its number, so a resumed run goes on with the very same batches.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .experiment import Experiment
from .muon import MuonAdamW, inner_kernels
from .task import Task

OWN = "mvssm_ros"  # key of our part of a Lightning checkpoint


@dataclass
class Progress:
    """What a run knows beside its tensors; plain values, all of it in the checkpoint.

    step: steps done; skipped: of these, left out as their gradient was not finite; seconds: of
    training, validation and saving apart; best_ap25, best_mpjpe_mm (which decides between equal ones)
    and stale: the best validation and how many have come since; stopped_early; history: one mapping a
    line of the log.
    """

    step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    best_ap25: float = -1.0
    best_mpjpe_mm: float = math.inf
    best_step: int = -1
    stale: int = 0
    stopped_early: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


class TrainingModule(pl.LightningModule):
    """Trains `model` as the experiment says. Pickled to every process of a run."""

    def __init__(
        self,
        experiment: Experiment,
        task: Task,
        model: nn.Module,
        started_from: dict[str, Any] | None = None,
        world: int = 1,
    ):
        super().__init__()
        self.experiment, self.task, self.model = experiment, task, model
        self.started_from = started_from or {}
        self.processes = world
        self.progress = Progress()
        self.last_log: dict[str, float] = {}
        self._applied = True
        if experiment.training.backbone == "frozen" and hasattr(model, "backbone"):
            model.backbone.requires_grad_(False)
        self.average = {
            name: value.detach().clone()
            for name, value in model.state_dict().items()
            if not self._is_frozen(name)
        }

    def _is_frozen(self, name: str) -> bool:
        frozen = self.experiment.training.backbone == "frozen"
        return frozen and name.startswith("backbone.")

    # --- what Lightning calls, in this order ---

    def setup(self, stage: str) -> None:
        if self.trainer.strategy.root_device.type == "cpu":
            torch.set_num_threads(1)  # tensors are small: a second thread only waits for the first

    def configure_optimizers(self) -> torch.optim.Optimizer:
        training = self.experiment.training
        groups: list[dict[str, Any]] = []
        kernels: list[nn.Parameter] = []
        if training.optimizer == "muon":
            kernels = [p for p in inner_kernels(getattr(self.model, "backbone")) if p.requires_grad]  # noqa: B009
        by_muon = {id(p) for p in kernels}
        for part, rate in (("", 1.0), ("backbone.", training.backbone_rate)):
            own = [
                p
                for name, p in self.model.named_parameters()
                if p.requires_grad
                and name.startswith("backbone.") == bool(part)
                and id(p) not in by_muon
            ]
            decay = [p for p in own if p.dim() >= 2]
            rest = [p for p in own if p.dim() < 2]
            if own:
                groups.append({"params": decay, "rate": rate})
                groups.append({"params": rest, "weight_decay": 0.0, "rate": rate})
        options: dict[str, Any] = {
            "lr": training.learning_rate,
            "weight_decay": training.weight_decay,
        }
        if not kernels:
            return torch.optim.AdamW(groups, **options)
        rate = training.backbone_rate * training.muon_rate / training.learning_rate
        groups.append({"params": kernels, "rate": rate, "muon": True})
        products = torch.bfloat16 if training.precision == "bf16-mixed" else torch.float32
        return MuonAdamW(groups, products, **options)

    def train_dataloader(self) -> DataLoader:
        """What this process has still to see."""
        steps = self.experiment.training.steps
        batches = _Batches(
            self.task, self.progress.step, steps, self.global_rank, self.trainer.world_size
        )
        workers = self.experiment.data.workers
        return DataLoader(
            batches,
            batch_size=None,
            shuffle=False,
            num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
        )

    def on_train_start(self) -> None:
        # a copy: spawned processes share the memory of what they were given
        self.average = {k: v.to(self.device, copy=True) for k, v in self.average.items()}

    def on_train_epoch_start(self) -> None:
        self.model.train()
        if self.experiment.training.backbone == "frozen" and hasattr(self.model, "backbone"):
            getattr(self.model, "backbone").eval()  # noqa: B009

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        return self.task.to_device(batch, device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss, log = self.task.loss(self.model, batch, self.progress.step)
        self.last_log = {**log, "loss": float(loss.detach())}
        return loss

    def optimizer_zero_grad(
        self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer
    ) -> None:
        """To zero and not to None, so that a parameter that a batch does not reach still decays; which
        ones is read off the optimiser's state, which a checkpoint has."""
        optimizer.zero_grad(set_to_none=False)
        for parameter in optimizer.state:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; without a finite norm drop the gradients, and with them the step."""
        with_gradient = [p for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(with_gradient, self.experiment.training.clip_norm)
        self._applied = bool(torch.isfinite(norm))
        if not self._applied:
            for parameter in with_gradient:
                parameter.grad = None

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Any = None,
    ) -> None:
        """One step of ours: the rate, the optimiser's step, the averaged weights."""
        training, step = self.experiment.training, self.progress.step
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate * schedule(training, step) * group["rate"]
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self._applied:
            self._move_average(min(training.ema_decay, (1 + step) / (10 + step)))
        else:
            self.progress.skipped += 1
        self.last_log["skipped"] = float(not self._applied)
        self.progress.step += 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        whole = self.model.state_dict() | self.average  # a frozen backbone is not averaged
        network, backbone = self.task.weights(whole)  # tensors in two places are written once
        checkpoint[OWN] = {
            "network": network,
            "backbone": backbone,
            "settings": self.experiment.settings(),
            "world": self.processes,
            "average": self.average,
            "progress": copy.deepcopy(vars(self.progress)),
            "started_from": self.started_from,
            "trained_on": self.task.trained_on,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = checkpoint[OWN]
        self.average = own["average"]
        self.progress = Progress(**own["progress"])
        self.started_from = own["started_from"]
        checkpoint.pop("loops", None)  # Lightning's own count of batches: ours decides

    # --- the averaged weights ---

    @torch.no_grad()
    def _move_average(self, decay: float) -> None:
        for name, value in self.model.state_dict().items():
            if name not in self.average:
                continue
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def averaged_model(self) -> nn.Module:
        """A copy of the model with averaged weights, in evaluation mode: what is validated."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average, strict=False)  # a frozen backbone is not averaged
        return model.eval().requires_grad_(False)


def schedule(training: Any, step: int) -> float:
    """The learning rate's share at a step: linear warm-up, then a cosine to one hundredth."""
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    done = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class _Batches(Dataset):
    """Batches `first` to `steps` of one process."""

    def __init__(self, task: Task, first: int, steps: int, rank: int, world: int):
        self.task, self.first, self.steps, self.rank, self.world = task, first, steps, rank, world

    def __len__(self) -> int:
        return self.steps - self.first

    def __getitem__(self, index: int) -> Any:
        return self.task.batch(self.first + index, self.rank, self.world)
