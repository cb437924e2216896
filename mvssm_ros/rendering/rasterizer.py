"""Which solid every pixel sees first: rays against the solids near them, tile by tile.

A solid is tried only in the tiles of 8 x 8 pixels that the box around its picture touches. All
views' pairs of tile and solid are one batch; the nearest hit of a pixel wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras, project, undistort
from mvssm_ros.rendering.shapes import Boxes, RoundCones, meet_boxes, meet_cones, picked

TILE = 8
_NEAR_M = 0.1  # what comes nearer than this to a camera's plane may be anywhere in its picture
_AT_ONCE = 4096  # pairs of tile and solid
_GRID = 8  # pixels from one exact ray of a distorted camera to the next


@dataclass(frozen=True)
class Views:
    """V views of one picture size.

    cameras [V, 1] (a batch of single cameras); scene [V] long; rays [V, H, W, 3] unit, world;
    valid [V, H, W] bool: inside the camera's image.
    """

    cameras: Cameras
    scene: Tensor
    rays: Tensor
    valid: Tensor

    @property
    def eyes_m(self) -> Tensor:
        return self.cameras.centers_m[:, 0]  # [V, 3]


def views_of(cameras: Cameras, canvas_px: tuple[int, int]) -> Views:
    """Rays of cameras [S, T] on a canvas (width, height) that holds every image at its top left."""
    s, t = cameras.fisheye.shape
    scene = torch.arange(s, device=cameras.K.device).repeat_interleave(t)
    view = torch.arange(t, device=cameras.K.device).repeat(s)
    single = cameras.at((scene[:, None], view[:, None]))  # [V, 1]
    width, height = canvas_px
    xy = _normalised(single, width, height)  # [V, H, W, 2]
    rays = torch.cat([xy, torch.ones_like(xy[..., :1])], -1).flatten(1, 2) @ single.R[:, 0]
    rays = torch.nn.functional.normalize(rays, dim=-1).unflatten(1, (height, width))
    x = torch.arange(width, device=xy.device)
    y = torch.arange(height, device=xy.device)[:, None]
    size = single.size_px[:, 0, :, None, None]  # [V, 2, 1, 1]
    valid = (x < size[:, 0] - 0.5) & (y < size[:, 1] - 0.5)
    return Views(single, scene, rays, valid)


def _normalised(cameras: Cameras, width: int, height: int) -> Tensor:
    """Undistorted normalised coordinates of every pixel [V, H, W, 2].

    With distortion every eighth pixel in x and y is exact, and the others lie between (to a few
    hundredths of a pixel).
    """
    bent = bool(cameras.distortion.any() or cameras.fisheye.any())
    step = _GRID if bent else 1
    x = torch.arange(0, width + step, step, dtype=cameras.K.dtype, device=cameras.K.device)
    y = torch.arange(0, height + step, step, dtype=cameras.K.dtype, device=cameras.K.device)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # [h, w, 2]
    pixels = grid.view(1, 1, -1, 2).expand(len(cameras.K), 1, -1, 2)
    xy = undistort(cameras, pixels).view(len(cameras.K), len(y), len(x), 2)
    if bent:
        xy = torch.nn.functional.interpolate(
            xy.permute(0, 3, 1, 2),
            ((len(y) - 1) * step + 1, (len(x) - 1) * step + 1),
            mode="bilinear",
            align_corners=True,
        ).permute(0, 2, 3, 1)
    return xy[:, :height, :width]


@dataclass(frozen=True)
class FirstHits:
    """t_m [V, H, W] (inf: nothing); solid [V, H, W] long: a round cone, or their number plus a box;
    -1 where nothing is hit."""

    t_m: Tensor
    solid: Tensor


def first_hits(views: Views, cones: RoundCones, boxes: Boxes) -> FirstHits:
    """The solid that each pixel's ray meets first."""
    v, height, width, _ = views.rays.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    pad = (0, 0, 0, columns * TILE - width, 0, rows * TILE - height)
    rays = torch.nn.functional.pad(views.rays, pad)
    rays = rays.view(v, rows, TILE, columns, TILE, 3).transpose(2, 3)
    rays = rays.reshape(v * rows * columns, TILE * TILE, 3)
    nothing = _key(torch.full((1,), torch.inf, device=rays.device), torch.zeros(1).long())
    best = nothing.expand(len(rays), TILE * TILE).clone()
    eyes = views.eyes_m
    kinds: tuple[tuple[Any, Any, int], ...] = (
        (cones, meet_cones, 0),
        (boxes, meet_boxes, len(cones.scene)),
    )
    for solids, meet, first in kinds:
        view, solid, tile = _pairs(views, solids, rows, columns)
        for part in torch.arange(len(view), device=rays.device).split(_AT_ONCE):
            tiles = tile[part]
            t = meet(eyes[view[part]], rays[tiles], picked(solids, solid[part]))
            key = _key(t, (first + solid[part]).unsqueeze(-1))
            best.scatter_reduce_(0, tiles.unsqueeze(-1).expand(-1, TILE * TILE), key, "amin")
    t = (best >> 32).to(torch.int32).view(torch.float32)
    solid = torch.where(torch.isinf(t), -1, best & 0xFFFFFFFF)

    def untiled(x: Tensor) -> Tensor:  # [V R C, 64] -> [V, H, W]
        x = x.view(v, rows, columns, TILE, TILE).transpose(2, 3)
        return x.reshape(v, rows * TILE, columns * TILE)[:, :height, :width]

    return FirstHits(untiled(t), untiled(solid))


