"""feeds/scan: a virtual laser scanner all around the robot that sees only people."""

from __future__ import annotations

import array
import math

import numpy as np
from sensor_msgs.msg import LaserScan

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.nodes.feeds.frames import Frames
from mvssm_ros.tracking.body_volume import Capsules


class ScanFeed(Feed):
    """Distances to people by direction, seen from ``frame``; rays that meet nobody are inf.

    Args:
        frames: knows where ``frame`` is.
        frame: where the scanner stands, usually base_link; its x axis is 0 rad, counter-clockwise.
        k_sigma: people grow by so many standard deviations.
        rays: around the circle.
        range_max_m: people farther off than this are not in the scan.
        low_m, high_m: of a body only what is between these heights above ``frame`` counts.
    """

    topic = "feeds/scan"
    message_type = LaserScan

    def __init__(
        self,
        frames: Frames,
        frame: str,
        k_sigma: float,
        rays: int = 720,
        range_max_m: float = 20.0,
        low_m: float = 0.0,
        high_m: float = 2.0,
    ) -> None:
        self._frames = frames
        self._frame = frame
        self.k_sigma = k_sigma
        self._rays = rays
        self._range_max_m = range_max_m
        self._heights_m = low_m, high_m

    def message(self, answer: PersonArray, people: list[PersonArrays]) -> LaserScan | None:
        """None while it is not known where ``frame`` is."""
        frame = self._frame or answer.header.frame_id
        pose = self._frames.pose(frame, answer.header)
        if pose is None:
            return None
        R, t_m = pose  # x_reference = R x_frame + t
        ranges_m = np.full(self._rays, np.inf)
        for person in people:
            capsules = person.capsules(self.k_sigma)
            centers, radii = _discs(capsules)
            seen = (centers - t_m) @ R
            low_m, high_m = self._heights_m
            inside = (seen[:, 2] + radii > low_m) & (seen[:, 2] - radii < high_m)
            nearest = ray_distances_m(seen[inside, :2], radii[inside], self._rays)
            ranges_m = np.minimum(ranges_m, nearest)
        ranges_m[ranges_m > self._range_max_m] = np.inf
        step = 2 * math.pi / self._rays
        header = type(answer.header)(stamp=answer.header.stamp, frame_id=frame)
        return LaserScan(
            header=header,
            angle_min=-math.pi,
            angle_max=math.pi - step,
            angle_increment=step,
            range_min=0.0,
            range_max=self._range_max_m,
            ranges=array.array("f", ranges_m.tolist()),
        )


def _discs(capsules: Capsules) -> tuple[np.ndarray, np.ndarray]:
    """Spheres along the axes, a quarter of a radius apart: centres [N, 3] m and radii [N] m."""
    centers, radii = [np.zeros((0, 3))], [np.zeros(0)]
    for start, end, radius in zip(capsules.starts_m, capsules.ends_m, capsules.radii_m):
        count = max(2, math.ceil(float(np.linalg.norm(end - start)) / (radius / 4)) + 1)
        share = np.linspace(0, 1, count)[:, None]
        centers.append(start + share * (end - start))
        radii.append(np.full(count, radius))
    return np.concatenate(centers), np.concatenate(radii)


def ray_distances_m(centers_m: np.ndarray, radii_m: np.ndarray, rays: int) -> np.ndarray:
    """From the origin along each ray to the nearest disc, [rays] m; inf: it meets none; 0: inside.

    Args:
        centers_m: [N, 2]; radii_m: [N].
        rays: directions -pi, -pi + 2 pi / rays, ...
    """
    if not len(centers_m):
        return np.full(rays, np.inf)
    angles = -math.pi + np.arange(rays) * 2 * math.pi / rays
    directions = np.stack([np.cos(angles), np.sin(angles)], -1)  # [R, 2]
    along = directions @ centers_m.T  # [R, N]
    square = (centers_m**2).sum(-1) - radii_m**2  # [N] below 0: the origin is inside
    root = along**2 - square
    hits = (root >= 0) & (along > 0)
    distance = np.where(hits, along - np.sqrt(np.maximum(root, 0)), np.inf)
    return np.where((square <= 0).any(), 0.0, distance.min(-1))
