"""Which 2D poses of several views show the same person, when the calibration is only roughly known.

A calibration that is wrong by some degrees moves all rays of a view alike: the gap between the rays
of two views is then much the same at every joint of a person. So two things are told apart for
every two 2D poses: how far their rays miss each other (the middle of the gaps, which may be as
large as the calibration is wrong) and how much the gaps differ from joint to joint (which the
calibration hardly changes, and which says whether the two have the same pose). Left and right
exchanged by the detector are found in the same way, for the arms and the legs by themselves.

With a calibration 3 degrees wrong, some people are still mistaken for each other. That is enough to
begin with: true pairs all ask for the same correction, mistaken ones each for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.geometry.triangulation import rays_world

Array = npt.NDArray[np.float64]

J = PANOPTIC15.n_joints
MIN_CONFIDENCE = 0.2  # 2D joints below are missing
_MIN_JOINTS = 5  # that two 2D poses must share
_MIN_SINE = 0.03  # rays nearer to parallel than 2 degrees have no crossing
_DEPTH_M = (0.2, 50.0)
_SIZE_FACTORS = (0.45, 1.6)  # of an adult: triangulated bodies outside are no people
_MIRROR = PANOPTIC15.mirror
_ARMS = np.array([i for i, n in enumerate(PANOPTIC15.joints) if n.split("_")[-1] in
                  ("shoulder", "elbow", "wrist")])  # fmt: skip
_LEGS = np.array([i for i, n in enumerate(PANOPTIC15.joints) if n.split("_")[-1] in
                  ("knee", "ankle") or n in ("left_hip", "right_hip")])  # fmt: skip
_SIDES = (_ARMS, _LEGS)  # what a detector exchanges together
_MOST_FLAGS = 10  # views for which all exchanges are tried
# Bones and their mean lengths in adults of 1.7 m (Drillis and Contini 1966)
_BONES = tuple(
    (PANOPTIC15.index(a), PANOPTIC15.index(b), length)
    for a, b, length in (
        ("neck", "mid_hip", 0.49), ("left_shoulder", "right_shoulder", 0.35),
        ("left_shoulder", "left_elbow", 0.29), ("right_shoulder", "right_elbow", 0.29),
        ("left_elbow", "left_wrist", 0.25), ("right_elbow", "right_wrist", 0.25),
        ("left_hip", "left_knee", 0.42), ("right_hip", "right_knee", 0.42),
        ("left_knee", "left_ankle", 0.40), ("right_knee", "right_ankle", 0.40),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Tolerance:
    """How wrong the calibration may be, and how much two views of one pose may differ."""

    angle_rad: float
    position_m: float
    shape_m: float = 0.15  # median difference of the gaps


@dataclass(frozen=True)
class Groups:
    """G people of single frames, each with at most one 2D pose a view."""

    frame: npt.NDArray[np.int64]  # [G] ascending
    detection: npt.NDArray[np.int64]  # [G, T] index of the 2D pose in its view, -1 = not seen
    trusted: npt.NDArray[np.bool_]  # [G, T, 15] joints seen, those on exchanged sides left out


@dataclass(frozen=True)
class _Meeting:
    """Where the rays of two 2D poses pass each other, M pairs."""

    gap_m: Array  # [M, 3] from the one rays to the others, the middle one of all joints
    differs_m: Array  # [M, 15] how far each joint's gap is from that; NaN where not known
    crosses: npt.NDArray[np.bool_]  # [M, 15] seen by both, and the rays are not parallel
    size: Array  # [M] of the body between the rays against an adult's
    depth_m: Array  # [M] the greater one; 0 = behind a camera


@dataclass(frozen=True)
class _Pairs:
    """All pairs of 2D poses of different views of one frame, M of them."""

    a: npt.NDArray[np.int64]  # [M] rows of the frame's 2D poses
    b: npt.NDArray[np.int64]
    cost: Array  # [M] below 1: may be one person; inf: cannot be; NaN: share too few joints
    # [M, 2] how badly arms and legs fit as they are, and with one view's left and right exchanged
    as_is: Array
    exchanged: Array


def associate(cameras: Cameras, keypoints: Array, tolerance: Tolerance) -> Groups:
    """Group the 2D poses of every frame into people.

    Args:
        cameras: [T] float64.
        keypoints: [F, T, D, 15, 3] raw px and confidence (0 = missing).
        tolerance: how wrong ``cameras`` may be.
    """
    n_frames, n_views, n_slots = keypoints.shape[:3]
    seen = keypoints[..., 2] >= MIN_CONFIDENCE  # [F, T, D, 15]
    pixels = np.where(seen[..., None], keypoints[..., :2], 0.0)
    by_view = torch.from_numpy(pixels.swapaxes(0, 1).reshape(n_views, -1, 2).astype(np.float64))
    origin_t, direction_t = rays_world(cameras, by_view)
    origin = origin_t.numpy()
    direction = direction_t.numpy().reshape(n_views, n_frames, n_slots, J, 3).swapaxes(0, 1)
    frames, rows, trusted = [], [], []
    for frame in range(n_frames):
        view, slot = np.nonzero(seen[frame].sum(-1) >= _MIN_JOINTS)
        if len(np.unique(view)) < 2:
            continue
        own_seen = seen[frame, view, slot]
        pairs = _compare(view, origin[view], direction[frame, view, slot], own_seen, tolerance)
        for members in _cluster(view, pairs):
            row = np.full(n_views, -1)
            row[view[members]] = slot[members]
            joints = np.zeros((n_views, J), bool)
            joints[view[members]] = own_seen[members] & _unexchanged(members, pairs)
            frames.append(frame)
            rows.append(row)
            trusted.append(joints)
    return Groups(
        np.array(frames, np.int64),
        np.array(rows, np.int64).reshape(-1, n_views),
        np.array(trusted, bool).reshape(-1, n_views, J),
    )


def _compare(
    view: npt.NDArray[np.int64],
    origin: Array,
    direction: Array,
    seen: npt.NDArray[np.bool_],
    tolerance: Tolerance,
) -> _Pairs:
    """Every two of N 2D poses of one frame; origin [N, 3], direction [N, 15, 3], seen [N, 15]."""
    a, b = np.triu_indices(len(view), 1)
    other = view[a] != view[b]
    a, b = a[other], b[other]
    as_is = _meet(origin, direction, a, b, seen[a] & seen[b])
    exchanged = _meet(origin, direction, a, b, seen[a] & seen[b][:, _MIRROR], _MIRROR)
    cost, cost_m = _cost(as_is, tolerance), _cost(exchanged, tolerance)
    best = np.where(np.isnan(cost), np.nan, np.fmin(cost, 1.2 * cost_m))
    both = as_is.crosses & exchanged.crosses

    def misfit(meeting: _Meeting) -> Array:
        clipped = np.minimum(np.nan_to_num(meeting.differs_m, nan=0.0), 0.3) * both
        return np.stack([clipped[:, side].sum(-1) for side in _SIDES], -1)

    return _Pairs(a, b, best, misfit(as_is), misfit(exchanged))


def _cost(meeting: _Meeting, tolerance: Tolerance) -> Array:
    """[M] of two 2D poses: below 1 they may be one person; inf: no person is like that."""
    shape = _median(meeting.differs_m[..., None], meeting.crosses)[:, 0]
    cost = np.hypot(
        np.linalg.norm(meeting.gap_m, axis=-1) / _reach(meeting, tolerance),
        shape / tolerance.shape_m,
    )
    low, high = _SIZE_FACTORS
    human = (meeting.size > low) & (meeting.size < high) | np.isnan(meeting.size)
    nearest, farthest = _DEPTH_M
    cost[~(human & (meeting.depth_m > nearest) & (meeting.depth_m < farthest))] = np.inf
    return np.where(meeting.crosses.sum(-1) >= _MIN_JOINTS, cost, np.nan)


def _reach(meeting: _Meeting, tolerance: Tolerance) -> Array:
    """How far the rays of one person may miss each other, [M] m."""
    wrong = np.hypot(tolerance.angle_rad * meeting.depth_m, tolerance.position_m)
    return np.asarray(1.5 * np.sqrt(2) * wrong + 0.05)


def _meet(
    origin: Array,
    direction: Array,
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    shared: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int64] | None = None,
) -> _Meeting:
    """Where the rays of every two poses pass each other; ``order`` renames the second's joints."""
    d1, d2 = direction[a], direction[b]
    if order is not None:
        d2 = d2[:, order]
    between = (origin[a] - origin[b])[:, None]
    cosine = (d1 * d2).sum(-1)
    sine2 = np.maximum(1 - cosine**2, 1e-12)
    along1, along2 = (d1 * between).sum(-1), (d2 * between).sum(-1)
    s1 = (cosine * along2 - along1) / sine2
    s2 = (along2 - cosine * along1) / sine2
    p1 = origin[a][:, None] + s1[..., None] * d1
    p2 = origin[b][:, None] + s2[..., None] * d2
    crosses = shared & (sine2 > _MIN_SINE**2)
    body, gap = 0.5 * (p1 + p2), p1 - p2
    ratio = np.stack(
        [np.linalg.norm(body[:, i] - body[:, k], axis=-1) / length for i, k, length in _BONES], -1
    )
    known = np.stack([crosses[:, i] & crosses[:, k] for i, k, _ in _BONES], -1)
    near = _median(np.minimum(s1, s2)[..., None], crosses)[:, 0]
    far = _median(np.maximum(s1, s2)[..., None], crosses)[:, 0]
    middle = _median(gap, crosses)
    return _Meeting(
        gap_m=middle,
        differs_m=np.where(crosses, np.linalg.norm(gap - middle[:, None], axis=-1), np.nan),
        crosses=crosses,
        size=_median(ratio[..., None], known)[:, 0],
        depth_m=np.where(near > _DEPTH_M[0], far, 0.0),
    )


