"""2D keypoints of people in the views of a rig over time, and the file that holds them.

A NumPy archive (.npz, `numpy.savez`) with
    keypoints  [F, T, D, J, 3]  frames, cameras, people (in any order), joints: x, y in raw px,
                                confidence 0..1; confidence 0 or NaN = not found
    stamps_ns  [F]              integers, ascending: when the frames were taken
    cameras    [T]              names, as in the rig file
    skeleton   ""               optional name of the joints' skeleton (default panoptic15)
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import skeleton_map

_KEYS = ("keypoints", "stamps_ns", "cameras")
_MAX_NUMBERS = 200_000_000  # in keypoints: 1.6 GB
_MAX_REST_BYTES = 100_000_000  # of everything else in the archive


@dataclass(frozen=True, eq=False)
class KeypointSequence:
    """F frames of T cameras; in each at most D people, in any order."""

    cameras: tuple[str, ...]  # [T]
    stamps_ns: npt.NDArray[np.int64]  # [F] ascending
    keypoints: npt.NDArray[np.float64]  # [F, T, D, 15, 3] panoptic15; raw px, confidence

    def frames(self, which: npt.NDArray[np.int64]) -> KeypointSequence:
        """Some frames, by their indices."""
        return replace(self, stamps_ns=self.stamps_ns[which], keypoints=self.keypoints[which])

    def views(self, names: list[str]) -> KeypointSequence:
        """Some cameras, by name, in this order."""
        at = [self.cameras.index(name) for name in names]
        return replace(self, cameras=tuple(names), keypoints=self.keypoints[:, at])

    def save(self, path: str | Path) -> None:
        """Write the .npz; `load_keypoints` reads it back."""
        np.savez_compressed(
            path,
            keypoints=self.keypoints.astype(np.float32),
            stamps_ns=self.stamps_ns,
            cameras=np.array(self.cameras),
        )


def load_keypoints(path: str | Path) -> KeypointSequence:
    """Read a keypoints file (.npz, its form is shown at the top of this module).

    Raises:
        UserError: no such file, no .npz, a key is missing, a shape or type is not as expected,
            stamps that do not ascend, or names given twice.
    """
    path = Path(path)
    where = f"keypoints {path}"
    if not path.is_file():
        raise UserError(f"{where}: does not exist" if not path.exists() else f"{where}: no file")
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise UserError(
                f"{where}: holds a single array, expected an .npz with {', '.join(_KEYS)}"
            )
        with archive:
            lacking = [key for key in _KEYS if key not in archive.files]
            if lacking:
                raise UserError(
                    f"{where}: lacks {', '.join(lacking)}; expected {', '.join(_KEYS)}, found"
                    f" {', '.join(archive.files) or 'nothing'}"
                )
            _check_unpacked(path, where)
            keypoints, stamps, cameras = (archive[key] for key in _KEYS)
            skeleton = str(archive["skeleton"]) if "skeleton" in archive.files else "panoptic15"
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{where}: is no NumPy archive of numbers; write it with numpy.savez, without objects"
        ) from None
    return make_sequence(cameras, stamps, keypoints, skeleton, where)


def make_sequence(
    cameras: npt.ArrayLike,
    stamps_ns: npt.ArrayLike,
    keypoints: npt.ArrayLike,
    skeleton: str,
    where: str,
) -> KeypointSequence:
    """Check the parts of a sequence and bring it to panoptic15. ``where`` names it in errors."""
    names, stamps, values = np.asarray(cameras), np.asarray(stamps_ns), np.asarray(keypoints)
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise UserError(f"{where}: cameras: expected a list of names, got {_describe(names)}")
    listed = [n.decode() if isinstance(n, bytes) else str(n) for n in names.tolist()]
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise UserError(f"{where}: cameras: {', '.join(twice)} is given twice")
    if values.dtype.kind not in "fiu" or values.ndim != 5 or values.shape[-1] != 3:
        raise UserError(
            f"{where}: keypoints: expected numbers [frames, cameras, people, joints, 3] (x px, y px,"
            f" confidence), got {_describe(values)}"
        )
    check_size(values.shape, where)
    if stamps.dtype.kind not in "iu" or stamps.shape != values.shape[:1]:
        raise UserError(
            f"{where}: stamps_ns: expected {values.shape[0]} integers (ns), one a frame, got"
            f" {_describe(stamps)}"
        )
    if values.shape[1] != len(listed):
        raise UserError(
            f"{where}: keypoints are of {values.shape[1]} cameras, but cameras names {len(listed)}"
        )
    stamps = stamps.astype(np.int64)
    if (np.diff(stamps) <= 0).any():
        at = int(np.argmax(np.diff(stamps) <= 0)) + 1
        raise UserError(
            f"{where}: stamps_ns: must ascend, but {stamps[at]} follows {stamps[at - 1]}"
        )
    values = skeleton_map(skeleton).apply(_absent_as_zero(values.astype(np.float64), where))
    return KeypointSequence(tuple(listed), stamps, values.astype(np.float64))


def gather(
    by_camera: Mapping[str, Mapping[int, npt.NDArray[np.floating[Any]]]], where: str
) -> KeypointSequence:
    """Frames out of what each camera saw at its own stamps.

    Frames are the stamps of the camera with the most; the others give what is nearest in time, if
    within half a period.

    Args:
        by_camera: per camera and stamp (ns) the people of one image, [P, 15, 3] panoptic15.
        where: names the source in errors.

    Raises:
        UserError: fewer than two cameras, or values that `make_sequence` refuses.
    """
    seen = {name: stamped for name, stamped in by_camera.items() if stamped}
    if len(seen) < 2:
        raise UserError(
            f"{where}: has messages of {len(seen)} of the cameras, expected two or more"
        )
    sorted_ns = {name: np.array(sorted(stamped), np.int64) for name, stamped in seen.items()}
    stamps = max(sorted_ns.values(), key=len)
    within = 0.5 * float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
    most = max(len(people) for stamped in seen.values() for people in stamped.values())
    shape = (len(stamps), len(seen), most, 15, 3)
    check_size(shape, where)
    keypoints = np.zeros(shape)
    for view, (name, own) in enumerate(sorted_ns.items()):
        after = np.searchsorted(own, stamps).clip(0, len(own) - 1)
        before = (after - 1).clip(0)
        nearest = np.where(
            np.abs(own[before] - stamps) <= np.abs(own[after] - stamps), before, after
        )
        for frame in np.flatnonzero(np.abs(own[nearest] - stamps) <= within):
            people = seen[name][int(own[nearest[frame]])]
            keypoints[frame, view, : len(people)] = people
    return make_sequence(list(seen), stamps, keypoints, "panoptic15", where)


def check_size(shape: tuple[int, ...], where: str) -> None:
    """Raise UserError where keypoints of this shape are too many."""
    if math.prod(shape) > _MAX_NUMBERS:
        raise UserError(
            f"{where}: keypoints: {math.prod(shape)} numbers are too many, thin the frames"
        )


def _check_unpacked(path: Path, where: str) -> None:
    """Before anything is unpacked: a small archive can hold a terabyte of zeros.

    The sizes it declares hold: Python's zipfile gives no more than these.
    """
    with zipfile.ZipFile(path) as packed:
        size = sum(member.file_size for member in packed.infolist())
    if size > 8 * _MAX_NUMBERS + _MAX_REST_BYTES:
        raise UserError(f"{where}: unpacks to {size / 1e9:.1f} GB, thin the frames")


def _absent_as_zero(values: npt.NDArray[np.float64], where: str) -> npt.NDArray[np.float64]:
    confidence = values[..., 2]
    found = np.isfinite(values).all(-1) & (confidence > 0)
    if found.any() and float(confidence[found].max()) > 1.0 + 1e-3:
        raise UserError(
            f"{where}: keypoints: confidences must be 0 to 1, got {confidence[found].max():g}; the"
            " order is x, y, confidence"
        )
    return np.where(found[..., None], values, 0.0)


def _describe(array: npt.NDArray[np.generic]) -> str:
    return f"{array.dtype} {list(array.shape)}"
