"""The two solids of which everything is made, and where rays meet them.

Rays are unit vectors; ``t`` is the distance along them in metres, inf where they miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

_TINY = 1e-9


@dataclass(frozen=True)
class RoundCones:
    """N round cones: the hull of a ball at the start and one at the end.

    start_m, end_m       [N, 3] m
    start_r_m, end_r_m   [N] m
    scene, material, owner  [N] long: scene of the batch; row of the material table; person, or -1
    """

    start_m: Tensor
    end_m: Tensor
    start_r_m: Tensor
    end_r_m: Tensor
    scene: Tensor
    material: Tensor
    owner: Tensor


@dataclass(frozen=True)
class Boxes:
    """N upright boxes: center_m, half_m [N, 3] m, yaw [N] rad; scene, material [N] long."""

    center_m: Tensor
    half_m: Tensor
    yaw: Tensor
    scene: Tensor
    material: Tensor


Solid = TypeVar("Solid", RoundCones, Boxes)


def joined(parts: Sequence[Solid]) -> Solid:
    """Several lists of one kind of solid as one."""
    first = parts[0]
    values: Any = {f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(first)}
    return type(first)(**values)


def picked(solids: Solid, index: Tensor) -> Solid:
    """The solids of these indices (or where a mask is true)."""
    values: Any = {f.name: getattr(solids, f.name)[index] for f in fields(solids)}
    return type(solids)(**values)


def no_boxes(device: torch.device | str = "cpu") -> Boxes:
    """An empty list of boxes."""
    empty = torch.zeros(0, device=device)
    index = torch.zeros(0, dtype=torch.long, device=device)
    return Boxes(empty.view(0, 3), empty.view(0, 3), empty, index, index)


def no_cones(device: torch.device | str = "cpu") -> RoundCones:
    """An empty list of round cones."""
    empty = torch.zeros(0, device=device)
    index = torch.zeros(0, dtype=torch.long, device=device)
    return RoundCones(empty.view(0, 3), empty.view(0, 3), empty, empty, index, index, index)


def meet_cones(eye_m: Tensor, rays: Tensor, cones: RoundCones) -> Tensor:
    """Where the P rays [N, P, 3] from eye [N, 3] meet the cone of their row: t [N, P].

    A point q (from the start) is on the surface where |q - s axis| = r(s) and the ball at s touches
    it, d/ds = 0: this gives s, linear in q, and one quadratic for the endless cone. Where the ray enters
    and leaves that, s, clamped to the cone, is the ball that it may meet, and so are those at the ends;
    the first of them is met, as all of them are part of the round cone.
    """
    axis = cones.end_m - cones.start_m  # [N, 3]
    r0, grow = cones.start_r_m.unsqueeze(-1), (cones.end_r_m - cones.start_r_m).unsqueeze(-1)
    to = eye_m - cones.start_m
    length2 = (axis * axis).sum(-1, keepdim=True)  # [N, 1]
    d2 = (length2 - grow * grow).clamp(min=_TINY)
    along = (rays @ axis.unsqueeze(-1)).squeeze(-1)  # [N, P]
    nearest = -(rays @ to.unsqueeze(-1)).squeeze(-1)  # t of the ray's nearest point to the start
    off2 = ((to * to).sum(-1, keepdim=True) - nearest * nearest).clamp(min=0)
    across = (to * axis).sum(-1, keepdim=True) + nearest * along + grow * r0
    # the endless cone, tau counted from that nearest point
    a = d2 - along * along
    c = d2 * (off2 - r0 * r0) - across * across
    ab = along * across
    disc = ab * ab - a * c
    root = disc.clamp(min=0).sqrt()
    a = torch.where(a.abs() < _TINY, torch.full_like(a, _TINY), a)
    enter, leave = (
        ((across + along * (ab + sign * root) / a) / d2).clamp(0, 1) for sign in (-1.0, 1.0)
    )
    across = across - grow * r0  # of the nearest point alone

    def ball(s: Tensor | float) -> Tensor:
        ahead = s * along
        gap2 = off2 - 2 * s * across + s * s * length2 - ahead * ahead
        depth2 = (r0 + s * grow) ** 2 - gap2
        t = ahead - depth2.clamp(min=0).sqrt()
        return torch.where(depth2 >= 0, t, torch.inf)

    tau = torch.minimum(
        torch.minimum(ball(enter), ball(leave)), torch.minimum(ball(0.0), ball(1.0))
    )
    t = nearest + tau
    return torch.where(t > 0, t, torch.inf)


def cone_surface(cones: RoundCones, points_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of points [N, 3] on the cone of their row: unit normals [N, 3], and coordinates on the surface,
    metres along the axis and metres around it, [N] each."""
    axis = cones.end_m - cones.start_m
    grow = cones.end_r_m - cones.start_r_m
    length2 = (axis * axis).sum(-1)
    q = points_m - cones.start_m
    s = ((q * axis).sum(-1) + grow * cones.start_r_m) / (length2 - grow * grow).clamp(min=_TINY)
    s = s.clamp(0, 1)
    out = q - s.unsqueeze(-1) * axis
    normal = torch.nn.functional.normalize(out, dim=-1)
    unit = torch.nn.functional.normalize(axis, dim=-1)
    # a direction across the axis that turns with the limb: away from the vertical, or from x
    steep = unit[:, 2:].abs() > 0.9
    helper = torch.where(steep, unit.new_tensor([1.0, 0, 0]), unit.new_tensor([0, 0, 1.0]))
    side = torch.nn.functional.normalize(torch.linalg.cross(unit, helper), dim=-1)
    front = torch.linalg.cross(side, unit)
    around = torch.atan2((normal * side).sum(-1), (normal * front).sum(-1))
    return normal, s * length2.sqrt(), around * (cones.start_r_m + s * grow)


