"""People with volume: the joints of a pose as round cones, dressed.

A body is scaled by the length of its trunk and thighs, so a child is thinner than an adult. The
joints are inside the limbs: what is drawn is exactly what the ground truth says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.rendering.shapes import RoundCones

SKIN, HAIR, SHIRT, TROUSERS, SHOES, FOREARM, SHANK, BAG = range(8)
N_MATERIALS = 8  # a person
_USUAL_M = 0.93  # trunk and thigh of an adult
_FLESH_M = torch.tensor([0.07, 0.11, 0.11] + 2 * [0.07, 0.05, 0.045, 0.1, 0.07, 0.05])


class Looks(NamedTuple):
    """Of people [S, G]: girth (1: usual), hair_m (how far it hangs), skirt and bag (bool)."""

    girth: Tensor
    hair_m: Tensor
    skirt: Tensor
    bag: Tensor


@dataclass(frozen=True)
class _Part:
    """A round cone from one place to another, each the mean of some joints."""

    start: tuple[str, ...]
    end: tuple[str, ...]
    start_r_m: float
    end_r_m: float
    material: int


def _both(start: str, end: str, r0: float, r1: float, material: int) -> tuple[_Part, ...]:
    return tuple(
        _Part((f"{s}_{start}",), (f"{s}_{end}",), r0, r1, material) for s in ("left", "right")
    )


_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
_PARTS = (
    _Part(("neck",), ("neck", "nose"), 0.062, 0.055, SKIN),
    _Part((*_SHOULDERS, "neck"), ("mid_hip",), 0.105, 0.112, SHIRT),
    _Part(("left_shoulder",), ("right_shoulder",), 0.066, 0.066, SHIRT),
    _Part(("left_hip",), ("right_hip",), 0.108, 0.108, TROUSERS),
    *_both("shoulder", "hip", 0.075, 0.088, SHIRT),
    *_both("shoulder", "elbow", 0.058, 0.043, SHIRT),
    *_both("elbow", "wrist", 0.043, 0.031, FOREARM),
    *_both("hip", "knee", 0.088, 0.06, TROUSERS),
    *_both("knee", "ankle", 0.058, 0.042, SHANK),
)


def bodies(joints_m: Tensor, present: Tensor, looks: Looks, first_material: Tensor) -> RoundCones:
    """The people as round cones.

    joints [S, G, 15, 3] m; present [S, G] bool; first_material [S, G] long: row of a person's
    N_MATERIALS materials. Owners are the people's numbers g.
    """
    s, g = present.shape
    scale = _scale(joints_m)  # [S, G]
    girth = scale * looks.girth
    starts, ends, r0, r1, material, there = [], [], [], [], [], []

    def add(
        start: Tensor, end: Tensor, radius0: Tensor, radius1: Tensor, kind: int, where: Tensor
    ) -> None:
        starts.append(start)
        ends.append(end)
        r0.append(radius0)
        r1.append(radius1)
        material.append(first_material + kind)
        there.append(where & present)

    always = torch.ones_like(present)
    for part in _PARTS:
        add(_at(joints_m, *part.start), _at(joints_m, *part.end), part.start_r_m * girth,
            part.end_r_m * girth, part.material, always)  # fmt: skip
    for end in _extremities(joints_m, scale, looks):
        add(*end, always)
    hips, knees = _at(joints_m, "mid_hip"), _at(joints_m, "left_knee", "right_knee")
    add(hips, torch.lerp(hips, knees, 0.85), 0.13 * girth, 0.2 * girth, TROUSERS, looks.skirt)
    up, ahead = _trunk(joints_m)
    back = _at(joints_m, "neck") - 0.17 * scale[..., None] * ahead - 0.1 * scale[..., None] * up
    add(back, back - 0.25 * scale[..., None] * up, 0.11 * scale, 0.12 * scale, BAG, looks.bag)

    parts = len(starts)
    keep = torch.stack(there, -1).flatten()  # [S G parts]
    scene = torch.arange(s, device=joints_m.device)[:, None, None].expand(s, g, parts)
    owner = torch.arange(g, device=joints_m.device)[None, :, None].expand(s, g, parts)
    return RoundCones(
        start_m=torch.stack(starts, -2).flatten(0, 2)[keep],
        end_m=torch.stack(ends, -2).flatten(0, 2)[keep],
        start_r_m=torch.stack(r0, -1).flatten()[keep],
        end_r_m=torch.stack(r1, -1).flatten()[keep],
        scene=scene.flatten()[keep],
        material=torch.stack(material, -1).flatten()[keep],
        owner=owner.flatten()[keep],
    )


def flesh_m(joints_m: Tensor) -> Tensor:
    """How far the surface is from each joint, about: [S, G, 15] m."""
    return _FLESH_M.to(joints_m) * _scale(joints_m).unsqueeze(-1)


def _scale(joints_m: Tensor) -> Tensor:
    """Size of the bodies [S, G], 1 for an adult of 1.7 m."""
    trunk = (_at(joints_m, "neck") - _at(joints_m, "mid_hip")).norm(dim=-1)
    thighs = sum(
        (_at(joints_m, f"{s}_hip") - _at(joints_m, f"{s}_knee")).norm(dim=-1)
        for s in ("left", "right")
    )
    return ((trunk + 0.5 * thighs) / _USUAL_M).clamp(0.4, 1.4)


def _at(joints_m: Tensor, *names: str) -> Tensor:
    """The mean of joints, [S, G, 3]."""
    return joints_m[..., [PANOPTIC15.index(n) for n in names], :].mean(-2)


def _trunk(joints_m: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors [S, G, 3] up the trunk and ahead of it."""
    up = F.normalize(_at(joints_m, "neck") - _at(joints_m, "mid_hip"), dim=-1)
    across = _at(joints_m, "left_shoulder") - _at(joints_m, "right_shoulder")
    return up, F.normalize(torch.linalg.cross(across, up), dim=-1)


