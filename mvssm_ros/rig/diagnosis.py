"""Which camera's calibration disagrees with the others about the people seen, and in what way.

Every joint that several views see has an unknown place, which takes three of its equations; what is
left are errors that only the calibration can explain. For one camera at a time, each hypothesis -
a time offset, a rotation, another position, another principal point, another focal length - is
fitted to them by robust least squares, with the joints' places eliminated (Gauss-Newton with a Schur
complement, e.g. Triggs et al. 2000, section 6). The hypothesis that leaves the least is the likely
cause. Cameras are taken one after the other, the one that explains most first, since one wrong
camera spoils the look of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import MIN_DEPTH_M, Cameras, distort, project, undistort
from mvssm_ros.geometry.triangulation import triangulate_twice
from mvssm_ros.rig.observed_people import SeenJoints

Array = npt.NDArray[np.float64]

TIME, ROTATION, POSITION = "time offset", "rotation", "position"
PRINCIPAL_POINT, FOCAL_LENGTH = "principal point", "focal length"
CAUSES = (TIME, ROTATION, POSITION, PRINCIPAL_POINT, FOCAL_LENGTH)
_N_PARAMETERS = {TIME: 1, ROTATION: 3, POSITION: 3, PRINCIPAL_POINT: 2, FOCAL_LENGTH: 1}

_NOISE_PX = 2.0  # of a 2D detector at best, at a long side of 960 px
_MIN_GAIN = 0.06  # a correction must lower the robust cost of all views by this share
_MIN_EFFECT_PX = 1.5  # and move the camera's joints by so much, at a long side of 960 px
_ALIKE = 0.05  # causes that leave no more than this share above the least cost explain alike
_MIN_JOINTS = 30  # of a camera, each seen by two others too, for a judgement of it
_STEPS = 2  # of Gauss-Newton
_REWEIGHTINGS = 3

Changes = Sequence[tuple[int, Array]]  # view, and how its pixels move [N, 2, k]: px at 960 a unit


@dataclass(frozen=True, eq=False)
class Correction:
    """What to change in one camera. value: s, rad [3], m [3] (camera axes), px [2], or a factor - 1."""

    view: int
    cause: str
    value: Array


@dataclass(frozen=True, eq=False)
class Finding:
    """How one camera agrees with people seen. Errors: median px at raw size, NaN if unknown."""

    joints: int  # compared
    error_px: float  # against the others' triangulation
    left_px: float  # the same, once the corrections of all cameras are applied
    correction: Correction | None  # None: agrees with the others
    others: tuple[tuple[str, float], ...]  # other causes, and how much more they leave; 0.1: 10 %


class _Scene:
    """Cameras and observations, and the errors that remain when joints are placed at their best."""

    def __init__(self, cameras: Cameras, joints: SeenJoints, prior_m: Array) -> None:
        self.cameras, self.joints, self.prior_m = cameras, joints, prior_m
        self.scale = (cameras.size_px.amax(-1) / 960).numpy()  # [T] px a px at 960

    def corrected(self, correction: Correction) -> _Scene:
        """The same with one camera changed."""
        i, value, c = correction.view, correction.value, self.cameras
        joints = self.joints
        K, R, t = c.K.clone(), c.R.clone(), c.t.clone()
        if correction.cause == TIME:
            pixels = joints.pixels.copy()
            pixels[i] -= joints.velocity[i] * value[0]
            joints = replace(joints, pixels=pixels)
        elif correction.cause == ROTATION:
            turn = torch.from_numpy(_rotation(value))
            R[i], t[i] = turn @ R[i], turn @ t[i]
        elif correction.cause == POSITION:
            t[i] += torch.from_numpy(value)
        elif correction.cause == PRINCIPAL_POINT:
            K[i, :2, 2] += torch.from_numpy(value)
        else:
            K[i, 0, 0] *= 1 + value[0]
            K[i, 1, 1] *= 1 + value[0]
        return _Scene(replace(c, K=K, R=R, t=t), joints, self.prior_m)

    def place(self, used: npt.NDArray[np.bool_] | None = None) -> Array:
        """Places of the joints [N, 3] by robust triangulation from the views ``used`` [T, 1]."""
        seen = self.joints.seen if used is None else self.joints.seen & used
        c = self.cameras
        straight = Cameras.pinhole(c.K, c.R, c.t, c.size_px)  # lenses are undone once, here
        rays = undistort(c, torch.from_numpy(self.joints.pixels))
        pixels = rays @ c.K[:, :2, :2].transpose(-1, -2) + c.K[:, None, :2, 2]
        weights, points = seen.astype(np.float64), torch.from_numpy(self.prior_m)
        for _ in range(4):
            found = triangulate_twice(straight, pixels, torch.from_numpy(weights), points).points_m
            points = torch.where(found.isfinite(), found, torch.from_numpy(self.prior_m))
            error = (pixels - project(straight, points)[0]).numpy() * seen[..., None]
            size = np.linalg.norm(error, axis=-1) / self.scale[:, None]
            level = max(_NOISE_PX, 1.5 * float(np.median(size[seen]))) if seen.any() else 1.0
            weights = seen / (1 + (size / level) ** 2)
        return points.numpy()

    def errors(self, points_m: Array) -> Array:
        """Observed minus projected, [T, N, 2] raw px; 0 where not seen."""
        pixels, _ = project(self.cameras, torch.from_numpy(points_m))
        return (self.joints.pixels - pixels.numpy()) * self.joints.seen[..., None]


class _Linear:
    """The errors of a scene to first order, with the joints' places eliminated."""

    def __init__(self, scene: _Scene, level: float | None = None) -> None:
        self.scene = scene
        self.points_m = scene.place()
        cameras = scene.cameras
        x_cam = self.points_m @ cameras.R.numpy().swapaxes(-1, -2) + cameras.t.numpy()[:, None]
        self.x_cam = x_cam  # [T, N, 3]
        self.by_x_cam = _projection_slope(cameras, x_cam)  # [T, N, 2, 3]
        px = scene.scale[:, None, None]
        self.J = self.by_x_cam @ cameras.R.numpy()[:, None] / px[..., None]
        self.r = scene.errors(self.points_m) / px  # px at 960
        seen = scene.joints.seen & (scene.joints.seen.sum(0) >= 3)
        self.seen = seen & (x_cam[..., 2] > MIN_DEPTH_M)
        self.level = level or _NOISE_PX
        w = self._weights(self.r)
        for _ in range(3):
            left = self._left(self.r, w)
            if level is None and self.seen.any():
                middle = np.median(np.linalg.norm(left, axis=-1)[self.seen])
                self.level = max(_NOISE_PX, 1.5 * float(middle))
            w = self._weights(left)
        self.w = w

    def cost(self, changes: Changes = (), values: Sequence[Array] = ()) -> float:
        """Robust cost of all views, with slope times value taken from each change's errors."""
        r = self._changed(changes, values)
        left = self._left(r, self._weights(self._left(r, self.w)))
        size2 = (left**2).sum(-1)[self.seen] / self.level**2
        return float(np.log1p(size2).sum())

    def fit(self, changes: Changes) -> list[Array]:
        """The values of all changes together that explain most."""
        ends = np.cumsum([slope.shape[-1] for _, slope in changes])
        total, w = np.zeros(ends[-1]), self.w
        for _ in range(_REWEIGHTINGS):
            left = self._left(self._changed(changes, np.split(total, ends[:-1])), w)
            normal, right = self._normal(changes, left, w)
            ridge = 1e-9 * np.diag(np.diag(normal)) + 1e-12 * np.eye(len(normal))
            total = total + np.linalg.solve(normal + ridge, right)
            w = self._weights(self._left(self._changed(changes, np.split(total, ends[:-1])), w))
        return np.split(total, ends[:-1])

    def _normal(self, changes: Changes, left: Array, w: Array) -> tuple[Array, Array]:
        """Normal equations of the changes' values, joints at their best places."""
        solver = self._solver(w)
        weighted = [slope * w[view][:, None, None] for view, slope in changes]
        onto = [np.einsum("nak,nal->nkl", self.J[v], m) for (v, _), m in zip(changes, weighted)]
        rows = []
        for p, (view, slope) in enumerate(changes):
            row = []
            for q, (other, _) in enumerate(changes):
                block = -np.einsum("nkl,nkm,nmo->lo", onto[p], solver, onto[q])
                if view == other:
                    block = block + np.einsum("nak,nal->kl", slope, weighted[q])
                row.append(block)
            rows.append(row)
        right = [np.einsum("nak,na->k", m, left[v]) for (v, _), m in zip(changes, weighted)]
        return np.block(rows), np.concatenate(right)

    def _changed(self, changes: Changes, values: Sequence[Array]) -> Array:
        r = self.r.copy()
        for (view, slope), value in zip(changes, values):
            r[view] -= (slope @ value) * self.scene.joints.seen[view][:, None]
        return r

    def _weights(self, r: Array) -> Array:
        return self.seen / (1 + (r**2).sum(-1) / self.level**2)

    def _solver(self, w: Array) -> Array:
        normal = np.einsum("tn,tnak,tnal->nkl", w, self.J, self.J)
        trace = np.trace(normal, axis1=1, axis2=2)[:, None, None]
        return np.asarray(np.linalg.inv(normal + (1e-9 * trace + 1e-9) * np.eye(3)))

    def _left(self, r: Array, w: Array) -> Array:
        """The errors when the joints are moved to their best places, [T, N, 2]."""
        right = np.einsum("tn,tnak,tna->nk", w, self.J, r)
        moved = np.einsum("nkl,nl->nk", self._solver(w), right)
        return (r - np.einsum("tnak,nk->tna", self.J, moved)) * self.seen[..., None]

    def slope(self, view: int, cause: str) -> Array:
        """How the view's pixels move, [N, 2, k] px at 960 a unit of the correction's value."""
        px = self.scene.scale[view]
        K = self.scene.cameras.K[view].numpy()
        x = self.x_cam[view]
        if cause == TIME:
            return self.scene.joints.velocity[view][..., None] / px
        if cause == ROTATION:
            return self.by_x_cam[view] @ -_cross(x) / px
        if cause == POSITION:
            return self.by_x_cam[view] / px
        if cause == PRINCIPAL_POINT:
            return np.broadcast_to(np.eye(2) / px, (len(x), 2, 2))
        pixels, _ = project(self.scene.cameras, torch.from_numpy(self.points_m))
        return ((pixels[view].numpy() - K[:2, 2]) / px)[..., None]


