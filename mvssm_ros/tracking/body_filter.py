"""How people move: a Kalman filter of constant velocity for every joint, coupled by the body.

A joint's velocity is the body's plus its own against it. The body's is the mean of the trunk's
joints; it holds while the body is seen and fades with a time constant of `FADE_S` once it is not.
The own part fades always. So joints that are not seen go on with the body, and a body that is not
seen walks on for a moment and stops. What this leaves out is white acceleration, more of it for
hands and feet.

Joints are otherwise independent, so that a state is [N, J] small filters and one call does all
people at once. N people, J = 15 joints of panoptic15; metres, seconds. Updates are in Joseph form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mvssm_ros.geometry.skeletons import PANOPTIC15

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

N_JOINTS = PANOPTIC15.n_joints
FADE_S = 0.5  # time constant of the velocity of a body that is not seen
HOLD_S = 0.2  # for so long it holds before it fades
OUTLIER = 25.0  # Mahalanobis distance squared from which on a joint counts less
CHI2_95 = 7.815  # of three degrees of freedom
_MOST_ADAPTED = 100.0  # a body that moves quite otherwise widens its covariance by at most this


def by_group(trunk: float, head: float, middle: float, end: float) -> Array:
    """[J] with a value for the trunk, the nose, elbows and knees, wrists and ankles."""
    return np.array([_pick(name, (trunk, head, middle, end)) for name in PANOPTIC15.joints])


def _pick(joint: str, values: Sequence[float]) -> float:
    part = joint.split("_")[-1]
    return values[{"nose": 1, "elbow": 2, "knee": 2, "wrist": 3, "ankle": 3}.get(part, 0)]


TRUNK: Bools = by_group(1, 0, 0, 0) > 0
# Spectral density of the acceleration, m^2/s^3, and the time constant of a joint's own velocity, s.
ACCELERATION = by_group(0.4, 0.8, 2.0, 6.0)
OWN_FADE_S = by_group(3.0, 0.4, 0.4, 0.4)
FIRST_SPEED_M_S = by_group(0.8, 0.9, 1.0, 1.5)  # standard deviation of a new joint's, per axis


@dataclass
class Motion:
    """What is known of N people.

    position_m, velocity_m_s [N, J, 3]: NaN and 0 for a joint that was never seen;
    pp, pv, vv [N, J, 3, 3]: covariances of position (m^2), of position and velocity (m^2/s; rows
    are positions) and of velocity (m^2/s^2); unseen_s [N]: time since the body was last seen.
    """

    position_m: Array
    velocity_m_s: Array
    pp: Array
    pv: Array
    vv: Array
    unseen_s: Array

    def __len__(self) -> int:
        return len(self.position_m)

    @property
    def known(self) -> Bools:
        """[N, J]"""
        return np.isfinite(self.position_m[..., 0])

    def take(self, rows: npt.NDArray[np.int_]) -> Motion:
        """Some of the people, in the order of rows."""
        return Motion(*(getattr(self, f.name)[rows] for f in fields(self)))

    def join(self, others: Motion) -> Motion:
        """These people, then the others."""
        return Motion(
            *(np.concatenate([getattr(m, f.name) for m in (self, others)]) for f in fields(self))
        )


def nobody() -> Motion:
    """No people yet."""
    none = np.zeros((0, N_JOINTS, 3))
    blocks = np.zeros((*none.shape, 3))
    return Motion(none, none, blocks, blocks, blocks, np.zeros(0))


def begin(joints_m: Array, covariance_m2: Array) -> Motion:
    """People seen for the first time: at rest as far as is known.

    joints_m [N, J, 3], NaN where unknown; covariance_m2 [N, J, 3, 3].
    """
    position, pp = _usable(joints_m, covariance_m2)
    eye = np.eye(3)
    vv = np.broadcast_to((FIRST_SPEED_M_S**2)[:, None, None] * eye, pp.shape).copy()
    velocity = np.zeros_like(position)
    return Motion(position, velocity, pp, np.zeros_like(pp), vv, np.zeros(len(position)))


def body_velocity(motion: Motion) -> tuple[Array, Array]:
    """Velocity of the trunk, [N, 3] m/s, and its covariance [N, 3, 3]; 0 and the covariance of the
    other joints where none of the trunk is known.

    The errors of the trunk's joints are taken as one: the covariance is their mean, not less.
    """
    known = motion.known
    use = known & TRUNK
    use = np.where(use.any(-1, keepdims=True), use, known)
    weight = use / np.maximum(use.sum(-1, keepdims=True), 1)  # [N, J]
    velocity = np.einsum("nj,njd->nd", weight, motion.velocity_m_s)
    return velocity, np.einsum("nj,njab->nab", weight, motion.vv)


def predict(motion: Motion, step_s: float) -> Motion:
    """Where everybody is step_s later (a negative step counts as none)."""
    step = max(float(step_s), 0.0)
    if step == 0.0 or not len(motion):
        return motion
    later = motion.unseen_s + step
    fading = later - np.maximum(motion.unseen_s, HOLD_S)  # s, of this step
    fading = np.clip(fading, 0.0, step)
    slowed = np.exp(-fading / FADE_S)[:, None, None]  # [N, 1, 1]
    way = (step - fading)[:, None, None] + FADE_S * (1 - slowed)  # s at the body's speed
    kept = np.exp(-step / OWN_FADE_S)[:, None]  # [J, 1]
    own_way = OWN_FADE_S[:, None] * (1 - kept)  # s at the joint's own speed

    common, common_cov = body_velocity(motion)  # covariances grow as if it did not fade: it may not
    own = motion.velocity_m_s - common[:, None]
    rate = 1 / OWN_FADE_S[:, None] + (fading / step / FADE_S)[:, None, None]
    left = np.exp(-step * rate)  # [N, J, 1] of the own velocity: an unseen body keeps its shape
    position = motion.position_m + way * common[:, None] + (1 - left) / rate * own
    velocity = slowed * common[:, None] + left * own

    a, c = kept[..., None], own_way[..., None]  # [J, 1, 1]
    lean = np.maximum(way - own_way, 0.0)[..., None]  # the rest of the way: the body's error
    lag = np.maximum(slowed - kept, 0.0)[..., None]
    body = common_cov[:, None]
    q = ACCELERATION[:, None, None] * np.eye(3)
    tau = OWN_FADE_S[:, None, None]  # white acceleration on a velocity that fades, over the step
    in_v = 0.5 * tau * (1 - a**2)
    in_pv = 0.5 * c**2
    in_p = np.maximum(tau**2 * (step - 2 * c + in_v), 0.0)
    pp = _symmetric(motion.pp + c * (motion.pv + motion.pv.swapaxes(-1, -2)) + c**2 * motion.vv)
    return Motion(
        position,
        velocity,
        pp + lean**2 * body + in_p * q,
        a * (motion.pv + c * motion.vv) + lean * lag * body + in_pv * q,
        a**2 * motion.vv + lag**2 * body + in_v * q,
        later,
    )


def correct(motion: Motion, joints_m: Array, covariance_m2: Array) -> Motion:
    """Everybody after being seen.

    A joint far off what its covariances allow counts less; where most joints of a body are, it is
    the body that has moved otherwise, and its covariances are widened instead. Joints that were
    not measured move with the mean correction of the trunk.

    joints_m [N, J, 3], NaN where not measured; covariance_m2 [N, J, 3, 3].
    """
    measured, noise = _usable(joints_m, covariance_m2)
    seen = np.isfinite(measured[..., 0])
    known = motion.known
    both = seen & known
    gap = np.where(both[..., None], measured - motion.position_m, 0.0)
    pp, pv, vv = motion.pp, motion.pv, motion.vv
    far = squared_distance(gap, pp + noise)  # [N, J]
    typical = median_of_joints(far[..., None], both)
    wider = np.clip(typical / CHI2_95, 1.0, _MOST_ADAPTED)[..., None, None]
    pp, pv, vv = wider * pp, wider * pv, wider * vv
    total = pp + noise
    far = squared_distance(gap, total)
    total = total * np.maximum(far / OUTLIER, 1.0)[..., None, None]
    gain = np.linalg.inv(total) * both[..., None, None]
    to_p = pp @ gain  # zero where a joint is not measured
    to_v = pv.swapaxes(-1, -2) @ gain
    shift = np.einsum("njab,njb->nja", to_p, gap)
    turn = np.einsum("njab,njb->nja", to_v, gap)

    follows = known & ~seen
    leads = both & TRUNK
    weight = leads / np.maximum(leads.sum(-1, keepdims=True), 1)
    shift = np.where(follows[..., None], np.einsum("nj,njd->nd", weight, shift)[:, None], shift)
    turn = np.where(follows[..., None], np.einsum("nj,njd->nd", weight, turn)[:, None], turn)

    rest = np.eye(3) - to_p
    error = total - pp
    tp, tv = to_p.swapaxes(-1, -2), to_v.swapaxes(-1, -2)
    new = Motion(
        motion.position_m + shift,
        motion.velocity_m_s + turn,
        _symmetric(rest @ pp @ rest.swapaxes(-1, -2) + to_p @ error @ tp),
        rest @ (pv - pp @ tv) + to_p @ error @ tv,
        _symmetric(vv - to_v @ pv - (to_v @ pv).swapaxes(-1, -2) + to_v @ total @ tv),
        np.zeros(len(motion)),
    )
    first = seen & ~known
    if first.any():
        fresh = begin(joints_m, covariance_m2)
        speed, _ = body_velocity(new)
        fresh.velocity_m_s += speed[:, None]
        for name in ("position_m", "velocity_m_s", "pp", "pv", "vv"):
            getattr(new, name)[first] = getattr(fresh, name)[first]
    return new


def squared_distance(gap_m: Array, covariance_m2: Array) -> Array:
    """Mahalanobis distances squared: gap [..., 3], covariance [..., 3, 3]."""
    solved = np.linalg.solve(covariance_m2, gap_m[..., None])[..., 0]
    return np.asarray((gap_m * solved).sum(-1))


def median_of_joints(values: Array, use: Bools) -> Array:
    """Medians [N, D] of values [N, J, D] over the joints of use [N, J]; infinite without any.

    numpy's nanmedian does the same, at a hundred times the cost for arrays as small as these.
    """
    ordered = np.sort(np.where(use[..., None], values, np.inf), axis=1)
    n = np.maximum(use.sum(-1), 1)
    row = np.arange(len(values))
    return np.asarray(0.5 * (ordered[row, (n - 1) // 2] + ordered[row, n // 2]))


def _usable(joints_m: Array, covariance_m2: Array) -> tuple[Array, Array]:
    """Joints with a finite place and covariance; the others NaN, with a covariance of 1 m^2."""
    good: Bools = np.asarray(
        np.isfinite(joints_m).all(-1) & np.isfinite(covariance_m2).all((-1, -2))
    )
    joints = np.where(good[..., None], joints_m, np.nan)
    eye = np.eye(3)
    covariance = np.where(good[..., None, None], covariance_m2, eye)
    return joints, _symmetric(covariance) + 1e-8 * eye  # never quite singular


def _symmetric(matrix: Array) -> Array:
    return np.asarray(0.5 * (matrix + matrix.swapaxes(-1, -2)))
