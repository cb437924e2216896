"""Simple pictures of a simulated world: people and arm as shaded capsules, furniture, a floor.

Every pixel is a ray, distortion included, so that what is drawn is exactly what the calibration
says. The light comes from above; shadows fall straight down on the floor.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import Cameras, project, undistort
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.rig.rig_file import Space
from mvssm_ros.simulation.obstacles import Box, box_depths
from mvssm_ros.simulation.simulator import Moment
from mvssm_ros.tracking.body_volume import Capsules

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

_LIGHT = np.array([0.35, 0.2, 0.92], np.float32)
_FAR_M = 60.0
_NEAR_M = 0.15
_TILE_M = 0.5
_FLOOR_RGB = ((188, 184, 178), (172, 169, 164))  # tiles in the space, light and dark
_OUTSIDE_RGB = ((128, 127, 126), (122, 121, 120))
_WALL_RGB = (112, 118, 126)
_WOOD_RGB, _ARM_RGB = (172, 132, 88), (232, 128, 40)
_SKIN_RGB, _HAIR_RGB, _TROUSERS_RGB, _SHOE_RGB = (
    (214, 168, 140),
    (70, 52, 40),
    (58, 66, 92),
    (40, 38, 38),
)
_SHADOW = 0.62
_GOLDEN = 0.618034


@dataclass(frozen=True)
class _Part:
    """A capsule from joint to joint. The middle of two joints: two names."""

    start: tuple[str, ...]
    end: tuple[str, ...]
    radius_m: float
    beyond_m: float = 0.0  # goes on beyond the end
    rgb: tuple[int, int, int] | None = None  # None: the person's shirt


def _both(start: str, end: str, *rest: object) -> tuple[_Part, ...]:
    def of(side: str, name: str) -> tuple[str, ...]:
        return (name if name in PANOPTIC15.joints else f"{side}_{name}",)

    return tuple(_Part(of(s, start), of(s, end), *rest) for s in ("left", "right"))  # type: ignore[arg-type]


_PARTS = (
    _Part(("neck",), ("nose",), 0.055, 0.0, _SKIN_RGB),
    _Part(("left_shoulder", "right_shoulder"), ("mid_hip",), 0.12),
    _Part(("left_shoulder",), ("right_shoulder",), 0.065),
    _Part(("left_hip",), ("right_hip",), 0.105, 0.0, _TROUSERS_RGB),
    *_both("shoulder", "hip", 0.075),
    *_both("shoulder", "elbow", 0.052),
    *_both("elbow", "wrist", 0.04, 0.0, _SKIN_RGB),
    *_both("hip", "knee", 0.078, 0.0, _TROUSERS_RGB),
    *_both("knee", "ankle", 0.055, 0.0, _TROUSERS_RGB),
)
_HEAD_M, _HAND_M, _FOOT_M = 0.105, 0.16, 0.15


class Renderer:
    """Pictures of every camera.

    Args:
        cameras: T views; their sizes are those of the pictures.
        space: its floor is tiled.
        boxes: the furniture, which stands still.
    """

    def __init__(self, cameras: Cameras, space: Space, boxes: Sequence[Box]) -> None:
        self._floor_m = space.floor_m
        self._views = [
            _View(cameras.select([view]), space, boxes) for view in range(cameras.n_views)
        ]

    def paint(self, moment: Moment, view: int) -> Image:
        """RGB [H, W, 3] of one camera."""
        canvas = self._views[view].canvas()
        shapes = [(_body(joints), index) for index, joints in enumerate(moment.joints_m)]
        for (capsules, _), _ in shapes:
            canvas.shade_floor(capsules, self._floor_m)
        if moment.arm is not None:
            canvas.shade_floor(moment.arm, self._floor_m)
        for (capsules, colors), index in shapes:
            shirt = _shirt(index)
            canvas.draw(capsules, [color or shirt for color in colors])
        if moment.arm is not None:
            canvas.draw(moment.arm, [_ARM_RGB] * len(moment.arm))
        return canvas.rgb.astype(np.uint8)


def _shirt(index: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb((0.02 + index * _GOLDEN) % 1.0, 0.62, 0.86)
    return round(255 * red), round(255 * green), round(255 * blue)


def _body(
    joints_m: npt.NDArray[np.float64],
) -> tuple[Capsules, list[tuple[int, int, int] | None]]:
    """The parts of a body [15, 3] and their colours (None: the shirt's)."""

    def at(*names: str) -> npt.NDArray[np.float64]:
        return np.asarray(np.mean([joints_m[PANOPTIC15.index(name)] for name in names], 0))

    starts, ends, radii, colors = [], [], [], []
    for part in _PARTS:
        start, end = at(*part.start), at(*part.end)
        starts.append(start)
        ends.append(end)
        radii.append(part.radius_m)
        colors.append(part.rgb)
    neck, nose = at("neck"), at("nose")
    across = at("left_shoulder") - at("right_shoulder")
    ahead = np.cross(across, at("neck") - at("mid_hip"))
    ahead /= max(float(np.linalg.norm(ahead)), 1e-6)
    skull = (
        nose + 0.06 * (nose - neck) / max(float(np.linalg.norm(nose - neck)), 1e-6) - 0.085 * ahead
    )
    more = [
        (skull + 0.025 * ahead - (0, 0, 0.05), skull + 0.02 * ahead, _HEAD_M - 0.01, _SKIN_RGB),
        (skull - 0.015 * ahead + (0, 0, 0.02), skull - 0.03 * ahead, _HEAD_M, _HAIR_RGB),
        (nose - 0.02 * ahead, nose, 0.018, _SKIN_RGB),
    ]
    for side in ("left", "right"):
        elbow, wrist, ankle = at(f"{side}_elbow"), at(f"{side}_wrist"), at(f"{side}_ankle")
        along = (wrist - elbow) / max(float(np.linalg.norm(wrist - elbow)), 1e-6)
        more.append((wrist, wrist + (_HAND_M - 0.06) * along, 0.045, _SKIN_RGB))
        shin = ankle - at(f"{side}_knee")
        sole = ankle - np.array([0.0, 0.0, 0.03])
        foot = ahead - shin * float(ahead @ shin) / max(float(shin @ shin), 1e-6)  # across the shin
        foot /= max(float(np.linalg.norm(foot)), 1e-6)
        more.append((sole - 0.04 * foot, sole + _FOOT_M * foot, 0.042, _SHOE_RGB))
    for start, end, radius, color in more:
        starts.append(start)
        ends.append(end)
        radii.append(radius)
        colors.append(color)
    capsules = Capsules(
        np.array(starts), np.array(ends), np.array(radii), np.zeros((len(radii), 2), np.int64)
    )
    return capsules, colors


class _View:
    """One camera: its rays, and what never changes in its pictures."""

    def __init__(self, camera: Cameras, space: Space, boxes: Sequence[Box]) -> None:
        self.camera = camera
        width, height = (int(v) for v in camera.size_px[0])
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        pixels = torch.from_numpy(np.stack([u, v], -1).reshape(-1, 2).astype(np.float32))
        xy = undistort(camera, pixels[None])[0].numpy().reshape(height, width, 2)
        rays = np.concatenate([xy, np.ones_like(xy[..., :1])], -1) @ camera.R[0].numpy()
        self.rays = rays.astype(np.float32)  # [H, W, 3], one metre deep
        self.eye = camera.centers_m[0].numpy().astype(np.float32)
        self._background(space, boxes)

    def canvas(self) -> _Canvas:
        return _Canvas(self)

    def _background(self, space: Space, boxes: Sequence[Box]) -> None:
        """rgb [H, W, 3], depth [H, W] m, floor_xy [H, W, 2] (far away where no floor is seen)."""
        down = -self.rays[..., 2]
        depth = np.where(
            down > 1e-4, (self.eye[2] - space.floor_m) / np.maximum(down, 1e-4), _FAR_M
        )
        depth = np.where((depth > 0) & (depth < _FAR_M), depth, _FAR_M).astype(np.float32)
        place = self.eye[:2] + depth[..., None] * self.rays[..., :2]
        rgb = _floor_rgb(place, space, depth)
        is_floor = depth < _FAR_M
        shadow = np.ones(depth.shape, np.float32)
        for box in boxes:
            under = ((place > box.low_m[:2]) & (place < box.high_m[:2])).all(-1)
            shadow[under] = _SHADOW
        rgb = rgb * np.where(is_floor, shadow, 1.0)[..., None]
        for box in boxes:
            enter, leave = box_depths(self.eye, self.rays, box)
            seen = (enter < leave) & (enter > _NEAR_M) & (enter < depth)
            at = self.eye + enter[seen][:, None] * self.rays[seen]
            off = np.abs(at - (box.low_m + box.high_m) / 2) - (box.high_m - box.low_m) / 2
            axis = off.argmax(-1)  # of the side that is hit
            shade = np.array([0.62, 0.74, 1.0])[axis]
            rgb[seen] = np.array(_WOOD_RGB) * shade[:, None]
            depth[seen] = enter[seen]
            is_floor[seen] = False
        self.rgb, self.depth = rgb.astype(np.float32), depth
        self.floor_xy = np.where(is_floor[..., None], place, 1e6).astype(np.float32)

    def window(self, start: Array, end: Array, radius_m: float) -> tuple[slice, slice] | None:
        """Rows and columns that a capsule may cover; None if it is out of sight."""
        points = torch.from_numpy(np.stack([start, end]).astype(np.float32))
        pixels, depth = project(self.camera, points)
        if float(depth[0].max()) < _NEAR_M:
            return None
        height, width = self.depth.shape
        if float(depth[0].min()) < _NEAR_M + radius_m:  # very near: all of it
            return slice(0, height), slice(0, width)
        reach = 1.3 * float(self.camera.focal_px[0]) * radius_m / depth[0].numpy() + 3
        low = (pixels[0].numpy() - reach[:, None]).min(0).clip(0, (width, height)).astype(int)
        high = (pixels[0].numpy() + reach[:, None]).max(0).clip(0, (width, height)).astype(int) + 1
        if (high <= low + 1).any():
            return None
        return slice(low[1], high[1]), slice(low[0], high[0])


class _Canvas:
    """A picture in the making: rgb [H, W, 3] and depth [H, W] m."""

    def __init__(self, view: _View) -> None:
        self._view = view
        self.rgb = view.rgb.copy()
        self._depth = view.depth.copy()
        self._shaded = np.zeros(view.depth.shape, bool)

    def shade_floor(self, capsules: Capsules, floor_m: float) -> None:
        """The shadow straight below each capsule."""
        for start, end, radius in zip(capsules.starts_m, capsules.ends_m, capsules.radii_m):
            flat_start, flat_end = (
                np.array([p[0], p[1], floor_m], np.float32) for p in (start, end)
            )
            window = self._view.window(flat_start, flat_end, float(radius))
            if window is None:
                continue
            to = self._view.floor_xy[window] - flat_start[:2]
            along = flat_end[:2] - flat_start[:2]
            share = ((to @ along) / max(float(along @ along), 1e-9)).clip(0, 1)
            near = ((to - share[..., None] * along) ** 2).sum(-1) < radius**2
            new = near & ~self._shaded[window]
            self._shaded[window] |= near
            self.rgb[window][new] *= _SHADOW

    def draw(self, capsules: Capsules, colors: Sequence[tuple[int, int, int]]) -> None:
        parts = zip(capsules.starts_m, capsules.ends_m, capsules.radii_m, colors)
        for start, end, radius, color in parts:
            window = self._view.window(start, end, float(radius))
            if window is None:
                continue
            rays = self._view.rays[window]
            depth, normal = _hit(
                self._view.eye, rays, start.astype(np.float32), end.astype(np.float32), radius
            )
            seen = (depth > _NEAR_M) & (depth < self._depth[window])
            normals, looks = normal[seen], rays[seen]
            facing = -(normals * looks).sum(-1) / np.linalg.norm(looks, axis=-1)
            lit = 0.42 + 0.4 * (normals @ _LIGHT).clip(0, 1) + 0.25 * facing.clip(0, 1)
            self.rgb[window][seen] = (np.array(color) * lit[:, None]).clip(0, 255)
            self._depth[window][seen] = depth[seen]


def _hit(eye: Array, rays: Array, start: Array, end: Array, radius_m: float) -> tuple[Array, Array]:
    """Depths [...] at which rays [..., 3] meet a capsule first (inf: never), and its normals."""
    axis, to = end - start, eye - start
    length2 = max(float(axis @ axis), 1e-9)
    along, across = rays @ axis, rays @ to
    ray2 = (rays * rays).sum(-1)
    offset, distance2 = float(axis @ to), float(to @ to)
    # The cylinder: the part of the ray that is perpendicular to the axis.
    a = length2 * ray2 - along * along
    b = length2 * across - offset * along
    c = length2 * distance2 - offset * offset - radius_m**2 * length2
    root = b * b - a * c
    depth = np.where(root >= 0, (-b - np.sqrt(root.clip(0))) / np.maximum(a, 1e-12), np.inf).astype(
        np.float32
    )
    place = offset + np.where(np.isfinite(depth), depth, 0.0) * along  # along the axis, 0..length2
    on_side = (root >= 0) & (place > 0) & (place < length2)
    depth = np.where(on_side, depth, np.inf)
    for center in (start, end):
        off = eye - center
        half = rays @ off
        root = half * half - ray2 * (float(off @ off) - radius_m**2)
        ball = np.where(root >= 0, (-half - np.sqrt(root.clip(0))) / ray2, np.inf)
        depth = np.where(on_side, depth, np.minimum(depth, ball))
    known = np.where(np.isfinite(depth), depth, 0.0)
    at = to + known[..., None] * rays  # from the start
    share = ((at @ axis) / length2).clip(0, 1)
    normal = (at - share[..., None] * axis) / radius_m
    return depth.astype(np.float32), normal.astype(np.float32)


def _floor_rgb(place: Array, space: Space, depth: Array) -> Array:
    """Tiles, lighter in the space, fading into the wall far away."""
    tile = np.floor(place / _TILE_M).sum(-1).astype(np.int64) % 2
    half = np.array(space.size_m) / 2
    inside = (np.abs(place - np.array(space.center_m)) < half).all(-1)
    rgb = np.where(
        inside[..., None], np.array(_FLOOR_RGB)[tile], np.array(_OUTSIDE_RGB)[tile]
    ).astype(np.float32)
    edge = np.abs(np.abs(place - np.array(space.center_m)) - half).min(-1) < 0.015
    near = (np.abs(place - np.array(space.center_m)) < half + 0.015).all(-1)
    rgb[edge & near] = (96, 120, 170)
    far = ((depth - 6.0) / 6.0).clip(0, 1)[..., None]
    return np.asarray(rgb * (1 - far) + np.array(_WALL_RGB) * far, np.float32)
