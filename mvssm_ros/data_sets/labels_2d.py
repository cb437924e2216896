"""3D labels from 2D labels in two views or more.

The network for keypoints says who is who in the views; where the joints are is then triangulated
from the 2D labels alone, and what does not fit is left out, view by view and joint by joint.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mvssm_ros.data_sets.frames import NOBODY, Array
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.keypoints import canvas_scale
from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.geometry.triangulation import triangulate_twice
from mvssm_ros.predictor import People, Predictor
from mvssm_ros.rig.keypoint_bag import load_keypoint_bag
from mvssm_ros.rig.keypoint_sequence import KeypointSequence, load_keypoints
from mvssm_ros.rig.rig_file import Rig

NO_LABEL_2D = "no 2D labels near in time"
NOT_PAIRED = "somebody in two 2D views who could not be triangulated"

# Pixels of images that are 960 px long on their longer side.
FIT_PX = 15.0  # a joint's reprojection error in a view that is used
_NEAR_PX = 60.0  # somebody's 2D joints are those of a triangulated person: their median distance
_SIGMA_PX = 3.0  # of 2D labels, at least
MAX_SIGMA_M = 0.06  # standard deviation of a joint in its worst direction
MIN_JOINTS = 6  # of a person
_MIN_SEEN = 6  # joints of a 2D person who counts as somebody
_MAX_PEOPLE = 16


def sequence_of(source: str | Path, is_bag: bool, rig: Rig) -> KeypointSequence:
    """2D labels of the rig's cameras, from a bag or an .npz.

    Raises:
        UserError: they cannot be read, or are of fewer than two of the cameras.
    """
    if is_bag:
        return load_keypoint_bag(source, list(rig.cameras))
    sequence = load_keypoints(source)
    shared = [name for name in rig.cameras if name in sequence.cameras]
    if len(shared) < 2:
        raise UserError(
            f"keypoints {source}: are of the cameras {', '.join(sequence.cameras)}, expected two or"
            f" more of {', '.join(rig.cameras)}"
        )
    return sequence.views(shared)


class People2D:
    """2D labels over time, triangulated when asked for.

    Args:
        sequence: of cameras of the rig.
        rig: with intrinsics and extrinsics of these cameras.
        tolerance_ns: the nearest labels in time may be so far from an image.
        offset_ns: added to their stamps.
    """

    def __init__(
        self, sequence: KeypointSequence, rig: Rig, tolerance_ns: int, offset_ns: int = 0
    ) -> None:
        self._sequence = sequence
        self._stamps_ns = sequence.stamps_ns + offset_ns
        self._tolerance_ns = tolerance_ns
        self._rig = rig
        self._cameras = rig.to_cameras(sequence.cameras, torch.float64)
        self._predictor = Predictor.from_pretrained(max_people=_MAX_PEOPLE)

    @property
    def span_ns(self) -> tuple[int, int]:
        """First and last stamp; 0, 0 without any."""
        stamps = self._stamps_ns
        return (int(stamps[0]), int(stamps[-1])) if len(stamps) else (0, 0)

    def at(self, stamp_ns: int) -> tuple[Array, str]:
        """As `labels.Labels.at`; of the labels that are nearest in time."""
        nobody = np.zeros((0, 15, 3))
        if not len(self._stamps_ns):
            return nobody, NO_LABEL_2D
        nearest = int(np.abs(self._stamps_ns - stamp_ns).argmin())
        if abs(int(self._stamps_ns[nearest]) - stamp_ns) > self._tolerance_ns:
            return nobody, NO_LABEL_2D
        views = [
            people[(people[..., 2] > 0).any(-1)] for people in self._sequence.keypoints[nearest]
        ]
        if not any(len(people) for people in views):
            return nobody, NOBODY
        cameras32 = self._cameras.to(torch.float32)
        found = self._predictor.predict_keypoints(cameras32, views, self._rig.space)
        joints = triangulated(self._cameras, found)
        if _unpaired_views(self._cameras, views, joints) >= 2:
            return nobody, NOT_PAIRED
        return joints, "" if len(joints) else NOBODY


def triangulated(cameras: Cameras, people: People) -> Array:
    """People [G, 15, 3] m from the 2D labels that the network has given to each, NaN where unknown.

    A view that does not fit a joint is left out, the worst first; a joint needs two that do, and
    rays that cross well.
    """
    P, T = len(people.joints_m), cameras.n_views
    scale = canvas_scale(cameras.size_px).double().numpy()  # [T]
    claimed = torch.from_numpy(people.keypoints_px).double().flatten(0, 1)  # [P 15, T, 3]
    pixels = claimed[..., :2].transpose(0, 1)
    near = torch.from_numpy(people.view_used).flatten(0, 1).T
    weights = claimed[..., 2].T * near  # [T, P 15]
    prior = torch.from_numpy(people.joints_m).double().flatten(0, 1)
    for _ in range(T - 1):
        solved = triangulate_twice(cameras, pixels, weights, prior, min_sigma_px=_SIGMA_PX)
        reprojected, depth = project(cameras, solved.points_m)
        off = (reprojected - pixels).norm(dim=-1) * torch.from_numpy(scale)[:, None]
        off = torch.where(weights > 0, torch.where(depth > 0, off, torch.inf), -torch.inf)
        worst, view = off.max(0)
        bad = worst > FIT_PX
        if not bad.any():
            break
        weights[view[bad], bad.nonzero().squeeze(-1)] = 0.0
    sigma = torch.linalg.eigvalsh(solved.covariance_m2)[:, -1].clamp(min=0).sqrt()
    good = solved.solved & (worst <= FIT_PX) & (sigma <= MAX_SIGMA_M)
    joints = torch.where(good[:, None], solved.points_m, torch.nan).view(P, 15, 3).numpy()
    enough = np.isfinite(joints).all(-1).sum(-1) >= MIN_JOINTS
    return np.asarray(joints[enough & people.agreed])


def _unpaired_views(cameras: Cameras, views: list[Array], joints_m: Array) -> int:
    """How many views show somebody who is none of the people [G, 15, 3]."""
    known = np.asarray(np.isfinite(joints_m).all(-1))
    points = torch.from_numpy(np.nan_to_num(joints_m)).reshape(-1, 3)
    pixels = project(cameras, points)[0].numpy().reshape(cameras.n_views, len(joints_m), 15, 2)
    scale = canvas_scale(cameras.size_px).numpy()
    count = 0
    for view, people in enumerate(views):
        for person in people:
            seen = person[:, 2] > 0
            if seen.sum() < _MIN_SEEN:
                continue
            apart = np.linalg.norm(pixels[view] - person[:, :2], axis=-1) * scale[view]
            gaps = [np.median(a[k & seen]) for a, k in zip(apart, known) if (k & seen).any()]
            if not gaps or min(gaps) > _NEAR_PX:
                count += 1
                break
    return count
