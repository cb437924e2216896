"""Small copies of the public data sets' folders, with made-up cameras, people and images."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from mvssm_ros.data_sets.human36m import CAMERAS
from mvssm_ros.learning.synthetic.rigs import look_at

POSES = "hdPose3d_stage1_coco19"
# What each joint of PANOPTIC15 is at, standing, as Panoptic has it: cm, y down.
STANDING_CM = np.array(
    [
        *([0, -145, 0], [0, -160, -8], [0, -95, 0]),
        *([18, -143, 0], [20, -115, 0], [20, -92, -5], [10, -93, 0], [10, -50, 0], [10, -8, 0]),
        *([-18, -143, 0], [-20, -115, 0], [-20, -92, -5], [-10, -93, 0], [-10, -50, 0]),
        [-10, -8, 0],
    ],
    np.float64,
)


@functools.cache
def picture(size_px: tuple[int, int], ending: str = ".jpg") -> bytes:
    """An image file of a gradient: red grows to the right, blue is 200."""
    width, height = size_px
    bgr = np.zeros((height, width, 3), np.uint8)
    bgr[..., 2] = np.linspace(0, 255, width)
    bgr[..., 0] = 200
    return cv2.imencode(ending, bgr)[1].tobytes()


def body(at_cm: tuple[float, float] = (0.0, 0.0), identity: int = 0) -> dict:
    """A standing person at (x, z) in Panoptic's frame, all joints known."""
    joints = np.zeros((19, 4))
    joints[:15, :3] = STANDING_CM + np.array([at_cm[0], 0, at_cm[1]])
    joints[:, 3] = 0.5
    return {"id": identity, "joints19": joints.ravel().tolist()}


def calibration(nodes: range | list[int] = range(31)) -> dict:
    """Panoptic's HD cameras on a circle, 2.7 m from the middle, at 1.5 m; and one that is not HD."""
    cameras = []
    for node in nodes:
        angle = 2 * np.pi * node / 31
        center = np.array([270 * np.cos(angle), -150, 270 * np.sin(angle)])
        R = look_at(center, np.array([0.0, -90, 0]), np.array(0.1))
        cameras.append(
            {
                "name": f"00_{node:02d}", "type": "hd", "panel": 0, "node": node,
                "resolution": [1920, 1080], "K": [[1000.0, 0, 950], [0, 1001, 550], [0, 0, 1]],
                "distCoef": [-0.2, 0.15, 2e-4, -1e-4, -0.02],
                "R": R.tolist(), "t": (-R @ center)[:, None].tolist(),
            }
        )  # fmt: skip
    vga = {**cameras[0], "name": "01_03", "type": "vga", "panel": 1, "node": 3}
    return {"calibDataSource": "made up", "cameras": [vga, *cameras]}


def make_panoptic(
    root: Path,
    name: str = "160906_band1",
    frames: dict[int, list[dict]] | None = None,
    nodes: tuple[int, ...] = (3, 6, 12, 13, 23),
    cameras: dict | str | None = None,
) -> Path:
    """A sequence of frames (number: bodies), by default one with one person. Returns its folder."""
    path = root / name
    (path / POSES).mkdir(parents=True)
    content = calibration() if cameras is None else cameras
    text = content if isinstance(content, str) else json.dumps(content)
    (path / f"calibration_{name}.json").write_text(text)
    data = picture((1920, 1080))
    for number, bodies in (frames if frames is not None else {100: [body()]}).items():
        scene = {"version": 0.7, "univTime": 0.0, "fpsType": "hd_29_97", "bodies": bodies}
        (path / POSES / f"body3DScene_{number:08d}.json").write_text(json.dumps(scene))
        for node in nodes:
            camera = f"00_{node:02d}"
            (path / "hdImgs" / camera).mkdir(parents=True, exist_ok=True)
            (path / "hdImgs" / camera / f"{camera}_{number:08d}.jpg").write_bytes(data)
    return path


def cells(rows: list) -> np.ndarray:
    """A MATLAB column of cells."""
    out = np.empty((len(rows), 1), object)
    for i, row in enumerate(rows):
        out[i, 0] = row
    return out


def save_actors(path: Path, actors: list[list[np.ndarray]]) -> None:
    """actorsGT.mat of what each actor has in each frame."""
    outer = np.empty((1, len(actors)), object)
    for a, frames in enumerate(actors):
        outer[0, a] = cells(frames)
    savemat(path, {"actor3D": outer}, do_compression=True)


