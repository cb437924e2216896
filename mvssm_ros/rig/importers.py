"""Rigs from other programs' calibration files. All come out in metres, z up, x_cam = R x + t."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.rig_file import CameraEntry, Rig
from mvssm_ros.rig.validation import check_camera_matrix, check_distortion, check_rotation

_MAX_BYTES = 20_000_000
_QUALISYS_SUBPIXELS = 64  # its intrinsics count 64 units a pixel
_PANOPTIC_TO_WORLD = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # y down -> z up


def import_qca(path: str | Path) -> Rig:
    """Read a Qualisys calibration (.qca.txt): video cameras, world in mm with z up.

    Qualisys' camera frame has y up and z backward, so two rows of its rotation change sign; its
    translation is the camera's centre.

    Raises:
        UserError: no such file, not a Qualisys calibration, a value missing or unusable, or a
            rotated view or a skew, which are not supported.
    """
    where = f"Qualisys calibration {path}"
    text = _read_text(path, where)
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
        name = _camera_name(serial)
        cameras[name] = _qca_camera(name, element, f"{where}: camera {serial}")
    return _finish(cameras, where)


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
    data = _read_json(path, where)
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
        R, t_cm, K, distortion, size = _values(
            entry, {"R": 9, "t": 3, "K": 9, "distCoef": 5, "resolution": 2}, f"{where}: {name}"
        )
        R = R.reshape(3, 3) @ _PANOPTIC_TO_WORLD.T
        size_px = (int(size[0]), int(size[1]))
        cameras[name] = _camera(name, size_px, K, distortion, R, t_cm / 100, f"{where}: {name}")
    return _finish(cameras, where)


def import_campus_shelf(path: str | Path, size_px: tuple[int, int]) -> Rig:
    """Read the calibration of the Campus (360x288) or Shelf (1032x776) data set (json).

    Its ``T`` is the camera's centre in mm, in a world with z up; it does not say the image size.

    Raises:
        UserError: no such file, or a value is missing or unusable.
    """
    where = f"calibration {path}"
    data = _read_json(path, where)
    if not isinstance(data, dict) or not data:
        raise UserError(f"{where}: expected one entry per camera")
    counts = {"R": 9, "T": 3, "fx": 1, "fy": 1, "cx": 1, "cy": 1, "k": 3, "p": 2}
    cameras = {}
    for key, entry in data.items():
        name = _camera_name(key)
        at = f"{where}: camera {key}"
        if not isinstance(entry, dict):
            raise UserError(f"{at}: expected {', '.join(counts)}")
        R, center_mm, fx, fy, cx, cy, k, p = _values(entry, counts, at)
        R = R.reshape(3, 3)
        K = np.array([[fx[0], 0, cx[0]], [0, fy[0], cy[0]], [0, 0, 1]])
        distortion = np.concatenate([k[:2], p, k[2:]])
        cameras[name] = _camera(name, size_px, K, distortion, R, -R @ center_mm / 1000, at)
    return _finish(cameras, where)


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
    return _camera(name, size_px, K, np.array(distortion), R, -R @ center_m, where)


def _camera(
    name: str,
    size_px: tuple[int, int],
    K: np.ndarray,
    distortion: np.ndarray,
    R: np.ndarray,
    t_m: np.ndarray,
    where: str,
) -> CameraEntry:
    if min(size_px) <= 0:
        raise UserError(f"{where}: the image size is {size_px[0]} x {size_px[1]} px")
    if not np.isfinite(t_m).all():
        raise UserError(f"{where}: the translation is not finite")
    K = check_camera_matrix(K, size_px, where)
    K[0, 1] = 0  # a rig file has no skew; Panoptic's is below 1e-3 px
    return replace(
        CameraEntry.bare(name),
        size_px=size_px,
        K=K,
        distortion=check_distortion("plumb_bob", distortion, where),
        R=check_rotation(R, where),
        t_m=t_m,
    )


def _finish(cameras: dict[str, CameraEntry], where: str) -> Rig:
    if len(cameras) < 2:
        raise UserError(f"{where}: has only the camera {', '.join(cameras)}, expected 2 or more")
    rig = Rig(cameras=cameras)
    rig = replace(rig, space=plausibility.suggest_space(rig))
    plausibility.check(rig, where)
    return rig


def _camera_name(text: str) -> str:
    """A camera name that the rig file accepts: "24567" -> "cam24567"."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return name if name[:1].isalpha() else f"cam{name}"


def _values(entry: dict[str, Any], counts: dict[str, int], where: str) -> list[np.ndarray]:
    """Flat float arrays of the named keys, with the given number of values each."""
    arrays = []
    for key, count in counts.items():
        try:
            array = np.array(entry[key], np.float64).reshape(-1)
        except KeyError:
            raise UserError(f"{where}: the key '{key}' is missing") from None
        except (TypeError, ValueError):
            raise UserError(f"{where}: {key}: expected {count} numbers") from None
        if len(array) != count or not np.isfinite(array).all():
            raise UserError(
                f"{where}: {key}: expected {count} finite numbers, got {array.tolist()}"
            )
        arrays.append(array)
    return arrays


def _read_text(path: str | Path, where: str) -> str:
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise UserError(f"{where}: is larger than {_MAX_BYTES // 10**6} MB; another file?")
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{where}: is not a text file") from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror})") from None


def _read_json(path: str | Path, where: str) -> Any:
    try:
        return json.loads(_read_text(path, where))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: is not JSON ({error})") from None