def _extremities(
    joints_m: Tensor, scale: Tensor, looks: Looks
) -> list[tuple[Tensor, Tensor, Tensor, Tensor, int]]:
    """Head, hair, nose, hands and feet."""
    k = scale.unsqueeze(-1)
    up, ahead = _trunk(joints_m)
    neck, nose = _at(joints_m, "neck"), _at(joints_m, "nose")
    # the nose stands out from the neck's axis to where the head looks
    out = (nose - neck) - ((nose - neck) * up).sum(-1, keepdim=True) * up
    face = F.normalize(out + 0.02 * ahead, dim=-1)
    crown = F.normalize(nose - neck - 0.8 * out, dim=-1)
    skull = nose - 0.1 * k * face + 0.045 * k * crown
    back = skull - 0.02 * k * face + 0.015 * k * crown
    hang = back - (0.02 + looks.hair_m.unsqueeze(-1)) * k * crown - 0.02 * k * face
    found = [
        (skull - 0.05 * k * crown + 0.015 * k * face, skull, 0.075 * scale, 0.096 * scale, SKIN),
        (hang, back, 0.075 * scale, 0.102 * scale, HAIR),
        (nose - 0.02 * k * face, nose - 0.004 * k * face, 0.02 * scale, 0.016 * scale, SKIN),
    ]
    for side in ("left", "right"):
        elbow, wrist = _at(joints_m, f"{side}_elbow"), _at(joints_m, f"{side}_wrist")
        along = F.normalize(wrist - elbow, dim=-1)
        found.append((wrist, wrist + 0.1 * k * along, 0.034 * scale, 0.042 * scale, SKIN))
        ankle = _at(joints_m, f"{side}_ankle")
        shin = F.normalize(ankle - _at(joints_m, f"{side}_knee"), dim=-1)
        toes = F.normalize(ahead - (ahead * shin).sum(-1, keepdim=True) * shin + 1e-4, dim=-1)
        sole = ankle + 0.04 * k * shin
        found.append(
            (sole - 0.04 * k * toes, sole + 0.14 * k * toes, 0.045 * scale, 0.034 * scale, SHOES)
        )
    return found
