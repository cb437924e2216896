"""Camera tables in TOML, as Pose2Sim, Caliscope, FreeMoCap and Anipose write them.

    [cam_01]                      # or [cameras.1] (Caliscope)
    name = "cam_01"               # may be missing
    size = [1088, 1920]           # width, height, px
    matrix = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
    distortions = [k1, k2, p1, p2, k3]      # four with fisheye = true
    rotation = [rx, ry, rz]       # Rodrigues vector (or 3x3) of x_cam = R x + t
    translation = [tx, ty, tz]    # Pose2Sim and Caliscope: m; Anipose: the unit of its board
    fisheye = false               # may be missing

Other tables ([metadata], [charuco]) are passed over, and so are cameras with ``ignore = true``.
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import (
    Options,
    add,
    camera,
    camera_name,
    numbers,
    opencv_distortion,
    values,
)
from mvssm_ros.rig.rig_file import CameraEntry
from mvssm_ros.rig.text_file import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: str, options: Options, where: str) -> dict[str, CameraEntry]:
    """The cameras of the file, in its own world, in metres.

    Raises:
        UserError: not TOML, no camera in it, or a camera with a value missing or unusable.
    """
    try:
        data = tomllib.loads(read_text(path, where))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{where}: is not TOML ({error})") from None
    tables = data["cameras"] if isinstance(data.get("cameras"), dict) else data
    found = {key: t for key, t in tables.items() if isinstance(t, dict) and "matrix" in t}
    if not found:
        raise UserError(f"{where}: has no table of a camera (one with 'matrix', 'rotation', ...)")
    cameras: dict[str, CameraEntry] = {}
    for key, table in found.items():
        if table.get("ignore") is not True:
            at = f"{where}: camera {key}"
            add(cameras, _camera(key, table, options.unit_m or 1.0, at), at)
    return cameras


def _camera(key: str, table: dict[str, Any], unit_m: float, where: str) -> CameraEntry:
    for needed in ("rotation", "translation"):
        if table.get(needed) in (None, "null", []):
            raise UserError(
                f"{where}: has no {needed}; calibrate its extrinsics, or take the table out"
            )
    size, K, t = values(table, {"size": 2, "matrix": 9, "translation": 3}, where)
    given = numbers(table.get("distortions", []), f"{where}: distortions")
    model, distortion = opencv_distortion(given, table.get("fisheye") is True, where)
    turn = numbers(table["rotation"], f"{where}: rotation")
    if len(turn) not in (3, 9) or not np.isfinite(turn).all():
        raise UserError(f"{where}: rotation: expected a Rodrigues vector of 3, or 3x3 numbers")
    R = turn.reshape(3, 3) if len(turn) == 9 else cv2.Rodrigues(turn)[0]
    name = table.get("name")
    name = camera_name(name if isinstance(name, str) and name else key)
    size_px = (round(size[0]), round(size[1]))
    return camera(name, size_px, K, distortion, R, t * unit_m, where, model)
