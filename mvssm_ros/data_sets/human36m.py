"""Human3.6M (Ionescu et al., PAMI 2014): one person, four cameras.

Poses as the data set's site gives them (archives Poses_D3_Positions_S*.tgz), turned from CDF into
MATLAB files as VideoPose3D's instructions have it; images taken from the site's videos; the cameras
from the public file camera-parameters.json (human36m-camera-parameters), which was made from the
site's own metadata:

    ROOT/camera-parameters.json
        {"intrinsics": {"54138969": {"calibration_matrix": 3 x 3, "distortion": [k1 k2 p1 p2 k3]}, ..},
         "extrinsics": {"S1": {"54138969": {"R": 3 x 3, "t": 3}, ..}, ..}}; x_cam = R x + t, mm
    ROOT/S1/MyPoseFeatures/D3_Positions/Directions 1.cdf.mat
        data: [frames, 96], or a cell with it: 32 joints in mm, z up
    ROOT/S1/Images/Directions 1.54138969/img_000001.jpg     the video's name without .mp4
        ffmpeg -i "S1/Videos/Directions 1.54138969.mp4" "S1/Images/Directions 1.54138969/img_%06d.jpg"

Frames are counted from 1. S1, S5, S6, S7 and S8 are for training, S9 and S11 for test. Of the 32
joints 17 are joints of people (H36M17); from these come the 15 of PANOPTIC15. Known faults: one video
of S11 "Directions" cannot be read (its frames are counted as lacking an image), and in parts of S9's
Greeting, SittingDown and Waiting the ground truth is off (Iskakov et al., ICCV 2019), which nothing
here can see.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

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
from mvssm_ros.geometry.skeletons import H36M17, skeleton_map
from mvssm_ros.rig.importers.common import camera, finish, read_json, values

SPLITS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
INTERVALS = {"train": 5, "test": 64}  # of 50 frames a second: neighbours are all but the same
CALIBRATION = "camera-parameters.json"
LAYOUT = f"{CALIBRATION} and S1/MyPoseFeatures/D3_Positions/*.cdf.mat"
SPACE: tuple[Pair, Pair] = ((0.0, 0.0), (6.0, 6.0))
CAMERAS = {  # (width, height)
    "54138969": (1000, 1002), "55011271": (1000, 1000),
    "58860488": (1000, 1000), "60457274": (1000, 1002),
}  # fmt: skip
_JOINTS = 32
_PEOPLE_JOINTS = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]  # as H36M17
_OF_17 = [sources[0] for sources in skeleton_map(H36M17.name).sources]  # PANOPTIC15 has no other
_ENDING = ".cdf.mat"


def open_human36m(
    root: str | Path, split: str = "train", interval: int | None = None, images: str = "ends"
) -> list[Sequence]:
    """The sequences of those subjects of a split who are there.

    Args:
        split: "train" or "test".
        interval: use every N-th frame; default: 5 in training, 64 in test.
        images: how well to look at images, see `frames.IMAGE_CHECKS`.

    Raises:
        UserError: the folder, the calibration, a camera or all poses of a split are missing or cannot
            be used. Single frames are counted in `Sequence.skipped` instead.
    """
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}' of Human3.6M: expected {' or '.join(SPLITS)}")
    if interval is not None and interval < 1:
        raise UserError(f"interval {interval}: expected 1 or more")
    root = folder(root, LAYOUT)
    files = pose_files(root, SPLITS[split])
    if not files:
        raise UserError(
            f"Human3.6M data set {root}: no poses of {', '.join(SPLITS[split])}; {LAYOUT}"
        )
    return [open_sequence(root, f, interval or INTERVALS[split], images) for f in files]


def pose_files(root: Path, subjects: Iterable[str]) -> list[Path]:
    """The files of poses of these subjects, sorted."""
    folders = [root / subject / "MyPoseFeatures" / "D3_Positions" for subject in subjects]
    return [file for path in folders for file in sorted(path.glob(f"*{_ENDING}"))]


def sequence_name(file: Path) -> str:
    """ "S1 Directions 1" of a file of poses."""
    return f"{file.parents[2].name} {file.name.removesuffix(_ENDING)}"


def open_sequence(root: Path, file: Path, interval: int = 1, images: str = "ends") -> Sequence:
    """The sequence of one file of poses. Arguments and errors as `open_human36m`."""
    subject, action = file.parents[2].name, file.name.removesuffix(_ENDING)
    name = sequence_name(file)
    with readable(root / CALIBRATION):
        cameras = _cameras(root / CALIBRATION, subject)
    poses_m = _poses(file)
    candidates = []
    for row in range(0, len(poses_m), interval):
        pose = poses_m[row]
        fault = "" if np.isfinite(pose).all() else NOT_FINITE
        number = f"{row + 1:06d}"
        pictures = tuple(
            root / subject / "Images" / f"{action}.{c}" / f"img_{number}.jpg" for c in CAMERAS
        )
        person = pose[_OF_17]
        candidates.append(Candidate(f"{name}/{number}", pictures, person[None], file, fault))
    return usable(name, cameras, tuple(CAMERAS), candidates, SPACE, images)


def _poses(file: Path) -> Array:
    """[frames, 17, 3] m."""
    data = read_mat(file, "data")
    if isinstance(data, np.ndarray) and data.dtype == object and data.size == 1:
        data = data.ravel()[0]
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "fiu" or data.ndim != 2:
        raise UserError(f"{file}: data: {BROKEN}: expected [frames, {3 * _JOINTS}] numbers")
    if data.shape[1] != 3 * _JOINTS:
        raise UserError(f"{file}: data: expected [frames, {3 * _JOINTS}], got {list(data.shape)}")
    joints = np.asarray(data, np.float64).reshape(-1, _JOINTS, 3)
    return joints[:, _PEOPLE_JOINTS] / 1000.0


def _cameras(path: Path, subject: str) -> Cameras:
    where = f"Human3.6M calibration {path}"
    content = read_json(path, where)
    try:
        entries = {
            name: {**content["intrinsics"][name], **content["extrinsics"][subject][name]}
            for name in CAMERAS
        }
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{where}: lacks {error} for {subject}; expected {', '.join(CAMERAS)}"
        ) from None
    cameras = {}
    for name, size_px in CAMERAS.items():
        at, counts = f"{where}: {name}", {"calibration_matrix": 9, "distortion": 5, "R": 9, "t": 3}
        K, distortion, R, t_mm = values(entries[name], counts, at)
        key = f"cam{name}"
        cameras[key] = camera(
            key, size_px, K.reshape(3, 3), distortion, R.reshape(3, 3), t_mm / 1000, at
        )
    return finish(cameras, where).to_cameras()
