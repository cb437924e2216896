"""Every camera's picture of a stage: colour, distance, and who is seen at each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.rendering.materials import color_at
from mvssm_ros.rendering.rasterizer import FirstHits, Views, first_hits, views_of
from mvssm_ros.rendering.shapes import box_surface, cone_surface, picked
from mvssm_ros.rendering.stage import Light, Room, Stage, walls_met

_LAMP_M = 25.0  # the lamp is so far away
_MAP_PX = 320  # of the picture that the lamp sees
# In pixels of that picture: what lies so much deeper than what the lamp sees is in its shadow, and it is
# looked up so far off its surface, so that no surface shades itself
_BIAS_PX, _OFF_PX = 1.5, 1.0


@dataclass(frozen=True)
class Pictures:
    """rgb [S, T, 3, H, W] linear light, 0 outside the cameras' images; t_m [S, T, H, W] distance to
    what is seen; owner [S, T, H, W] long: the person seen there, -1 else."""

    rgb: Tensor
    t_m: Tensor
    owner: Tensor


@torch.no_grad()
def render(
    stage: Stage,
    cameras: Cameras,
    canvas_px: tuple[int, int],
    views: Views | None = None,
    still: Pictures | None = None,
) -> Pictures:
    """Pictures of cameras [S, T], each at the top left of a canvas (width, height).

    For cameras that are rendered again and again: views, `views_of(cameras, canvas_px)`; and still,
    the pictures of the same stage without its round cones, of which only what they cover or shade is
    painted anew.
    """
    if views is None:
        views = views_of(cameras, canvas_px)
    hits = first_hits(views, stage.cones, stage.boxes)
    lamps = _lamp_cameras(stage)
    lit_m = first_hits(views_of(lamps, (_MAP_PX, _MAP_PX)), stage.cones, stage.boxes).t_m
    if still is None:
        rgb, t = torch.zeros_like(views.rays), torch.full_like(hits.t_m, torch.inf)
    else:
        rgb, t = (
            still.rgb.flatten(0, 1).permute(0, 2, 3, 1).clone(),
            still.t_m.flatten(0, 1).clone(),
        )
    for v, scene in enumerate(views.scene.tolist()):  # one by one: a picture fits a CPU's cache
        lamp = _Lamp(lamps, lit_m[scene], scene)
        eye, wanted = views.eyes_m[v], views.valid[v]
        if still is not None:
            wanted = wanted & _changed(lamp, eye, views.rays[v], t[v], hits.t_m[v])
        at = wanted.nonzero(as_tuple=True)
        seen = FirstHits(hits.t_m[v][at], hits.solid[v][at])
        rgb[v][at], t[v][at] = _shade(stage, scene, lamp, eye, views.rays[v][at], seen)
    owner = torch.full_like(hits.solid, -1)
    on_cone = (hits.solid >= 0) & (hits.solid < len(stage.cones.scene))
    owner[on_cone] = stage.cones.owner[hits.solid[on_cone]]
    shape = cameras.fisheye.shape
    rgb, t, owner = (x.unflatten(0, shape) for x in (rgb.permute(0, 3, 1, 2), t, owner))
    return Pictures(rgb, t, owner)


def joints_seen(pictures: Pictures, cameras: Cameras, joints_m: Tensor, flesh_m: Tensor) -> Tensor:
    """Joints [S, G, J, 3] that nothing hides from cameras [S, T], in their images: [S, T, G, J] bool.

    flesh_m [S, G, J]: how deep in the body a joint may lie, doubled for what else is around it.
    """
    g, j = joints_m.shape[1:3]
    height, width = pictures.t_m.shape[-2:]
    pixels, depth = project(cameras, joints_m.flatten(1, 2))  # [S, T, G J, 2]
    size = cameras.size_px.unsqueeze(-2)
    inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(-1) & (depth > 0.05)
    x = pixels[..., 0].round().long().clamp(0, width - 1)
    y = pixels[..., 1].round().long().clamp(0, height - 1)
    seen_m = pictures.t_m.flatten(-2).gather(-1, y * width + x)  # [S, T, G J]
    away = (joints_m.flatten(1, 2).unsqueeze(1) - cameras.centers_m.unsqueeze(2)).norm(dim=-1)
    clear = seen_m > away - 2.0 * flesh_m.flatten(1, 2).unsqueeze(1)
    return (inside & clear).unflatten(-1, (g, j))


class _Lamp:
    """What the lamp of a scene sees: lit_m [P, P] m, by a camera without distortion."""

    def __init__(self, lamps: Cameras, lit_m: Tensor, scene: int) -> None:
        self.R, self.t = lamps.R[scene, 0], lamps.t[scene, 0]
        self.focal_px, self.lit_m = lamps.K[scene, 0, 0, 0], lit_m
        self.pixel_m = _LAMP_M / self.focal_px

    def reaches(self, points_m: Tensor) -> Tensor:
        """Share of its light that points [N, 3] get, 0..1: bilinear over the four nearest pixels."""
        seen = points_m @ self.R.T + self.t
        pixels = self.focal_px / seen[:, 2:] * seen[:, :2] + 0.5 * (_MAP_PX - 1)
        away = seen.norm(dim=-1) - _BIAS_PX * self.pixel_m
        corner = pixels.floor()
        fx, fy = (pixels - corner).unbind(-1)
        x, y = corner.long().clamp(0, _MAP_PX - 2).unbind(-1)
        outside = (corner < 0).any(-1) | (corner > _MAP_PX - 2).any(-1)  # nothing is in between
        flat, base = self.lit_m.flatten(), y * _MAP_PX + x
        lit = [(flat[base + k] > away).float() for k in (0, 1, _MAP_PX, _MAP_PX + 1)]
        share = torch.lerp(torch.lerp(lit[0], lit[1], fx), torch.lerp(lit[2], lit[3], fx), fy)
        return share.masked_fill(outside, 1.0)


def _changed(lamp: _Lamp, eye: Tensor, rays: Tensor, still_m: Tensor, hit_m: Tensor) -> Tensor:
    """Pixels [H, W] that something new covers, or that are in a shadow, be it old or new."""
    points = (eye + still_m.nan_to_num(posinf=1e3).unsqueeze(-1) * rays).flatten(0, 1)
    return (hit_m < still_m - 1e-4) | (lamp.reaches(points) < 1).view_as(hit_m)


def _shade(
    stage: Stage, scene: int, lamp: _Lamp, eye: Tensor, rays: Tensor, hits: FirstHits
) -> tuple[Tensor, Tensor]:
    """Colours [N, 3] and distances [N] m of what rays [N, 3] of one view see."""
    wall_t, axis = walls_met(stage.room, scene, eye, rays)
    t = torch.minimum(hits.t_m, wall_t)
    points = eye + t.unsqueeze(-1) * rays
    material, u, v = _room_surface(stage.room, scene, axis, points, rays)
    normal = -F.one_hot(axis, 3) * rays.sign()
    kinds: tuple[tuple[int, Any, Any], ...] = (
        (0, stage.cones, cone_surface),
        (len(stage.cones.scene), stage.boxes, box_surface),
    )
    for first, solids, surface in kinds:
        here = (hits.solid >= first) & (hits.solid < first + len(solids.scene))
        at = (here & (hits.t_m < wall_t)).nonzero().squeeze(-1)
        index = hits.solid[at] - first
        normal[at], u[at], v[at] = surface(picked(solids, index), points[at])
        material[at] = solids.material[index]
    color = color_at(stage.materials, material, u, v)
    reached = lamp.reaches(points + _OFF_PX * lamp.pixel_m * normal)
    shine = stage.materials.shine[material]
    return color * _light(stage.light, scene, reached, normal, rays, shine), t


def _room_surface(
    room: Room, scene: int, axis: Tensor, points: Tensor, rays: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Material and two coordinates (m) of the walls, floors and ceilings that are seen, [N] each."""
    x, y, z = points.unbind(-1)
    level = axis == 2
    floor = level & (rays[:, 2] < 0)
    low, high = room.mat_low_m[scene], room.mat_high_m[scene]
    on_mat = floor & ((points[:, :2] > low) & (points[:, :2] < high)).all(-1)
    material = torch.where(level, room.ceiling[scene], room.wall[scene])
    material = torch.where(floor, room.floor[scene], material)
    material = torch.where(on_mat, room.mat[scene], material)
    return material, torch.where(axis == 0, y, x), torch.where(level, y, z)


