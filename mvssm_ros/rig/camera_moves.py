"""Notices a camera that has moved since people were first seen, though its errors stay small.

A camera that is turned by a degree, or pushed by two centimetres, shifts everybody in its image by a
few pixels: as much as a 2D detector errs in one joint, but all in the same way and for as long as
it lasts. So for every camera the joints are triangulated from the other views, and the change of its
own pose (three angles, three centimetres) that would bring them onto its keypoints is estimated, in
blocks of a second, from normal equations that weigh the uncertainty of the triangulated joints. The
last seconds are compared with what was found before. The rig's own constant errors, and the
detector's, are in both; how much they scatter from block to block says what is significant.

The camera that has moved is the one whose change explains the most (a likelihood ratio, since the
joints' uncertainty counts): joints that were triangulated with its help also seem to move in the
other views, but fit less well.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import Cameras, project

Array = npt.NDArray[np.float64]

_SPACING_S = 0.09  # sets that come faster are left out
_BLOCK_S = 1.0
_MIN_BLOCK = 5.0  # joints, by weight, without which a block does not count
_RECENT = 5  # blocks that count as now
_GAP = 6  # blocks before these that count neither as now nor as before
_LEARN = 6  # blocks that must have been learnt before anything is judged
_USUAL = 20  # and judgements, to know what is usual
_FEWEST = 5  # from so many on it is guessed, with a wider margin
_REMEMBER = 600  # of these the last
_FORGET = 0.995  # weight of what was learnt, from block to block
_SIGMA_PX = 4.0  # of a joint found by a 2D detector, at a long side of 960 px
_LIMB_PX = 12.0  # a joint that is off the rest of its person by more counts for less
_LOST_PX = 40.0  # and for nothing
_SOMEBODY_ELSE_PX = 80.0  # what is seen so far from where she is, is not the person
_MIN_JOINTS = 5  # of a person in a view
_MOST_PEOPLE = 4  # of a set
_WRONG_DEG, _WRONG_M = 1.0, 0.03  # how wrong a rig may be that is taken to be well
_MOVED_DEG, _MOVED_M = 3.0, 0.05  # how far a camera may be moved, roughly
_SIGNIFICANT = 45.0  # chi square of six degrees of freedom
_LEAST_SCATTER = 0.3  # of chi square, against that of independent errors of _SIGMA_PX
_MARGIN = 1.4  # over the largest change that was seen while all was well
_ALARMS = 2  # judgements in a row that make a move
_FLOOR_PX = 1.2  # nothing smaller is reported, at 960 px
_OVER = 0.4  # of what would be significant, at which a move is over
_MIN_SEEN = 40.0  # joints, by weight, in the last blocks without which nothing is judged


@dataclass(frozen=True)
class Move:
    """How far a camera seems to have moved: about deg or m, px in an image of 960 px.

    With people in one place a small turn and a small shift look the same: one of the two, or both,
    is what is there.
    """

    angle_deg: float
    shift_m: float
    image_px: float
    chi2: float


@dataclass
class _Sums:
    """Normal equations of a camera's pose change, six unknowns (rad, m)."""

    H: Array = field(default_factory=lambda: np.zeros((6, 6)))
    g: Array = field(default_factory=lambda: np.zeros(6))
    n: float = 0.0

    def add(self, other: _Sums, keep: float = 1.0) -> None:
        self.H = keep * self.H + other.H
        self.g = keep * self.g + other.g
        self.n = keep * self.n + other.n


