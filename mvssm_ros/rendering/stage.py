"""What stands where in each scene of a batch: solids, a room around them, and light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mvssm_ros.rendering.materials import Materials
from mvssm_ros.rendering.shapes import Boxes, RoundCones

_BEHIND_M = 0.3


@dataclass(frozen=True)
class Room:
    """S rooms with sides along the axes.

    low_m, high_m [S, 3] m; floor, wall, ceiling [S] long: materials. The floor has a mat, a rectangle
    of another material: mat_low_m, mat_high_m [S, 2] m, mat [S] long (nowhere: low above high).
    """

    low_m: Tensor
    high_m: Tensor
    floor: Tensor
    wall: Tensor
    ceiling: Tensor
    mat_low_m: Tensor
    mat_high_m: Tensor
    mat: Tensor


@dataclass(frozen=True)
class Light:
    """One lamp far away and light from all sides: towards_lamp [S, 3] unit; lamp, ambient [S, 3]."""

    towards_lamp: Tensor
    lamp: Tensor
    ambient: Tensor


@dataclass(frozen=True)
class Stage:
    """S scenes. Materials are one table for all of them."""

    cones: RoundCones
    boxes: Boxes
    room: Room
    materials: Materials
    light: Light

    def __post_init__(self) -> None:
        """Raises ValueError where a solid has a material that is not in the table, or the direction
        to a lamp is no unit vector."""
        if (self.light.towards_lamp.norm(dim=-1) - 1).abs().max() > 1e-3:
            raise ValueError("towards_lamp must be unit vectors")
        for solids in (self.cones, self.boxes):
            if len(solids.material) and int(solids.material.max()) >= len(self.materials.pattern):
                raise ValueError(
                    f"a solid has material {int(solids.material.max())} of "
                    f"{len(self.materials.pattern)}"
                )


def moved_to(stage: Stage, device: torch.device | str) -> Stage:
    """The stage on another device."""

    def move(part: Any) -> Any:
        return type(part)(**{name: value.to(device) for name, value in vars(part).items()})

    return Stage(*(move(part) for part in vars(stage).values()))


def walls_met(room: Room, scene: int, eye_m: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays [N, 3] from an eye [3] leave the room of a scene: t [N] m, and the axis of the wall
    [N], 0 to 2. An eye outside the room has the wall behind it."""
    low = torch.minimum(room.low_m[scene], eye_m - _BEHIND_M)
    high = torch.maximum(room.high_m[scene], eye_m + _BEHIND_M)
    away = torch.where(rays.abs() < 1e-6, torch.full_like(rays, 1e-6), rays)
    bound = torch.where(away > 0, high, low)
    found = ((bound - eye_m) / away).min(-1)
    return found.values, found.indices
