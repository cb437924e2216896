"""Tracked people in another skeleton than panoptic15: joints copied, and joints derived.

A joint that panoptic15 has is copied. One that it lacks is derived from the nearest ones and where
the body points, and is marked: never observed, half the confidence of its sources, and the variance
of the rule added to theirs. It is missing where one of its sources is.

    panoptic15   copied: all
    coco17       derived: left_eye, right_eye, left_ear, right_ear
    blazepose33  derived: left_eye_inner, left_eye, left_eye_outer, right_eye_inner, right_eye,
                 right_eye_outer, left_ear, right_ear, left_mouth, right_mouth, left_pinky,
                 right_pinky, left_index, right_index, left_thumb, right_thumb, left_heel,
                 right_heel, left_foot_index, right_foot_index
    h36m17       derived: spine, head_top

The rules are offsets in metres of an adult with a trunk (mid-hip to neck) of 0.5 m, and grow with
the trunk. Head: x forward and down, y left, z from neck to nose, from the nose; so the head may turn
and nod. Hand: z along the forearm, from the wrist; which way the palm faces is not known. Foot: x
where the hips face, z up the shank, from the ankle. Eyes and ears are medians of CMU Panoptic
(6 people; spread about them 1 to 1.5 cm an axis), mouth, hands and feet of a triangulated walking
man (78 sets; 1 to 2 cm). The deviations below are wider: a hand bends, a foot turns out, and
detectors differ by centimetres in what they call an ear. Head_top is from body measures and
unchecked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import PANOPTIC15, SKELETONS, Skeleton

Array = npt.NDArray[np.float64]

OUTPUT_SKELETONS = ("panoptic15", "coco17", "blazepose33", "h36m17")
_TRUNK_M = 0.5
_LEAST_CONFIDENCE = 0.5  # of a derived joint, as a share of its sources'
_MIN_LENGTH_M = 0.02  # what is shorter has no direction


@dataclass(frozen=True)
class Rule:
    """A joint is the mean of ``bases`` plus ``offset_m`` in the frame of a part of the body.

    part: "head", "hand", "foot" or "" (no offset); sigma_m: standard deviation along every axis.
    """

    bases: tuple[str, ...]
    part: str
    offset_m: tuple[float, float, float]
    sigma_m: float


_LEFT_RULES = {
    "left_eye_inner": Rule(("nose",), "head", (-0.035, 0.020, 0.010), 0.02),
    "left_eye": Rule(("nose",), "head", (-0.043, 0.035, 0.000), 0.02),
    "left_eye_outer": Rule(("nose",), "head", (-0.050, 0.045, -0.005), 0.02),
    "left_ear": Rule(("nose",), "head", (-0.095, 0.082, -0.076), 0.04),
    "left_mouth": Rule(("nose",), "head", (0.008, 0.015, -0.034), 0.02),
    "left_pinky": Rule(("left_wrist",), "hand", (0.0, 0.0, 0.072), 0.04),
    "left_index": Rule(("left_wrist",), "hand", (0.0, 0.0, 0.080), 0.04),
    "left_thumb": Rule(("left_wrist",), "hand", (0.0, 0.0, 0.057), 0.04),
    "left_heel": Rule(("left_ankle",), "foot", (-0.033, 0.000, -0.063), 0.03),
    "left_foot_index": Rule(("left_ankle",), "foot", (0.168, 0.012, -0.030), 0.05),
}
RULES = {
    "spine": Rule(("mid_hip", "neck"), "", (0.0, 0.0, 0.0), 0.03),
    "head_top": Rule(("nose",), "head", (-0.180, 0.000, 0.045), 0.05),
    **_LEFT_RULES,
    **{
        "right" + name[4:]: Rule(
            tuple(base.replace("left", "right") for base in rule.bases),
            rule.part,
            (rule.offset_m[0], -rule.offset_m[1], rule.offset_m[2]),
            rule.sigma_m,
        )
        for name, rule in _LEFT_RULES.items()
    },
}


@dataclass(frozen=True)
class Joints:
    """Joints of one person.

    joints_m [J, 3], NaN where missing; velocity_m_s [J, 3]; covariance_m2 [J, 3, 3]; confidence [J]
    0..1; observed [J] bool; view_mask [J] uint64: cameras that contributed.
    """

    joints_m: Array
    velocity_m_s: Array
    covariance_m2: Array
    confidence: Array
    observed: npt.NDArray[np.bool_]
    view_mask: npt.NDArray[np.uint64]


class OutputSkeleton:
    """From panoptic15 to another skeleton.

    Raises:
        UserError: it is none of `OUTPUT_SKELETONS`.
    """

    def __init__(self, name: str) -> None:
        if name not in OUTPUT_SKELETONS:
            raise UserError(
                f"skeleton '{name}': people can be put out as one of {', '.join(OUTPUT_SKELETONS)}"
            )
        self.skeleton: Skeleton = SKELETONS[name]

    @property
    def copied(self) -> tuple[str, ...]:
        return tuple(j for j in self.skeleton.joints if j in PANOPTIC15.joints)

    @property
    def derived(self) -> tuple[str, ...]:
        return tuple(j for j in self.skeleton.joints if j not in PANOPTIC15.joints)

    def apply(self, source: Joints) -> Joints:
        """A person's joints; ``source`` is in panoptic15."""
        if self.skeleton is PANOPTIC15:
            return source
        index = PANOPTIC15.index
        frames = _Frames(source.joints_m)
        n = self.skeleton.n_joints
        out = Joints(
            np.full((n, 3), np.nan),
            np.full((n, 3), np.nan),
            np.full((n, 3, 3), np.nan),
            np.zeros(n),
            np.zeros(n, bool),
            np.zeros(n, np.uint64),
        )
        for j, name in enumerate(self.skeleton.joints):
            if name in PANOPTIC15.joints:
                for into, values in zip(vars(out).values(), vars(source).values()):
                    into[j] = values[index(name)]
                continue
            rule = RULES[name]
            bases = [index(base) for base in rule.bases]
            side = name.partition("_")[0]
            out.joints_m[j] = source.joints_m[bases].mean(0) + frames.offset_m(rule, side)
            if not np.isfinite(out.joints_m[j]).all():
                continue
            out.velocity_m_s[j] = source.velocity_m_s[bases].mean(0)
            given = source.covariance_m2[bases].sum(0) / len(bases) ** 2
            out.covariance_m2[j] = given + (frames.scale * rule.sigma_m) ** 2 * np.eye(3)
            out.confidence[j] = _LEAST_CONFIDENCE * source.confidence[bases].min()
            out.view_mask[j] = np.bitwise_or.reduce(source.view_mask[bases])
        return out


