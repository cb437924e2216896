"""Rendered multi-view scenes: random or given rigs, people, rooms, light and cameras, in batches.

Seeds are those of `learning.synthetic.world`: batch k of a seed is always the same, and no training
batch is ever a held-out one. Scenes are laid out on the CPU; pictures are made on `device`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.learning.image_batch import (
    ImageBatch,
    canvas_of,
    image_cameras,
    network_cameras,
    normalised,
)
from mvssm_ros.learning.rendered import appearance
from mvssm_ros.learning.synthetic.people import (
    forward_kinematics,
    joint_velocities,
    sample_bodies,
    sample_motion,
)
from mvssm_ros.learning.synthetic.rigs import sample_rigs
from mvssm_ros.learning.synthetic.world import WorldConfig as PeopleConfig
from mvssm_ros.learning.synthetic.world import choose_places, given_rigs, people_counts
from mvssm_ros.rendering.bodies import bodies, flesh_m
from mvssm_ros.rendering.materials import Materials
from mvssm_ros.rendering.rasterizer import views_of
from mvssm_ros.rendering.renderer import Pictures, joints_seen, render
from mvssm_ros.rendering.sensor import expose
from mvssm_ros.rendering.shapes import Boxes, RoundCones
from mvssm_ros.rendering.stage import Light, Room, Stage, moved_to

HIDDEN_CONFIDENCE = 0.5  # of a hidden joint in the heatmaps, of somebody who is seen
_SEEN_SHARE = 0.25  # of the joints in the image, from which on somebody counts as seen
_MIDDLE_GREY = 0.18  # linear
_MIN_JOINTS = 5  # a view sees a person when so many joints are visible


@dataclass(frozen=True)
class RenderedConfig:
    """What a rendered world is like.

    split          0 training, 1 held out: part of every seed
    people         the numbers of people and how they stand
    largest_m      longest side of a space
    motion_blur    share of batches that are blurred, exposed for up to exposure_s
    crop_px        of every image only a square of this side, most often around a person; 0: all of it
    """

    split: int = 0
    people: PeopleConfig = field(
        default_factory=lambda: PeopleConfig(split=0, min_people=0, max_people=5, crowding=0.3)
    )
    largest_m: float = 6.5
    motion_blur: float = 0.15
    exposure_s: float = 0.03
    crop_px: int = 0

    @staticmethod
    def held_out(max_people: int = 4) -> RenderedConfig:
        """1 to max_people people, never seen in training."""
        people = PeopleConfig(split=1, max_people=max_people, crowding=0.15)
        return RenderedConfig(split=1, people=people)


@dataclass(frozen=True)
class RenderedBatch:
    """B scenes: what was rendered (images [B, T, 3, H, W] in 0..1) and all that is true of it.

    cameras [B, T] in raw pixels; drawn [B, T]: the same in pixels of the images; joints_m
    [B, G, 15, 3]; person_valid [B, G] bool: at least two views see the person; seen [B, T, G, 15] bool;
    space_center_m, space_size_m [B, 2].
    """

    images: Tensor
    cameras: Cameras
    drawn: Cameras
    joints_m: Tensor
    person_valid: Tensor
    seen: Tensor
    space_center_m: Tensor
    space_size_m: Tensor


class RenderedWorld:
    """An endless, deterministic stream of batches."""

    def __init__(
        self,
        config: RenderedConfig,
        seed: int,
        image_stride: int = 2,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.seed, self.image_stride = config, seed, image_stride
        self.device = torch.device(device)
        self.batch_index = 0  # of the next batch

    def batch(
        self,
        n_scenes: int,
        n_views: int,
        arrangement: Cameras | None = None,
        space: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ) -> RenderedBatch:
        """n_scenes scenes of n_views views, of random rigs or of one real `arrangement` [T]."""
        config = self.config
        key = (2 + config.split, self.batch_index)
        sequence = np.random.SeedSequence(self.seed, spawn_key=key)
        rng = np.random.default_rng(sequence)
        generator = torch.Generator(self.device).manual_seed(int(sequence.generate_state(1)[0]))
        self.batch_index += 1
        if arrangement is None:
            rigs = sample_rigs(rng, n_scenes, n_views, config.largest_m, upright=True)
        else:
            rigs = given_rigs(arrangement, n_scenes, n_views, space)
        cameras, center, size = rigs.cameras, rigs.center_m, rigs.size_m
        count = people_counts(rng, config.people, n_scenes)
        g = max(1, int(count.max()))
        present = torch.from_numpy(np.arange(g) < count[:, None])
        joints, velocity = _people(rng, config.people, cameras, center, size, present.numpy())
        canvas = canvas_of(self.image_stride)
        drawn = image_cameras(cameras, canvas)
        if config.crop_px:
            canvas = (config.crop_px, config.crop_px)
            whom = _whom(rng, drawn, joints, present)
            drawn = _cropped(rng, drawn, config.crop_px, joints, whom)
        dressed = appearance.dress(rng, n_scenes, g)
        surroundings = _Surroundings.of(rng, joints, present, center, size, cameras, dressed[1])
        exposure = rng.uniform(0.2, 1) * config.exposure_s * (rng.random() < config.motion_blur)
        views = views_of(drawn.to(self.device), canvas)
        pictures, light = None, torch.zeros(())
        moments = (0.0,) if exposure == 0 else (-0.5 * exposure, 0.5 * exposure, 0.0)
        for moment_s in moments:  # the last is the one of the ground truth
            moved = joints + moment_s * velocity
            cones = bodies(moved, present, dressed[0], dressed[2])
            stage = surroundings.stage(cones, self.device)
            pictures = render(stage, drawn.to(self.device), canvas, views)
            light = light + pictures.rgb.flatten(0, 1) / len(moments)
        assert pictures is not None
        sensors = appearance.sensors(rng, n_scenes * n_views).to(self.device)
        sensors = replace(sensors, gain=sensors.gain * _exposure(light, views.valid))
        images = expose(light, views.valid, sensors, generator).unflatten(0, (n_scenes, n_views))
        seen = _seen(pictures, drawn.to(self.device), joints.to(self.device)).cpu()
        seen &= present[:, None, :, None]
        valid = ((seen.sum(-1) >= _MIN_JOINTS).sum(1) >= 2) & present
        return RenderedBatch(
            images, cameras, drawn, joints, valid, seen,
            torch.from_numpy(np.asarray(center, np.float32)),
            torch.from_numpy(np.asarray(size, np.float32)),
        )  # fmt: skip

    def training_batch(
        self,
        n_scenes: int,
        n_views: int,
        arrangement: Cameras | None = None,
        space: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ) -> ImageBatch:
        """`batch` as a network is trained on it."""
        made = self.batch(n_scenes, n_views, arrangement, space)
        return for_training(made, self.image_stride)


def for_training(batch: RenderedBatch, image_stride: int) -> ImageBatch:
    """Normalised images, cameras in network pixels and heatmap targets."""
    cameras = network_cameras(batch.drawn, image_stride)
    g = batch.person_valid.shape[1]
    pixels, depth = project(cameras, batch.joints_m.flatten(1, 2))
    pixels = pixels.unflatten(-2, (g, 15))
    size = cameras.size_px[:, :, None, None]
    inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(-1) & (depth.unflatten(-1, (g, 15)) > 0)
    noticed = batch.seen.float().mean(-1, keepdim=True) >= _SEEN_SHARE
    height_of = torch.where(batch.seen, 1.0, HIDDEN_CONFIDENCE * (inside & noticed))
    targets = torch.cat([pixels, height_of.unsqueeze(-1)], -1)
    device = batch.images.device
    return ImageBatch(
        normalised(batch.images), cameras, batch.joints_m, batch.person_valid, targets,
        batch.space_center_m, batch.space_size_m,
    ).to(device)  # fmt: skip


def _people(
    rng: np.random.Generator,
    config: PeopleConfig,
    cameras: Cameras,
    center: np.ndarray,
    size: np.ndarray,
    present: np.ndarray,
) -> tuple[Tensor, Tensor]:
    """Joints and their velocities, [S, G, 15, 3] m and m/s."""
    s, g = present.shape
    figures = sample_bodies(rng, s * g)
    motion = sample_motion(rng, s * g)
    places, headings = choose_places(rng, config, cameras, center, size, present)
    facing = np.isfinite(headings).ravel()
    heading = np.where(facing, np.nan_to_num(headings).ravel(), motion.heading)
    motion = replace(motion, place_m=places.reshape(-1, 2), heading=heading.astype(np.float32))
    joints = forward_kinematics(figures, motion).reshape(s, g, 15, 3)
    velocity = joint_velocities(figures, motion).reshape(s, g, 15, 3)
    return torch.from_numpy(joints), torch.from_numpy(velocity.astype(np.float32))


def _whom(rng: np.random.Generator, cameras: Cameras, joints: Tensor, present: Tensor) -> Tensor:
    """Around whom each view is cropped, [S, T] long, -1: around nobody (nobody is there, or one view in
    eight)."""
    s, t = cameras.fisheye.shape
    g = present.shape[1]
    pixels, depth = project(cameras, joints.mean(2))  # [S, T, G, 2]
    size = cameras.size_px.unsqueeze(-2)
    inside = ((pixels > 0) & (pixels < size)).all(-1) & (depth > 0.3) & present[:, None]
    wish = torch.from_numpy(rng.random((s, t, g)).astype(np.float32)) * inside
    nobody = ~inside.any(-1) | torch.from_numpy(rng.random((s, t)) < 0.125)
    return torch.where(nobody, -1, wish.argmax(-1))


def _cropped(
    rng: np.random.Generator, cameras: Cameras, side: int, joints: Tensor, whom: Tensor
) -> Cameras:
    """Cameras [S, T] of a square of each image: roughly around person whom [S, T], or anywhere (-1)."""
    s, t = whom.shape
    pixels, depth = project(cameras, joints.mean(2))  # [S, T, G, 2]
    index = whom.clamp(min=0)[..., None]
    at = pixels.gather(2, index[..., None].expand(s, t, 1, 2))[:, :, 0]
    at = at + torch.from_numpy(rng.normal(0, 0.2 * side, (s, t, 2)).astype(np.float32))
    free = torch.from_numpy(rng.random((s, t, 2)).astype(np.float32)) * cameras.size_px
    anywhere = (whom < 0) | (depth.gather(2, index)[..., 0] < 0.3)
    corner = torch.where(anywhere[..., None], free, at) - 0.5 * side
    corner = torch.minimum(corner.clamp(min=0), (cameras.size_px - side).clamp(min=0)).floor()
    moved = cameras.affine(torch.ones(s, t), -corner)
    return replace(moved, size_px=(cameras.size_px - corner).clamp(max=side))


def _exposure(light: Tensor, valid: Tensor) -> Tensor:
    """Gain [V] with which a camera's own control brings its image [V, 3, H, W] to a middle grey."""
    share = valid.float().mean((1, 2)).clamp(min=1e-3)
    return (_MIDDLE_GREY * share / light.mean((1, 2, 3)).clamp(min=1e-4)).clamp(0.3, 6.0)


def _seen(pictures: Pictures, cameras: Cameras, joints_m: Tensor) -> Tensor:
    return joints_seen(pictures, cameras, joints_m, flesh_m(joints_m))


@dataclass(frozen=True)
class _Surroundings:
    """All of a stage but the people."""

    boxes: Boxes
    materials: Materials
    room: Room
    light: Light

    @staticmethod
    def of(
        rng: np.random.Generator,
        joints: Tensor,
        present: Tensor,
        center: np.ndarray,
        size: np.ndarray,
        cameras: Cameras,
        clothes: Materials,
    ) -> _Surroundings:
        n = len(clothes.pattern)
        eyes = cameras.centers_m
        boxes, wood = appearance.furnish(rng, joints, present, center, size, eyes, first_material=n)
        room, walls = appearance.rooms(rng, center, size, n + len(wood.pattern))
        materials = Materials.joined([clothes, wood, walls])
        return _Surroundings(boxes, materials, room, appearance.lights(rng, len(joints)))

    def stage(self, cones: RoundCones, device: torch.device) -> Stage:
        return moved_to(Stage(cones, self.boxes, self.room, self.materials, self.light), device)
