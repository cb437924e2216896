"""Skeleton definitions and the maps between them, by joint name.

A joint of the target is taken from the source's joint of the same name; joints that several
detectors lack are derived (neck = mid-shoulder, mid_hip = mid of the hips); what cannot be known is
missing (confidence 0). `SkeletonMap.notes` says which is which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvssm_ros.errors import UserError


@dataclass(frozen=True)
class Skeleton:
    """A named list of joints. `edges` are pairs of joint names, drawn as limbs."""

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]

    @property
    def n_joints(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        return self.joints.index(joint)

    @property
    def edge_indices(self) -> np.ndarray:
        """[E, 2] int64 joint indices."""
        return np.array([[self.index(a), self.index(b)] for a, b in self.edges], dtype=np.int64)

    @property
    def mirror(self) -> np.ndarray:
        """[J] int64: for each joint the index of its left-right mirror image (itself if none)."""
        return np.array([self.joints.index(_mirrored(j)) for j in self.joints], dtype=np.int64)


def _mirrored(joint: str) -> str:
    if joint.startswith("left_"):
        return "right_" + joint[5:]
    if joint.startswith("right_"):
        return "left_" + joint[6:]
    return joint


def _both_sides(*edges: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return edges + tuple((_mirrored(a), _mirrored(b)) for a, b in edges)


_LIMBS = _both_sides(
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
)

PANOPTIC15 = Skeleton(
    "panoptic15",
    (
        *("neck", "nose", "mid_hip", "left_shoulder", "left_elbow", "left_wrist", "left_hip"),
        *("left_knee", "left_ankle", "right_shoulder", "right_elbow", "right_wrist"),
        *("right_hip", "right_knee", "right_ankle"),
    ),
    (
        ("neck", "nose"),
        ("neck", "mid_hip"),
        *_both_sides(("neck", "left_shoulder"), ("mid_hip", "left_hip")),
        *_LIMBS,
    ),
)

COCO17 = Skeleton(
    "coco17",
    (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder"),
        *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    (
        *_both_sides(("nose", "left_eye"), ("left_eye", "left_ear"), ("left_shoulder", "left_hip")),
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        *_LIMBS,
    ),
)

BLAZEPOSE33 = Skeleton(
    "blazepose33",
    (
        *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye"),
        *("right_eye_outer", "left_ear", "right_ear", "left_mouth", "right_mouth"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist"),
        *("right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb"),
        *("right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
        *("right_ankle", "left_heel", "right_heel", "left_foot_index", "right_foot_index"),
    ),
    (
        *_both_sides(("left_shoulder", "left_hip"), ("left_ankle", "left_foot_index")),
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        *_LIMBS,
    ),
)

SHELF14 = Skeleton(
    "shelf14",
    (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow"),
        *("left_wrist", "neck", "nose"),
    ),
    (("neck", "nose"), *_both_sides(("neck", "left_shoulder"), ("neck", "left_hip")), *_LIMBS),
)

H36M17 = Skeleton(
    "h36m17",
    (
        *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee"),
        *("left_ankle", "spine", "neck", "nose", "head_top", "left_shoulder", "left_elbow"),
        *("left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
    ),
    (
        ("mid_hip", "spine"),
        ("spine", "neck"),
        ("neck", "nose"),
        ("nose", "head_top"),
        *_both_sides(("neck", "left_shoulder"), ("mid_hip", "left_hip")),
        *_LIMBS,
    ),
)

SKELETONS = {s.name: s for s in (PANOPTIC15, COCO17, BLAZEPOSE33, SHELF14, H36M17)}

_DERIVED = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}


@dataclass(frozen=True)
class SkeletonMap:
    """From one skeleton to another: target joint j is the mean of the source joints `sources[j]`."""

    source: Skeleton
    target: Skeleton
    sources: tuple[tuple[int, ...], ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the map derives and what it cannot know, one sentence each."""
        notes = []
        for joint, sources in zip(self.target.joints, self.sources, strict=True):
            if not sources:
                notes.append(f"{joint}: unknown in {self.source.name}, always missing")
            elif len(sources) > 1:
                names = " and ".join(self.source.joints[i] for i in sources)
                notes.append(f"{joint}: not in {self.source.name}, taken as the middle of {names}")
        return tuple(notes)

    def apply(self, keypoints: np.ndarray) -> np.ndarray:
        """[..., K, C+1] to [..., K', C+1]: C coordinates, then the confidence (0 = missing).

        A derived joint has the least confidence of its sources, and is missing if one of them is.
        """
        if keypoints.shape[-2] != self.source.n_joints:
            raise UserError(
                f"keypoints for skeleton {self.source.name} must have {self.source.n_joints} joints, "
                f"got {keypoints.shape[-2]}; name the detector's skeleton, one of {sorted(SKELETONS)}"
            )
        out = np.zeros(
            (*keypoints.shape[:-2], self.target.n_joints, keypoints.shape[-1]), np.float32
        )
        for j, sources in enumerate(self.sources):
            if sources:
                parts = keypoints[..., list(sources), :]
                out[..., j, :-1] = parts[..., :-1].mean(-2)
                out[..., j, -1] = parts[..., -1].min(-1)
        out[..., :-1] = np.where(out[..., -1:] > 0, out[..., :-1], 0.0)
        return out


def skeleton_map(source: str, target: str = "panoptic15") -> SkeletonMap:
    """The map between two skeletons by name. Raises UserError on an unknown name."""
    for name in (source, target):
        if name not in SKELETONS:
            raise UserError(f"unknown skeleton '{name}': expected one of {sorted(SKELETONS)}")
    src, dst = SKELETONS[source], SKELETONS[target]
    sources: list[tuple[int, ...]] = []
    for joint in dst.joints:
        if joint in src.joints:
            sources.append((src.index(joint),))
        elif joint in _DERIVED and all(part in src.joints for part in _DERIVED[joint]):
            sources.append(tuple(src.index(part) for part in _DERIVED[joint]))
        else:
            sources.append(())
    return SkeletonMap(src, dst, tuple(sources))
