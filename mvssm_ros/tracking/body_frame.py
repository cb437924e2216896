"""Pose and extent of a person from the joints: where the hips are and which way they face.

Axes: z along the trunk from the hips to the neck, y from the right to the left side, x forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvssm_ros.geometry.skeletons import Skeleton

Array = npt.NDArray[np.float64]

_SIDES = (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"))
_MIN_LENGTH_M = 0.02  # a trunk or a hip line shorter than this has no direction


@dataclass(frozen=True)
class BodyFrame:
    """The frame of one body in the world.

    origin_m       [3]     mid-hip
    rotation       [3, 3]  columns: x forward, y left, z up along the body
    covariance     [6, 6]  (m, rad) over position and rotation about the world's axes
    size_m         [3]     extent of the known joints along x, y, z of this frame
    """

    origin_m: Array
    rotation: Array
    covariance: Array
    size_m: Array


def body_frame(joints_m: Array, covariance_m2: Array, skeleton: Skeleton) -> BodyFrame | None:
    """The frame of a body, or None where hips or neck are unknown or the body has no direction.

    The covariance is first order, joints taken as independent: tilt from hips and neck over the
    length of the trunk, heading from the two ends of the hip (or shoulder) line over its length.

    Args:
        joints_m: [J, 3], NaN where unknown.
        covariance_m2: [J, 3, 3] of the joints.
        skeleton: names the joints; must have mid_hip and neck.
    """
    hip, neck = skeleton.index("mid_hip"), skeleton.index("neck")
    origin = joints_m[hip]
    trunk = joints_m[neck] - origin
    length_m = float(np.linalg.norm(trunk))
    if not length_m > _MIN_LENGTH_M:  # also False for NaN
        return None
    z = trunk / length_m
    for left_name, right_name in _SIDES:
        left, right = skeleton.index(left_name), skeleton.index(right_name)
        side = joints_m[left] - joints_m[right]
        side = side - (side @ z) * z
        width_m = float(np.linalg.norm(side))
        if width_m > _MIN_LENGTH_M:
            break
    else:
        return None
    y = side / width_m
    x = np.cross(y, z)
    rotation = np.stack([x, y, z], axis=1)

    tilt = (covariance_m2[hip] + covariance_m2[neck]) / length_m**2
    heading = (covariance_m2[left] + covariance_m2[right]) / width_m**2
    turns = np.stack([-y, x])  # the neck moving by d turns the body by (-y.d, x.d) / length
    in_body = np.zeros((3, 3))
    in_body[:2, :2] = turns @ tilt @ turns.T
    in_body[2, 2] = x @ heading @ x
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = covariance_m2[hip]
    covariance[3:, 3:] = rotation @ in_body @ rotation.T

    along = (joints_m - origin) @ rotation  # [J, 3]
    return BodyFrame(
        origin_m=origin,
        rotation=rotation,
        covariance=covariance,
        size_m=np.nanmax(along, axis=0) - np.nanmin(along, axis=0),
    )
