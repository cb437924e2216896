"""feeds/predicted_paths: where people will be in the next second if they go on as now. Not safety-rated."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import Point

from mvssm_ros.msg import PersonArray, PredictedPath, PredictedPaths
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.nodes.person_messages import duration_msg
from mvssm_ros.tracking.body_volume import worst_sigma_m

_SHOULDER_M = 0.35  # from the middle of a body to the outside of its shoulder
_ACCELERATION_M_S2 = 1.0  # standard deviation of what nobody can foresee


class PredictedPathsFeed(Feed):
    """Constant velocity on the floor, with circles that grow by what is not known.

    Args:
        k_sigma: circles hold so many standard deviations.
        horizon_s, step_s: how far ahead, and how finely.
    """

    topic = "feeds/predicted_paths"
    message_type = PredictedPaths

    def __init__(self, k_sigma: float, horizon_s: float = 1.0, step_s: float = 0.1) -> None:
        self.k_sigma = k_sigma
        self._times_s = np.arange(1, round(horizon_s / step_s) + 1) * step_s
        self._step_ns = round(step_s * 1e9)

    def message(self, answer: PersonArray, people: list[PersonArrays]) -> PredictedPaths:
        """Whose velocity is not known has a circle that grows with walking speed, 2 m/s."""
        paths = [self._path(p) for p in people if math.isfinite(p.person.pose.position.x)]
        return PredictedPaths(header=answer.header, paths=paths)

    def _path(self, person: PersonArrays) -> PredictedPath:
        t = self._times_s
        at = person.person.pose.position
        known = bool(np.isfinite(person.velocity_m_s).all())
        velocity = person.velocity_m_s if known else np.zeros(3)
        covariance = np.array(person.person.pose_covariance).reshape(6, 6)[:3, :3]
        sigma = worst_sigma_m(np.where(covariance[0, 0] < 0, np.nan, covariance)[None])[0]
        if known:
            drift = worst_sigma_m(person.velocity_covariance[None])[0]
            unsure = np.sqrt(sigma**2 + (drift * t) ** 2 + (_ACCELERATION_M_S2 * t**2 / 2) ** 2)
            radii = _SHOULDER_M + self.k_sigma * unsure
        else:
            radii = _SHOULDER_M + self.k_sigma * sigma + 2.0 * t
        points = np.array([at.x, at.y, at.z]) + t[:, None] * velocity * [1, 1, 0]
        return PredictedPath(
            id=person.person.id,
            step=duration_msg(self._step_ns),
            positions=[Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points],
            radii_m=radii.tolist(),
        )
