"""What all importers share: reading a file, checking one camera, finishing a rig."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.rig_file import CameraEntry, Rig
from mvssm_ros.rig.text_file import read_text
from mvssm_ros.rig.validation import check_camera_matrix, check_distortion, check_rotation

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """What a calibration file does not say itself, and the user may add."""

    unit_m: float | None = None  # length of the file's unit
    up: str | None = None  # the axis of the file's world that points up: "z", "neg-y"
    first_camera_height_m: float | None = None  # the first camera looks level, this high
    first_camera_pose: tuple[float, ...] | None = None  # x y z (m) qx qy qz qw, optical frame
    image_size_px: tuple[int, int] | None = None  # width, height
    transforms: str | None = None  # file of static transforms
    frames: tuple[str, ...] = ()  # "camera=frame"
    reference_frame: str | None = None


def camera(
    name: str,
    size_px: tuple[int, int],
    K: npt.NDArray[Any],
    distortion: npt.NDArray[Any],
    R: npt.NDArray[Any],
    t_m: npt.NDArray[Any],
    where: str,
    model: str = "plumb_bob",
) -> CameraEntry:
    """One checked camera, with ``x_cam = R x + t`` (m).

    Raises:
        UserError: the image size, K, the distortion, R or t cannot be those of a camera.
    """
    if min(size_px) <= 0:
        raise UserError(f"{where}: the image size is {size_px[0]} x {size_px[1]} px")
    if not np.isfinite(t_m).all():
        raise UserError(f"{where}: the translation is not finite")
    K = check_camera_matrix(K, size_px, where)
    if abs(K[0, 1]) > 1e-2:
        raise UserError(f"{where}: the camera matrix has a skew of {K[0, 1]:g} px, expected 0")
    K[0, 1] = 0  # a rig file has no skew; Panoptic's is below 1e-3 px
    return replace(
        CameraEntry.bare(name),
        size_px=size_px,
        K=K,
        distortion_model=model,
        distortion=check_distortion(model, distortion, where),
        R=check_rotation(R, where),
        t_m=np.asarray(t_m, np.float64).reshape(3),
    )


def finish(cameras: dict[str, CameraEntry], where: str, reference_frame: str = "map") -> Rig:
    """The rig of these cameras, with a space where they look, checked as a whole."""
    if len(cameras) < 2:
        raise UserError(f"{where}: has only the camera {', '.join(cameras)}, expected 2 or more")
    rig = Rig(reference_frame=reference_frame, cameras=cameras)
    rig = replace(rig, space=plausibility.suggest_space(rig))
    plausibility.check(rig, where)
    return rig


def add(cameras: dict[str, CameraEntry], entry: CameraEntry, where: str) -> None:
    """Put one more camera in; two of one name are refused."""
    if entry.name in cameras:
        raise UserError(f"{where}: there is already a camera {entry.name}; rename one of them")
    cameras[entry.name] = entry


def camera_name(text: str) -> str:
    """A camera name that the rig file accepts: "24567" -> "cam24567"."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return name if name[:1].isalpha() else f"cam{name}"


def values(entry: dict[str, Any], counts: dict[str, int], where: str) -> list[Array]:
    """Flat float arrays of the named keys, with the given number of values each.

    Raises:
        UserError: a key is missing, or has other than so many finite numbers.
    """
    arrays = []
    for key, count in counts.items():
        if key not in entry:
            raise UserError(f"{where}: the key '{key}' is missing")
        array = numbers(entry[key], f"{where}: {key}", f"{count} numbers")
        if len(array) != count or not np.isfinite(array).all():
            raise UserError(
                f"{where}: {key}: expected {count} finite numbers, got {array.tolist()}"
            )
        arrays.append(array)
    return arrays


def numbers(value: Any, where: str, expected: str = "numbers") -> Array:
    """A flat float array of a number or of nested lists of them."""
    try:
        return np.array(value, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise UserError(f"{where}: expected {expected}") from None


def opencv_distortion(coefficients: Array, fisheye: bool, where: str) -> tuple[str, Array]:
    """OpenCV's 4, 5, 8, 12 or 14 coefficients as ROS's model name and its coefficients.

    Raises:
        UserError: another number of coefficients, or a thin prism or tilt that is not 0.
    """
    count = len(coefficients)
    if fisheye:
        if count != 4:
            raise UserError(f"{where}: a fisheye has 4 distortion coefficients, got {count}")
        return "equidistant", coefficients
    if count == 0:
        return "plumb_bob", np.zeros(5)
    if count not in (4, 5, 8, 12, 14):
        raise UserError(f"{where}: expected 4, 5 or 8 distortion coefficients, got {count}")
    if np.any(coefficients[8:]):
        raise UserError(
            f"{where}: thin prism and tilt distortion (coefficients 9 to {count}) are not"
            " supported; calibrate without CALIB_THIN_PRISM_MODEL and CALIB_TILTED_MODEL"
        )
    if count <= 5 or not np.any(coefficients[5:]):
        return "plumb_bob", coefficients[:5]
    return "rational_polynomial", coefficients[:8]


def read_json(path: str | Path, where: str) -> Any:
    """The contents of a JSON file. Raises UserError as `read_text`, or if it is not JSON."""
    try:
        return json.loads(read_text(path, where))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: is not JSON ({error})") from None
