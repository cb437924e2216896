"""Several methods on the same synthetic scenes, measured alike, as a table.

A method is a function from a Scene to an Answer. The scenes hold what a method may see (the
calibration it is given, the 2D poses, the space) and what it is measured against (ground truth).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning import metrics
from mvssm_ros.learning.classical import ChainConfig, triangulate_people
from mvssm_ros.learning.oracle import triangulate_true_people

if TYPE_CHECKING:
    from mvssm_ros.learning.synthetic.world import SceneBatch
    from mvssm_ros.predictor import Predictor


@dataclass(frozen=True)
class Scene:
    """One set of T views.

    cameras: [T] as given to the methods; keypoints_px: per view [P, 15, 3] raw pixels and
    confidence; space_center_m, space_size_m: [2]; truth_m: [G, 15, 3] all people in the scene;
    oracle_m: [G, 15, 3] true association triangulated, NaN where fewer than two views see a joint.
    """

    cameras: Cameras
    keypoints_px: list[np.ndarray]
    space_center_m: np.ndarray
    space_size_m: np.ndarray
    truth_m: np.ndarray
    oracle_m: np.ndarray


@dataclass(frozen=True)
class Answer:
    """What a method says of one scene: joints_m [P, 15, 3], NaN = not given; score [P]."""

    joints_m: np.ndarray
    score: np.ndarray


Method = Callable[[Scene], Answer]


def scenes_of(batch: SceneBatch) -> list[Scene]:
    """A batch of synthetic scenes one by one, with the oracle's answer to each."""
    centre = batch.space_center_m
    start = np.concatenate([centre.numpy(), np.ones((len(centre), 1))], -1)
    oracle = triangulate_true_people(
        batch.cameras,
        batch.keypoints_px,
        batch.identity,
        batch.joints_m.shape[1],
        batch.joints_m.new_tensor(start),
    )
    scenes = []
    for b in range(len(centre)):
        people = batch.person_valid[b]
        keypoints = batch.keypoints_px[b].numpy()  # [T, D, 15, 3]
        seen = np.any(keypoints[..., 2] > 0, axis=-1)
        scenes.append(
            Scene(
                batch.cameras.at(b),
                [view[rows] for view, rows in zip(keypoints, seen, strict=True)],
                batch.space_center_m[b].numpy(),
                batch.space_size_m[b].numpy(),
                batch.joints_m[b, people].numpy(),
                oracle.joints_m[b, people].numpy(),
            )
        )
    return scenes


def answer_oracle(scene: Scene) -> Answer:
    """People with at least one joint that the oracle can give; the score is its share of joints."""
    share = np.isfinite(scene.oracle_m).all(-1).mean(-1)
    return Answer(scene.oracle_m[share > 0], share[share > 0])


def classical_method(config: ChainConfig | None = None) -> Method:
    """The classical chain as a method."""
    chosen = config or ChainConfig()

    def answer(scene: Scene) -> Answer:
        people = triangulate_people(
            scene.cameras, scene.keypoints_px, scene.space_center_m, scene.space_size_m, chosen
        )
        return Answer(people.joints_m, people.score)

    return answer


def network_method(predictor: Predictor) -> Method:
    """The network, through the call that the node makes."""
    from mvssm_ros.rig.rig_file import Space

    def answer(scene: Scene) -> Answer:
        centre, size = scene.space_center_m, scene.space_size_m
        space = Space((float(centre[0]), float(centre[1])), (float(size[0]), float(size[1])), 0.0)
        people = predictor.predict_keypoints(scene.cameras, scene.keypoints_px, space)
        return Answer(people.joints_m, people.score)

    return answer


def evaluate(
    method: Method, scenes: Sequence[Scene], progress: Iterable[Scene] | None = None
) -> dict[str, float]:
    """Runs a method on every scene; the figures of `metrics.summary` and, beside them:

    MPJPE_oracle_joints_mm: of the same people, over the joints that the oracle gives;
    oracle_MPJPE_same_mm: the oracle's own over exactly these people and joints, of those people
    whom it too places within 500 mm; to_oracle: their ratio; ms_per_set: median time of a call.
    """
    method(scenes[0])  # warm up: the first call pays for allocations
    matched, oracle_m, times_s = [], [], []
    for scene in scenes if progress is None else progress:
        start = time.perf_counter()
        answer = method(scene)
        times_s.append(time.perf_counter() - start)
        matched.append(metrics.match_scene(answer.joints_m, answer.score, scene.truth_m))
        oracle_m.append(np.linalg.norm(scene.oracle_m - scene.truth_m, axis=-1))
    matches = metrics.concatenate(matched)
    figures = metrics.summary(matches)
    figures.update(_beside_oracle(matches, np.concatenate(oracle_m)))
    figures["ms_per_set"] = 1000.0 * float(np.median(times_s))
    return figures


def _beside_oracle(matches: metrics.Matches, oracle_error_m: np.ndarray) -> dict[str, float]:
    """oracle_error_m [G, J], NaN where the oracle gives no joint."""
    given = np.isfinite(oracle_error_m)
    per_person = np.nansum(oracle_error_m, -1) / np.maximum(given.sum(-1), 1)
    fair = given.any(-1) & (per_person < metrics.FOUND_WITHIN_M)
    joints = given & fair[:, None]
    own_mm = 1000.0 * metrics.mpjpe_m(matches, joints=joints)
    same = fair & metrics.people_found(matches)
    oracle_mm = 1000.0 * float(per_person[same].mean()) if same.any() else math.nan
    return {
        "MPJPE_oracle_joints_mm": own_mm,
        "oracle_MPJPE_same_mm": oracle_mm,
        "to_oracle": own_mm / oracle_mm if oracle_mm else math.nan,
    }


# Column heading, name in the figures, format.
_COLUMNS = (
    *((f"AP{t}", f"AP{t}", "{:.1f}") for t in metrics.AP_THRESHOLDS_MM),
    ("mAP", "mAP", "{:.1f}"),
    ("recall@500 %", "recall500", "{:.1f}"),
    ("MPJPE mm", "MPJPE_mm", "{:.1f}"),
    ("MPJPE mm, oracle's joints", "MPJPE_oracle_joints_mm", "{:.1f}"),
    ("oracle there mm", "oracle_MPJPE_same_mm", "{:.1f}"),
    ("ratio", "to_oracle", "{:.2f}"),
    ("phantom %", "phantom_percent", "{:.1f}"),
    ("duplicate %", "duplicate_percent", "{:.1f}"),
    ("ms a set", "ms_per_set", "{:.0f}"),
)


def markdown_table(rows: Sequence[dict]) -> str:
    """Rows with keys rig, views, method and the figures of `evaluate`, as a Markdown table."""
    head = ["rigs", "views", "method", *(heading for heading, _, _ in _COLUMNS)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [str(row["rigs"]), str(row["views"]), row["method"]]
        for _, name, form in _COLUMNS:
            value = row.get(name)
            missing = value is None or not math.isfinite(value)
            cells.append("–" if missing else form.format(value))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