class _Camera:
    """What is known of one camera."""

    def __init__(self) -> None:
        self.now = _Sums()  # the block that is being filled
        self.blocks: deque[_Sums] = deque()  # not learnt yet
        self.learnt = _Sums()
        self.n_learnt = 0
        self.fresh: deque[tuple[float, float]] = deque()  # chi square, px: judged, not learnt yet
        self.usual: deque[tuple[float, float]] = deque(maxlen=_REMEMBER)  # while all was well
        self.move: Move | None = None
        self.latest: Move | None = None
        self.alarms = 0  # blocks in a row

    def close_block(self) -> None:
        """Begin a new block; learn from one that is old enough, and judge the last ones."""
        block, self.now = self.now, _Sums()
        if block.n < _MIN_BLOCK:
            return
        self.blocks.append(block)
        if len(self.blocks) > _RECENT + _GAP:
            oldest = self.blocks.popleft()
            if self.move is None:
                self.learnt.add(oldest, _FORGET)
                self.n_learnt += 1
        self._judge()
        if self.move is None and self.latest is not None:
            self.fresh.append((self.latest.chi2, self.latest.image_px))
            if len(self.fresh) > _GAP:
                self.usual.append(self.fresh.popleft())

    def _judge(self) -> None:
        """Compare the last blocks with what was learnt."""
        recent = _Sums()
        for block in list(self.blocks)[-_RECENT:]:
            recent.add(block)
        self.latest = None
        if self.n_learnt < _LEARN or len(self.blocks) < _RECENT // 2 or recent.n < _MIN_SEEN:
            return
        inverse = np.linalg.inv(self.learnt.H + _prior(_WRONG_DEG, _WRONG_M))
        e = recent.g - recent.H @ (inverse @ self.learnt.g)
        spread = recent.H + recent.H @ inverse @ recent.H
        spread += 1e-9 * np.eye(6) * np.trace(recent.H)
        change = np.linalg.solve(recent.H + _prior(_MOVED_DEG, _MOVED_M), e)
        # H is in units of the assumed standard deviation
        image_px = _SIGMA_PX * float(np.sqrt(change @ recent.H @ change / recent.n))
        self.latest = Move(
            angle_deg=float(np.rad2deg(np.linalg.norm(change[:3]))),
            shift_m=float(np.linalg.norm(change[3:])),
            image_px=image_px,
            chi2=float(e @ np.linalg.solve(spread, e)),
        )

    def excess(self, usual: Sequence[tuple[float, float]] = ()) -> float:
        """What was found over what would be significant; 0: nothing known.

        usual: chi squares and px, for a camera of which too few are known.
        """
        if len(self.usual) >= _FEWEST:
            usual = self.usual
        if self.latest is None or len(usual) < _FEWEST:
            return 0.0
        margin = _MARGIN * max(1.0, _USUAL / len(usual))
        largest = max(chi2 for chi2, _ in usual), max(px for _, px in usual)
        scatter = sum(chi2 for chi2, _ in usual) / (6 * len(usual))
        limit = max(_SIGNIFICANT * max(scatter, _LEAST_SCATTER), margin**2 * largest[0])
        limit_px = max(_FLOOR_PX, margin * largest[1])
        return min(self.latest.chi2 / limit, (self.latest.image_px / limit_px) ** 2)

    def forget_recent(self) -> None:
        self.now = _Sums()
        self.blocks.clear()
        self.fresh.clear()
        self.latest = None
        self.alarms = 0


