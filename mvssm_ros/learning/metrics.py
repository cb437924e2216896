"""How good a set of 3D skeletons is: AP, recall, MPJPE, phantoms and duplicates.

The measures are those of the published multi-person evaluators on CMU Panoptic (VoxelPose and
its successors; the MV-SSM paper's tables use them): each prediction is compared with the person
nearest to it by MPJPE; predictions are then taken in falling order of score, and the first one
within the threshold of a person finds that person, everything else is false.

One difference: in a scene without people those evaluators skip the predictions; here they are
false, so that a phantom in an empty room costs what it should.

Distances in metres inside, millimetres where a name says `_mm`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

AP_THRESHOLDS_MM = (25, 50, 75, 100, 125, 150)
FOUND_WITHIN_M = 0.5


@dataclass(frozen=True)
class Matches:
    """Every prediction of one or more scenes beside the person nearest to it.

    score: [P] the predictions' scores.
    distance_m: [P] MPJPE to the nearest person over the joints both have; inf where there is none.
    person: [P] row of that person in `joint_known`, -1 where there is none.
    joint_error_m: [P, J] distance joint by joint, NaN where either side lacks the joint.
    joint_known: [G, J] which joints the ground truth of each of the G people has.
    """

    score: np.ndarray
    distance_m: np.ndarray
    person: np.ndarray
    joint_error_m: np.ndarray
    joint_known: np.ndarray

    @property
    def n_people(self) -> int:
        return len(self.joint_known)

    @property
    def n_predictions(self) -> int:
        return len(self.score)


def match_scene(
    predicted_m: np.ndarray,
    score: np.ndarray,
    truth_m: np.ndarray,
    joint_valid: np.ndarray | None = None,
) -> Matches:
    """Compares the predictions of one scene with its people.

    Args:
        predicted_m: [P, J, 3] joints; NaN where the method gives no joint (left out of the mean).
        score: [P] higher is surer.
        truth_m: [G, J, 3] ground truth; NaN where a joint is unknown.
        joint_valid: [G, J] bool, more joints to leave out; None = all that are not NaN.

    A person without any known joint cannot be measured and is left out.
    """
    predicted_m = np.asarray(predicted_m, dtype=np.float64)
    truth_m = np.asarray(truth_m, dtype=np.float64)
    score = np.asarray(score, dtype=np.float64).reshape(-1)
    if predicted_m.ndim != 3 or truth_m.ndim != 3 or predicted_m.shape[1:] != truth_m.shape[1:]:
        raise ValueError(
            f"joints must be [P, J, 3] and [G, J, 3], got {predicted_m.shape} and {truth_m.shape}"
        )
    if len(score) != len(predicted_m):
        raise ValueError(f"{len(predicted_m)} predictions but {len(score)} scores")
    known = np.isfinite(truth_m).all(-1)
    if joint_valid is not None:
        known &= np.asarray(joint_valid, dtype=bool)
    measurable = known.any(-1)
    truth_m, known = truth_m[measurable], known[measurable]

    error_m = np.linalg.norm(predicted_m[:, None] - truth_m[None], axis=-1)  # (P, G, J)
    error_m[:, ~known] = np.nan
    shared = np.isfinite(error_m).sum(-1)  # (P, G)
    distance_m = np.where(shared > 0, np.nansum(error_m, -1) / np.maximum(shared, 1), np.inf)
    n_predictions, n_people = distance_m.shape
    if n_people == 0 or n_predictions == 0:
        nearest = np.full(n_predictions, -1)
        nearest_m = np.full(n_predictions, np.inf)
        joint_error_m = np.full((n_predictions, predicted_m.shape[1]), np.nan)
    else:
        rows = np.arange(n_predictions)
        nearest = distance_m.argmin(1)
        nearest_m = distance_m[rows, nearest]
        joint_error_m = error_m[rows, nearest]
        nearest = np.where(np.isfinite(nearest_m), nearest, -1)
    return Matches(score, nearest_m, nearest, joint_error_m, known)


def concatenate(scenes: Iterable[Matches]) -> Matches:
    """The matches of many scenes as one; people are renumbered in the order of the scenes."""
    scenes = list(scenes)
    if not scenes:
        raise ValueError("no scenes to evaluate")
    before = np.cumsum([0] + [scene.n_people for scene in scenes[:-1]])
    person = [np.where(s.person >= 0, s.person + n, -1) for s, n in zip(scenes, before)]
    return Matches(
        np.concatenate([s.score for s in scenes]),
        np.concatenate([s.distance_m for s in scenes]),
        np.concatenate(person).astype(np.int64),
        np.concatenate([s.joint_error_m for s in scenes]),
        np.concatenate([s.joint_known for s in scenes]),
    )


def first_matches(matches: Matches, threshold_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Which predictions find a person, taken in falling order of score (ties: as given).

    Returns (order, hit): order [P] sorts the predictions; hit [P] is true, in that order, where
    the prediction is nearer than the threshold to a person that none before it has found.
    """
    order = np.argsort(-matches.score, kind="stable")
    near = matches.distance_m[order] < threshold_m
    hit = np.zeros(len(order), dtype=bool)
    if near.any():
        _, first = np.unique(matches.person[order][near], return_index=True)
        hit[np.flatnonzero(near)[first]] = True
    return order, hit


