"""Where people are by another system's word, at its own stamps, brought to the stamps of images."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from mvssm_ros.data_sets.frames import NOBODY, Array
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.geometry.skeletons import PANOPTIC15, SKELETONS

# Why a moment is left out.
NO_LABEL = "no label near in time"
COMES_OR_GOES = "somebody comes or goes between two labels"
UNSURE = "somebody is not certain in the labels"

SURE_M = (
    0.05  # a joint that was predicted is known where its standard deviation is no more than this
)
TRACK_STATES = ("tentative", "confirmed", "coasting", "lost")  # as numbered in Person.msg
_SAME_NS = 2_000_000  # a label so near is taken as it is where it cannot be interpolated
_LONGEST_NS = 500_000_000  # from an image to labels that are interpolated
_JUMP_M, _SPEED_M_S = 0.3, 3.0  # people without names: how far somebody can have got
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
_NAMES = {name for skeleton in SKELETONS.values() for name in skeleton.joints}
_FAR_M = 1e6


class Labels(Protocol):
    """What `mvssm data from-bag` takes its people from."""

    def at(self, stamp_ns: int) -> tuple[Array, str]:
        """People [G, 15, 3] m in the rig's frame, NaN where not known, and ""; or why there are none."""
        ...


@dataclass(frozen=True, eq=False)
class LabelledMoment:
    """Everybody at one stamp.

    ids: names that stay the same over time, "" where there are none; joints_m: [G, 15, 3] m, NaN where
    not known; fault: why the moment cannot be used, "" if it can.
    """

    stamp_ns: int
    ids: tuple[str, ...]
    joints_m: Array
    fault: str = ""


class People3D:
    """3D labels over time.

    Args:
        moments: in any order.
        tolerance_ns: the labels before and after an image may be so far from it, in the geometric
            mean: what a straight line misses grows with the product of both.

    Raises:
        UserError: there are no labels; ``where`` names them.
    """

    def __init__(self, moments: SequenceOf[LabelledMoment], tolerance_ns: int, where: str) -> None:
        if not moments:
            raise UserError(f"{where}: has no labels")
        self.moments = sorted(moments, key=lambda moment: moment.stamp_ns)
        self._stamps_ns = np.array([moment.stamp_ns for moment in self.moments], np.int64)
        self._tolerance_ns = tolerance_ns

    @property
    def span_ns(self) -> tuple[int, int]:
        """First and last stamp."""
        return int(self._stamps_ns[0]), int(self._stamps_ns[-1])

    def at(self, stamp_ns: int) -> tuple[Array, str]:
        """As `Labels.at`: between two labels on a straight line."""
        nobody = np.zeros((0, PANOPTIC15.n_joints, 3))
        after = int(np.searchsorted(self._stamps_ns, stamp_ns))
        gaps_ns = {i: abs(int(self._stamps_ns[i]) - stamp_ns) for i in self._beside(after)}
        nearest = min(gaps_ns, key=lambda i: gaps_ns[i])
        joints, fault = nobody, NO_LABEL
        if gaps_ns[nearest] == 0:
            return _one(self.moments[nearest])
        if len(gaps_ns) == 2 and max(gaps_ns.values()) <= _LONGEST_NS:
            before_ns, after_ns = gaps_ns.values()
            if before_ns * after_ns <= self._tolerance_ns**2:
                share = before_ns / (before_ns + after_ns)
                joints, fault = _between(self.moments[after - 1], self.moments[after], share)
        if fault and gaps_ns[nearest] <= min(_SAME_NS, self._tolerance_ns):
            return _one(self.moments[nearest])
        return joints, fault

    def _beside(self, after: int) -> list[int]:
        """The moments before and after."""
        return [i for i in (after - 1, after) if 0 <= i < len(self.moments)]


def _between(first: LabelledMoment, second: LabelledMoment, share: float) -> tuple[Array, str]:
    """On a straight line from the first (share 0) to the second (1)."""
    fault = first.fault or second.fault
    order = None if fault else _partners(first, second)
    if order is None:
        return first.joints_m[:0], fault or COMES_OR_GOES
    joints = (1 - share) * first.joints_m + share * second.joints_m[order]
    return joints, "" if len(joints) else NOBODY


def _one(moment: LabelledMoment) -> tuple[Array, str]:
    if moment.fault:
        return moment.joints_m[:0], moment.fault
    return moment.joints_m, "" if len(moment.joints_m) else NOBODY


def _partners(first: LabelledMoment, second: LabelledMoment) -> list[int] | None:
    """For each person of the first the same one of the second; None if these are not the same."""
    n = len(first.ids)
    if n != len(second.ids):
        return None
    if all(first.ids) and all(second.ids):
        if set(first.ids) != set(second.ids):
            return None
        return [second.ids.index(name) for name in first.ids]
    apart = np.linalg.norm(first.joints_m[:, None] - second.joints_m[None], axis=-1)  # [n, n, 15]
    known = np.isfinite(apart)
    cost = np.where(known, apart, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    cost = np.where(known.any(-1), cost, _FAR_M)
    rows, order = linear_sum_assignment(cost)
    reach_m = _JUMP_M + _SPEED_M_S * (second.stamp_ns - first.stamp_ns) * 1e-9
    if n and float(cost[rows, order].max()) > reach_m:
        return None
    return [int(i) for i in order]


def check_joint_names(names: SequenceOf[str], where: str) -> None:
    """Raises UserError where a joint has a name that no skeleton here has, or none is of use."""
    unknown = [name for name in names if name not in _NAMES]
    if unknown:
        raise UserError(
            f"{where}: unknown joint '{unknown[0]:.40}'; expected those of a skeleton of"
            f" {', '.join(SKELETONS)}, such as {', '.join(PANOPTIC15.joints[:6])}"
        )


def skeleton_joints(name: str, where: str) -> tuple[str, ...]:
    """Names of a skeleton's joints. Raises UserError where there is no such skeleton."""
    if name not in SKELETONS:
        raise UserError(
            f"{where}: unknown skeleton '{name:.40}'; expected one of {', '.join(SKELETONS)}"
        )
    return SKELETONS[name].joints


def panoptic15_m(joints: Mapping[str, Array]) -> Array:
    """[15, 3] of joints by name ([3] m each), NaN where one is not there and not between two others."""
    out = np.full((PANOPTIC15.n_joints, 3), np.nan)
    for row, name in zip(out, PANOPTIC15.joints, strict=True):
        if name in joints:
            row[:] = joints[name]
        elif name in _MIDDLES and all(part in joints for part in _MIDDLES[name]):
            row[:] = np.mean([joints[part] for part in _MIDDLES[name]], axis=0)
    out[~np.isfinite(out).all(-1)] = np.nan
    return out


def is_known(joint_state: str, sigma_m: float) -> bool:
    """Whether a joint that a tracker gives may be a label.

    Args:
        joint_state: missing, observed or predicted, as in Joint.msg.
        sigma_m: standard deviation, NaN if unknown.
    """
    return joint_state == "observed" or (joint_state == "predicted" and sigma_m <= SURE_M)


def seen_by_two(cameras: Cameras, joints_m: Array) -> np.ndarray:
    """[G] bool: half of the known joints or more are in the images of two cameras."""
    G = len(joints_m)
    known = np.isfinite(joints_m).all(-1)
    points = torch.from_numpy(np.nan_to_num(joints_m)).reshape(-1, 3).to(cameras.K)
    inside = in_view(cameras, *project(cameras, points)).numpy()
    inside = inside.reshape(cameras.n_views, G, 15) & known
    return np.asarray((2 * inside.sum(-1) >= known.sum(-1)).sum(0) >= 2)
