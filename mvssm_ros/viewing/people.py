"""People as what can be drawn: bones, joints, ellipsoids of uncertainty and arrows. No ROS in here.

Messages are read by their fields, so those of rclpy and those of a bag do alike.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]
Rgb = tuple[int, int, int]

TENTATIVE, CONFIRMED, COASTING, LOST = 0, 1, 2, 3  # Person.track_state
_MISSING, _OBSERVED = 0, 1  # Joint.state
_GOLDEN = 0.618034  # hue step, as of the markers in RViz: the same id has the same colour there
_PALE = (70, 74, 84)  # what is not sure fades into this
_SURE = {TENTATIVE: 0.35, COASTING: 0.55}  # share of the person's own colour, else 1
_PREDICTED = 0.55  # of a joint that was not seen
_SIGMAS = 2.0  # half axes of the ellipsoids
_LEAST_M = 0.004  # half axis that can still be seen


@dataclass(frozen=True)
class SeenPerson:
    """One Person message, metres in the frame of its PersonArray.

    joints_m       [J, 3], NaN where missing
    observed       [J] bool: at least two cameras support the joint
    covariance_m2  [J, 3, 3], NaN where unknown
    origin_m       [3] mid-hip, NaN if unknown
    velocity_m_s   [3] of the origin, NaN if unknown
    """

    id: str
    track_state: int
    joints_m: Array
    observed: npt.NDArray[np.bool_]
    covariance_m2: Array
    origin_m: Array
    velocity_m_s: Array

    @property
    def label(self) -> str:
        """The id; with a question mark while it is tentative."""
        return f"{self.id}?" if self.track_state == TENTATIVE else self.id

    @property
    def label_m(self) -> Array:
        """Above the highest joint [3]; NaN if no joint is known."""
        if not np.isfinite(self.joints_m).all(-1).any():
            return np.full(3, np.nan)
        highest: Array = self.joints_m[int(np.nanargmax(self.joints_m[:, 2]))]
        return highest + np.array([0.0, 0.0, 0.25])


def seen_person(message: Any) -> SeenPerson:
    """Of a Person message."""
    joints = message.joints
    joints_m = np.array([_xyz(joint.position) for joint in joints], np.float64).reshape(-1, 3)
    states = np.array([joint.state for joint in joints], np.int64)
    joints_m[states == _MISSING] = np.nan
    flat = np.array([joint.position_covariance for joint in joints], np.float64).reshape(-1, 9)
    flat[flat[:, 0] == -1.0] = np.nan
    return SeenPerson(
        id=message.id,
        track_state=int(message.track_state),
        joints_m=joints_m,
        observed=states == _OBSERVED,
        covariance_m2=flat.reshape(-1, 3, 3),
        origin_m=np.array(_xyz(message.pose.position)),
        velocity_m_s=np.array(_xyz(message.velocity)),
    )


def person_color(person_id: str) -> Rgb:
    """RGB 0..255 of an id such as p0001: always the same, and far from that of the next."""
    digits = "".join(c for c in person_id if c.isdigit()) or "0"
    red, green, blue = colorsys.hsv_to_rgb(int(digits) * _GOLDEN % 1.0, 0.8, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def joint_colors(person: SeenPerson) -> npt.NDArray[np.uint8]:
    """[J, 3]: the person's colour, paler where she or the joint is not sure."""
    own = np.array(person_color(person.id), np.float64)
    share = np.where(person.observed, 1.0, _PREDICTED) * _SURE.get(person.track_state, 1.0)
    mixed = share[:, None] * own + (1.0 - share[:, None]) * np.array(_PALE)
    return np.asarray(np.round(mixed), np.uint8)


def bones(
    points: Array, colors: npt.NDArray[np.uint8], edges: npt.NDArray[np.int64]
) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Lines [L, 2, D] between known points and their colours [L, 3].

    Args:
        points: [J, 3] m or [J, 2] px, NaN where unknown.
        colors: [J, 3] of the joints.
        edges: [E, 2] joint indices; those beyond J are left out.
    """
    edges = edges[(edges < len(points)).all(-1)]
    lines = points[edges]
    known = np.isfinite(lines).all((1, 2))
    dimmer = colors[edges].astype(np.int64).sum(-1).argmin(-1)  # a bone is as sure as its worse end
    return lines[known], colors[edges[np.arange(len(edges)), dimmer]][known]


def ellipsoids(person: SeenPerson) -> tuple[Array, Array, Array]:
    """Where each joint is with 2 sigma: centres [N, 3] m, half axes [N, 3] m, quaternions xyzw [N, 4].

    Joints whose covariance is unknown, or is none, have no ellipsoid.
    """
    known = np.isfinite(person.covariance_m2).all((1, 2)) & np.isfinite(person.joints_m).all(-1)
    symmetric = 0.5 * (person.covariance_m2 + person.covariance_m2.transpose(0, 2, 1))[known]
    variances, axes = np.linalg.eigh(symmetric)
    proper = variances.min(-1, initial=0.0) > -1e-12
    centers_m, variances, axes = person.joints_m[known][proper], variances[proper], axes[proper]
    if len(axes) == 0:
        return centers_m, variances, np.zeros((0, 4))
    axes = axes * np.sign(np.linalg.det(axes))[:, None, None]  # rotations, no mirrors
    half_m = _SIGMAS * np.sqrt(variances.clip(0.0))
    return centers_m, half_m.clip(_LEAST_M), np.asarray(Rotation.from_matrix(axes).as_quat())


def arrow(person: SeenPerson) -> tuple[Array, Array]:
    """Origins and vectors [N, 3] m of at most one arrow: as far as the person walks in a second."""
    known = np.isfinite(person.origin_m).all() and np.isfinite(person.velocity_m_s).all()
    n = 1 if known else 0
    return person.origin_m[None][:n], person.velocity_m_s[None][:n]


def _xyz(point: Any) -> tuple[float, float, float]:
    return float(point.x), float(point.y), float(point.z)