def _median(values: Array, known: npt.NDArray[np.bool_]) -> Array:
    """Median over axis 1 of [M, K, C] where known [M, K]; NaN where nothing is."""
    ordered = np.sort(np.where(known[..., None], values, np.inf), axis=1)
    count = known.sum(-1)
    rows = np.arange(len(values))
    low = ordered[rows, np.maximum(count - 1, 0) // 2]
    high = ordered[rows, np.minimum(count // 2, values.shape[1] - 1)]
    with np.errstate(invalid="ignore"):
        return np.where(count[:, None] > 0, 0.5 * (low + high), np.nan)


def _cluster(view: npt.NDArray[np.int64], pairs: _Pairs) -> list[npt.NDArray[np.int64]]:
    """Greedy average linkage, the best pairs first; a cluster has one 2D pose a view."""
    n = len(view)
    cost = np.full((n, n), np.nan)
    cost[pairs.a, pairs.b] = cost[pairs.b, pairs.a] = np.minimum(pairs.cost, 3.0)
    cluster = [[i] for i in range(n)]
    for m in np.argsort(pairs.cost, kind="stable"):
        if not pairs.cost[m] < 1:
            break
        first, second = cluster[pairs.a[m]], cluster[pairs.b[m]]
        if first is second or set(view[first]) & set(view[second]):
            continue
        if np.nanmean(cost[np.ix_(first, second)]) < 1:
            first += second
            for i in second:
                cluster[i] = first
    unique = {id(members): members for members in cluster if len(members) >= 2}
    return [np.array(sorted(members)) for members in unique.values()]


def _unexchanged(members: npt.NDArray[np.int64], pairs: _Pairs) -> npt.NDArray[np.bool_]:
    """[V, 15] False on the arms or legs of the views whose left and right seem exchanged.

    The labelling of the views with the least misfit among all pairs; the minority is exchanged.
    Where there is no majority, none of the views is to be trusted.
    """
    n = len(members)
    keep = np.ones((n, J), bool)
    place = {int(row): i for i, row in enumerate(members)}
    mine = [m for m in range(len(pairs.a)) if pairs.a[m] in place and pairs.b[m] in place]
    first = np.array([place[int(pairs.a[m])] for m in mine])
    second = np.array([place[int(pairs.b[m])] for m in mine])
    for side, joints in enumerate(_SIDES):
        as_is, exchanged = pairs.as_is[mine, side], pairs.exchanged[mine, side]
        flags = np.zeros(n, bool)
        if (exchanged < as_is).any():
            free = min(n - 1, _MOST_FLAGS)
            tried = np.array(list(product((False, True), repeat=free)))
            labels = np.zeros((len(tried), n), bool)
            labels[:, n - free :] = tried
            misfit = np.where(labels[:, first] == labels[:, second], as_is, exchanged).sum(-1)
            flags = labels[misfit.argmin()]
        if 2 * flags.sum() > n:
            flags = ~flags
        elif 2 * flags.sum() == n:
            flags = np.ones(n, bool)
        keep[np.ix_(np.flatnonzero(flags), joints)] = False
    return keep
