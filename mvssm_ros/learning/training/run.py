"""A run in its folder: train, resume, export.

folder/last.ckpt    the newest checkpoint, from which the same command goes on
folder/best.ckpt    the one with the best AP25 on the held-out scenes; of equal ones, the least MPJPE
folder/log.jsonl    one line every `log_every` steps, and one a validation
folder/tensorboard  the same for TensorBoard
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from mvssm_ros.errors import UserError
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.weights import save_weights

from .callbacks import Bar, Keeper, be_quiet
from .checkpoints import BEST, LAST, WholeFiles, cannot_write, check_resumable, read_checkpoint
from .experiment import Experiment, read_experiment
from .module import OWN, Progress, TrainingModule
from .task import Task, make_task
from .warm_start import warm_start

__all__ = ["Outcome", "export", "read_experiment", "train"]

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Outcome:
    """step: where the run stands; finished: nothing is left to do (all steps, or stopped early);
    signal: the one that stopped it, 0 if none."""

    step: int
    finished: bool
    signal: int = 0


def train(
    experiment: Experiment,
    folder: str | Path,
    processes: int = 1,
    *,
    device: str = "auto",
    progress: bool | None = None,
    task: Task | None = None,
) -> Outcome:
    """Train in `folder` from its newest checkpoint, or anew; blocks until done or stopped.

    processes: one a core, or one a GPU, which torch spawns (a script that calls this needs the guard
    ``if __name__ == "__main__"``); under torchrun its processes are used. device: auto | cpu | cuda.
    progress: a bar (None: where stdout is a terminal). task: instead of the experiment's own.

    SIGINT and SIGTERM save and stop. Raises UserError before anything starts: the folder cannot be
    made, its checkpoint is damaged or of other settings, weights to start from do not fit, data are
    missing; and later where a checkpoint cannot be written.
    """
    folder = Path(folder)
    launched = _torchrun_world()
    if launched and processes not in (1, launched):
        raise UserError(f"--processes {processes}: torchrun started {launched}, leave it out")
    world = launched or processes
    accelerator = _accelerator(device, experiment.training.precision, world)
    last = folder / LAST
    resumed = check_resumable(last, experiment.settings(), world) if last.exists() else None
    before = Progress(**resumed["progress"]) if resumed else Progress()
    if before.step >= experiment.training.steps or before.stopped_early:
        how = "until it stopped early" if before.stopped_early else f"to its {before.step} steps"
        if _is_first():
            print(f"{folder} is already trained {how}")
        return Outcome(before.step, True)
    module = _make_module(experiment, task or make_task(experiment), world, fresh=not resumed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made: {error.strerror}") from None
    if _is_first():
        steps = experiment.training.steps
        begun = f"going on from step {before.step} of {steps} ({last})"
        fresh = f"training {experiment.name}: {steps} steps, in {folder}"
        print(begun if resumed else fresh + _random_parts(module), flush=True)
        _remark(module, accelerator)

    spawned = world > 1 and not launched
    keeper = Keeper(folder, parent=os.getpid() if spawned else None)
    with _quiet(), _one_error(folder):
        trainer = _trainer(
            experiment, folder, keeper, world, accelerator, before.step, bool(launched), progress
        )
        with _forwarding(trainer, keeper) if spawned else contextlib.nullcontext():
            trainer.fit(module, ckpt_path=str(last) if resumed else None)
    return _outcome(experiment, module, keeper, folder, spawned)


def _make_module(experiment: Experiment, task: Task, world: int, fresh: bool) -> TrainingModule:
    """The module with fresh weights, or those of `start_from`."""
    training = experiment.training
    torch.manual_seed(training.seed)
    model = task.build()
    frozen = training.backbone == "frozen" and hasattr(model, "backbone")
    started_from = None
    if training.start_from and fresh:
        started_from = warm_start(model, task.config, training.start_from, frozen)
        if experiment.data.kind == "own" and "backbone" not in started_from["parts"]:
            raise UserError(
                f"weights file {training.start_from} has no backbone, and one's own recordings are too "
                "few to begin one with: give weights of a network on images"
            )
    elif frozen and fresh:
        raise UserError(
            "training.backbone: frozen needs training.start_from (--start-from), weights with a "
            "backbone: a random one learns nothing"
        )
    return TrainingModule(experiment, task, model, started_from, world)


def _random_parts(module: TrainingModule) -> str:
    """What the weights that it begins with lack."""
    came = module.started_from
    parts = ["network"] + ["backbone"] * hasattr(module.model, "backbone")
    lacking = [part for part in parts if came and part not in came["parts"]]
    return f"; {came['file']} has no {lacking[0]}, which begins at random" if lacking else ""


def _remark(module: TrainingModule, accelerator: str) -> None:
    """What data there are, and what would make the run faster."""
    frames = getattr(module.task, "frames", None)
    if frames is not None:
        print(f"data: {frames}", flush=True)
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    lacks = "avx512_bf16" in able and not (able["avx512_bf16"] or able.get("amx_bf16"))
    if lacks and accelerator == "cpu" and module.experiment.training.precision == "bf16-mixed":
        print(
            "training.precision: this processor has no bfloat16 and takes several times as long with"
            " it; --set training.precision=32-true",
            flush=True,
        )


def _trainer(
    experiment: Experiment,
    folder: Path,
    keeper: Keeper,
    world: int,
    accelerator: str,
    step: int,
    launched: bool,
    progress: bool | None,
) -> pl.Trainer:
    shows_bar = sys.stdout.isatty() if progress is None else progress
    plugins: list[Any] = [WholeFiles()]
    strategy: Any = "auto"
    precision: Any = experiment.training.precision
    nodes = 1
    if world > 1:
        backend = "gloo" if accelerator == "cpu" else "nccl"
        how: Any = "popen" if launched else "spawn"
        strategy = DDPStrategy(
            process_group_backend=backend, start_method=how, find_unused_parameters=True
        )
        if launched:
            nodes = world // int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if not launched:
        plugins.append(LightningEnvironment())
    return pl.Trainer(
        accelerator=accelerator,
        devices=world // nodes,
        num_nodes=nodes,
        strategy=strategy,
        plugins=plugins,
        precision=precision,
        max_epochs=1,  # of as many batches as there are steps
        callbacks=[keeper, *([Bar()] if shows_bar else [])],
        enable_progress_bar=shows_bar,
        logger=TensorBoardLogger(folder, name="", version="tensorboard", purge_step=step or None),
        enable_checkpointing=False,  # the keeper's
        enable_model_summary=False,
        use_distributed_sampler=False,  # batches are drawn by rank
        num_sanity_val_steps=0,
        limit_val_batches=0,
        default_root_dir=folder,
    )


def _outcome(
    experiment: Experiment, module: TrainingModule, keeper: Keeper, folder: Path, spawned: bool
) -> Outcome:
    """Of spawned processes nothing comes back but what they wrote."""
    state = module.progress
    if spawned and (folder / LAST).exists():
        state = Progress(**read_checkpoint(folder / LAST)[OWN]["progress"])
    steps = experiment.training.steps
    finished = state.step >= steps or state.stopped_early
    if not finished and _is_first():
        saved = ", saved" if state.step else ""
        print(
            f"stopped at step {state.step} of {steps}{saved}: the same command goes on from there"
        )
    return Outcome(state.step, finished, 0 if finished else keeper.stop_signal or signal.SIGTERM)


def _accelerator(device: str, precision: str, world: int) -> str:
    if device not in DEVICES:
        raise UserError(f"--device {device}: expected {', '.join(DEVICES)}")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UserError("--device cuda: this PyTorch finds no CUDA GPU; take --device cpu")
    use_cuda = there and device != "cpu"
    most, what = max(2, os.cpu_count() or 1), "core"  # each takes as much memory as all of a run
    if use_cuda:
        most, what = torch.cuda.device_count(), "GPU"
    if world > most and not _torchrun_world():
        raise UserError(f"--processes {world}: expected at most {most}, one a {what}")
    if precision == "16-mixed" and not use_cuda:
        raise UserError("training.precision: 16-mixed needs CUDA; take bf16-mixed or 32-true")
    return "cuda" if use_cuda else "cpu"


def _torchrun_world() -> int:
    """How many processes torchrun started, this one among them; 0: it was not torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0
    return int(os.environ.get("WORLD_SIZE", "1"))


