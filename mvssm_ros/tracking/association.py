"""Which body of a set is which of the people known before.

How far a body is from a person is the mean over the joints known in both of the Mahalanobis
distance squared, each cut off, so that a few wrong joints cannot decide, and, as much again, the
distance of the two bodies as a whole: many joints that are unsure one by one are not so together.
Both covariances count. What a pair costs is the negative log likelihood of Student's t at that
distance, with the covariance's volume: a person who has not been seen for long fits everything, and
must not take the body of one whose place is well known. All pairs within the gates are weighed
against each other at once (scipy's linear_sum_assignment), and against somebody being missed and
somebody new being there. Who is left over is then weighed again without these: people who move
quite unforeseen, but with nobody else about, keep their ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mvssm_ros.tracking.body_filter import Array, Bools, Motion, median_of_joints, squared_distance

GATE = 150.0  # of either distance; 3 if all goes as foreseen, but people start and stop suddenly
_MOST = 300.0  # no joint counts for more
_MIN_JOINTS = 3  # known in both, or nothing can be said
TAIL = 4.0  # degrees of freedom of Student's t: people start and stop as no Gaussian does
ALONE = 0.0  # cost of a person missed and another come; found on crowds
COMPANY_M = 1.0  # nearer bodies can be taken for one another
_NEVER = 1e6
SAME_BODY_M = 0.2  # median joint distance of two bodies that can only be one


def assign(
    motion: Motion, joints_m: Array, covariance_m2: Array, reach_m: Array, handicap: Array
) -> dict[int, int]:
    """Row of the person -> index of the body, each at most once.

    Args:
        motion: the N people, predicted to the stamp of the bodies.
        joints_m: [K, J, 3] bodies, NaN where unknown.
        covariance_m2: [K, J, 3, 3].
        reach_m: [N] a body further away than this (mean joint distance) is somebody else.
        handicap: [N] added to the cost of those who are to stand back.
    """
    if not len(motion) or not len(joints_m):
        return {}
    gap = joints_m[None] - motion.position_m[:, None]  # [N, K, J, 3]
    both = np.asarray(np.isfinite(gap).all(-1))
    count = both.sum(-1)
    length = np.linalg.norm(np.where(both[..., None], gap, 0.0), axis=-1)
    mean_m = length.sum(-1) / np.maximum(count, 1)
    near = (mean_m <= reach_m[:, None]) & (count >= min(_MIN_JOINTS, gap.shape[2]))
    cost = np.full(near.shape, _NEVER)
    person, body = np.nonzero(near)
    if len(person):
        use = both[person, body]
        total = motion.pp[person] + covariance_m2[body]
        total = np.where(use[..., None, None], total, np.eye(3))
        off = np.where(use[..., None], gap[person, body], 0.0)
        far = np.minimum(squared_distance(off, total), _MOST)
        volume = np.linalg.slogdet(total)[1]  # 0 where not used
        n = use.sum(-1)
        far, volume = far.sum(-1) / n, volume.sum(-1) / n
        whole = _whole_distance(off, use, motion.pp[person], covariance_m2[body])
        good = (far <= GATE) & (whole <= GATE)
        surprise = (TAIL + 3) * np.log1p(0.5 * (far + whole) / TAIL)
        cost[person[good], body[good]] = (surprise + volume + handicap[person])[good]
    matched = _cheapest(cost, ALONE + handicap)
    cost[list(matched)] = _NEVER
    cost[:, list(matched.values())] = _NEVER
    cost[:, _in_company(joints_m)] = _NEVER
    return matched | _cheapest(cost, np.full(len(motion), _NEVER / 2))


def _whole_distance(gap_m: Array, use: Bools, predicted_m2: Array, measured_m2: Array) -> Array:
    """Mahalanobis distance squared [P] of two bodies as a whole: of the median of the joints' gaps.

    gap [P, J, 3], use [P, J], covariances [P, J, 3, 3]. The covariance is the joints' median in size:
    errors of the prediction are taken as one, those of the measurement as half common.
    """
    n = use.sum(-1)
    gap = median_of_joints(gap_m, use)
    predicted, measured = (
        median_of_joints(np.einsum("pjaa->pja", m), use) for m in (predicted_m2, measured_m2)
    )
    variance = predicted + (0.5 + 0.5 / n)[:, None] * measured  # along the world's axes
    return np.asarray((gap**2 / variance).sum(-1))


def _in_company(joints_m: Array) -> Bools:
    """[K]: the bodies that have another one within `COMPANY_M`, by their medians."""
    place = median_of_joints(joints_m, np.asarray(np.isfinite(joints_m).all(-1)))
    place = np.where(np.isfinite(place), place, np.nan)  # near to nobody
    apart = np.linalg.norm(place[:, None] - place, axis=-1)
    np.fill_diagonal(apart, np.inf)
    return np.asarray((apart < COMPANY_M).any(-1))


def _cheapest(cost: Array, alone: Array) -> dict[int, int]:
    """Rows and columns of cost [N, K] that go together for the least in all, where row i may stay
    alone for alone[i]."""
    n, k = cost.shape
    whole = np.full((n, k + n), 10 * _NEVER)
    whole[:, :k] = cost
    whole[np.arange(n), k + np.arange(n)] = alone
    rows, columns = linear_sum_assignment(whole)
    return {int(i): int(j) for i, j in zip(rows, columns) if j < k and cost[i, j] < _NEVER}


def is_twin(joints_m: Array, others_m: Array | Sequence[Array]) -> bool:
    """Whether a body [J, 3] lies on one of the others [M, J, 3]: one person, found twice."""
    others = np.asarray(others_m)
    if not len(others):
        return False
    distance = np.linalg.norm(others - joints_m, axis=-1)  # [M, J]
    known: npt.NDArray[np.bool_] = np.isfinite(distance)
    comparable = known.sum(-1) >= _MIN_JOINTS
    middle = median_of_joints(distance[comparable, :, None], known[comparable])
    return bool((middle < SAME_BODY_M).any())
