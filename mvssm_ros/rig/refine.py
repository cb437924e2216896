"""Improves a rig's extrinsics from people who walk about (`mvssm rig refine`).

Rounds of: find out which 2D poses show one person with the calibration as it is, triangulate the
joints without outliers, adjust the bundle with robust weights; each round trusts the calibration
more. Half of the frames are held out: they say whether what was learnt from the other half is
better. If it is, the result is adjusted once more, to all frames, from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.rig import gauge
from mvssm_ros.rig.association import Groups, Tolerance, associate
from mvssm_ros.rig.bundle import Points, Prior, Views, covariance, residuals, solve, triangulate
from mvssm_ros.rig.keypoint_sequence import KeypointSequence
from mvssm_ros.rig.observed_people import (
    independent_share,
    points_of,
    robust,
    settle,
    velocities,
)
from mvssm_ros.rig.rig_file import Rig

Array = npt.NDArray[np.float64]

# What is left of the expected error, for the association; and solves, with renewed weights.
_ROUNDS = ((1.0, 2), (0.4, 2), (0.15, 3), (0.1, 4))
_LAST_ROUND = _ROUNDS[-1:]  # with all frames, from where half of them led
_BLOCKS = 10  # alternate stretches of frames are held out
_MOST_FRAMES = 600
_MOST_WORK = 40_000  # frames times cameras squared: what the Jacobian's size grows with
_LEAST_GAIN, _LEAST_GAIN_PX = 0.01, 0.02  # of the held-out error: less is no improvement
_MIN_POINTS = 60  # joints that two cameras must have seen together, to be connected
_PRINCIPAL_POINT_SHARE = 0.01  # of the long side: how far it is expected to be off
_LATE_S = 0.1
_UNSURE_DEG, _UNSURE_M = 0.4, 0.02  # standard deviations that deserve a remark


@dataclass(frozen=True)
class Settings:
    """What is refined, and how wrong the given rig may be."""

    principal_points: bool = False
    time_offsets: bool = False
    rough_deg: float = 3.0
    rough_m: float = 0.05


@dataclass(frozen=True)
class CameraResult:
    """What became of one camera. Standard deviations (sigma): root of the sum over the axes.

    late_s: how long after its stamp an image is taken, but for a delay common to all cameras.
    pose_covariance: of the optical frame's pose in the reference frame: place (m), turn about the
        reference frame's axes (rad); what moves, turns or scales the rig as a whole is not in it.
    """

    name: str
    refined: bool  # False: too few people were seen, as given
    turned_deg: float
    moved_m: float
    sigma_deg: float
    sigma_m: float
    principal_point_shift_px: tuple[float, float]
    late_s: float
    before_px: float  # median reprojection error of the held-out frames; NaN: not seen
    after_px: float
    pose_covariance: Array  # [6, 6]

    @property
    def unsure(self) -> bool:
        """Whether it remains so uncertain that the user should know."""
        return self.refined and (self.sigma_deg > _UNSURE_DEG or self.sigma_m > _UNSURE_M)


@dataclass(frozen=True)
class Refinement:
    """The refined rig and how good it is."""

    rig: Rig
    cameras: tuple[CameraResult, ...]
    before_px: float  # median reprojection error of the held-out frames, raw px
    after_px: float  # the same, of the rig learnt from the other half
    scale: float  # by which the adjusted rig was scaled to fit the given one
    n_frames: tuple[int, int]  # learnt from, held out; if improved, then adjusted to both
    n_people: tuple[int, int]  # found in them, summed over frames

    @property
    def improved(self) -> bool:
        """Whether the held-out error fell by 1 % and 0.02 px or more; less may be chance."""
        return _better(self.before_px, self.after_px)


def refine_rig(
    rig: Rig,
    sequence: KeypointSequence,
    settings: Settings = Settings(),
    before_step: Callable[[], None] = lambda: None,
) -> Refinement:
    """Refine the extrinsics of a rig from people's 2D keypoints.

    Args:
        before_step: called every second or so; what it raises ends the work.

    Raises:
        UserError: cameras that the rig does not have or that lack a calibration, too few frames, or
            nobody who was seen by two cameras.
    """
    lacking = [name for name in sequence.cameras if name not in rig.cameras]
    if lacking:
        raise UserError(
            f"keypoints: camera {', '.join(lacking)}: is not in the rig, which has"
            f" {', '.join(rig.cameras)}; name the cameras as in the rig file"
        )
    names = [name for name in rig.cameras if name in sequence.cameras]
    if len(names) < 2:
        raise UserError(f"keypoints: are of {len(names)} camera, expected two or more of the rig")
    sequence = sequence.views(names)
    given = Views(rig.to_cameras(names, torch.float64), np.zeros(len(names)))
    sequence = _thinned(sequence, settings)
    learn, check = _halves(sequence)
    prior = _prior(given, settings)

    half = learnt = _learn(given, given, learn, prior, settings, _ROUNDS, before_step)
    before, after, people_held = _held_out(given, half.views, check, settings)
    if not np.isfinite(before).any():
        raise UserError("keypoints: nobody was found in the held-out half of the frames")
    if _better(_median(before), _median(after)):
        learnt = _learn(given, half.views, sequence, prior, settings, _LAST_ROUND, before_step)
    refined, cameras = _results(rig, given, learnt, names, before, after)
    return Refinement(
        rig=refined,
        cameras=cameras,
        before_px=_median(before),
        after_px=_median(after),
        scale=learnt.scale,
        n_frames=(len(learn.stamps_ns), len(check.stamps_ns)),
        n_people=(half.n_people, people_held),
    )


@dataclass(frozen=True)
class _Learnt:
    """What was found from some frames."""

    views: Views
    scale: float
    seen: npt.NDArray[np.bool_]  # [T] cameras that see enough people with others
    spread: Array  # [T, k, T, k] covariance
    n_people: int  # in all frames


def _learn(
    given: Views,
    views: Views,
    sequence: KeypointSequence,
    prior: Prior,
    settings: Settings,
    rounds: tuple[tuple[float, int], ...],
    before_step: Callable[[], None],
) -> _Learnt:
    """Adjust the views, from where they are, to what they saw.

    Raises:
        UserError: nobody was seen by two cameras.
    """
    for share, repeats in rounds:
        before_step()
        groups = associate(views.cameras, sequence.keypoints, _tolerance(settings, share))
        points, points_m = points_of(groups, sequence.keypoints, views.cameras)
        seen = _connected(points)
        if not seen.any():
            raise UserError(_too_few(groups, points, sequence.cameras))
        points = _only(points, seen)
        for _ in range(repeats):
            before_step()
            weighted, points_m = settle(points, views, points_m)
            share_of_frames = independent_share(
                groups, weighted, views, points_m, sequence.stamps_ns
            )
            points = replace(points, independent=share_of_frames)
            weighted = robust(points, views, points_m)
            if settings.time_offsets:
                flow = velocities(groups, weighted, points_m, sequence.stamps_ns)
                points = replace(points, velocity_mps=flow)
                weighted = replace(weighted, velocity_mps=flow)
            views, points_m = solve(views, given, weighted, points_m, prior)
    spread = covariance(views, robust(points, views, points_m), points_m, prior)
    views, scale = gauge.align(views, given, prior.angle_rad, prior.position_m, seen)
    return _Learnt(views, scale, seen, spread, len(groups.frame))


def _thinned(sequence: KeypointSequence, settings: Settings) -> KeypointSequence:
    """No more frames than can be handled."""
    n = len(sequence.stamps_ns)
    if n < 4:
        raise UserError(f"keypoints: hold {n} frames, expected some seconds of people walking")
    most = int(np.clip(_MOST_WORK // len(sequence.cameras) ** 2, 4 * _BLOCKS, _MOST_FRAMES))
    if n <= most:
        return sequence
    chosen = np.linspace(0, n - 1, most).round().astype(np.int64)
    if settings.time_offsets:  # motion is seen in frames that follow each other
        starts = np.linspace(0, n - most // _BLOCKS, _BLOCKS).round().astype(np.int64)
        chosen = np.unique(starts[:, None] + np.arange(most // _BLOCKS))
    return sequence.frames(chosen)


def _halves(sequence: KeypointSequence) -> tuple[KeypointSequence, KeypointSequence]:
    """Every second of ten stretches of frames to learn from, the others to check with."""
    n = len(sequence.stamps_ns)
    block = np.arange(n) * min(_BLOCKS, n) // n
    return (
        sequence.frames(np.flatnonzero(block % 2 == 0)),
        sequence.frames(np.flatnonzero(block % 2 == 1)),
    )


def _prior(given: Views, settings: Settings) -> Prior:
    long_side = given.cameras.size_px.amax(-1).numpy()
    return Prior(
        angle_rad=float(np.deg2rad(settings.rough_deg)),
        position_m=settings.rough_m,
        principal_point_px=_PRINCIPAL_POINT_SHARE * long_side
        if settings.principal_points
        else None,
        late_s=_LATE_S if settings.time_offsets else None,
    )


def _tolerance(settings: Settings, share: float) -> Tolerance:
    return Tolerance(share * float(np.deg2rad(settings.rough_deg)), share * settings.rough_m)


def _connected(points: Points) -> npt.NDArray[np.bool_]:
    """[T] the largest set of cameras that are linked by enough common points (none: all False)."""
    used = (points.weight > 0).astype(np.int64)
    linked = (used @ used.T >= _MIN_POINTS) & ~np.eye(len(used), dtype=bool)
    for _ in range(len(linked)):
        linked = linked | ((linked.astype(np.int64) @ linked.astype(np.int64)) > 0)
    return np.asarray(linked[linked.sum(1).argmax()])


def _only(points: Points, seen: npt.NDArray[np.bool_]) -> Points:
    weight = points.weight * seen[:, None]
    return replace(points, weight=weight * ((weight > 0).sum(0) >= 2))


def _held_out(
    given: Views, views: Views, check: KeypointSequence, settings: Settings
) -> tuple[Array, Array, int]:
    """Reprojection errors [T, N] px of the same 2D joints by the given and by the refined views;
    NaN where not seen. And the number of people."""
    groups = associate(views.cameras, check.keypoints, _tolerance(settings, _ROUNDS[-1][0]))
    errors = []
    for each in (given, views):
        points, points_m = points_of(groups, check.keypoints, each.cameras)
        points_m = triangulate(each, points, points_m)
        if each.late_s.any():
            flow = velocities(groups, points, points_m, check.stamps_ns)
            points = replace(points, velocity_mps=flow)
            points_m = triangulate(each, points, points_m)
        error = np.linalg.norm(residuals(each, points, points_m), axis=-1)
        errors.append(np.where(points.weight > 0, error, np.nan))
    both = np.isfinite(errors[0]) & np.isfinite(errors[1])
    before, after = (np.where(both, e, np.nan) for e in errors)
    return before, after, len(groups.frame)


def _results(
    rig: Rig, given: Views, learnt: _Learnt, names: list[str], before: Array, after: Array
) -> tuple[Rig, tuple[CameraResult, ...]]:
    """The rig with its new cameras, and what became of each; before and after [T, N] px."""
    views, seen, spread = learnt.views, learnt.seen, learnt.spread
    cameras, results = dict(rig.cameras), []
    for i, name in enumerate(names):
        old, R, center = rig.cameras[name], views.rotations[i], views.centers_m[i]
        if seen[i]:
            K = views.cameras.K[i].numpy()
            cameras[name] = replace(old, K=K, R=R, t_m=-R @ center)
        sigma = np.sqrt(np.maximum(np.diag(spread[i, :, i]), 0))  # exact input: -0
        turn = np.arccos(np.clip((np.trace(R @ given.rotations[i].T) - 1) / 2, -1, 1))
        to_pose = np.zeros((6, 6))  # of exp(w) R: the pose's turn is -R^T w
        to_pose[:3, 3:], to_pose[3:, :3] = np.eye(3), -R.T
        shift = (views.cameras.K - given.cameras.K)[i, :2, 2]
        results.append(
            CameraResult(
                name=name,
                refined=bool(seen[i]),
                turned_deg=float(np.rad2deg(turn)) if seen[i] else 0.0,
                moved_m=float(np.linalg.norm(center - given.centers_m[i])) if seen[i] else 0.0,
                sigma_deg=float(np.rad2deg(np.linalg.norm(sigma[:3]))),
                sigma_m=float(np.linalg.norm(sigma[3:6])),
                principal_point_shift_px=(float(shift[0]), float(shift[1])),
                late_s=float(views.late_s[i]),
                before_px=_median(before[i]),
                after_px=_median(after[i]),
                pose_covariance=to_pose @ spread[i, :6, i, :6] @ to_pose.T,
            )
        )
    return replace(rig, cameras=cameras), tuple(results)


def _better(before_px: float, after_px: float) -> bool:
    return before_px - after_px >= max(_LEAST_GAIN * before_px, _LEAST_GAIN_PX)


def _median(errors: Array) -> float:
    known = errors[np.isfinite(errors)]
    return float(np.median(known)) if known.size else float("nan")


def _too_few(groups: Groups, points: Points, names: tuple[str, ...]) -> str:
    used = points.weight > 0
    shared = (used.astype(np.int64) @ used.T.astype(np.int64)) * ~np.eye(len(names), dtype=bool)
    return (
        f"keypoints: no two cameras see enough of the same people: {len(groups.frame)} were found"
        f" in two views, {int(shared.max(initial=0))} joints in the best pair of views, expected"
        f" {_MIN_POINTS} or more; record longer, walk where cameras overlap, or, if the rig is very"
        " rough, raise --rough-deg and --rough-m"
    )
