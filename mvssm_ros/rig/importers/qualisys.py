"""Qualisys calibrations (.qca.txt)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import camera, camera_name, finish
from mvssm_ros.rig.rig_file import CameraEntry, Rig
from mvssm_ros.rig.text_file import read_text

_QUALISYS_SUBPIXELS = 64  # its intrinsics count 64 units a pixel


def import_qca(path: str | Path) -> Rig:
    """Read a Qualisys calibration (.qca.txt): video cameras, world in mm with z up.

    Qualisys' camera frame has y up and z backward, so two rows of its rotation change sign; its
    translation is the camera's centre.

    Raises:
        UserError: no such file, not a Qualisys calibration, a value missing or unusable, or a
            rotated view or a skew, which are not supported.
    """
    where = f"Qualisys calibration {path}"
    text = read_text(path, where)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UserError(f"{where}: has a document type declaration, which no calibration needs")
    try:
        found = ET.fromstring(text.encode()).findall("cameras/camera")
    except ET.ParseError as error:
        raise UserError(f"{where}: is not XML ({error}); expected a .qca.txt file") from None
    if not found:
        raise UserError(f"{where}: has no cameras; expected a Qualisys .qca.txt file")
    cameras = {}
    for i, element in enumerate(found):
        serial = element.get("serial", f"cam{i + 1:02d}")
        name = camera_name(serial)
        cameras[name] = _qca_camera(name, element, f"{where}: camera {serial}")
    return finish(cameras, where)


def _qca_camera(name: str, element: ET.Element, where: str) -> CameraEntry:
    def number(tag: str, key: str) -> float:
        part = element.find(tag)
        text = None if part is None else part.get(key)
        try:
            return float(text if text is not None else "")
        except ValueError:
            got = "nothing" if text is None else repr(text)
            raise UserError(f"{where}: {tag}: {key}: expected a number, got {got}") from None

    if element.get("viewrotation", "0") not in ("0", ""):
        raise UserError(
            f"{where}: viewrotation is {element.get('viewrotation')}, only 0 is supported;"
            " export the calibration without a rotated view"
        )
    skew = number("intrinsic", "skew") / _QUALISYS_SUBPIXELS
    if abs(skew) > 1e-3:
        raise UserError(f"{where}: intrinsic: skew is {skew:g} px, only 0 is supported")
    left, top, right, bottom = (
        number("fov_video", key) for key in ("left", "top", "right", "bottom")
    )
    fx, fy, cx, cy = (
        number("intrinsic", key) / _QUALISYS_SUBPIXELS
        for key in ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV")
    )
    keys = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1")
    distortion = [number("intrinsic", key) for key in (*keys, "tangentalDistortion2")]
    distortion.append(number("intrinsic", "radialDistortion3"))
    A = np.array([[number("transform", f"r{i}{j}") for j in (1, 2, 3)] for i in (1, 2, 3)])
    center_m = np.array([number("transform", axis) for axis in "xyz"]) / 1000
    R = np.diag([1.0, -1, -1]) @ A
    K = np.array([[fx, 0, cx - left], [0, fy, cy - top], [0, 0, 1]])
    size_px = (int(right - left) + 1, int(bottom - top) + 1)
    return camera(name, size_px, K, np.array(distortion), R, -R @ center_m, where)
