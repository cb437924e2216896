"""Bundle adjustment of a rig: camera poses from points that several views saw.

The points are not unknowns of the solver: for given cameras each of them is triangulated (Gauss-
Newton, all points at once), and its effect is projected out of the Jacobian (variable projection;
Golub and Pereyra 1973, with Kaufman's simplification 1975). What scipy solves is then a small dense
problem, of 6 to 9 unknowns a camera, whatever the number of points.

Per camera: a small rotation w (R = exp(w) R0), a shift of its centre, and if asked the principal
point and the time by which its images are late. x_cam = R (X + late velocity - centre).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from mvssm_ros.geometry.cameras import Cameras, distort

Array = npt.NDArray[np.float64]

_MIN_DEPTH_M = 0.1
_TRIANGULATION_STEPS = 4
_MAX_STEP_M = 0.5
_STILL_M = 1e-6
_MAX_EVALUATIONS = 15  # of one solve; weights are renewed between solves


@dataclass(frozen=True)
class Views:
    """T calibrated views and how far their images are late."""

    cameras: Cameras  # [T] float64
    late_s: Array  # [T]

    @property
    def centers_m(self) -> Array:
        return np.asarray(self.cameras.centers_m.numpy())

    @property
    def rotations(self) -> Array:
        return np.asarray(self.cameras.R.numpy())

    def placed(self, rotations: Array, centers_m: Array) -> Views:
        """The same views with other extrinsics [T, 3, 3], [T, 3]."""
        t = -np.einsum("tij,tj->ti", rotations, centers_m)
        moved = replace(self.cameras, R=torch.from_numpy(rotations), t=torch.from_numpy(t))
        return Views(moved, self.late_s)


@dataclass(frozen=True)
class Points:
    """What was seen of N points in T views."""

    pixels_px: Array  # [T, N, 2] raw px
    weight: Array  # [T, N] 1 / variance in px^2; 0 = not seen
    velocity_mps: Array  # [N, 3]
    frame: npt.NDArray[np.int64]  # [N]
    independent: float = 1.0  # share of the frames whose errors are independent of each other
    stiffness: float = (
        1.0  # of robust weights: mean of d(weight error)/d(error) over the weight, <= 1
    )


@dataclass(frozen=True)
class Prior:
    """How far the given values are believed (standard deviations), and what is refined."""

    angle_rad: float
    position_m: float
    principal_point_px: Array | None = None  # [T]; None: as given
    late_s: float | None = None  # None: as given

    def sigma(self, n_views: int) -> Array:
        """[T, k] of each unknown."""
        columns = [np.full((n_views, 3), self.angle_rad), np.full((n_views, 3), self.position_m)]
        if self.principal_point_px is not None:
            columns.append(np.repeat(self.principal_point_px[:, None], 2, axis=1))
        if self.late_s is not None:
            columns.append(np.full((n_views, 1), self.late_s))
        return np.concatenate(columns, axis=1)


def residuals(views: Views, points: Points, points_m: Array) -> Array:
    """Reprojection minus what was seen, [T, N, 2] px (whatever was not seen is meaningless)."""
    return _project(views, points, points_m)[0]


def triangulate(views: Views, points: Points, start_m: Array) -> Array:
    """The points [N, 3] m of least weighted reprojection error, from a start near them."""
    out = start_m
    for _ in range(_TRIANGULATION_STEPS):
        error, to_point, _ = _project(views, points, out)
        normal, right = _normal(points.weight, to_point, error)
        step = np.linalg.solve(normal, right[..., None])[..., 0]
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        out = out - step * np.minimum(1.0, _MAX_STEP_M / np.maximum(length, 1e-12))
        if length.max(initial=0) < _STILL_M:
            break
    return out


def solve(
    views: Views, given: Views, points: Points, points_m: Array, prior: Prior
) -> tuple[Views, Array]:
    """Views and points [N, 3] that fit best with the weights as they are.

    Args:
        views: where to start.
        given: what the prior holds the unknowns to.
    """
    sigma = prior.sigma(len(views.late_s))
    start = _offsets(views, given, prior) / sigma
    best = points_m

    def at(x: Array) -> tuple[Views, Array]:
        nonlocal best
        moved = _apply(given, x.reshape(sigma.shape) * sigma, prior)
        best = triangulate(moved, points, best)
        return moved, best

    def errors(x: Array) -> Array:
        moved, where = at(x)
        return np.concatenate([_whitened(points, residuals(moved, points, where)), x])

    def slopes(x: Array) -> Array:
        moved, where = at(x)
        data = _jacobian(moved, points, where, prior, x.reshape(sigma.shape) * sigma)
        return np.concatenate([data * sigma.ravel(), np.eye(len(x))])

    found = least_squares(
        errors, start.ravel(), slopes, method="trf", xtol=1e-6, ftol=1e-5, max_nfev=_MAX_EVALUATIONS
    )
    return at(found.x)


def covariance(views: Views, points: Points, points_m: Array, prior: Prior) -> Array:
    """Covariance [T, k, T, k] of the unknowns, about the views as they are.

    The adjustment is free: what a similarity of the whole rig would change (and a common delay)
    has no covariance. Errors of one frame may be correlated: the variance of what each whole frame
    contributes is used (the "sandwich", clustered by frames), and frames whose errors depend on
    each other count as one (`Points.independent`). It is made larger because robust weights fall
    with the error (`Points.stiffness`; Huber, Robust Statistics, 1981, section 7.6) and because the
    unknowns were fitted to the same frames (the jackknife of MacKinnon and White 1985, with the mean
    leverage).
    """
    sigma = prior.sigma(len(views.late_s))
    shape = sigma.shape
    J = _jacobian(views, points, points_m, prior, np.zeros(shape)) * sigma.ravel()
    r = _whitened(points, residuals(views, points, points_m))
    used = points.weight > 0
    frame = np.repeat(np.broadcast_to(points.frame, used.shape)[used], 2)
    _, cluster = np.unique(frame, return_inverse=True)
    pull = np.zeros((cluster.max() + 1, sigma.size))
    np.add.at(pull, cluster, J * r[:, None])
    tangent = _gauge_tangent(views, prior).reshape(sigma.size, -1) / sigma.ravel()[:, None]
    left, _, _ = np.linalg.svd(tangent, full_matrices=True)
    free = left[:, tangent.shape[1] :]  # everything that is no similarity
    inverse = np.linalg.inv(free.T @ (J.T @ J + np.eye(sigma.size)) @ free)
    n_frames, n_fitted = len(pull), free.shape[1]
    larger = (n_frames / max(n_frames - n_fitted, 1)) ** 2 / points.stiffness**2
    spread = larger * inverse @ (free.T @ (pull.T @ pull) @ free) @ inverse / points.independent
    full = free @ spread @ free.T * np.outer(sigma, sigma)
    return np.asarray(full.reshape(*shape, *shape))


def _apply(given: Views, change: Array, prior: Prior) -> Views:
    """The given views, changed by [T, k]."""
    R = Rotation.from_rotvec(change[:, :3]).as_matrix() @ given.rotations
    views = given.placed(R, given.centers_m + change[:, 3:6])
    if prior.principal_point_px is not None:
        K = views.cameras.K.clone()
        K[:, :2, 2] += torch.from_numpy(change[:, 6:8])
        views = Views(replace(views.cameras, K=K), views.late_s)
    if prior.late_s is not None:
        views = Views(views.cameras, given.late_s + change[:, -1])
    return views


def _offsets(views: Views, given: Views, prior: Prior) -> Array:
    """The change [T, k] that makes the given views the others: the inverse of `_apply`."""
    turn = Rotation.from_matrix(views.rotations @ given.rotations.swapaxes(1, 2)).as_rotvec()
    columns = [turn, views.centers_m - given.centers_m]
    if prior.principal_point_px is not None:
        columns.append((views.cameras.K - given.cameras.K)[:, :2, 2].numpy())
    if prior.late_s is not None:
        columns.append((views.late_s - given.late_s)[:, None])
    return np.concatenate(columns, axis=1)


def _project(views: Views, points: Points, points_m: Array) -> tuple[Array, Array, Array]:
    """Error [T, N, 2] px, its slope by the point [T, N, 2, 3], points in the cameras [T, N, 3]."""
    cameras = views.cameras
    R = views.rotations
    where = points_m + views.late_s[:, None, None] * points.velocity_mps
    x_cam = np.einsum("tij,tnj->tni", R, where - views.centers_m[:, None])
    depth = np.maximum(x_cam[..., 2], _MIN_DEPTH_M)
    xy = x_cam[..., :2] / depth[..., None]
    bent, lens = _lens(cameras, xy)
    K = cameras.K.numpy()
    pixels = np.einsum("tij,tnj->tni", K[:, :2, :2], bent) + K[:, None, :2, 2]
    flat = np.zeros((*depth.shape, 2, 3))
    flat[..., 0, 0] = flat[..., 1, 1] = 1 / depth
    flat[..., :, 2] = -xy / depth[..., None]
    in_camera = K[:, None, :2, :2] @ lens @ flat  # by x_cam
    return pixels - points.pixels_px, in_camera @ R[:, None], x_cam


def _lens(cameras: Cameras, xy: Array) -> tuple[Array, Array]:
    """Distorted coordinates [T, N, 2] and their slopes [T, N, 2, 2] by the undistorted ones."""
    given = torch.from_numpy(xy).requires_grad_()
    bent = distort(cameras, given)  # each point for itself, so sums have the slopes of each
    rows = [torch.autograd.grad(bent[..., i].sum(), given, retain_graph=i == 0)[0] for i in (0, 1)]
    return bent.detach().numpy(), torch.stack(rows, -2).numpy()


def _normal(weight: Array, to_point: Array, error: Array) -> tuple[Array, Array]:
    """Normal equations of every point: [N, 3, 3] and [N, 3]."""
    weighted = weight[..., None, None] * to_point
    normal = np.einsum("tnia,tnib->nab", weighted, to_point)
    trace = np.trace(normal, axis1=1, axis2=2)
    normal = normal + (1e-6 * trace + 1e-12)[:, None, None] * np.eye(3)
    return normal, np.einsum("tnia,tni->na", weighted, error)


def _whitened(points: Points, error: Array) -> Array:
    used = points.weight > 0
    return np.asarray((error[used] * np.sqrt(points.weight[used])[:, None]).ravel())


def _jacobian(views: Views, points: Points, points_m: Array, prior: Prior, change: Array) -> Array:
    """Of the whitened errors [2 M, T k] by the unknowns, the points moving along."""
    _, to_point, x_cam = _project(views, points, points_m)
    R = views.rotations
    in_camera = to_point @ R.swapaxes(1, 2)[:, None]
    columns = [-in_camera @ _cross(x_cam) @ _left_jacobian(change[:, :3])[:, None], -to_point]
    if prior.principal_point_px is not None:
        columns.append(np.broadcast_to(np.eye(2), (*x_cam.shape[:2], 2, 2)))
    if prior.late_s is not None:
        columns.append(to_point @ points.velocity_mps[:, :, None])
    own = np.concatenate(columns, axis=-1)  # [T, N, 2, k], of the view's own unknowns
    normal, _ = _normal(points.weight, to_point, np.zeros(to_point.shape[:3]))
    pull = np.einsum("tn,tnia,tnik->tnak", points.weight, to_point, own)
    moves = np.linalg.inv(normal) @ pull  # [T, N, 3, k]: of the point, by each view's unknowns
    view, point = np.nonzero(points.weight > 0)
    out = -np.einsum("mia,smak->misk", to_point[view, point], moves[:, point])
    out[np.arange(len(view)), :, view] += own[view, point]
    out *= np.sqrt(points.weight[view, point])[:, None, None, None]
    return np.asarray(out.reshape(2 * len(view), -1))


def _cross(v: Array) -> Array:
    """[..., 3] to the matrices of the cross product [..., 3, 3]."""
    out = np.zeros((*v.shape, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    return out - out.swapaxes(-1, -2)


def _left_jacobian(w: Array) -> Array:
    """J with exp(w + dw) = exp(J dw) exp(w) to first order, [T, 3, 3]."""
    angle = np.linalg.norm(w, axis=-1)[:, None, None] + 1e-9
    W = _cross(w)
    return (
        np.eye(3) + (1 - np.cos(angle)) / angle**2 * W + (angle - np.sin(angle)) / angle**3 * W @ W
    )


def _gauge_tangent(views: Views, prior: Prior) -> Array:
    """Changes [T, k, 7 or 8] that no image can tell: shift, turn and scale of all, a common delay."""
    n = len(views.late_s)
    k = prior.sigma(n).shape[1]
    timed = prior.late_s is not None
    out = np.zeros((n, k, 7 + timed))
    centers = views.centers_m - views.centers_m.mean(0)
    out[:, 3:6, :3] = np.eye(3)
    out[:, :3, 3:6] = -views.rotations
    out[:, 3:6, 3:6] = -_cross(centers)
    out[:, 3:6, 6] = centers
    if timed:
        out[:, -1, 7] = 1.0
    return out