class MoveWatch:
    """Which cameras have moved, from the people of one set after another.

    Rigs of two cameras cannot be watched: there is nobody to say which of the two it was.

    Args:
        names: of the rig's cameras.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._cameras = {name: _Camera() for name in names}
        self._block_began_s: float | None = None
        self._taken_s = -math.inf
        self._given: Cameras | None = None
        self._calibration: Cameras | None = None  # the same in float64

    def update(
        self,
        names: Sequence[str],
        cameras: Cameras,
        joints_m: npt.NDArray[np.floating],
        keypoints_px: npt.NDArray[np.floating],
        stamp_s: float,
        trusted: npt.NDArray[np.bool_] | None = None,
    ) -> bool:
        """Take one set.

        Args:
            names: of the views [T] in this set; cameras: their calibration.
            joints_m: [P, J, 3], roughly; they are triangulated anew.
            keypoints_px: [P, J, T, 3], what each view sees of them: x, y in raw px and confidence,
                0 or NaN where nothing.
            stamp_s: of the set. A block of a second ends with the first set after it.
            trusted: [T], views that are well but for what this watch finds itself. The others
                count for nothing.

        Returns:
            Whether the moved cameras, or how far they have moved, may have changed.
        """
        began_s = self._block_began_s
        if began_s is None or stamp_s < self._taken_s:
            self._block_began_s = began_s = stamp_s
        elif stamp_s - self._taken_s < _SPACING_S:
            return False
        self._taken_s = stamp_s
        ended = stamp_s - began_s >= _BLOCK_S
        if ended:
            self._block_began_s = stamp_s
            self._end_block()
        moved = np.array([self._cameras[name].move is not None for name in names])
        good = np.ones(len(names), bool) if trusted is None else trusted
        if self._calibration is None or cameras is not self._given:
            self._given, self._calibration = cameras, cameras.to(torch.float64)
        if len(joints_m):
            sums = _normal_equations(
                self._calibration,
                joints_m[:_MOST_PEOPLE],
                keypoints_px[:_MOST_PEOPLE],
                good & ~moved,
            )
            for i, name in enumerate(names):
                if good[i] or moved[i]:
                    self._cameras[name].now.add(sums[i])
        return ended

    def _end_block(self) -> None:
        for camera in self._cameras.values():
            camera.close_block()
            if camera.move is not None and camera.latest is not None:
                camera.move = camera.latest
                if camera.excess() < _OVER:
                    camera.move = None
                    camera.forget_recent()
        well = [camera for camera in self._cameras.values() if camera.move is None]
        for camera in well:
            camera.alarms = camera.alarms + 1 if camera.excess() > 1 else 0
        if not any(camera.alarms >= _ALARMS for camera in well):
            return
        worst = max(well, key=lambda camera: camera.latest.chi2 if camera.latest else 0.0)
        if worst.excess([pair for camera in well for pair in camera.usual]) > 1:
            worst.move = worst.latest
            for camera in well:
                camera.forget_recent()  # their joints were triangulated with its help

    @property
    def moved(self) -> dict[str, Move]:
        """The cameras that have moved, until they are back where they were."""
        return {n: c.move for n, c in self._cameras.items() if c.move is not None}

    def calibrated_anew(self, name: str) -> None:
        """This camera has another calibration: it is taken to be well, and nothing is known of it.

        What was learnt of the others was learnt with it, so it is learnt anew too, but for cameras
        that have moved: they stay so until they agree again.
        """
        for other, camera in self._cameras.items():
            if other == name or camera.move is None:
                self._cameras[other] = _Camera()


def _prior(angle_deg: float, shift_m: float) -> Array:
    return np.diag([np.deg2rad(angle_deg) ** -2.0] * 3 + [shift_m**-2.0] * 3)


def _normal_equations(
    cameras: Cameras,
    joints_m: npt.NDArray[np.floating],
    keypoints_px: npt.NDArray[np.floating],
    use: npt.NDArray[np.bool_],
) -> list[_Sums]:
    """For each view [T] those of its own pose change, given the joints from the other views.

    Gauss-Newton's, at no change; weights are the inverse covariance of a residual, in which the
    joint's is included. The change is x_cam -> x_cam + rotation x x_cam - shift.
    """
    P, J, T = keypoints_px.shape[:3]
    points = np.nan_to_num(np.asarray(joints_m, np.float64)).reshape(-1, 3)  # [N, 3]
    seen = np.nan_to_num(np.asarray(keypoints_px, np.float64)).reshape(P * J, T, 3)
    seen = seen.transpose(1, 0, 2)  # [T, N, 3]
    R, t = cameras.R.numpy(), cameras.t.numpy()
    focal = (cameras.focal_px * 960 / cameras.size_px.amax(-1)).numpy()  # px at 960
    at = points @ R.transpose(0, 2, 1) + t[:, None]  # [T, N, 3]
    depth = at[..., 2].clip(0.2)
    # where a keypoint is near its joint, the offset need not be undistorted
    offset = (seen[..., :2] - project(cameras, torch.from_numpy(points))[0].numpy()) / (
        cameras.focal_px.numpy()[:, None, None]
    )
    rays = at[..., :2] / depth[..., None] + offset  # [T, N, 2]
    weight = _weights(offset, seen[..., 2], focal, P)
    weight *= at[..., 2] > 0.2

    # joints from all views, then without each one: rows in units of sigma, about `points`
    scale = (focal[:, None] / depth / _SIGMA_PX)[..., None]
    rows = (rays[..., None] * R[:, None, 2:3] - R[:, None, :2]) * scale[..., None]  # [T, N, 2, 3]
    right = (at[..., :2] - rays * at[..., 2:3]) * scale
    weighted = rows * (weight * use[:, None])[..., None, None]
    normal = np.einsum("tnka,tnkb->tnab", weighted, rows)
    sides = np.einsum("tnka,tnk->tna", weighted, right)
    counted = (weight > 0.1) & use[:, None]
    others = counted.sum(0) - counted  # [T, N] views but this one
    known = (others >= 2) & (weight > 0)
    normal = normal.sum(0) - normal + 1e-3 * np.eye(3)
    inverse = np.linalg.inv(normal)
    joint = points + np.einsum("tnab,tnb->tna", inverse, sides.sum(0) - sides)  # [T, N, 3]

    at = np.einsum("tab,tnb->tna", R, joint) + t[:, None]
    known &= at[..., 2] > 0.2
    z = np.where(known, at[..., 2], 1.0)
    x, y = at[..., 0] / z, at[..., 1] / z
    D = np.zeros((*z.shape, 2, 3))  # of the image by x_cam, in sigma
    D[..., 0, 0] = D[..., 1, 1] = 1 / z
    D[..., 0, 2], D[..., 1, 2] = -x / z, -y / z
    D *= (focal / _SIGMA_PX)[:, None, None, None]
    residual = (rays - np.stack([x, y], -1)) * (focal / _SIGMA_PX)[:, None, None]
    DR = np.einsum("tnka,tab->tnkb", D, R)
    covariance = np.einsum("tnka,tnab,tnlb->tnkl", DR, inverse, DR) + np.eye(2)
    W = np.linalg.inv(covariance) * (weight * known)[..., None, None]
    cross = np.zeros((*z.shape, 3, 3))  # rotation x at = -at x rotation
    cross[..., 0, 1], cross[..., 0, 2] = at[..., 2], -at[..., 1]
    cross[..., 1, 0], cross[..., 1, 2] = -at[..., 2], at[..., 0]
    cross[..., 2, 0], cross[..., 2, 1] = at[..., 1], -at[..., 0]
    jacobian = np.concatenate([D @ cross, -D], -1)  # [T, N, 2, 6]
    WJ = W @ jacobian
    H = np.einsum("tnka,tnkb->tab", jacobian, WJ)
    g = np.einsum("tnka,tnk->ta", WJ, residual)
    n = (weight * known).sum(1)
    return [_Sums(H[i], g[i], float(n[i])) for i in range(T)]


def _weights(offset: Array, confidence: Array, focal: Array, n_people: int) -> Array:
    """[T, N]: confidence, less where a joint is off the rest of its person in that view.

    offset [T, N, 2] of keypoints from the joints, normalised image coordinates.
    """
    T, N, _ = offset.shape
    there = (confidence > 0).reshape(T, n_people, -1)
    px = (offset * focal[:, None, None]).reshape(T, n_people, -1, 2)
    enough = there.sum(-1) >= _MIN_JOINTS
    there &= enough[..., None]
    ordered = np.sort(np.where(there[..., None], px, np.inf), 2)  # missing ones last
    middle = (there.sum(-1) // 2)[:, :, None, None]
    median = np.take_along_axis(ordered, middle.clip(0, px.shape[2] - 1), 2)
    median = np.where(enough[..., None, None], median, 0.0)
    there &= np.linalg.norm(median, axis=-1) < _SOMEBODY_ELSE_PX
    apart = np.linalg.norm(px - median, axis=-1)
    weight = np.where(there & (apart < _LOST_PX), 1 / (1 + (apart / _LIMB_PX) ** 2), 0.0)
    return weight.reshape(T, N) * confidence.clip(0, 1)