def _is_first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def _forwarding(trainer: pl.Trainer, keeper: Keeper) -> Iterator[None]:
    """Signals to the parent of spawned processes go to them; they save and stop.

    Those that have not begun to train yet just end, and nothing is lost.
    """

    def forward(number: int, frame: Any) -> None:
        keeper.stop_signal = number
        launcher = trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGTERM)

    before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except torch.multiprocessing.ProcessExitedException:
        if not keeper.stop_signal:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _one_error(folder: Path) -> Iterator[None]:
    """What stops a run and the user can mend, as a UserError, also from spawned processes."""
    spawn_errors = (
        torch.multiprocessing.ProcessRaisedException,
        torch.multiprocessing.ProcessExitedException,
    )
    try:
        yield
    except spawn_errors as error:
        told = re.findall(r"^mvssm_ros\.errors\.UserError: (.*)$", str(error), re.MULTILINE)
        if told:
            raise UserError(told[-1]) from None
        if isinstance(error, torch.multiprocessing.ProcessExitedException):
            raise UserError(
                f"a training process ended ({' '.join(str(error).split())}; was memory short?): the "
                f"same command goes on from {folder / LAST}"
            ) from None
        raise
    except OSError as error:
        raise UserError(cannot_write(folder / LAST, error)) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """`be_quiet` for a while; torch's own remarks (on DDP) in processes to come, too."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    level, hook = os.environ.get("TORCH_CPP_LOG_LEVEL"), threading.excepthook
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with warnings.catch_warnings():
        be_quiet()
        try:
            yield
        finally:
            for logger, before in zip(loggers, levels, strict=True):
                logger.setLevel(before)
            threading.excepthook = hook
            if level is None:
                del os.environ["TORCH_CPP_LOG_LEVEL"]


def export(folder: str | Path, path: str | Path, best: bool | None = None) -> None:
    """Write the averaged weights of a run's checkpoint as a weights file, with their provenance.

    best: the checkpoint with the best AP25 rather than the last; None: where the run could stop early.
    Raises UserError where there is none.
    """
    folder = Path(folder)
    last = folder / LAST
    if not last.is_file():
        raise UserError(f"{last} does not exist: train there first")
    state = read_checkpoint(last)
    if best is None:
        best = bool(state[OWN]["settings"]["validation"]["patience"])
    if best:
        if not (folder / BEST).is_file():
            raise UserError(
                f"{folder / BEST} does not exist: no validation there was better than the start"
            )
        state = read_checkpoint(folder / BEST)
    own = state[OWN]
    settings, done = own["settings"], own["progress"]
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings["network"].items()
    }
    provenance = {
        "trained_on": own["trained_on"],
        "step": done["step"],
        "hours": round(done["seconds"] / 3600, 2),
        "world": own["world"],
        "training": settings,
    }
    if own["started_from"]:
        provenance["started_from"] = own["started_from"]
    save_weights(path, MVSSMConfig(**values), own["network"], provenance, own["backbone"])