# Standing, joints as SHELF14, metres.
SHELF_STANDING_M = np.array(
    [
        *([-0.1, 0, 0.1], [-0.1, 0, 0.5], [-0.1, 0, 0.9], [0.1, 0, 0.9], [0.1, 0, 0.5]),
        *([0.1, 0, 0.1], [-0.2, 0, 0.9], [-0.2, 0, 1.15], [-0.2, 0, 1.4], [0.2, 0, 1.4]),
        *([0.2, 0, 1.15], [0.2, 0, 0.9], [0, 0, 1.45], [0, 0, 1.7]),
    ]
)
ABSENT = np.zeros((1, 0))


def shelf_calibration(n_cameras: int, size_px: tuple[int, int], center_m=(0.0, 0.0)) -> dict:
    entries = {}
    for c in range(n_cameras):
        angle = 2 * np.pi * c / n_cameras
        center = np.array([center_m[0] + 4 * np.cos(angle), center_m[1] + 4 * np.sin(angle), 2.0])
        R = look_at(center, np.array([*center_m, 1.0]), np.array(0.0))
        entries[str(c)] = {
            "R": R.tolist(), "T": (1000 * center)[:, None].tolist(), "fx": 0.8 * size_px[0],
            "fy": 0.8 * size_px[0], "cx": size_px[0] / 2, "cy": size_px[1] / 2,
            "k": [[0.0]] * 3, "p": [[0.0]] * 2,
        }  # fmt: skip
    return entries


def make_shelf(root: Path, actors: list[list[np.ndarray]], numbers=range(300, 601)) -> Path:
    """Shelf, with images for these frames."""
    (root / "calibration_shelf.json").write_text(json.dumps(shelf_calibration(5, (1032, 776))))
    save_actors(root / "actorsGT.mat", actors)
    data = picture((1032, 776), ".png")
    for c in range(5):
        (root / f"Camera{c}").mkdir()
        for number in numbers:
            (root / f"Camera{c}" / f"img_{number:06d}.png").write_bytes(data)
    return root


def human36m_calibration(subjects=("S1", "S9")) -> dict:
    extrinsics: dict[str, dict] = {subject: {} for subject in subjects}
    intrinsics = {}
    for c, name in enumerate(CAMERAS):
        angle = 2 * np.pi * (c + 0.5) / 4
        center = np.array([4500 * np.cos(angle), 4500 * np.sin(angle), 1600.0])
        R = look_at(center, np.array([0.0, 0, 900]), np.array(0.0))
        intrinsics[name] = {
            "calibration_matrix": [[1145.0, 0, 512], [0, 1143.0, 515], [0, 0, 1]],
            "distortion": [-0.2, 0.24, -0.001, -0.001, -0.003],
        }
        for subject in subjects:
            extrinsics[subject][name] = {"R": R.tolist(), "t": (-R @ center)[:, None].tolist()}
    return {"intrinsics": intrinsics, "extrinsics": extrinsics}


def make_human36m(
    root: Path, poses_mm: np.ndarray, subject: str = "S1", action: str = "Directions 1",
    numbers=(1,), as_cell: bool = True,
) -> Path:  # fmt: skip
    """One action; poses [frames, 96] mm; images for these frames (from 1)."""
    (root / "camera-parameters.json").write_text(json.dumps(human36m_calibration()))
    folder = root / subject / "MyPoseFeatures" / "D3_Positions"
    folder.mkdir(parents=True)
    data = cells([poses_mm]) if as_cell else poses_mm
    savemat(str(folder / f"{action}.cdf.mat"), {"data": data}, appendmat=False)
    for camera, size_px in CAMERAS.items():
        pictures = root / subject / "Images" / f"{action}.{camera}"
        pictures.mkdir(parents=True)
        for number in numbers:
            (pictures / f"img_{number:06d}.jpg").write_bytes(picture(size_px))
    return root


class Trees:
    """The functions above, for tests."""

    picture, body, calibration = map(staticmethod, (picture, body, calibration))
    make_panoptic, make_shelf, make_human36m = map(
        staticmethod, (make_panoptic, make_shelf, make_human36m)
    )
    shelf_calibration, save_actors = map(staticmethod, (shelf_calibration, save_actors))
    standing_cm, shelf_standing_m, absent = STANDING_CM, SHELF_STANDING_M, ABSENT
    poses = POSES


@pytest.fixture
def trees() -> type[Trees]:
    return Trees


@pytest.fixture
def tear() -> Callable[[Path], None]:
    """Cut a file off in the middle."""

    def cut(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])

    return cut
