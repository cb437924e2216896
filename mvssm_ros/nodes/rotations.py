"""Between quaternions (x, y, z, w, as ROS has them) and rotation matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import optional
from mvssm_ros.rig.validation import rotation_from_quaternion

Array = npt.NDArray[np.float64]


def matrix_from_quaternion(quaternion_xyzw: Array) -> Array:
    """Rotation matrix [3, 3] of a quaternion [4], which need not have unit length.

    Raises:
        UserError: the quaternion is zero or not finite (an uninitialised message).
    """
    length = float(np.linalg.norm(quaternion_xyzw))
    if not (np.isfinite(length) and length > 1e-6):
        raise UserError(
            f"quaternion (x, y, z, w) = {[float(q) for q in quaternion_xyzw]} is no rotation;"
            " expected one of length 1"
        )
    unit = np.asarray(quaternion_xyzw, dtype=np.float64) / length
    library = optional.tf_transformations()
    if library is not None:
        return np.asarray(library.quaternion_matrix(unit))[:3, :3]
    return rotation_from_quaternion(unit, "quaternion")


def quaternion_from_matrix(rotation: Array) -> Array:
    """Unit quaternion [4] (x, y, z, w), w >= 0, of a rotation matrix [3, 3]."""
    library = optional.tf_transformations()
    if library is not None:
        transform = np.eye(4)
        transform[:3, :3] = rotation
        quaternion = np.asarray(library.quaternion_from_matrix(transform))
    else:
        quaternion = _largest_component_first(rotation)
    return -quaternion if quaternion[3] < 0 else quaternion


def _largest_component_first(r: Array) -> Array:
    """Divide by the largest of the four components, so that nothing is divided by nearly zero."""
    trace = r[0, 0] + r[1, 1] + r[2, 2]
    squares = 1 + np.array([2 * r[0, 0] - trace, 2 * r[1, 1] - trace, 2 * r[2, 2] - trace, trace])
    largest = int(np.argmax(squares))  # squares = 4 (x, y, z, w)^2
    numerators = np.array(
        [
            [squares[0], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], squares[1], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], squares[2], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], squares[3]],
        ]
    )
    quaternion = numerators[largest]
    return quaternion / np.linalg.norm(quaternion)
