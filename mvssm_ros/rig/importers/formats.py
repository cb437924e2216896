"""`mvssm rig import`: which format a calibration has, and its reader."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.camera_info import read_camera_info
from mvssm_ros.rig.importers.common import Options, finish
from mvssm_ros.rig.importers.data_sets import import_panoptic
from mvssm_ros.rig.importers.easymocap import read_easymocap
from mvssm_ros.rig.importers.kalibr import read_kalibr
from mvssm_ros.rig.importers.opencv import read_opencv
from mvssm_ros.rig.importers.placing import place
from mvssm_ros.rig.importers.qualisys import import_qca
from mvssm_ros.rig.importers.toml_cameras import read_toml
from mvssm_ros.rig.rig_file import Rig
from mvssm_ros.rig.text_file import read_text

_PLACED = ("first_camera_height_m", "first_camera_pose", "reference_frame")

# Each format in words, and the options that it takes
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "qca": ("Qualisys .qca.txt", ()),
    "panoptic": ("CMU Panoptic JSON", ()),
    "toml": ("Pose2Sim, Caliscope, Anipose .toml", ("unit_m", "up", *_PLACED)),
    "kalibr": ("Kalibr camchain.yaml", _PLACED),
    "easymocap": ("EasyMocap intri.yml extri.yml", ("unit_m", "up", "image_size_px", *_PLACED)),
    "opencv": ("OpenCV stereo or multi-view FileStorage", ("unit_m", "image_size_px", *_PLACED)),
    "camera_info": (
        "ROS camera_info YAML, one a camera",
        ("transforms", "frames", "reference_frame"),
    ),
}
_ONE_FILE = ("qca", "panoptic", "toml", "kalibr")


def import_rig(paths: list[str], name: str | None = None, options: Options | None = None) -> Rig:
    """Read a calibration of one of `FORMATS`.

    Args:
        paths: its files; one folder stands for EasyMocap's intri.yml and extri.yml in it.
        name: the format (default: guessed from the files).
        options: what the files do not say.

    Raises:
        UserError: a format that cannot be guessed, an option that does not go with the format, and
            whatever is wrong with the files.
    """
    options = options or Options()
    paths = _files(paths)
    name = name or guess(paths)
    _refuse_unused(options, name)
    if name in _ONE_FILE and len(paths) != 1:
        raise UserError(f"{', '.join(paths)}: the format {name} takes one file, got {len(paths)}")
    where = f"{name} calibration {', '.join(paths)}"
    frame = options.reference_frame or "map"
    if name == "qca":
        return import_qca(paths[0])
    if name == "panoptic":
        return import_panoptic(paths[0])
    if name == "camera_info":
        cameras, frame = read_camera_info(paths, options, where)
        return finish(cameras, where, frame)
    if name == "toml":
        cameras = read_toml(paths[0], options, where)
    elif name == "easymocap":
        cameras = read_easymocap(paths, options, where)
    elif name == "kalibr":
        cameras = read_kalibr(paths[0], where)
    elif name == "opencv":
        cameras = read_opencv(paths, options, where)
    else:
        raise UserError(f"unknown format {name}; known: {', '.join(FORMATS)}")
    cameras = place(cameras, options, where, first_camera_world=name in ("kalibr", "opencv"))
    try:
        return finish(cameras, where, frame)
    except UserError as error:
        if "looks like" in str(error) and "unit_m" in FORMATS[name][1]:
            raise UserError(f"{error} (--unit mm, --unit cm)") from None
        raise


def guess(paths: list[str]) -> str:
    """The format of these files, by what is in them.

    Raises:
        UserError: a file cannot be read, or it looks like none of the formats.
    """
    found = {_guess_one(path) for path in paths}
    if len(found) == 1 and None not in found:
        return str(found.pop())
    raise UserError(
        f"{', '.join(paths)}: does not look like one of the known formats"
        f" ({', '.join(FORMATS)}); name it with --format"
    )


def _guess_one(path: str) -> str | None:
    text = read_text(path, f"calibration {path}")
    start = text.lstrip("\ufeff \t\r\n")

    def has(pattern: str) -> bool:
        return re.search(pattern, text, re.MULTILINE) is not None

    if path.endswith(".toml") or has(r"^\[(cameras?[._]|metadata\])"):
        return "toml"
    if start.startswith("<"):
        return "opencv" if "<opencv_storage" in text else "qca"
    if has(r"^cam\d+:") and has(r"^\s+(camera_model|distortion_model|T_cn_cnm1|T_cam_imu):"):
        return "kalibr"
    if has(r"^camera_matrix:") and has(r"^image_width:"):
        return "camera_info"
    if has(r"^names:") and has(r"^(K|R|Rot)_\S+:"):
        return "easymocap"
    if has(r"!!opencv-(nd-)?matrix"):
        return "opencv"
    if start.startswith("{") and '"cameras"' in text:
        return "panoptic"
    return None


def _files(paths: list[str]) -> list[str]:
    if len(paths) == 1 and Path(paths[0]).is_dir():
        pair = [Path(paths[0]) / name for name in ("intri.yml", "extri.yml")]
        if all(path.is_file() for path in pair):
            return [str(path) for path in pair]
        raise UserError(
            f"calibration {paths[0]}: is a folder without EasyMocap's intri.yml and extri.yml;"
            " name the files"
        )
    for path in paths:
        if not Path(path).is_file():
            raise UserError(f"calibration {path}: there is no such file")
    return paths


def _refuse_unused(options: Options, name: str) -> None:
    """An option that the format has no use for would be silently without effect."""
    if name not in FORMATS:
        raise UserError(f"unknown format {name}; known: {', '.join(FORMATS)}")
    usable = FORMATS[name][1]
    flags = {"unit_m": "unit", "image_size_px": "image-size", "frames": "frame"}
    flags["first_camera_height_m"] = "first-camera-height"
    for option in fields(options):
        if getattr(options, option.name) not in (None, ()) and option.name not in usable:
            flag = flags.get(option.name, option.name.replace("_", "-"))
            raise UserError(f"--{flag}: has no meaning for the format {name}; leave it out")
    if options.first_camera_pose is not None and options.first_camera_height_m is not None:
        raise UserError("--first-camera-pose and --first-camera-height: give one of them")
