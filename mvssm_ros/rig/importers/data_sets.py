"""Calibrations of the public data sets CMU Panoptic, Campus and Shelf (JSON)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import camera, camera_name, finish, read_json, values
from mvssm_ros.rig.rig_file import Rig

_PANOPTIC_TO_WORLD = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # y down -> z up


def import_panoptic(path: str | Path, nodes: Iterable[int] | None = None) -> Rig:
    """Read the HD cameras of a CMU Panoptic calibration (json): world in cm with y down.

    Args:
        path: calibration_<sequence>.json.
        nodes: which HD cameras, by node number, in this order (default: all 31). They are named
            hd00 to hd30.

    Raises:
        UserError: no such file, not a Panoptic calibration, or it lacks one of the nodes.
    """
    where = f"Panoptic calibration {path}"
    data = read_json(path, where)
    if not isinstance(data, dict) or not isinstance(data.get("cameras"), list):
        raise UserError(f"{where}: has no list 'cameras'; expected calibration_<sequence>.json")
    hd = {c.get("node"): c for c in data["cameras"] if c.get("type") == "hd"}
    wanted = sorted(hd) if nodes is None else list(nodes)
    lacking = [n for n in wanted if n not in hd]
    if lacking:
        raise UserError(f"{where}: lacks the HD cameras {lacking}")
    cameras = {}
    for node in wanted:
        name, entry = f"hd{node:02d}", hd[node]
        R, t_cm, K, distortion, size = values(
            entry, {"R": 9, "t": 3, "K": 9, "distCoef": 5, "resolution": 2}, f"{where}: {name}"
        )
        R = R.reshape(3, 3) @ _PANOPTIC_TO_WORLD.T
        size_px = (int(size[0]), int(size[1]))
        cameras[name] = camera(name, size_px, K, distortion, R, t_cm / 100, f"{where}: {name}")
    return finish(cameras, where)


def import_campus_shelf(path: str | Path, size_px: tuple[int, int]) -> Rig:
    """Read the calibration of the Campus (360x288) or Shelf (1032x776) data set (json).

    Its ``T`` is the camera's centre in mm, in a world with z up; it does not say the image size.

    Raises:
        UserError: no such file, or a value is missing or unusable.
    """
    where = f"calibration {path}"
    data = read_json(path, where)
    if not isinstance(data, dict) or not data:
        raise UserError(f"{where}: expected one entry per camera")
    counts = {"R": 9, "T": 3, "fx": 1, "fy": 1, "cx": 1, "cy": 1, "k": 3, "p": 2}
    cameras = {}
    for key, entry in data.items():
        name = camera_name(key)
        at = f"{where}: camera {key}"
        if not isinstance(entry, dict):
            raise UserError(f"{at}: expected {', '.join(counts)}")
        R, center_mm, fx, fy, cx, cy, k, p = values(entry, counts, at)
        R = R.reshape(3, 3)
        K = np.array([[fx[0], 0, cx[0]], [0, fy[0], cy[0]], [0, 0, 1]])
        distortion = np.concatenate([k[:2], p, k[2:]])
        cameras[name] = camera(name, size_px, K, distortion, R, -R @ center_mm / 1000, at)
    return finish(cameras, where)
