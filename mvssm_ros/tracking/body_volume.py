"""The room that a person takes up: one capsule a limb, inflated by how unsure its joints are.

Radii are those of a large adult in working clothes. What has no joint of its own hangs on a limb that
has: hands beyond the wrists, feet below the ankles, the skull beyond the nose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mvssm_ros.geometry.skeletons import Skeleton

Array = npt.NDArray[np.float64]

# From joint, to joint, radius m, how far it goes on beyond the second joint m.
_LIMBS = (
    ("neck", "nose", 0.14, 0.10),
    ("neck", "mid_hip", 0.18, 0.0),
    ("neck", "shoulder", 0.09, 0.0),
    ("mid_hip", "hip", 0.13, 0.0),
    ("shoulder", "elbow", 0.07, 0.0),
    ("elbow", "wrist", 0.06, 0.20),
    ("hip", "knee", 0.10, 0.0),
    ("knee", "ankle", 0.08, 0.05),
)
MOST_INFLATION_M = 0.5  # a joint less sure than this says nothing about where the limb is


@dataclass(frozen=True, eq=False)
class Capsules:
    """C segments with a radius.

    starts_m, ends_m [C, 3]; radii_m [C]; joints [C, 2]: the skeleton's joints at their ends.
    """

    starts_m: Array
    ends_m: Array
    radii_m: Array
    joints: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.radii_m)


def limbs_of(skeleton: Skeleton) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """Joints [L, 2], radii [L] m and extensions [L] m of the limbs that a skeleton has."""
    return _limbs_of(tuple(skeleton.joints))


@lru_cache
def _limbs_of(joints: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], Array, Array]:
    rows = []
    for first, second, radius_m, beyond_m in _LIMBS:
        for side in ("left_", "right_"):
            names = [n if n in joints else side + n for n in (first, second)]
            if all(name in joints for name in names):
                rows.append((*(joints.index(name) for name in names), radius_m, beyond_m))
    table = np.array(sorted(set(rows)))
    return table[:, :2].astype(np.int64), table[:, 2], table[:, 3]


def body_capsules(
    joints_m: Array,
    covariance_m2: Array,
    skeleton: Skeleton,
    k_sigma: float,
    most_inflation_m: float = MOST_INFLATION_M,
) -> Capsules:
    """The limbs whose joints are both known.

    Args:
        joints_m: [J, 3], NaN where unknown.
        covariance_m2: [J, 3, 3], NaN where unknown: then nothing is added for it.
        skeleton: of the joints.
        k_sigma: radii grow by this many standard deviations, in the joint's worst direction.
        most_inflation_m: but not by more than this.
    """
    limbs, radii_m, beyond_m = limbs_of(skeleton)
    start, end = joints_m[limbs[:, 0]], joints_m[limbs[:, 1]]
    known = np.isfinite(start).all(-1) & np.isfinite(end).all(-1)
    limbs, start, end = limbs[known], start[known], end[known]
    along = end - start
    length = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    end = end + along / length * beyond_m[known][:, None]
    sigma_m = worst_sigma_m(covariance_m2)[limbs].max(-1)
    inflation_m = np.minimum(k_sigma * sigma_m, most_inflation_m)
    return Capsules(start, end, radii_m[known] + inflation_m, limbs)


def worst_sigma_m(covariance_m2: Array) -> Array:
    """Standard deviation in the worst direction, [...] m of [..., 3, 3] m^2; 0 where unknown."""
    known = np.asarray(np.isfinite(covariance_m2).all((-2, -1)))
    largest = np.linalg.eigvalsh(np.where(known[..., None, None], covariance_m2, 0.0))[..., -1]
    return np.sqrt(np.maximum(largest, 0.0))


def together(everybody: Sequence[Capsules]) -> Capsules:
    """The capsules of several people, one after the other."""
    if not everybody:
        return Capsules(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 2), np.int64))
    return Capsules(
        np.concatenate([c.starts_m for c in everybody]),
        np.concatenate([c.ends_m for c in everybody]),
        np.concatenate([c.radii_m for c in everybody]),
        np.concatenate([c.joints for c in everybody]),
    )


def surface_points(capsules: Capsules, spacing_m: float) -> Array:
    """Points [N, 3] m all over the capsules, about ``spacing_m`` apart, at least six a ring."""
    along = capsules.ends_m - capsules.starts_m
    length = np.linalg.norm(along, axis=-1)
    upright = length < 1e-9
    axis = np.where(upright[:, None], [0.0, 0.0, 1.0], along / np.maximum(length, 1e-9)[:, None])
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin(-1)])
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    other = np.cross(axis, side)
    radii = capsules.radii_m
    rings = np.maximum(2, np.ceil(length / spacing_m).astype(int) + 1)
    arcs = np.maximum(2, np.ceil(np.pi / 2 * radii / spacing_m).astype(int))
    counts = np.ceil(2 * np.pi * radii / spacing_m).astype(int)
    points = [np.zeros((0, 3))]
    for i, radius in enumerate(radii):
        share, beyond, x, y = _unit_capsule(int(rings[i]), int(arcs[i]), int(counts[i]))
        frame = np.stack([axis[i], side[i], other[i]])
        local = np.stack([share * length[i] + beyond * radius, x * radius, y * radius], -1)
        points.append(capsules.starts_m[i] + local @ frame)
    return np.concatenate(points)


@lru_cache(maxsize=1024)
def _unit_capsule(rings: int, arcs: int, count: int) -> tuple[Array, Array, Array, Array]:
    """Points [N] on a capsule: how far along the axis they lie, as a share of its length and, beyond
    its ends, in radii; and across it, in radii.

    Args:
        rings: along the cylinder; arcs: rings from its end to the pole, which is one point.
        count: points on a full ring; smaller ones have fewer, six at least.
    """
    angles = np.linspace(0.0, np.pi / 2, arcs + 1)[1:]
    shares = np.concatenate([np.zeros(arcs), np.linspace(0.0, 1.0, rings), np.ones(arcs)])
    beyond = np.concatenate([-np.sin(angles)[::-1], np.zeros(rings), np.sin(angles)])
    across = np.concatenate([np.cos(angles)[::-1], np.ones(rings), np.cos(angles)])
    table = []
    for index, ring in enumerate(zip(shares, beyond, across)):
        n = 1 if ring[2] < 1e-9 else max(6, int(np.ceil(count * ring[2])))
        turn = (np.arange(n) + 0.5 * (index % 2)) * 2 * np.pi / n
        at = [np.full(n, ring[0]), np.full(n, ring[1])]
        table.append(np.stack([*at, ring[2] * np.cos(turn), ring[2] * np.sin(turn)]))
    share, past, x, y = np.concatenate(table, -1)
    return share, past, x, y


def closest_points(capsules: Capsules, start_m: Array, end_m: Array) -> tuple[Array, Array, Array]:
    """From every capsule's axis to one segment (a robot's link; a point where start is end).

    Returns:
        distance between the axes [C] m (radii not subtracted), the point on the capsule's axis
        [C, 3] m and the point on the segment [C, 3] m. After Ericson, Real-Time Collision
        Detection, section 5.1.9.
    """
    d1, d2 = (
        capsules.ends_m - capsules.starts_m,
        np.broadcast_to(end_m - start_m, capsules.ends_m.shape),
    )
    r = capsules.starts_m - start_m
    a, e = (d1 * d1).sum(-1), (d2 * d2).sum(-1)
    b, c, f = (d1 * d2).sum(-1), (d1 * r).sum(-1), (d2 * r).sum(-1)
    tiny = 1e-12
    denominator = a * e - b * b
    s = np.where(denominator > tiny, (b * f - c * e) / np.maximum(denominator, tiny), 0.0).clip(
        0, 1
    )
    t = np.where(e > tiny, (b * s + f) / np.maximum(e, tiny), 0.0)
    outside = (t < 0) | (t > 1)
    t = t.clip(0, 1)
    again = (b * t - c) / np.maximum(a, tiny)
    s = np.where(outside | (e <= tiny), again, s).clip(0, 1)
    s = np.where(a > tiny, s, 0.0)
    on_body = capsules.starts_m + s[:, None] * d1
    on_link = start_m + t[:, None] * d2
    return np.linalg.norm(on_body - on_link, axis=-1), on_body, on_link
