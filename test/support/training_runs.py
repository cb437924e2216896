"""Small trainings, and tasks that have something happen to them at a step.

A module of its own, so that spawned processes find it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from mvssm_ros.learning.training.experiment import (
    DataConfig,
    Experiment,
    TrainingConfig,
    ValidationConfig,
)
from mvssm_ros.learning.training.keypoints_task import KeypointsTask
from mvssm_ros.network.config import MVSSMConfig

NETWORK = MVSSMConfig(d_model=16, n_layers=2, survivors=(6,), grid_from_layer=1)
EXPERIMENT = Experiment(
    "small",
    DataConfig(views={3: 1.0}, view_budget=6, max_people=2),
    NETWORK,
    TrainingConfig(steps=6, survivors=(6,), grid=(4, 4), warmup_steps=2, save_every=2, log_every=1),
    validation=ValidationConfig(every=0, scenes=3, views=(3,)),
)


def changed(section: str, **values) -> Experiment:
    """EXPERIMENT with other values in one section."""
    return replace(EXPERIMENT, **{section: replace(getattr(EXPERIMENT, section), **values)})


class EventfulTask(KeypointsTask):
    """Calls `event(step, rank)` before each batch is made."""

    def event(self, step: int, rank: int) -> None:
        raise NotImplementedError

    def batch(self, step, rank, world):
        self.event(step, rank)
        return super().batch(step, rank, world)


class SignalledTask(EventfulTask):
    """At step 3 its process gets `number`."""

    number = signal.SIGTERM

    def event(self, step, rank):
        if step == 3:
            os.kill(os.getpid(), self.number)


class KilledTask(SignalledTask):
    number = signal.SIGKILL


class InterruptedTask(SignalledTask):
    number = signal.SIGINT


class SecondIsSignalled(SignalledTask):
    """Of two processes only the second one is told to stop."""

    def event(self, step, rank):
        if rank == 1:
            super().event(step, rank)


class FullDiskTask(EventfulTask):
    """From step 3 on no file may grow beyond `bytes`; whoever uses it must lift that again."""

    bytes = 100_000

    def event(self, step, rank):
        if step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.bytes, resource.RLIM_INFINITY))


class NotFiniteTask(KeypointsTask):
    """The loss of step 2 is not a number."""

    def loss(self, model, batch, step):
        loss, log = super().loss(model, batch, step)
        return (loss * float("nan") if step == 2 else loss), log


class WatchedTask(KeypointsTask):
    """Writes a digest of the weights that each process has at each step to `weights-RANK.txt`."""

    def __init__(self, experiment, folder: Path):
        super().__init__(experiment)
        self.folder, self.rank = folder, -1

    def batch(self, step, rank, world):
        self.rank = rank
        return super().batch(step, rank, world)

    def loss(self, model, batch, step):
        flat = torch.cat([p.detach().flatten() for p in model.parameters()]).double()
        with (self.folder / f"weights-{self.rank}.txt").open("a") as file:
            file.write(f"{float(flat.sum()):.17g} {float(flat.square().sum()):.17g}\n")
        return super().loss(model, batch, step)


class ScriptedTask(KeypointsTask):
    """Its validations give these AP25, and MPJPE in mm, one after the other."""

    def __init__(self, experiment, ap25: list[float], mpjpe_mm: list[float] | None = None):
        super().__init__(experiment)
        self.ap25, self.mpjpe_mm = list(ap25), list(mpjpe_mm or [3.0] * len(ap25))

    def validate(self, model):
        ap25, mpjpe_mm = self.ap25.pop(0), self.mpjpe_mm.pop(0)
        return {"AP25": ap25, "mAP": 1.0, "recall500": 2.0, "MPJPE_mm": mpjpe_mm}


if __name__ == "__main__":  # training_runs.py FOLDER: a run that power leaves at step 3
    from mvssm_ros.learning.training.run import train

    train(EXPERIMENT, sys.argv[1], task=KilledTask(EXPERIMENT), device="cpu")
