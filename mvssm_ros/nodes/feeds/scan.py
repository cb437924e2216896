"""feeds/scan: a virtual laser scanner all around the robot that sees only people.

NOT SAFETY-RATED. Free rays are inf only where a set could have shown people; else no scan is sent.
"""

from __future__ import annotations

import array
import math

import numpy as np
from sensor_msgs.msg import LaserScan

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.nodes.feeds.frames import Frames
from mvssm_ros.tracking.body_volume import Capsules, together


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
        centers, radii = _discs(together([p.capsules(self.k_sigma) for p in people]))
        seen = (centers - t_m) @ R
        low_m, high_m = self._heights_m
        inside = (seen[:, 2] + radii > low_m) & (seen[:, 2] - radii < high_m)
        ranges_m = ray_distances_m(seen[inside, :2], radii[inside], self._rays)
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
    along, radii = capsules.ends_m - capsules.starts_m, capsules.radii_m
    steps = np.ceil(np.linalg.norm(along, axis=-1) / (radii / 4)).astype(int)
    steps = np.maximum(steps, 1)
    share = _counted(steps + 1) / np.repeat(steps, steps + 1)
    start, along, radii = (np.repeat(a, steps + 1, 0) for a in (capsules.starts_m, along, radii))
    return start + share[:, None] * along, radii


def ray_distances_m(centers_m: np.ndarray, radii_m: np.ndarray, rays: int) -> np.ndarray:
    """From the origin along each ray to the nearest disc, [rays] m; inf: it meets none; 0: inside.

    Args:
        centers_m: [N, 2]; radii_m: [N].
        rays: directions -pi, -pi + 2 pi / rays, ...
    """
    away_m = np.linalg.norm(centers_m, axis=-1)
    if (away_m <= radii_m).any():
        return np.zeros(rays)
    nearest = np.full(rays, np.inf)
    step = 2 * math.pi / rays
    angle, half = np.arctan2(centers_m[:, 1], centers_m[:, 0]), np.arcsin(radii_m / away_m)
    first = np.ceil((angle - half + math.pi) / step).astype(int)
    last = np.floor((angle + half + math.pi) / step).astype(int)
    counts = np.maximum(last - first + 1, 0)  # rays that meet each disc
    ray = np.repeat(first, counts) + _counted(counts)
    angle, away_m, radii_m = (np.repeat(a, counts) for a in (angle, away_m, radii_m))
    off = ray * step - math.pi - angle
    chord = np.sqrt(np.maximum(radii_m**2 - (away_m * np.sin(off)) ** 2, 0.0))
    np.minimum.at(nearest, ray % rays, away_m * np.cos(off) - chord)
    return nearest


def _counted(counts: np.ndarray) -> np.ndarray:
    """0, 1, ... for each of the counts, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
