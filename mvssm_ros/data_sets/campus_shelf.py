"""Campus and Shelf (Belagiannis et al., CVPR 2014) in the layout that VoxelPose uses.

    CampusSeq1/calibration_campus.json   Shelf/calibration_shelf.json
    CampusSeq1/actorsGT.mat              Shelf/actorsGT.mat
    CampusSeq1/Camera0/campus4-c0-00350.png   to Camera2, 360 x 288, frames from 0
    Shelf/Camera0/img_000300.png              to Camera4, 1032 x 776

Images may also be .jpg. The calibrations are the JSON files that VoxelPose's code brings along (its T
is the camera's centre in mm). Ground truth: `actor3D`, a cell an actor, in it a cell a frame: [14, 3]
in metres with z up, joints as SHELF14, or empty where she is not there.

Evaluated frames (as in all papers that compare PCP3D, MV-SSM's among them): Campus 350-470 and
650-750, Shelf 300-600.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.data_sets.frames import (
    BROKEN,
    NOT_FINITE,
    Array,
    Candidate,
    Pair,
    Sequence,
    folder,
    readable,
    usable,
)
from mvssm_ros.data_sets.mat_files import read_mat
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.skeletons import SHELF14
from mvssm_ros.rig.importers import import_campus_shelf

_PERSON = (SHELF14.n_joints, 3)


@dataclass(frozen=True)
class _Set:
    name: str
    calibration: str
    n_cameras: int
    size_px: tuple[int, int]
    picture: str  # without its ending
    evaluated: tuple[int, ...]
    space: tuple[Pair, Pair]  # of VoxelPose and those after it


CAMPUS = _Set(
    *("campus", "calibration_campus.json", 3, (360, 288), "campus4-c{camera}-{frame:05d}"),
    (*range(350, 471), *range(650, 751)),
    ((3.0, 4.5), (12.0, 12.0)),
)
SHELF = _Set(
    *("shelf", "calibration_shelf.json", 5, (1032, 776), "img_{frame:06d}"),
    tuple(range(300, 601)),
    ((0.45, -0.32), (8.0, 8.0)),
)


def open_campus(root: str | Path, whole: bool = False, images: str = "ends") -> Sequence:
    """Campus, from the folder with its calibration; see the module.

    Args:
        whole: all frames of the ground truth, not only those that are evaluated.
        images: how well to look at images, see `frames.IMAGE_CHECKS`.

    Raises:
        UserError: the folder, the calibration, one of its cameras or the ground truth is missing or
            cannot be used. Single frames are counted in `Sequence.skipped` instead.
    """
    return _open(CAMPUS, root, whole, images)


def open_shelf(root: str | Path, whole: bool = False, images: str = "ends") -> Sequence:
    """Shelf; otherwise as `open_campus`."""
    return _open(SHELF, root, whole, images)


def _open(data: _Set, root: str | Path, whole: bool, images: str) -> Sequence:
    root = folder(root, f"{data.calibration}, actorsGT.mat and Camera0 to {data.n_cameras - 1}")
    cameras = _cameras(data, root / data.calibration)
    truth = root / "actorsGT.mat"
    actors = _actors(truth)
    n_frames = len(actors[0])
    numbers: Iterable[int] = range(n_frames) if whole else data.evaluated
    if not whole and n_frames <= data.evaluated[-1]:
        raise UserError(
            f"{truth}: has {n_frames} frames, expected more than {data.evaluated[-1]}, the last"
            f" that is evaluated; is this the file of another data set?"
        )
    candidates = []
    for number in numbers:
        joints, fault = _people([actor[number] for actor in actors])
        pictures = tuple(_picture(data, root, c, number) for c in range(data.n_cameras))
        name = f"{data.name}/{number:06d}"
        candidates.append(Candidate(name, pictures, joints, truth, fault))
    names = tuple(f"Camera{c}" for c in range(data.n_cameras))
    return usable(data.name, cameras, names, candidates, data.space, images)


def _cameras(data: _Set, calibration: Path) -> Cameras:
    with readable(calibration):
        rig = import_campus_shelf(calibration, data.size_px)
    names = [f"cam{c}" for c in range(data.n_cameras)]
    lacking = [name[3:] for name in names if name not in rig.cameras]
    if lacking:
        raise UserError(
            f"calibration {calibration}: lacks the cameras {', '.join(lacking)} of {data.name},"
            f" which has {data.n_cameras}, '0' to '{data.n_cameras - 1}'"
        )
    return rig.to_cameras(names)


def _picture(data: _Set, root: Path, camera: int, frame: int) -> Path:
    path = root / f"Camera{camera}" / data.picture.format(camera=camera, frame=frame)
    png, jpg = path.with_name(path.name + ".png"), path.with_name(path.name + ".jpg")
    return jpg if jpg.exists() and not png.exists() else png


def _actors(truth: Path) -> list[list[Any]]:
    """Of each actor, what the file has for each frame."""
    cells = read_mat(truth, "actor3D")
    ok = isinstance(cells, np.ndarray) and cells.dtype == object and cells.size > 0
    actors = [list(a.ravel()) for a in cells.ravel() if isinstance(a, np.ndarray)] if ok else []
    if not ok or len(actors) != cells.size or len({len(a) for a in actors}) != 1 or not actors[0]:
        raise UserError(
            f"{truth}: actor3D: expected a cell an actor, each with a cell a frame, the same number"
            " for all"
        )
    return actors


def _people(cells: list[Any]) -> tuple[Array, str]:
    """[A, 14, 3] m of one frame, NaN where an actor is not there, and what is wrong with it or ""."""
    joints = np.full((len(cells), *_PERSON), np.nan)
    for a, cell in enumerate(cells):
        if np.size(cell) == 0:
            continue
        if np.shape(cell) != _PERSON or np.asarray(cell).dtype.kind not in "fiu":
            return joints, BROKEN
        if not np.isfinite(cell).all():
            return joints, NOT_FINITE
        joints[a] = cell
    return joints, ""
