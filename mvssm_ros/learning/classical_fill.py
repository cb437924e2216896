"""Guesses for the joints that no two views gave, so that the classical chain names all fifteen."""

from __future__ import annotations

import numpy as np

from mvssm_ros.geometry.skeletons import PANOPTIC15

EDGES = PANOPTIC15.edge_indices
# A standing adult, metres: x forward, y left, z up, origin between the hips.
STANDING_M = np.array(
    [
        *([0.0, 0.0, 0.52], [0.12, 0.0, 0.68], [0.0, 0.0, 0.0]),
        *([0.0, 0.17, 0.48], [0.0, 0.21, 0.20], [0.03, 0.22, -0.05]),
        *([0.0, 0.10, 0.0], [0.0, 0.11, -0.42], [0.0, 0.11, -0.84]),
        *([0.0, -0.17, 0.48], [0.0, -0.21, 0.20], [0.03, -0.22, -0.05]),
        *([0.0, -0.10, 0.0], [0.0, -0.11, -0.42], [0.0, -0.11, -0.84]),
    ]
)
BONE_M = np.linalg.norm(STANDING_M[EDGES[:, 0]] - STANDING_M[EDGES[:, 1]], axis=-1)
_FAR = 99  # more bones than any two joints are apart


def fill_joints(
    joints_m: np.ndarray,
    known: np.ndarray,
    origin_m: np.ndarray,
    direction: np.ndarray,
    confidence: np.ndarray,
) -> np.ndarray:
    """Joints [J, 3] with the unknown ones guessed from their neighbours, the nearest ones first.

    The guess is that of a standing body of this person's size, turned about the vertical as the
    known joints are. Where a view saw the joint (confidence [R, J] > 0), it is the point of that
    view's ray (origin [R, 3], unit direction [R, J, 3]) nearest to the guess that is no more than
    a bone away from the neighbour.
    """
    joints, known = joints_m.copy(), known.copy()
    standing = _standing_like(joints, known)
    while not known.all():
        hops = np.where(known, _HOPS, _FAR)
        hops[known] = _FAR
        j = int(hops.min(1).argmin())
        near = np.flatnonzero(hops[j] == hops[j].min())
        guess = (joints[near] + standing[j] - standing[near]).mean(0)
        row = int(confidence[:, j].argmax())
        if confidence[row, j] > 0:
            neighbour = joints[near[0]]
            bone_m = float(np.linalg.norm(standing[j] - standing[near[0]]))
            on_ray = _on_ray(origin_m[row], direction[row, j], neighbour, bone_m, guess)
            if np.linalg.norm(on_ray - guess) < 2 * bone_m:
                guess = on_ray
        joints[j] = guess
        known[j] = True
    return joints


def _standing_like(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The standing body in the size of the known bones and turned as the known joints are."""
    start, end = EDGES.T
    both = known[start] & known[end]
    size = 1.0
    if both.any():
        length = np.linalg.norm(joints[start] - joints[end], axis=-1)
        size = float(np.clip(np.median(length[both] / BONE_M[both]), 0.5, 1.3))
    body = STANDING_M[known] - STANDING_M[known].mean(0)
    real = joints[known] - joints[known].mean(0)
    sine = (body[:, 0] * real[:, 1] - body[:, 1] * real[:, 0]).sum()
    yaw = np.arctan2(sine, (body[:, :2] * real[:, :2]).sum())
    c, s = np.cos(yaw), np.sin(yaw)
    return size * STANDING_M @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def _on_ray(
    origin: np.ndarray, direction: np.ndarray, center: np.ndarray, reach_m: float, guess: np.ndarray
) -> np.ndarray:
    """The point of a ray nearest to the guess within reach of the centre (or nearest to it)."""
    middle = (center - origin) @ direction
    across = np.linalg.norm(center - origin - middle * direction)
    half = np.sqrt(np.maximum(reach_m**2 - across**2, 0.0))
    along = np.clip((guess - origin) @ direction, middle - half, middle + half)
    return origin + along * direction


def _bones_between() -> np.ndarray:
    """[J, J] number of bones between two joints."""
    n = PANOPTIC15.n_joints
    hops = np.full((n, n), _FAR)
    np.fill_diagonal(hops, 0)
    hops[EDGES[:, 0], EDGES[:, 1]] = hops[EDGES[:, 1], EDGES[:, 0]] = 1
    for k in range(n):
        hops = np.minimum(hops, hops[:, k : k + 1] + hops[k])
    return hops


_HOPS = _bones_between()
