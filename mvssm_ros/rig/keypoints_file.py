"""2D keypoints of people in all views over time, as a file (.npz, written with numpy.savez):

keypoints  [F, T, D, 15, 3]  frames, cameras, people in any order, panoptic15 joints: x, y in
                             raw px, confidence 0..1; confidence 0 or NaN = not found
stamps_ns  [F]               integers, ascending
cameras    [T]               names, as in the rig file
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import PANOPTIC15

_KEYS = ("keypoints", "stamps_ns", "cameras")


@dataclass(frozen=True, eq=False)
class KeypointSequence:
    """F frames of T cameras; in each at most D people, in any order."""

    cameras: tuple[str, ...]  # [T]
    stamps_ns: npt.NDArray[np.int64]  # [F] ascending
    keypoints: npt.NDArray[np.float64]  # [F, T, D, 15, 3] raw px, confidence; 0 = not found


def load_keypoints(path: str | Path) -> KeypointSequence:
    """Read a keypoints file.

    Raises:
        UserError: no such file, no .npz, a key missing, or one of another shape or type.
    """
    where = f"keypoints {path}"
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError(f"{where}: expected an .npz with {', '.join(_KEYS)}")
        with archive:
            lacking = [key for key in _KEYS if key not in archive.files]
            if lacking:
                raise UserError(
                    f"{where}: lacks {', '.join(lacking)}; it has {', '.join(archive.files)}"
                )
            keypoints, stamps, names = (archive[key] for key in _KEYS)
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file") from None
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{where}: is no .npz of numpy.savez ({error})") from None
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{where}: is no .npz of plain arrays ({error})") from None
    J = PANOPTIC15.n_joints
    if keypoints.dtype.kind not in "fiu" or keypoints.ndim != 5 or keypoints.shape[3:] != (J, 3):
        raise UserError(
            f"{where}: keypoints: expected numbers [frames, cameras, people, {J}, 3], got"
            f" {keypoints.dtype} {list(keypoints.shape)}"
        )
    if stamps.dtype.kind not in "iu" or stamps.shape != keypoints.shape[:1]:
        raise UserError(
            f"{where}: stamps_ns: expected {len(keypoints)} integers, one a frame, got"
            f" {stamps.dtype} {list(stamps.shape)}"
        )
    if (np.diff(stamps.astype(np.int64)) <= 0).any():
        raise UserError(f"{where}: stamps_ns: must ascend")
    if names.dtype.kind != "U" or names.shape != keypoints.shape[1:2]:
        raise UserError(
            f"{where}: cameras: expected {keypoints.shape[1]} names, got {names.dtype}"
            f" {list(names.shape)}"
        )
    if len(set(names.tolist())) != len(names):
        raise UserError(f"{where}: cameras: a name is given twice")
    values = keypoints.astype(np.float64)
    found = np.isfinite(values).all(-1) & (values[..., 2] > 0)
    values = np.where(found[..., None], values, 0.0)
    return KeypointSequence(tuple(str(n) for n in names), stamps.astype(np.int64), values)