def diagnose(cameras: Cameras, joints: SeenJoints, prior_m: Array) -> list[Finding]:
    """How each of T cameras agrees with the others about people, and why if not.

    Args:
        cameras: [T], float64.
        joints: what the T views saw.
        prior_m: [3], where people are, roughly.
    """
    n_views = cameras.n_views
    scene = _Scene(cameras, joints, np.tile(prior_m, (joints.seen.shape[1], 1)))
    before = _leave_one_out(scene)
    found: dict[int, Correction] = {}
    compared = joints.seen & (joints.seen.sum(0) >= 3)
    judged = [i for i in range(n_views) if compared[i].sum() >= _MIN_JOINTS]
    while judged and len(found) < n_views - 1:
        more = _strongest(scene, found, [i for i in judged if i not in found])
        if more is None:
            break
        found = _refined(scene, more)
    reasons = {i: _reason(scene, found, i) for i in found}
    found = {i: reason[0] for i, reason in reasons.items()}
    if found:
        found = _refined(scene, found)
    after = _leave_one_out(_apply(scene, found)) if found else before
    findings = []
    for i in range(n_views):
        others = reasons[i][1] if i in reasons else ()
        findings.append(Finding(*before[i], after[i][1], found.get(i), others))
    return findings


def _apply(scene: _Scene, corrections: dict[int, Correction]) -> _Scene:
    for correction in corrections.values():
        scene = scene.corrected(correction)
    return scene


