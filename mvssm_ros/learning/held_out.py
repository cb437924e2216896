"""The scenes on which networks are measured, the same for everybody, and what is measured there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tqdm import tqdm

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning import metrics
from mvssm_ros.learning.evaluation import Answer, Method, Scene, evaluate, scenes_of
from mvssm_ros.learning.panoptic_rigs import SPACE
from mvssm_ros.learning.plots import joint_errors
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig

Rectangle = tuple[tuple[float, float], tuple[float, float]]  # centre and size (x, y), m
_BATCH = 25  # scenes made at once; another number makes other scenes of the same seed


def held_out_scenes(
    n_scenes: int,
    n_views: int,
    seed: int,
    arrangement: Cameras | None = None,
    space: Rectangle = SPACE,
) -> list[Scene]:
    """Scenes of the held-out synthetic world; the same arguments give the same scenes.

    arrangement: cameras [T] with T = n_views, and the floor before them, else random rigs.
    """
    world = SyntheticWorld(WorldConfig.held_out(), seed)
    scenes: list[Scene] = []
    bar = tqdm(total=n_scenes, desc=f"making scenes, {n_views} views", leave=False)
    while len(scenes) < n_scenes:
        floor = None if arrangement is None else space
        scenes += scenes_of(world.batch(_BATCH, n_views, arrangement, floor))
        bar.update(min(len(scenes), n_scenes) - bar.n)
    bar.close()
    return scenes[:n_scenes]


def measure(
    method: Method, scenes: Sequence[Scene], progress: Iterable[Scene] | None = None
) -> dict[str, Any]:
    """The figures of `evaluation.evaluate`, and under "joints" those of `plots.joint_errors`."""
    answers: list[Answer] = []

    def kept(scene: Scene) -> Answer:
        answers.append(method(scene))
        return answers[-1]

    figures = evaluate(kept, scenes, progress)
    matches = metrics.concatenate(
        metrics.match_scene(answer.joints_m, answer.score, scene.truth_m)
        for answer, scene in zip(answers[-len(scenes) :], scenes)  # without the warm-up
    )
    return {**figures, "joints": joint_errors(matches)}


def plain(value: Any) -> Any:
    """NaN and infinities, which JSON has not, as null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
