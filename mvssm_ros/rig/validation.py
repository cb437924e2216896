"""Checks of single calibration values: K, distortion, rotation. Shared by all sources of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError

MAX_SIDE_PX = 32768  # of an image

Array = npt.NDArray[np.float64]

# ROS's names of distortion models -> allowed numbers of coefficients, and their names
DISTORTION_MODELS: dict[str, tuple[tuple[int, ...], str]] = {
    "plumb_bob": ((4, 5), "k1, k2, p1, p2, k3"),
    "rational_polynomial": ((8,), "k1, k2, p1, p2, k3, k4, k5, k6"),
    "equidistant": ((4,), "k1, k2, k3, k4"),
}
_OTHER_NAMES = {
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
    "radtan": "plumb_bob",
    "brown": "plumb_bob",
    "opencv": "plumb_bob",
    "pinhole": "plumb_bob",
    "none": "plumb_bob",
    "rational": "rational_polynomial",
}
_MAX_ROTATION_ERROR = 5e-3  # of R R^T - I: three decimals are enough
_MAX_QUATERNION_ERROR = 1e-2  # of the norm
_ROUNDING = 1e-9


def check_camera_matrix(K: npt.ArrayLike, size_px: tuple[int, int] | None, where: str) -> Array:
    """Return K as float64 [3, 3], in pixels.

    Raises:
        UserError: not 3x3, not finite, focal lengths not positive (an all-zero K is what ROS
            drivers send of an uncalibrated camera), focal lengths too short to be pixels, or a last
            row other than 0, 0, 1. ``where`` names the camera and the source.
    """
    matrix = np.asarray(K, np.float64)
    if matrix.size != 9:
        raise UserError(f"{where}: expected a 3x3 camera matrix, got {matrix.size} numbers")
    matrix = matrix.reshape(3, 3)
    if not np.isfinite(matrix).all():
        raise UserError(f"{where}: the camera matrix has a value that is not a finite number")
    fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
    if not matrix.any():
        raise UserError(
            f"{where}: the camera matrix is all zero, so the camera is uncalibrated; calibrate it"
            " (e.g. camera_calibration) or give intrinsics_px in the rig file"
        )
    if fx <= 0 or fy <= 0:
        raise UserError(
            f"{where}: focal lengths must be above 0 px, got fx {fx:g}, fy {fy:g}; calibrate the"
            " camera or give intrinsics_px in the rig file"
        )
    shortest = 0.05 * max(size_px) if size_px else 20.0
    if min(fx, fy) < shortest:
        raise UserError(
            f"{where}: focal lengths fx {fx:g}, fy {fy:g} are too short for pixels; if they are"
            " relative to the image, multiply them by its width and height; if in mm, divide by"
            " the pixel size"
        )
    if not np.allclose(matrix[2], (0, 0, 1)) or abs(matrix[1, 0]) > 1e-9:
        raise UserError(
            f"{where}: the camera matrix must be [[fx, s, cx], [0, fy, cy], [0, 0, 1]], got"
            f" {matrix.tolist()}; is it transposed, or a projection matrix?"
        )
    return matrix


def check_distortion(model: str, coefficients: npt.ArrayLike, where: str) -> Array:
    """Return the coefficients as float64; plumb_bob's four become five.

    Raises:
        UserError: unknown model, wrong number of coefficients, or one that is not finite.
    """
    if model not in DISTORTION_MODELS:
        other = _OTHER_NAMES.get(model.lower())
        hint = f"did you mean '{other}'?" if other else f"known: {', '.join(DISTORTION_MODELS)}"
        raise UserError(f"{where}: unknown distortion model {model!r}; {hint}")
    counts, names = DISTORTION_MODELS[model]
    values = np.asarray(coefficients, np.float64).reshape(-1)
    if len(values) not in counts:
        raise UserError(
            f"{where}: the distortion model {model} has {' or '.join(map(str, counts))}"
            f" coefficients [{names}], got {len(values)}"
        )
    if not np.isfinite(values).all():
        raise UserError(f"{where}: a distortion coefficient is not a finite number")
    return np.append(values, 0.0) if model == "plumb_bob" and len(values) == 4 else values


def distortion_row(model: str, coefficients: npt.ArrayLike | None) -> tuple[Array, bool]:
    """As `geometry.cameras.Cameras` wants it: eight coefficients, and whether it is a fisheye."""
    row = np.zeros(8)
    if coefficients is not None:
        values = np.asarray(coefficients, np.float64).reshape(-1)
        row[: len(values)] = values
    return row, model == "equidistant"


def check_rotation(rotation: npt.ArrayLike, where: str) -> Array:
    """Return the nearest rotation matrix [3, 3] (rounded input is fine).

    Raises:
        UserError: not 3x3, not finite, not orthonormal, or a mirror (determinant -1).
    """
    R = np.asarray(rotation, np.float64)
    if R.shape != (3, 3):
        raise UserError(f"{where}: expected a rotation matrix of 3 rows of 3, got {list(R.shape)}")
    if not np.isfinite(R).all():
        raise UserError(f"{where}: the rotation matrix has a value that is not a finite number")
    with np.errstate(over="ignore", invalid="ignore"):
        error = float(np.abs(R @ R.T - np.eye(3)).max())
    if not error <= _MAX_ROTATION_ERROR:
        raise UserError(
            f"{where}: is not a rotation matrix: its rows are not of length 1 and at right angles"
            f" (R R^T differs from the identity by {error:.3g}, expected below"
            f" {_MAX_ROTATION_ERROR:g}); check for a typing error or a rotation vector"
        )
    if np.linalg.det(R) < 0:
        raise UserError(
            f"{where}: mirrors (determinant -1, expected 1): one axis is flipped; in the optical"
            " frame x points right, y down, z forward"
        )
    if error < _ROUNDING:
        return R.copy()  # so that what was written comes back to the last digit
    left, _, right = np.linalg.svd(R)
    return left @ right


def rotation_from_quaternion(quaternion_xyzw: npt.ArrayLike, where: str) -> Array:
    """The rotation matrix [3, 3] of a unit quaternion x, y, z, w (rounded input is fine).

    Raises:
        UserError: the norm differs from 1 by more than 1 %.
    """
    q = np.asarray(quaternion_xyzw, np.float64)
    norm = math.hypot(*q)
    if not abs(norm - 1) <= _MAX_QUATERNION_ERROR:
        raise UserError(
            f"{where}: is not a unit quaternion: its norm is {norm:.4g}, expected 1; the order is"
            " x, y, z, w"
        )
    x, y, z, w = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