def _strongest(
    scene: _Scene, found: dict[int, Correction], views: list[int]
) -> dict[int, Correction] | None:
    """``found`` and one camera more, fitted together, which lowers the cost most.

    None if no camera more lowers it by enough.
    """
    linear = _Linear(_apply(scene, found))
    known = [(i, linear.slope(i, c.cause)) for i, c in found.items()]
    best, least = None, linear.cost() * (1 - _MIN_GAIN)
    for view in views:
        for cause in CAUSES:
            slope = linear.slope(view, cause)
            changes = [*known, (view, slope)]
            values = linear.fit(changes)
            cost = linear.cost(changes, values)
            moved = np.linalg.norm(slope @ values[-1], axis=-1)[linear.seen[view]]
            if cost < least and np.median(moved) > _MIN_EFFECT_PX:
                steps = dict(zip([*found, view], values))
                best, least = _stepped({**found, view: _none(view, cause)}, steps), cost
    return best


def _none(view: int, cause: str) -> Correction:
    return Correction(view, cause, np.zeros(_N_PARAMETERS[cause]))


def _stepped(found: dict[int, Correction], steps: dict[int, Array]) -> dict[int, Correction]:
    return {i: replace(c, value=c.value + steps[i]) for i, c in found.items()}


def _refined(scene: _Scene, found: dict[int, Correction]) -> dict[int, Correction]:
    """All corrections fitted together once more, from where they are (Gauss-Newton)."""
    for _ in range(_STEPS):
        linear = _Linear(_apply(scene, found))
        values = linear.fit([(i, linear.slope(i, c.cause)) for i, c in found.items()])
        found = _stepped(found, dict(zip(found, values)))
    return found