def _key(t: Tensor, solid: Tensor) -> Tensor:
    """Distance (not negative) and solid as one integer that sorts by distance."""
    bits = t.float().contiguous().view(torch.int32).to(torch.int64)
    return (bits << 32) | solid.to(bits.device)


def _pairs(views: Views, solids: Any, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """View, solid and tile (numbered through all views) of every pair to be tried, [K] each."""
    view, solid = (views.scene[:, None] == solids.scene).nonzero().unbind(-1)
    corners = _corners(picked(solids, solid))  # [K, C, 3]
    pixels, depth = project(views.cameras.at(view), corners)
    pixels, depth = pixels[:, 0], depth[:, 0]  # [K, C, 2], [K, C]
    low, high = pixels.amin(1), pixels.amax(1)  # [K, 2]
    slack = 2.0 + 0.04 * (high - low)  # straight edges bend under distortion
    low, high = low - slack, high + slack
    near = (depth.amin(1) < _NEAR_M).unsqueeze(-1)
    most = pixels.new_tensor([columns * TILE - 1.0, rows * TILE - 1.0])
    low = torch.where(near, torch.zeros_like(low), low).clamp(min=0)
    high = torch.where(near, most, torch.minimum(high, most))
    seen = (low <= high).all(-1) & (depth.amax(1) > _NEAR_M)
    view, solid, low, high = view[seen], solid[seen], low[seen], high[seen]
    first = (low / TILE).long()
    extent = (high / TILE).long() - first + 1  # [K, 2] tiles
    count = extent[:, 0] * extent[:, 1]
    pair = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    begin = count.cumsum(0) - count
    within = torch.arange(len(pair), device=count.device) - begin[pair]
    x = first[pair, 0] + within % extent[pair, 0]
    y = first[pair, 1] + within // extent[pair, 0]
    return view[pair], solid[pair], (view[pair] * rows + y) * columns + x


_CUBE = torch.tensor([(x, y, z) for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])


def _corners(solids: RoundCones | Boxes) -> Tensor:
    """Points whose hull holds the solid, [N, C, 3]."""
    if isinstance(solids, Boxes):
        cube = _CUBE.to(solids.half_m)
        c, s = solids.yaw.cos()[:, None], solids.yaw.sin()[:, None]
        local = cube * solids.half_m.unsqueeze(1)  # [N, 8, 3]
        x, y, z = local.unbind(-1)
        turned = torch.stack([c * x - s * y, s * x + c * y, z], -1)
        return turned + solids.center_m.unsqueeze(1)
    cube = _CUBE.to(solids.start_m)
    start = solids.start_m.unsqueeze(1) + cube * solids.start_r_m[:, None, None]
    end = solids.end_m.unsqueeze(1) + cube * solids.end_r_m[:, None, None]
    return torch.cat([start, end], 1)
