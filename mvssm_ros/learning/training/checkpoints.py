"""Checkpoints of a run: written whole or not at all, read without running anything in them."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mvssm_ros.errors import UserError

from .experiment import Experiment
from .module import OWN

LAST, BEST = "last.ckpt", "best.ckpt"


class WholeFiles(TorchCheckpointIO):
    """Lightning's reader and writer of checkpoints: a temporary file, synchronised and renamed."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Raises UserError where it cannot be written; what was at `path` is untouched then."""
        write_whole(checkpoint, Path(path))

    def load_checkpoint(
        self,
        path: Any,
        map_location: Callable | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded


class _Tell:
    """A file that remembers why it could not be written: torch hides the reason."""

    def __init__(self, file: Any):
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return int(self._file.write(data))
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def write_whole(content: Any, path: Path) -> None:
    """torch.save to `path`. Raises UserError (disk full, folder gone); nothing is left behind then."""
    temporary = path.with_name(path.name + ".tmp")
    told: Any = None
    try:
        with temporary.open("wb") as file:
            told = _Tell(file)
            torch.save(content, told)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = (told.error if told else None) or error
        if not isinstance(reason, OSError):
            raise
        raise UserError(cannot_write(path, reason)) from None


def cannot_write(path: Path, error: OSError) -> str:
    """What a user is told of a write that failed during training."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free some space" if full else "mend that"
    return (
        f"{path} cannot be written ({error.strerror or error}): the checkpoint before it is "
        f"untouched; {advice} and run the same command to go on from it"
    )


def _sync_folder(folder: Path) -> None:
    """So that the new name outlives a loss of power; not every file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def keep_as(path: Path, other: Path) -> None:
    """Give a checkpoint a second name, whole or not at all, without a second copy where possible."""
    temporary = other.with_name(other.name + ".tmp")
    try:
        temporary.unlink(missing_ok=True)
        os.link(path, temporary)
        temporary.replace(other)
    except OSError:  # a file system without links
        write_whole(torch.load(path, map_location="cpu", weights_only=True), other)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a run saved. Raises UserError where it is damaged or something else."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        if not {"settings", "world", "average", "progress", "network", "backbone"} <= set(
            state[OWN]
        ):
            raise KeyError("keys are missing")
        if not {"state_dict", "optimizer_states"} <= set(state):
            raise KeyError("keys are missing")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, IndexError, EOFError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise UserError(
            f"{path} is no checkpoint of a training, or is damaged ({type(error).__name__}): "
            "remove it to start anew, or give another folder"
        ) from None
    return dict(state)


def check_resumable(path: Path, settings: dict[str, dict[str, Any]], world: int) -> dict[str, Any]:
    """Our part of the checkpoint at `path`, which a run with these settings may go on from.

    Raises UserError that names what differs.
    """
    own: dict[str, Any] = read_checkpoint(path)[OWN]
    before = own["settings"]
    unsaid = Experiment().settings()  # by checkpoints from before a setting was there
    differ = [
        f"{section}.{key}"
        for section, values in settings.items()
        for key, value in values.items()
        if before.get(section, {}).get(key, unsaid[section][key]) != value
    ]
    if differ:
        raise UserError(
            f"{path} was trained with other settings ({', '.join(differ)} differ): "
            "give the same ones to resume, or another folder to start anew "
            "(with --start-from to begin with exported weights)"
        )
    if own["world"] != world:
        raise UserError(
            f"{path} was trained by {own['world']} processes, got {world}: the number "
            "decides the outcome; give the same one, or another folder to start anew"
        )
    return own