def _reason(
    scene: _Scene, found: dict[int, Correction], view: int
) -> tuple[Correction, tuple[tuple[str, float], ...]]:
    """The most likely cause of one camera's error, and how much more each other cause leaves.

    All causes are fitted together with the corrections of the other cameras. Of causes that explain
    alike, the one with the fewest numbers is taken.
    """
    rest = {i: c for i, c in found.items() if i != view}
    level = _Linear(_apply(scene, found)).level
    fits = []
    for cause in CAUSES:
        first = found[view] if found[view].cause == cause else _none(view, cause)
        fitted = _refined(scene, {**rest, view: first})
        fits.append((_cost(scene, fitted, level), fitted[view]))
    least = max(min(cost for cost, _ in fits), 1e-9)
    more = {c.cause: cost / least - 1 for cost, c in fits}
    alike = [c for _, c in fits if more[c.cause] < _ALIKE]
    best = min(alike, key=lambda c: (_N_PARAMETERS[c.cause], more[c.cause]))
    others = [(cause, part) for cause, part in more.items() if cause != best.cause]
    return best, tuple(sorted(others, key=lambda other: other[1]))


def _cost(scene: _Scene, found: dict[int, Correction], level: float) -> float:
    linear = _Linear(_apply(scene, found), level)
    return linear.cost()


def _leave_one_out(scene: _Scene) -> list[tuple[int, float]]:
    """For each view: joints compared, and their median distance to the others' triangulation."""
    out = []
    n_views = scene.cameras.n_views
    for i in range(n_views):
        used = np.ones((n_views, 1), bool)
        used[i] = False
        good = scene.joints.seen[i] & ((scene.joints.seen & used).sum(0) >= 2)
        if not good.any():
            out.append((0, float("nan")))
            continue
        points = scene.place(used)
        distance = np.linalg.norm(scene.errors(points)[i], axis=-1)[good]
        out.append((int(good.sum()), float(np.median(distance))))
    return out


def _projection_slope(cameras: Cameras, x_cam: Array) -> Array:
    """Derivative of the pixels by the camera coordinates [T, N, 2, 3], by central differences."""
    slopes = []
    for axis in range(3):
        h = 1e-5
        d = np.zeros(3)
        d[axis] = h
        slopes.append((_pixels(cameras, x_cam + d) - _pixels(cameras, x_cam - d)) / (2 * h))
    return np.stack(slopes, -1)


def _pixels(cameras: Cameras, x_cam: Array) -> Array:
    x = torch.from_numpy(x_cam)
    xy = x[..., :2] / x[..., 2:].clamp(min=MIN_DEPTH_M)
    pixels = distort(cameras, xy) @ cameras.K[..., :2, :2].transpose(-1, -2)
    return np.asarray((pixels + cameras.K[..., None, :2, 2]).numpy())


def _cross(x: Array) -> Array:
    """The matrices [N, 3, 3] of the cross product with x [N, 3]."""
    zero = np.zeros(len(x))
    rows = [zero, -x[:, 2], x[:, 1], x[:, 2], zero, -x[:, 0], -x[:, 1], x[:, 0], zero]
    return np.stack(rows, -1).reshape(-1, 3, 3)


def _rotation(vector_rad: Array) -> Array:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(vector_rad))
    if angle < 1e-12:
        return np.eye(3)
    k = _cross(vector_rad[None] / angle)[0]
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k))
