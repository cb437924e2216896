"""The demo's input: Pose2Sim's videos of one or two people, read from its installed wheel.

100 frames at 60 Hz from four synchronous cameras, and their calibration (BSD-3-Clause). The videos
stay where pip put them, and Pose2Sim itself is never imported. What is known about them, and not
said by their authors, is written down here, and `demo_rig` applies it:

- The videos are not all in the pixels of the calibration: some were scaled and cut or letterboxed.
  We keep the videos as they are and move the calibration: rig files are in raw video pixels.
- The calibration is wrong by 10 to 16 px on these images. Moving the principal points brings static
  points to 0.5 px.

config/rigs/pose2sim_*.yaml are what `demo_rig` gives, written by `python -m mvssm_ros.demo_data`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers import import_qca
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space

INSTALL = "pip install --no-deps pose2sim==0.10.49"
FPS = 60.0
_FOLDERS = {"single": "Demo_SinglePerson", "multi": "Demo_MultiPerson"}

# Where the principal points should be: to be added to the shipped ones, in calibration pixels.
PRINCIPAL_POINT_SHIFT_PX = {
    "cam01": (22.2, -0.1),
    "cam02": (0.9, -6.0),
    "cam03": (-0.4, 10.6),
    "cam04": (0.1, -7.8),
}
_LETTERBOX = 1080 / 1088
# Video pixel = scale * calibration pixel + (x, y), and the size of the video.
# "single": cam01 and cam02 were scaled to a width of 1080 px about the middle of their height.
_SINGLE_VIDEO = {
    "cam01": (_LETTERBOX, 0.0, 960 * (1 - _LETTERBOX), (1080, 1920)),
    "cam02": (_LETTERBOX, 0.0, 960 * (1 - _LETTERBOX), (1080, 1920)),
    "cam03": (1.0, 0.0, 0.0, (1088, 1920)),
    "cam04": (1.0, 0.0, 0.0, (1088, 1920)),
}
# "multi" shows the same film with a computer-drawn second person. Measured from a "single" video
# pixel to a "multi" one, with 1,500 to 4,700 matched background points a camera (0.3 px rms).
_SINGLE_TO_MULTI = {
    "cam01": (1.00353, 0.54, -6.74),
    "cam02": (0.99919, -0.64, 0.51),
    "cam03": (1.00377, -1.85, -12.18),
    "cam04": (1.00001, -0.69, 0.46),
}
_SPACE = Space(center_m=(-1.0, 0.0), size_m=(4.0, 4.0), floor_m=0.0)  # the treadmill and around


@dataclass(frozen=True)
class Demo:
    """Files of one demo: videos by camera name, in order, and the calibration."""

    people: str  # "single" or "multi"
    videos: dict[str, Path]
    calibration: Path


def find_demo(people: str = "single") -> Demo:
    """Locate the demo files of the installed Pose2Sim wheel, without importing it.

    Args:
        people: "single" (one man) or "multi" (with a computer-drawn second person).

    Raises:
        UserError: Pose2Sim is not installed, or lacks the files.
    """
    if people not in _FOLDERS:
        raise UserError(f"demo: unknown choice '{people}', expected {' or '.join(_FOLDERS)}")
    spec = importlib.util.find_spec("Pose2Sim")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise UserError(
            f"demo: Pose2Sim, whose wheel has the demo videos, is not installed; run: {INSTALL}"
        )
    folder = Path(folders[0]) / _FOLDERS[people]
    demo = Demo(
        people=people,
        videos={name: folder / "videos" / f"{name}.mp4" for name in _SINGLE_VIDEO},
        calibration=folder / "calibration" / "Calib.qca.txt",
    )
    for path in (*demo.videos.values(), demo.calibration):
        if not path.is_file():
            raise UserError(
                f"demo: the installed Pose2Sim lacks {path}; install the version that has it:"
                f" {INSTALL}"
            )
    return demo


def read_frames(video: str | Path) -> Iterator[npt.NDArray[np.uint8]]:
    """Decode a video frame by frame, upright (a rotation flag in the file is applied).

    Yields:
        RGB images [H, W, 3] uint8.

    Raises:
        UserError: no such file, no video, or not a single frame can be decoded.
    """
    if not Path(video).is_file():
        raise UserError(f"video {video}: there is no such file")
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    try:
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        read, image = capture.read()
        if not read:
            raise UserError(f"video {video}: cannot be decoded; is it a video file?")
        while read:
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
            read, image = capture.read()
    finally:
        capture.release()


def demo_rig(people: str = "single", corrected: bool = True) -> Rig:
    """The demo's rig, in raw video pixels.

    Args:
        people: "single" or "multi".
        corrected: with the corrected principal points, or as shipped.

    Raises:
        UserError: as `find_demo` and `rig.importers.import_qca`.
    """
    demo = find_demo(people)
    rig = import_qca(demo.calibration)
    cameras = {}
    for name in demo.videos:
        entry = rig.cameras[name]
        if corrected:
            entry = _moved(entry, 1.0, *PRINCIPAL_POINT_SHIFT_PX[name])
        scale, x, y, size_px = _SINGLE_VIDEO[name]
        entry = replace(_moved(entry, scale, x, y), size_px=size_px)
        if people == "multi":
            entry = replace(_moved(entry, *_SINGLE_TO_MULTI[name]), size_px=(1088, 1920))
        cameras[name] = entry
    return replace(rig, space=_SPACE, cameras=cameras)


def write_demo_rigs(folder: str | Path) -> list[Path]:
    """Write the rig files of the demo into a folder, and return their paths."""
    shifts = [
        f"  {name}: ({x:+.1f}, {y:+.1f}) px" for name, (x, y) in PRINCIPAL_POINT_SHIFT_PX.items()
    ]
    about = (
        "Written by: python -m mvssm_ros.demo_data config/rigs\n"
        "World: metres, z up, z = 0 is the deck of the treadmill. Pixels: raw video pixels."
    )
    single = (
        "Pose2Sim's Demo_SinglePerson (BSD-3-Clause).\n"
        "The videos of cam01 and cam02 were scaled from 1088 to 1080 px of width and letterboxed;\n"
        "their intrinsics are scaled with them (1080/1088, about the middle of the height)."
    )
    multi = (
        "Pose2Sim's Demo_MultiPerson (BSD-3-Clause): the single-person film with a computer-drawn\n"
        "second person, each video scaled and shifted a little, and the intrinsics with it."
    )
    corrected = (
        "The calibration as shipped is off by 10 to 16 px on these images. Here the principal\n"
        "points are moved by\n" + "\n".join(shifts) + "\n"
        "(in pixels of the calibration), which brings static points to 0.5 px. Focal lengths,\n"
        "distortion and extrinsics are those shipped."
    )
    shipped = (
        "The calibration AS SHIPPED: off by 10 to 16 px on these images, so that cam01 and cam03\n"
        "show a high reprojection error. Kept to show what that looks like; use\n"
        "pose2sim_single.yaml."
    )
    files = (
        ("pose2sim_single.yaml", "single", True, (single, corrected)),
        ("pose2sim_single_shipped.yaml", "single", False, (single, shipped)),
        ("pose2sim_multi.yaml", "multi", True, (multi, corrected)),
    )
    paths = []
    for name, people, is_corrected, comments in files:
        path = Path(folder) / name
        demo_rig(people, is_corrected).save(path, comment="\n\n".join((*comments, about)))
        paths.append(path)
    return paths


def _moved(entry: CameraEntry, scale: float, x: float, y: float) -> CameraEntry:
    """The camera seen in pixels u' = scale u + (x, y)."""
    assert entry.K is not None  # an imported camera has one
    return replace(entry, K=np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]]) @ entry.K)


if __name__ == "__main__":
    for written in write_demo_rigs(*sys.argv[1:2] or ["config/rigs"]):
        print(f"wrote {written}")