class _Frames:
    """Where the parts of one body point; NaN where that is not known."""

    def __init__(self, joints_m: Array) -> None:
        self._at = {name: joints_m[j] for j, name in enumerate(PANOPTIC15.joints)}
        at = self._at
        trunk = at["neck"] - at["mid_hip"]
        self.scale = float(np.linalg.norm(trunk)) / _TRUNK_M
        self._up = _unit(trunk)
        left = _unit(_across(at["left_hip"] - at["right_hip"], self._up))
        if not np.isfinite(left).all():
            left = _unit(_across(at["left_shoulder"] - at["right_shoulder"], self._up))
        self._left, self._forward = left, np.cross(left, self._up)

    def offset_m(self, rule: Rule, side: str) -> Array:
        """[3] m: the rule's offset, in the world."""
        if not rule.part:
            return np.zeros(3)
        frame = {"head": self._head, "hand": self._hand, "foot": self._foot}[rule.part]
        return self.scale * frame(side) @ np.array(rule.offset_m)

    def _head(self, side: str) -> Array:
        along = _unit(self._at["nose"] - self._at["neck"])
        left = np.cross(self._up, along)
        left = _unit(left) if np.linalg.norm(left) > 0.1 else self._left  # straight up: hips tell
        return np.stack([np.cross(left, along), left, along], -1)

    def _hand(self, side: str) -> Array:
        along = _unit(self._at[f"{side}_wrist"] - self._at[f"{side}_elbow"])
        return np.stack([np.zeros(3), np.zeros(3), along], -1)

    def _foot(self, side: str) -> Array:
        up = _unit(self._at[f"{side}_knee"] - self._at[f"{side}_ankle"])
        forward = _unit(_across(self._forward, up))
        return np.stack([forward, np.cross(up, forward), up], -1)


def _across(vector: Array, axis: Array) -> Array:
    """The part of a vector that is square to an axis."""
    return np.asarray(vector - (vector @ axis) * axis)


def _unit(vector: Array) -> Array:
    length = float(np.linalg.norm(vector))
    return vector / length if length > _MIN_LENGTH_M else np.full(3, np.nan)