def meet_boxes(eye_m: Tensor, rays: Tensor, boxes: Boxes) -> Tensor:
    """Where the P rays [N, P, 3] from eye [N, 3] meet the box of their row: t [N, P]."""
    origin = _into(boxes, eye_m - boxes.center_m).unsqueeze(1)  # [N, 1, 3]
    ray = _into(boxes, rays)
    ray = torch.where(ray.abs() < 1e-7, torch.full_like(ray, 1e-7), ray)
    half = boxes.half_m.unsqueeze(1)
    one, two = (-half - origin) / ray, (half - origin) / ray
    enter, leave = torch.minimum(one, two).amax(-1), torch.maximum(one, two).amin(-1)
    return torch.where((enter < leave) & (enter > 0), enter, torch.inf)


def box_surface(boxes: Boxes, points_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of points [N, 3] on the box of their row: unit normals [N, 3], and two coordinates, metres."""
    p = _into(boxes, points_m - boxes.center_m)
    face = (p.abs() / boxes.half_m.clamp(min=_TINY)).argmax(-1, keepdim=True)  # [N, 1]
    local = torch.zeros_like(p).scatter(-1, face, p.gather(-1, face).sign())
    u = p.gather(-1, (face + 1) % 3).squeeze(-1)
    v = p.gather(-1, (face + 2) % 3).squeeze(-1)
    return _out_of(boxes, local), u, v


def _into(boxes: Boxes, vectors: Tensor) -> Tensor:
    """World vectors [N, ..., 3] in the frames of the boxes."""
    return _turn(vectors, -boxes.yaw)


def _out_of(boxes: Boxes, vectors: Tensor) -> Tensor:
    return _turn(vectors, boxes.yaw)


def _turn(vectors: Tensor, yaw: Tensor) -> Tensor:
    yaw = yaw.view(-1, *[1] * (vectors.dim() - 2))
    c, s = yaw.cos(), yaw.sin()
    x, y, z = vectors.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y, z], -1)