def average_precision(matches: Matches, threshold_m: float) -> float:
    """Area under the monotone precision-recall curve, 0..1. NaN without people."""
    if matches.n_people == 0:
        return math.nan
    if matches.n_predictions == 0:
        return 0.0
    _, hit = first_matches(matches, threshold_m)
    found = np.cumsum(hit)
    precision = found / np.arange(1, len(hit) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    # The curve steps by one person at every hit, and only there.
    return float(precision[hit].sum() / matches.n_people)


def recall(matches: Matches, threshold_m: float = FOUND_WITHIN_M) -> float:
    """Share of the people with a prediction nearer than the threshold. NaN without people."""
    if matches.n_people == 0:
        return math.nan
    return len(np.unique(matches.person[matches.distance_m < threshold_m])) / matches.n_people


def mpjpe_m(
    matches: Matches, threshold_m: float = FOUND_WITHIN_M, joints: np.ndarray | None = None
) -> float:
    """Mean over the people found of the mean joint error of the prediction that found them.

    Args:
        joints: [G, J] bool, measure these joints only; who is found is still decided over all.
            People with none of these joints are left out.

    Returns metres; NaN if nobody is found.
    """
    order, hit = first_matches(matches, threshold_m)
    finders = order[hit]
    if joints is None:
        per_person = matches.distance_m[finders]
    else:
        error_m = np.where(joints[matches.person[finders]], matches.joint_error_m[finders], np.nan)
        count = np.isfinite(error_m).sum(-1)
        per_person = np.nansum(error_m, -1)[count > 0] / count[count > 0]
    return float(per_person.mean()) if len(per_person) else math.nan


def people_found(matches: Matches, threshold_m: float = FOUND_WITHIN_M) -> np.ndarray:
    """[G] bool: the people with a prediction nearer than the threshold."""
    found = np.zeros(matches.n_people, dtype=bool)
    found[matches.person[matches.distance_m < threshold_m]] = True
    return found


def phantom_rate(matches: Matches, threshold_m: float = FOUND_WITHIN_M) -> float:
    """Share of the predictions with no person within the threshold. 0 without predictions."""
    if matches.n_predictions == 0:
        return 0.0
    return float((matches.distance_m >= threshold_m).mean())


def duplicate_rate(matches: Matches, threshold_m: float = FOUND_WITHIN_M) -> float:
    """Share of the predictions near a person whom a surer prediction has found already."""
    if matches.n_predictions == 0:
        return 0.0
    _, hit = first_matches(matches, threshold_m)
    return float(((matches.distance_m < threshold_m).sum() - hit.sum()) / matches.n_predictions)


def summary(matches: Matches) -> dict[str, float]:
    """All measures under the names used in tables: AP and rates in per cent, MPJPE in mm."""
    figures = {f"AP{t}": 100.0 * average_precision(matches, t / 1000.0) for t in AP_THRESHOLDS_MM}
    figures["mAP"] = sum(figures.values()) / len(figures)
    figures["recall500"] = 100.0 * recall(matches)
    figures["MPJPE_mm"] = 1000.0 * mpjpe_m(matches)
    figures["phantom_percent"] = 100.0 * phantom_rate(matches)
    figures["duplicate_percent"] = 100.0 * duplicate_rate(matches)
    figures["people"] = matches.n_people
    figures["predictions"] = matches.n_predictions
    return figures
