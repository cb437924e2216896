"""Pictures of a simulated world: its people, arm and furniture on a `rendering.Stage`."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.rendering import bodies as people
from mvssm_ros.rendering.materials import PLANKS, TILES, Materials
from mvssm_ros.rendering.rasterizer import Views, views_of
from mvssm_ros.rendering.renderer import render
from mvssm_ros.rendering.sensor import Sensor, expose
from mvssm_ros.rendering.shapes import Boxes, RoundCones, joined, no_cones
from mvssm_ros.rendering.stage import Light, Room, Stage
from mvssm_ros.rig.rig_file import Space
from mvssm_ros.simulation.obstacles import Box
from mvssm_ros.simulation.simulator import Moment
from mvssm_ros.tracking.body_volume import Capsules

Image = npt.NDArray[np.uint8]

_BEYOND_M = 5.0  # from the space to the walls
_CEILING_M = 3.6
_FLOOR, _MAT, _WALL, _CEILING, _WOOD, _ARM = range(6)
_RGB = (  # of each, and what its pattern adds
    ((150, 148, 145), (128, 126, 123)),
    ((196, 192, 186), (160, 156, 150)),
    ((178, 184, 190), (178, 184, 190)),
    ((214, 214, 214), (214, 214, 214)),
    ((184, 142, 96), (150, 112, 72)),
    ((232, 128, 40), (232, 128, 40)),
)
_SKIN_RGB, _HAIR_RGB, _SHOE_RGB = (214, 168, 140), (70, 52, 40), (40, 38, 38)
_TROUSERS_RGB = (58, 66, 92)
_GOLDEN = 0.618034
_LAMP = (0.42, 0.25, 0.8724)  # a unit vector


class Renderer:
    """Pictures of every camera.

    Args:
        cameras: T views; their sizes are those of the pictures.
        space: its floor is a mat of tiles.
        boxes: the furniture, which stands still.
    """

    def __init__(self, cameras: Cameras, space: Space, boxes: Sequence[Box]) -> None:
        self._cameras = [
            Cameras.stack([cameras.to(torch.float32).select([view])])
            for view in range(cameras.n_views)
        ]
        self._sizes = [(int(w), int(h)) for w, h in cameras.size_px.tolist()]
        self._views: list[Views] = [
            views_of(camera, size) for camera, size in zip(self._cameras, self._sizes)
        ]
        self._room = _room(space)
        self._boxes = _boxes(boxes)
        empty = self._stage(Moment(0, 0.0, np.zeros((0, 15, 3)), np.zeros((0, 15, 3)), None))
        self._still = [
            render(empty, *each)
            for each in zip(self._cameras, self._sizes, self._views, strict=True)
        ]

    def paint(self, moment: Moment, view: int) -> Image:
        """RGB [H, W, 3] of one camera."""
        pictures = render(
            self._stage(moment),
            self._cameras[view],
            self._sizes[view],
            self._views[view],
            self._still[view],
        )
        image = expose(pictures.rgb[0], self._views[view].valid, Sensor.perfect(1))
        return np.asarray((255 * image[0]).round().byte().permute(1, 2, 0).numpy())

    def _stage(self, moment: Moment) -> Stage:
        joints = torch.from_numpy(np.asarray(moment.joints_m, np.float32))[None]  # [1, G, 15, 3]
        g = joints.shape[1]
        materials = [_surroundings(), *(_clothes(index) for index in range(g))]
        solids = [no_cones()]
        if g:
            first = len(_RGB) + people.N_MATERIALS * torch.arange(g)[None]
            present = torch.ones(1, g, dtype=torch.bool)
            solids.append(people.bodies(joints, present, _looks(g), first))
        if moment.arm is not None:
            solids.append(_capsules(moment.arm))
        light = Light(*(torch.tensor([x]) for x in (_LAMP, (0.62,) * 3, (0.45,) * 3)))
        return Stage(joined(solids), self._boxes, self._room, Materials.joined(materials), light)


def _linear(rgb: Sequence[float]) -> Tensor:
    return (torch.tensor(rgb) / 255.0) ** 2.2


def _surroundings() -> Materials:
    return Materials(
        color=torch.stack([_linear(a) for a, _ in _RGB]),
        other=torch.stack([_linear(b) for _, b in _RGB]),
        pattern=torch.tensor([TILES, TILES, 0, 0, PLANKS, 0]),
        repeat_m=torch.tensor([1.0, 0.5, 1.0, 1.0, 0.8, 1.0]),
        shine=torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.4]),
    )


def _clothes(index: int) -> Materials:
    shirt = [255 * c for c in colorsys.hsv_to_rgb((0.02 + index * _GOLDEN) % 1.0, 0.62, 0.86)]
    rgb: list[Sequence[float]] = [shirt] * people.N_MATERIALS
    rgb[people.SKIN] = rgb[people.FOREARM] = _SKIN_RGB
    rgb[people.HAIR], rgb[people.SHOES] = _HAIR_RGB, _SHOE_RGB
    rgb[people.TROUSERS] = rgb[people.SHANK] = _TROUSERS_RGB
    return Materials.plain(torch.stack([_linear(c) for c in rgb]))


def _looks(g: int) -> people.Looks:
    no = torch.zeros(1, g, dtype=torch.bool)
    return people.Looks(torch.ones(1, g), torch.full((1, g), 0.02), no, no)


def _room(space: Space) -> Room:
    center, half = np.array(space.center_m), 0.5 * np.array(space.size_m)
    low, high = center - half, center + half
    floor = space.floor_m

    def row(*values: float) -> Tensor:
        return torch.tensor([values], dtype=torch.float32)

    floor_kind, wall_kind, ceiling_kind, mat_kind = (
        torch.tensor([kind]) for kind in (_FLOOR, _WALL, _CEILING, _MAT)
    )
    return Room(
        row(*(low - _BEYOND_M), floor),
        row(*(high + _BEYOND_M), floor + _CEILING_M),
        floor_kind,
        wall_kind,
        ceiling_kind,
        row(*low),
        row(*high),
        mat_kind,
    )


def _boxes(boxes: Sequence[Box]) -> Boxes:
    n = len(boxes)
    low = torch.tensor(np.array([b.low_m for b in boxes], np.float32).reshape(n, 3))
    high = torch.tensor(np.array([b.high_m for b in boxes], np.float32).reshape(n, 3))
    index = torch.zeros(n, dtype=torch.long)
    return Boxes(0.5 * (low + high), 0.5 * (high - low), torch.zeros(n), index, index + _WOOD)


def _capsules(arm: Capsules) -> RoundCones:
    n = len(arm.radii_m)
    start, end, radius = (
        torch.from_numpy(np.asarray(x, np.float32)) for x in (arm.starts_m, arm.ends_m, arm.radii_m)
    )
    scene = torch.zeros(n, dtype=torch.long)
    return RoundCones(start, end, radius, radius, scene, scene + _ARM, scene - 1)
