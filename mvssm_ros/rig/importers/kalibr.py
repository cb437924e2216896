"""Kalibr's camera chains (camchain.yaml, camchain-imucam.yaml), also in OpenVINS' dress.

    cam0:
      camera_model: pinhole
      intrinsics: [fu, fv, pu, pv]          # px
      distortion_model: radtan              # or equidistant, none
      distortion_coeffs: [k1, k2, p1, p2]   # equidistant: k1, k2, k3, k4
      resolution: [width, height]
      rostopic: /cam0/image_raw
    cam1:
      T_cn_cnm1: 4x4, cam0's coordinates to cam1's, m
      T_cam_imu: 4x4, the IMU's coordinates to the camera's; used where a chain link is missing

The world is the first camera's optical frame. Format: github.com/ethz-asl/kalibr/wiki/yaml-formats.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import Array, add, camera, camera_name, values
from mvssm_ros.rig.rig_file import CameraEntry
from mvssm_ros.rig.strict_yaml import parse_yaml
from mvssm_ros.rig.text_file import read_text
from mvssm_ros.rig.validation import check_rotation

_DISTORTIONS = {
    "radtan": "plumb_bob",
    "equidistant": "equidistant",
    "equi": "equidistant",
    "none": "plumb_bob",
}


def read_kalibr(path: str, where: str) -> dict[str, CameraEntry]:
    """The cameras of the chain, in the first camera's optical frame, in metres.

    Raises:
        UserError: not such a file, another camera model than pinhole, another distortion than
            radtan and equidistant, or a chain with a link missing.
    """
    text = re.sub(r"\A%YAML:1\.0[^\n]*\n(---[^\n]*\n)?", "", read_text(path, where))
    data = parse_yaml(text, where)
    chain = {k: v for k, v in data.items() if re.fullmatch(r"cam\d+", str(k))}
    if not chain:
        raise UserError(f"{where}: has no cam0, cam1, ...; expected a camera chain of Kalibr")
    cameras: dict[str, CameraEntry] = {}
    to_camera = np.eye(4)  # from the first camera to the one at hand
    previous: tuple[str, dict[str, Any]] | None = None
    for key in sorted(chain, key=lambda name: int(name[3:])):
        entry, at = chain[key], f"{where}: {key}"
        if not isinstance(entry, dict):
            raise UserError(f"{at}: expected camera_model, intrinsics, ...")
        if previous is not None:
            to_camera = _link(entry, previous, at) @ to_camera
        add(cameras, _camera(key, entry, to_camera, at), at)
        previous = key, entry
    return cameras


def _camera(key: str, entry: dict[str, Any], to_camera: Array, where: str) -> CameraEntry:
    model = entry.get("camera_model", "pinhole")
    if model != "pinhole":
        raise UserError(f"{where}: camera_model is {model}, only pinhole is supported; calibrate")
    name = str(entry.get("distortion_model", "none")).lower()
    if name not in _DISTORTIONS:
        raise UserError(
            f"{where}: distortion_model is {name}, expected radtan, equidistant or none"
        )
    (fx, fy, cx, cy), size = values(entry, {"intrinsics": 4, "resolution": 2}, where)
    distortion = np.zeros(4)
    if name != "none":
        (distortion,) = values(entry, {"distortion_coeffs": 4}, where)
    found = camera(
        camera_name(key),
        (int(size[0]), int(size[1])),
        np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
        distortion,
        to_camera[:3, :3],
        to_camera[:3, 3],
        where,
        _DISTORTIONS[name],
    )
    topic = entry.get("rostopic")
    if isinstance(topic, str) and re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*){2,}", topic):
        info = topic.rsplit("/", 1)[0] + "/camera_info"
        found = replace(found, image_topic=topic, info_topic=info)
    return found


def _link(entry: dict[str, Any], previous: tuple[str, dict[str, Any]], where: str) -> Array:
    """The transform [4, 4] from the previous camera's coordinates to this one's."""
    if "T_cn_cnm1" in entry:
        return _transform(entry, "T_cn_cnm1", where)
    key, before = previous
    from_imu, from_imu_before = _from_imu(entry, where), _from_imu(before, where)
    if from_imu is None or from_imu_before is None:
        raise UserError(
            f"{where}: has no T_cn_cnm1 (from {key} to it), and not both have T_cam_imu; Kalibr's"
            " camchain.yaml of all cameras has it"
        )
    return np.asarray(from_imu @ np.linalg.inv(from_imu_before))


def _from_imu(entry: dict[str, Any], where: str) -> Array | None:
    if "T_cam_imu" in entry:
        return _transform(entry, "T_cam_imu", where)
    if "T_imu_cam" in entry:  # OpenVINS writes the inverse
        return np.asarray(np.linalg.inv(_transform(entry, "T_imu_cam", where)))
    return None


def _transform(entry: dict[str, Any], key: str, where: str) -> Array:
    (flat,) = values(entry, {key: 16}, where)
    T = flat.reshape(4, 4)
    if not np.allclose(T[3], (0, 0, 0, 1)):
        raise UserError(f"{where}: {key}: the last row must be 0, 0, 0, 1, got {T[3].tolist()}")
    T[:3, :3] = check_rotation(T[:3, :3], f"{where}: {key}")
    return T
