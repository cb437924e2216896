"""What stands between a camera and a joint: furniture and robots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvssm_ros.simulation.scenario import Furniture
from mvssm_ros.tracking.body_volume import Capsules, closest_points

Array = npt.NDArray[np.float64]

_TOP_M, _LEG_M = 0.04, 0.05  # thickness of a table's top and of its legs
_SKIN_M = 0.06  # a line of sight ends so far before the joint: what touches it does not hide it


@dataclass(frozen=True)
class Box:
    """Sides along the axes; low_m, high_m [3]."""

    low_m: Array
    high_m: Array


def boxes_of(furniture: Iterable[Furniture], floor_m: float) -> list[Box]:
    """A box as one, a table as its top and four legs."""
    boxes = []
    for piece in furniture:
        center, half = np.array(piece.center_m), np.array(piece.size_m) / 2
        low, high = center - half, center + half
        top = floor_m + piece.height_m
        if piece.kind == "box":
            boxes.append(_box(low, high, floor_m, top))
            continue
        boxes.append(_box(low, high, top - _TOP_M, top))
        for x in (low[0], high[0] - _LEG_M):
            for y in (low[1], high[1] - _LEG_M):
                corner = np.array([x, y])
                boxes.append(_box(corner, corner + _LEG_M, floor_m, top - _TOP_M))
    return boxes


def _box(low: Array, high: Array, bottom_m: float, top_m: float) -> Box:
    return Box(np.append(low, bottom_m), np.append(high, top_m))


def hidden(
    eyes_m: Array, points_m: Array, boxes: Iterable[Box], capsules: Capsules | None
) -> npt.NDArray[np.bool_]:
    """Which points [N, 3] the cameras at eyes_m [T, 3] cannot see: bool [T, N]."""
    rays = points_m[None] - eyes_m[:, None]  # [T, N, 3]
    length = np.linalg.norm(rays, axis=-1, keepdims=True)
    ends = eyes_m[:, None] + rays * np.clip(1 - _SKIN_M / np.maximum(length, 1e-6), 0, 1)
    covered = np.zeros(rays.shape[:2], bool)
    for box in boxes:
        enter, leave = box_depths(eyes_m[:, None], ends - eyes_m[:, None], box)
        covered |= (enter < leave) & (leave > 0) & (enter < 1)
    if capsules is not None:
        starts = np.broadcast_to(eyes_m[:, None], ends.shape).reshape(-1, 3)
        n = len(starts)
        lines = Capsules(starts, ends.reshape(-1, 3), np.zeros(n), np.zeros((n, 2), np.int64))
        for start, end, radius in zip(capsules.starts_m, capsules.ends_m, capsules.radii_m):
            distance, _, _ = closest_points(lines, start, end)
            covered |= (distance < radius).reshape(covered.shape)
    return covered


def box_depths(
    origins_m: npt.NDArray[np.floating], rays_m: npt.NDArray[np.floating], box: Box
) -> tuple[Array, Array]:
    """Where lines origin + u ray go into a box and out of it, as u; it is missed where u in > out.

    origins_m, rays_m [..., 3] (broadcast); u is in units of the ray's length.
    """
    rays = np.where(np.abs(rays_m) < 1e-9, 1e-9, rays_m)
    to_low, to_high = (box.low_m - origins_m) / rays, (box.high_m - origins_m) / rays
    return np.minimum(to_low, to_high).max(-1), np.maximum(to_low, to_high).min(-1)
