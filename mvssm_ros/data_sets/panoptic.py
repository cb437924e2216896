"""CMU Panoptic (Joo et al., ICCV 2015) as its toolbox downloads it.

    ROOT/<sequence>/calibration_<sequence>.json
    ROOT/<sequence>/hdPose3d_stage1_coco19/body3DScene_<8 digits>.json
    ROOT/<sequence>/hdImgs/00_<node>/00_<node>_<8 digits>.jpg     node: 2 digits, 1920 x 1080

Sequences, intervals and ground truth are those on which VoxelPose, MvP, MVGFormer and MV-SSM (arXiv
2509.00649, section Experiments) are compared: every third file of poses in training, every twelfth
in test; the first 15 of 19 joints, known where their confidence is more than 0.1; a body whose
middle of the hips is not known is nobody. Panoptic's lengths are centimetres and its y axis points
down; here (x, y, z) -> (x, z, -y), in metres.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

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
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.learning.panoptic_rigs import arrangement_nodes, load_panoptic_rig, panoptic_to_world
from mvssm_ros.rig.importers.common import read_json

# 160906_band3 is in the lists of VoxelPose's code, but not in all papers', and was not always to be
# had: it is used where it lies, and not missed where it does not.
OPTIONAL = ("160906_band3",)
DEFAULT_ARRANGEMENT = "CMU0"
SPLITS: dict[str, tuple[str, ...]] = {
    "train": (
        *("160422_ultimatum1", "160224_haggling1", "160226_haggling1", "161202_haggling1"),
        *("160906_ian1", "160906_ian2", "160906_ian3"),
        *("160906_band1", "160906_band2", "160906_band3"),
    ),
    "test": ("160906_pizza1", "160422_haggling1", "160906_ian5", "160906_band4"),
}
INTERVALS = {"train": 3, "test": 12}
# Of VoxelPose and those after it; wider than the dome. (panoptic_rigs.SPACE is where made-up people
# are put.)
SPACE: tuple[Pair, Pair] = ((0.0, -0.5), (8.0, 8.0))
POSES = "hdPose3d_stage1_coco19"
LAYOUT = f"<sequence>/calibration_<sequence>.json, {POSES} and hdImgs"
_POSE_FILE = re.compile(r"body3DScene_(\d{8})\.json")
_JOINTS = 19
_LEAST_CONFIDENCE = 0.1
_MID_HIP = PANOPTIC15.index("mid_hip")


def open_panoptic(
    root: str | Path,
    split: str = "train",
    arrangement: str = DEFAULT_ARRANGEMENT,
    interval: int | None = None,
    sequences: Iterable[str] | None = None,
    images: str = "ends",
) -> list[Sequence]:
    """The sequences of a split (or those named), with the cameras of an arrangement.

    Args:
        split: "train" or "test".
        arrangement: "CMU0" to "CMU4", or "CMU0exK".
        interval: use every N-th file of poses; default: as the papers in that split.
        sequences: these instead of the split's.
        images: how well to look at images, see `frames.IMAGE_CHECKS`.

    Raises:
        UserError: the folder, a sequence, a camera or the ground truth is missing; a calibration
            cannot be read; an unknown split or arrangement. Single frames that cannot be used are
            counted in `Sequence.skipped` instead.
    """
    root = folder(root, LAYOUT)
    arrangement_nodes(arrangement)
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}' of Panoptic: expected {' or '.join(SPLITS)}")
    if interval is not None and interval < 1:
        raise UserError(f"interval {interval}: expected 1 or more")
    names = split_sequences(root, split) if sequences is None else tuple(sequences)
    lacking = [name for name in names if not (root / name).is_dir()]
    if lacking:
        raise UserError(
            f"Panoptic data set {root}: lacks the sequences {', '.join(lacking)}; expected"
            f" {LAYOUT}; get them, or name the sequences to use"
        )
    return [
        open_sequence(root / name, arrangement, interval or INTERVALS[split], images)
        for name in names
    ]


def split_sequences(root: Path, split: str) -> tuple[str, ...]:
    """Names of a split's sequences; those that are optional only where they are there."""
    return tuple(n for n in SPLITS[split] if n not in OPTIONAL or (root / n).is_dir())


def found_sequences(root: Path) -> tuple[str, ...]:
    """Names of the folders in ROOT that look like sequences, sorted."""
    return tuple(
        sorted(
            path.name
            for path in root.iterdir()
            if (path / f"calibration_{path.name}.json").exists() or (path / POSES).is_dir()
        )
    )


def open_sequence(
    path: str | Path,
    arrangement: str = DEFAULT_ARRANGEMENT,
    interval: int = 1,
    images: str = "ends",
) -> Sequence:
    """One sequence, from its own folder. Arguments and errors as `open_panoptic`."""
    path = folder(path, f"calibration_<sequence>.json, {POSES} and hdImgs")
    names = tuple(f"00_{node:02d}" for node in arrangement_nodes(arrangement))
    cameras = _cameras(path / f"calibration_{path.name}.json", arrangement)
    poses = folder(path / POSES, "files body3DScene_<8 digits>.json")
    files = sorted(poses.iterdir())
    numbered = [(f, match[1]) for f in files if (match := _POSE_FILE.fullmatch(f.name))]
    if not numbered:
        raise UserError(f"ground truth {poses}: expected files body3DScene_<8 digits>.json in it")
    candidates = []
    for file, number in numbered[::interval]:
        joints, fault = _people(file)
        pictures = tuple(path / "hdImgs" / c / f"{c}_{number}.jpg" for c in names)
        candidates.append(Candidate(f"{path.name}/{number}", pictures, joints, file, fault))
    return usable(path.name, cameras, names, candidates, SPACE, images)


def _cameras(calibration: Path, arrangement: str) -> Cameras:
    with readable(calibration):
        cameras = load_panoptic_rig(calibration, arrangement)
    R = cameras.R.double()
    numbers = torch.cat([cameras.K.flatten(), cameras.distortion.flatten(), cameras.t.flatten()])
    turned = (R @ R.mT - torch.eye(3, dtype=torch.float64)).abs().amax()
    if not torch.isfinite(numbers).all() or not turned < 1e-3 or not (cameras.size_px > 0).all():
        raise UserError(
            f"{calibration}: a camera of {arrangement} is no camera: expected finite K, distCoef and"
            " t, a rotation R, and a resolution"
        )
    return cameras


def _people(file: Path) -> tuple[Array, str]:
    """Joints [G, 15, 3] m of one file of poses and "", or nobody and what is wrong with it."""
    nobody = np.zeros((0, PANOPTIC15.n_joints, 3))
    try:
        bodies = read_json(file, str(file))["bodies"]
        rows = [np.array(body["joints19"], np.float64).reshape(_JOINTS, 4) for body in bodies]
    except (KeyError, TypeError, ValueError, OverflowError):
        return nobody, BROKEN
    if not rows:
        return nobody, ""
    joints = np.stack(rows)[:, : PANOPTIC15.n_joints]
    if not np.isfinite(joints).all():
        return nobody, NOT_FINITE
    known = joints[..., 3] > _LEAST_CONFIDENCE
    world: Array = panoptic_to_world(torch.from_numpy(joints[..., :3])).numpy()
    world[~known] = np.nan
    return world[known[:, _MID_HIP]], ""
