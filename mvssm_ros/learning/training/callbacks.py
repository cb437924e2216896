"""What happens around the steps of a run: the log, validation, checkpoints, signals, the bar.

One callback, as the order matters: a checkpoint must hold the validation that came before it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import TQDMProgressBar

from mvssm_ros.errors import UserError

from .checkpoints import BEST, LAST, cannot_write, keep_as
from .module import TrainingModule

LOG = "log.jsonl"
SHOWN = ("AP25", "mAP", "recall500", "MPJPE_mm")  # of a validation, in its one line
_SIGNALS = signal.SIGINT, signal.SIGTERM


class Keeper(pl.Callback):
    """Keeps a run's log and checkpoints in its folder, validates, and stops it when asked to."""

    def __init__(self, folder: Path, parent: int | None = None):
        self.folder = folder
        self.parent = parent  # process that made this one, which may leave it alone in the world
        self.stop_signal = 0
        self._recent: list[dict[str, float]] = []
        self._mark = 0.0
        self._before: dict[int, Any] = {}
        self._saved_step = -1

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        be_quiet()  # in a spawned process; the others have been told

    # --- Lightning's hooks ---

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = _ours(pl_module)
        self._listen()
        self._saved_step = module.progress.step if module.progress.step else -1
        if trainer.is_global_zero:
            _forget_lines_after(self.folder / LOG, module.progress.step)
        if module.progress.step == 0 and module.experiment.validation.every:
            self._validate(trainer, module)
        self._mark = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        module = _ours(pl_module)
        experiment, progress = module.experiment, module.progress
        progress.seconds += time.monotonic() - self._mark
        self._recent.append(module.last_log)
        last = progress.step == experiment.training.steps
        if last or progress.step % experiment.training.log_every == 0:
            self._log_means(trainer, module)
        every = experiment.validation.every
        stop = self._asked_to_stop(trainer)
        if every and (last or progress.step % every == 0) and not stop:
            self._validate(trainer, module)
        save = last or progress.stopped_early or progress.step % experiment.training.save_every == 0
        if save or stop:
            self._save(trainer, progress.step)
        if stop or progress.stopped_early:
            trainer.should_stop = True
        self._mark = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._listen_no_more()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._listen_no_more()

    # --- checkpoints ---

    def _save(self, trainer: pl.Trainer, step: int) -> None:
        if step == self._saved_step:
            return
        trainer.save_checkpoint(self.folder / LAST)  # every process takes part, the first writes
        self._saved_step = step

    # --- the log ---

    def _log_means(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        keys = sorted({key for log in self._recent for key in log})
        means = {k: float(np.mean([log[k] for log in self._recent if k in log])) for k in keys}
        self._recent.clear()
        progress = module.progress
        progress.history.append(
            {"step": progress.step, "seconds": round(progress.seconds, 1)}
            | {k: round(means[k], 4) for k in ("loss", "error_mm") if k in means}
        )
        self._write(trainer, progress, means)

    def _write(
        self, trainer: pl.Trainer, progress: Any, figures: Mapping[str, float], prefix: str = ""
    ) -> None:
        """One line of the plain log, and the same to TensorBoard. Raises UserError (disk full)."""
        if not trainer.is_global_zero:
            return
        line: dict[str, Any] = {"step": progress.step, "seconds": round(progress.seconds, 1)}
        for name, value in figures.items():
            number = float(value)
            line[prefix + name] = round(number, 4) if math.isfinite(number) else None
        path = self.folder / LOG
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            if trainer.logger is not None:
                named = {prefix + name: float(value) for name, value in figures.items()}
                trainer.logger.log_metrics(named, step=progress.step)
        except OSError as error:
            raise UserError(cannot_write(path, error)) from None

    # --- validation ---

    def _validate(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """On the first process; all of them know the figures, and whether to stop."""
        progress, patience = module.progress, module.experiment.validation.patience
        figures: dict[str, float] = {}
        if trainer.is_global_zero:
            found = module.task.validate(module.averaged_model())
            figures = {name: float(value) for name, value in found.items()}
        if trainer.world_size > 1:
            figures = trainer.strategy.broadcast(figures)
        self._write(trainer, progress, figures, "validation/")
        if trainer.is_global_zero:
            told = ", ".join(f"{name} {figures[name]:.1f}" for name in SHOWN if name in figures)
            _tell(f"step {progress.step}: {told}")
        ap25, mpjpe_mm = figures.get("AP25", math.nan), figures.get("MPJPE_mm", math.nan)
        level = ap25 == progress.best_ap25
        better = ap25 > progress.best_ap25 or (level and mpjpe_mm < progress.best_mpjpe_mm)
        if better:
            progress.best_ap25, progress.best_mpjpe_mm = ap25, mpjpe_mm
            progress.best_step, progress.stale = progress.step, 0
        else:
            progress.stale += 1
            progress.stopped_early = bool(patience) and progress.stale >= patience
            if progress.stopped_early and trainer.is_global_zero:
                _tell(
                    f"stopped early at step {progress.step}: the best AP25 is {progress.best_ap25:.1f}"
                    f", {progress.stale} validations ago"
                )
        if better and progress.step:
            self._save(trainer, progress.step)
            if trainer.is_global_zero:
                keep_as(self.folder / LAST, self.folder / BEST)
            trainer.strategy.barrier("best")

    # --- signals ---

    def _listen(self) -> None:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)

    def _listen_no_more(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.stop_signal and self.parent is None:
            self._listen_no_more()  # the second one ends it at once
            raise KeyboardInterrupt
        self.stop_signal = number

    def _asked_to_stop(self, trainer: pl.Trainer) -> bool:
        """Whether any process was; all of them answer alike."""
        asked = bool(self.stop_signal)
        if self.parent is not None and os.getppid() != self.parent:
            asked = True
        if trainer.world_size > 1:
            asked = bool(trainer.strategy.reduce_boolean_decision(asked, all=False))
        if asked and not self.stop_signal:
            self.stop_signal = signal.SIGTERM
        return asked


def be_quiet() -> None:
    """Without Lightning's and torch's remarks on what is as we want it."""
    for part in ("pytorch", "fabric"):
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=r"Grad strides do not match.*")
    usual = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not issubclass(arguments.exc_type, OSError):  # TensorBoard's thread, on a full disk:
            usual(arguments)  # the run itself fails with it, and says so

    threading.excepthook = hook


class Bar(TQDMProgressBar):
    """Lightning's bar, which counts the steps of the whole run."""

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        module = _ours(trainer.lightning_module)
        self.train_progress_bar.reset(module.experiment.training.steps)
        self.train_progress_bar.initial = self.train_progress_bar.n = module.progress.step
        self.train_progress_bar.set_description(module.experiment.name)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        module, bar = _ours(pl_module), self.train_progress_bar
        if bar.disable or module.progress.step % max(1, self.refresh_rate):
            return
        log = module.last_log
        shown = {"loss": "{:.2f}", "error_mm": "{:.0f}"}
        bar.set_postfix(
            {k: form.format(log[k]) for k, form in shown.items() if k in log}, refresh=False
        )
        bar.update(module.progress.step - bar.n)


def _ours(module: pl.LightningModule) -> TrainingModule:
    assert isinstance(module, TrainingModule)
    return module


def _tell(line: str) -> None:
    """A line of its own, also where a bar is drawn (which is on stdout as well)."""
    print(("\n" if sys.stdout.isatty() else "") + line, flush=True)


def _forget_lines_after(path: Path, step: int) -> None:
    """Drop the lines that a resumed run will write again, and one that power cut in two."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UserError(cannot_write(path, error)) from None