def _light(
    light: Light, scene: int, reached: Tensor, normal: Tensor, rays: Tensor, shine: Tensor
) -> Tensor:
    """How much light [N, 3] comes back from surfaces of colour 1."""
    towards, lamp = light.towards_lamp[scene], light.lamp[scene]
    direct = (normal @ towards).clamp(min=0) * reached
    half = towards - rays  # between the lamp and the eye, not yet of length 1
    cosine2 = (normal * half).sum(-1).clamp(min=0) ** 2 / (half * half).sum(-1).clamp(min=1e-6)
    cosine8 = (cosine2 * cosine2) ** 2
    gleam = cosine8 * cosine8 * cosine8 * shine * reached
    # light from all sides, a little more from above, and a little less on edges
    edge = 0.8 + 0.2 * -(normal * rays).sum(-1).clamp(max=0)
    around = (0.75 + 0.25 * normal[:, 2]) * edge
    return around.unsqueeze(-1) * light.ambient[scene] + (direct + gleam).unsqueeze(-1) * lamp


def _lamp_cameras(stage: Stage) -> Cameras:
    """A camera at each lamp that sees all that casts shadows, [S, 1]."""
    light, room = stage.light, stage.room
    s = len(light.towards_lamp)
    device = light.towards_lamp.device
    cones, boxes = stage.cones, stage.boxes
    reach = boxes.half_m[:, :2].norm(dim=-1, keepdim=True).expand(-1, 3)
    centers = torch.cat(
        [cones.start_m, cones.end_m, boxes.center_m - reach, boxes.center_m + reach]
    )
    scene = torch.cat([cones.scene, cones.scene, boxes.scene, boxes.scene])
    low = torch.full((s, 3), torch.inf, device=device)
    at = scene.unsqueeze(-1).expand(-1, 3)
    low = low.scatter_reduce(0, at, centers, "amin")
    high = (-low).scatter_reduce(0, at, centers, "amax")
    empty = torch.isinf(low)
    low, high = torch.where(empty, room.low_m, low), torch.where(empty, room.high_m, high)
    middle = 0.5 * (low + high)
    radius = 0.5 * (high - low).norm(dim=-1) + 0.6
    eye = middle + _LAMP_M * light.towards_lamp
    z = -light.towards_lamp
    helper = torch.where(
        z[:, 2:].abs() > 0.95, z.new_tensor([1.0, 0, 0]), z.new_tensor([0, 0, 1.0])
    )
    x = F.normalize(torch.linalg.cross(z, helper), dim=-1)
    R = torch.stack([x, torch.linalg.cross(z, x), z], 1)  # [S, 3, 3]
    focal = 0.5 * _MAP_PX / (radius / _LAMP_M)
    K = torch.zeros(s, 3, 3, device=device)
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, :2, 2] = 0.5 * (_MAP_PX - 1)
    K[:, 2, 2] = 1
    t = -(R @ eye.unsqueeze(-1)).squeeze(-1)
    size = torch.full((s, 1, 2), float(_MAP_PX), device=device)
    return Cameras.pinhole(K[:, None], R[:, None], t[:, None], size)
