"""PCP3D, the measure of Campus and Shelf: the percentage of correct parts, actor by actor.

As the published evaluators of multi-view poses have it (those of VoxelPose, MvP and MVGFormer, whose
figures the MV-SSM paper compares): every actor of a frame is measured by the prediction nearest to
her in the mean over the joints, also if it is nearer to somebody else. A part is right when its two
ends are on average off by at most alpha times the part's own length.

One difference: those evaluators leave out frames without any prediction; here all parts of the
actors in them are wrong, so that who finds nobody gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mvssm_ros.geometry.skeletons import SHELF14

Array = npt.NDArray[np.float64]

ALPHA = 0.5
AVERAGED_ACTORS = 3  # the mean is over the first three; Shelf's fourth is not in it
_PERSON = (SHELF14.n_joints, 3)
_LEFT_HIP, _RIGHT_HIP, _NECK = (SHELF14.index(n) for n in ("left_hip", "right_hip", "neck"))


def _part(start: str, end: str) -> tuple[int, int]:
    return SHELF14.index(start), SHELF14.index(end)


# Names of the parts, as tables group them, and the joints at their ends. The trunk is from the middle
# of the hips to the neck.
PARTS: tuple[tuple[str, tuple[int, int] | None], ...] = (
    *(("lower leg", _part(f"{side}_ankle", f"{side}_knee")) for side in ("right", "left")),
    *(("upper leg", _part(f"{side}_knee", f"{side}_hip")) for side in ("right", "left")),
    *(("forearm", _part(f"{side}_wrist", f"{side}_elbow")) for side in ("right", "left")),
    *(("upper arm", _part(f"{side}_elbow", f"{side}_shoulder")) for side in ("right", "left")),
    ("head", _part("neck", "nose")),
    ("trunk", None),
)


def correct_parts(
    predicted_m: Array, truth_m: Array, alpha: float = ALPHA
) -> npt.NDArray[np.bool_]:
    """Which parts of the actors of one frame are right.

    Args:
        predicted_m: [P, 14, 3] people, as SHELF14.
        truth_m: [A, 14, 3] actors; NaN all over: she is not in this frame.
        alpha: share of a part's length by which its ends may be off.

    Returns:
        [A, 10]; False where an actor is not there or nobody is predicted.

    Raises:
        ValueError: other shapes.
    """
    predicted, truth = np.asarray(predicted_m, np.float64), np.asarray(truth_m, np.float64)
    if any(people.ndim != 3 or people.shape[1:] != _PERSON for people in (predicted, truth)):
        raise ValueError(
            f"people must be [P, 14, 3] and [A, 14, 3], got {predicted.shape}, {truth.shape}"
        )
    right = np.zeros((len(truth), len(PARTS)), bool)
    if not len(predicted):
        return right
    for a in np.flatnonzero(np.isfinite(truth).all((1, 2))):
        off = np.linalg.norm(predicted - truth[a], axis=-1).mean(-1)  # [P]
        nearest = predicted[int(np.where(np.isnan(off), np.inf, off).argmin())]
        right[a] = [_is_right(ends, nearest, truth[a], alpha) for _, ends in PARTS]
    return right


def _is_right(ends: tuple[int, int] | None, found: Array, true: Array, alpha: float) -> bool:
    (found_a, found_b), (true_a, true_b) = _ends(ends, found), _ends(ends, true)
    off = (np.linalg.norm(found_a - true_a) + np.linalg.norm(found_b - true_b)) / 2
    return bool(off <= alpha * np.linalg.norm(true_a - true_b))


def _ends(ends: tuple[int, int] | None, joints: Array) -> tuple[Array, Array]:
    if ends is None:
        return (joints[_LEFT_HIP] + joints[_RIGHT_HIP]) / 2, joints[_NECK]
    return joints[ends[0]], joints[ends[1]]


def pcp3d(frames: Sequence[tuple[Array, Array]], alpha: float = ALPHA) -> dict[str, float]:
    """Per cent of correct parts over frames of (predicted, truth), see `correct_parts`.

    Returns actor1, actor2, ... (NaN: never there), average (of the first three who are there) and,
    over all actors, the parts by name.

    Raises:
        ValueError: frames with different numbers of actors, or none.
    """
    if not frames:
        raise ValueError("no frames to evaluate")
    if len({len(truth) for _, truth in frames}) > 1:
        raise ValueError("every frame needs a row for every actor, NaN where she is not there")
    right = np.array([correct_parts(p, t, alpha) for p, t in frames])  # [F, A, 10]
    there = np.array([np.isfinite(t).all((1, 2)) for _, t in frames])  # [F, A]
    figures = {f"actor{a + 1}": _per_cent(right[there[:, a], a]) for a in range(right.shape[1])}
    means = [v for v in list(figures.values())[:AVERAGED_ACTORS] if math.isfinite(v)]
    figures["average"] = float(np.mean(means)) if means else math.nan
    for name in dict.fromkeys(name for name, _ in PARTS):
        columns = [k for k, (part, _) in enumerate(PARTS) if part == name]
        figures[name] = _per_cent(right[there][:, columns])
    return figures


def _per_cent(right: npt.NDArray[np.bool_]) -> float:
    return 100.0 * float(right.mean()) if right.size else math.nan
