"""Cameras around a place, looking at its middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mvssm_ros.learning.synthetic.rigs import look_at
from mvssm_ros.rig.rig_file import CameraEntry

_FIRST_RAD = 0.3
_LOOK_AT_M = 0.9  # above the floor


def ring_of_cameras(
    count: int,
    center_m: tuple[float, float],
    floor_m: float,
    radius_m: float,
    heights_m: Sequence[float],
    size_px: tuple[int, int],
    focal_px: float,
    distortion: Sequence[float] = (0.0,) * 5,
) -> dict[str, CameraEntry]:
    """cam1, cam2, ... evenly spread. heights_m above the floor, taken in turn."""
    angle = 2 * np.pi * np.arange(count) / count + _FIRST_RAD
    height = floor_m + np.array(heights_m, float)[np.arange(count) % len(heights_m)]
    x, y = center_m
    centers_m = np.stack([x + radius_m * np.cos(angle), y + radius_m * np.sin(angle), height], -1)
    R = look_at(centers_m, np.tile([x, y, floor_m + _LOOK_AT_M], (count, 1)), np.zeros(count))
    width, height_px = size_px
    K = np.array([
        [focal_px, 0.0, (width - 1) / 2], [0.0, focal_px, (height_px - 1) / 2], [0.0, 0.0, 1.0],
    ])  # fmt: skip
    return {
        f"cam{i + 1}": replace(
            CameraEntry.bare(f"cam{i + 1}"),
            size_px=size_px,
            K=K,
            distortion=np.array(distortion, float),
            R=R[i],
            t_m=-R[i] @ centers_m[i],
        )
        for i in range(count)
    }
