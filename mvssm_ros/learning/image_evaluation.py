"""Sets of images with ground truth, and how well a network on images does on them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning import metrics
from mvssm_ros.learning.panoptic_rigs import SPACE
from mvssm_ros.learning.rendered.world import RenderedConfig, RenderedWorld
from mvssm_ros.predictor import Predictor
from mvssm_ros.rig.rig_file import Space

_AT_ONCE = 4  # scenes rendered together; another number makes other scenes of the same seed


@dataclass(frozen=True)
class ImageSet:
    """One moment: images, RGB uint8 [H, W, 3], of cameras [T]; the people in it, truth_m [G, 15, 3]
    (NaN: unknown)."""

    images: tuple[np.ndarray, ...]
    cameras: Cameras
    space: Space
    truth_m: np.ndarray


def rendered_sets(
    n_scenes: int, n_views: int, seed: int, arrangement: Cameras | None = None
) -> list[ImageSet]:
    """Held-out rendered scenes with images of up to 960 x 512; the same arguments give the same."""
    world = RenderedWorld(RenderedConfig.held_out(), seed, image_stride=1)
    space = None if arrangement is None else SPACE
    sets: list[ImageSet] = []
    while len(sets) < n_scenes:
        batch = world.batch(_AT_ONCE, n_views, arrangement, space)
        pixels = (255 * batch.images).round().byte().permute(0, 1, 3, 4, 2).numpy()
        for b in range(_AT_ONCE):
            cameras = batch.drawn.at(b)
            sizes = cameras.size_px.round().int().tolist()
            images = tuple(view[:h, :w] for view, (w, h) in zip(pixels[b], sizes))
            center, size = batch.space_center_m[b].tolist(), batch.space_size_m[b].tolist()
            sets.append(
                ImageSet(
                    images,
                    cameras,
                    Space((center[0], center[1]), (size[0], size[1]), 0.0),
                    batch.joints_m[b, batch.person_valid[b]].numpy(),
                )
            )
    return sets[:n_scenes]


def matches_of(
    predictor: Predictor, sets: Sequence[ImageSet], progress: Iterable[ImageSet] | None = None
) -> tuple[metrics.Matches, list[float]]:
    """Every prediction beside the person nearest to it, and the seconds of each call."""
    matched, times_s = [], []
    for one in sets if progress is None else progress:
        start = time.perf_counter()
        people = predictor.predict_images(one.cameras, one.images, one.space)
        times_s.append(time.perf_counter() - start)
        matched.append(metrics.match_scene(people.joints_m, people.score, one.truth_m))
    return metrics.concatenate(matched), times_s


def evaluate_images(
    predictor: Predictor, sets: Sequence[ImageSet], progress: Iterable[ImageSet] | None = None
) -> dict[str, float]:
    """The figures of `metrics.summary`."""
    return metrics.summary(matches_of(predictor, sets, progress)[0])
