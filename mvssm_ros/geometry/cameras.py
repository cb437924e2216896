"""Calibrated cameras as one batch of tensors; projection and its inverse.

Frames: world in metres, z up (REP-103); camera = OpenCV optical frame, ``x_cam = R x_world + t``.
Pixels: the centre of the top-left pixel is (0, 0). Distortion is OpenCV's: the rational model
(plumb_bob is the rational model with k4 = k5 = k6 = 0) or the equidistant fisheye model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

MIN_DEPTH_M = 1e-3  # points nearer than this to the image plane are projected as if at this depth
_FOLD_SEARCH_RADIUS = 6.0  # normalised image radius (tan 80 deg) up to which fold-over is searched
_SETTLED = 1e-4  # a Newton step this small leaves an error of its square, and one more step follows


@dataclass(frozen=True)
class Cameras:
    """T cameras, with any leading batch dimensions ``...``.

    K            [..., T, 3, 3]  px
    distortion   [..., T, 8]     k1 k2 p1 p2 k3 k4 k5 k6; fisheye: k1 k2 k3 k4 then zeros
    fisheye      [..., T]        bool
    R            [..., T, 3, 3]  world to camera
    t            [..., T, 3]     m
    size_px      [..., T, 2]     width, height
    """

    K: Tensor
    distortion: Tensor
    fisheye: Tensor
    R: Tensor
    t: Tensor
    size_px: Tensor

    @classmethod
    def pinhole(cls, K: Tensor, R: Tensor, t: Tensor, size_px: Tensor) -> Cameras:
        """Cameras without distortion, from K, R [..., T, 3, 3], t [..., T, 3], size [..., T, 2]."""
        return cls(
            K=K,
            distortion=K.new_zeros((*K.shape[:-2], 8)),
            fisheye=torch.zeros(K.shape[:-2], dtype=torch.bool, device=K.device),
            R=R,
            t=t,
            size_px=size_px.to(K),
        )

    @property
    def n_views(self) -> int:
        return self.K.shape[-3]

    @property
    def centers_m(self) -> Tensor:
        """Camera centres in the world, [..., T, 3] m: ``-R^T t``."""
        return -(self.R.transpose(-1, -2) @ self.t.unsqueeze(-1)).squeeze(-1)

    @property
    def focal_px(self) -> Tensor:
        """Mean focal length, [..., T] px."""
        return 0.5 * (self.K[..., 0, 0] + self.K[..., 1, 1])

    def to(self, *args: Any, **kwargs: Any) -> Cameras:
        """As ``Tensor.to`` on every floating tensor; booleans change only their device."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            out = value.to(*args, **kwargs)
            moved[field.name] = out.bool() if value.dtype == torch.bool else out
        return Cameras(**moved)

    def select(self, views: Tensor | Sequence[int]) -> Cameras:
        """Keep the views named by an index list or a bool mask over T."""
        index = torch.as_tensor(views, device=self.K.device)
        if index.dtype == torch.bool:
            index = index.nonzero().squeeze(-1)
        dim = self.fisheye.dim() - 1
        return Cameras(
            **{f.name: getattr(self, f.name).index_select(dim, index) for f in fields(self)}
        )

    def at(self, index: Any) -> Cameras:
        """Those at an index into the leading dimensions, as a tensor is indexed."""
        return Cameras(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def affine(self, scale: Tensor, offset_px: Tensor) -> Cameras:
        """The same cameras seen in pixels ``u' = scale u + offset``; scale [..., T], offset [..., T, 2]."""
        A = torch.zeros_like(self.K)
        A[..., 0, 0] = A[..., 1, 1] = scale
        A[..., :2, 2] = offset_px
        A[..., 2, 2] = 1.0
        return replace(self, K=A @ self.K, size_px=self.size_px * scale.unsqueeze(-1))

    @staticmethod
    def stack(cameras: Sequence[Cameras]) -> Cameras:
        """A list of equally shaped Cameras into one with a new leading dimension."""
        return Cameras(
            **{f.name: torch.stack([getattr(c, f.name) for c in cameras]) for f in fields(Cameras)}
        )

    @cached_property
    def fold_radius(self) -> Tensor:
        """Largest undistorted radius up to which distortion is monotone, [..., T].

        Beyond it a polynomial model folds the plane back and points far outside the field of view
        would land inside the image; projection continues the model radially from there instead.
        """
        r = torch.linspace(0, _FOLD_SEARCH_RADIUS, 241, dtype=self.K.dtype, device=self.K.device)
        factor = _radial_factor(self.distortion.unsqueeze(-2), r * r)  # [..., T, 241]
        rising = torch.diff(r * factor, dim=-1) > 0
        steps = rising.to(torch.int64).cumprod(-1).sum(-1)  # steps until the first fall
        return r[steps.clamp(min=1)]


def project(cameras: Cameras, points_m: Tensor) -> tuple[Tensor, Tensor]:
    """World points [..., N, 3] m into every view: pixels [..., T, N, 2] px and depth [..., T, N] m.

    Points behind a camera have depth <= 0 and a finite but meaningless pixel: test with `in_view`.
    """
    x_cam = points_m.unsqueeze(-3) @ cameras.R.transpose(-1, -2) + cameras.t.unsqueeze(-2)
    depth = x_cam[..., 2]  # [..., T, N]
    xy = x_cam[..., :2] / depth.clamp(min=MIN_DEPTH_M).unsqueeze(-1)
    pixels = distort(cameras, xy) @ cameras.K[..., :2, :2].transpose(-1, -2)
    return pixels + cameras.K[..., None, :2, 2], depth


def distort(cameras: Cameras, xy: Tensor) -> Tensor:
    """Normalised image coordinates [..., T, N, 2] to distorted ones (OpenCV models)."""
    r2 = (xy * xy).sum(-1)
    limit = cameras.fold_radius.unsqueeze(-1)
    factor = _radial_factor(cameras.distortion.unsqueeze(-2), torch.minimum(r2, limit * limit))
    out = xy * factor.unsqueeze(-1)
    p = cameras.distortion.unsqueeze(-2)[..., 2:4]  # [..., T, 1, 2]
    inside = (r2 < limit * limit).unsqueeze(-1)
    out = torch.where(inside, out + _tangential(p, xy, r2), out)
    if cameras.fisheye.any():
        out = torch.where(cameras.fisheye[..., None, None], _distort_fisheye(cameras, xy, r2), out)
    return out


def undistort(cameras: Cameras, pixels_px: Tensor, iterations: int = 8) -> Tensor:
    """Pixels [..., T, N, 2] px to normalised image coordinates [..., T, N, 2].

    Newton iterations without gradient, until all points have settled, then one differentiable step,
    whose derivative is the exact one by the implicit function theorem.
    """
    K = cameras.K
    centred = pixels_px - K[..., None, :2, 2]
    y = centred[..., 1] / K[..., None, 1, 1]
    x = (centred[..., 0] - K[..., None, 0, 1] * y) / K[..., None, 0, 0]
    target = torch.stack([x, y], -1)
    if not (cameras.distortion.any() or cameras.fisheye.any()):
        return target
    out = _undistort_rational(cameras, target, iterations)
    if cameras.fisheye.any():
        fish = _undistort_fisheye(cameras, target, iterations)
        out = torch.where(cameras.fisheye[..., None, None], fish, out)
    return out


def in_view(cameras: Cameras, pixels_px: Tensor, depth_m: Tensor, margin_px: float = 0.0) -> Tensor:
    """True where a projected point lies inside its image and in front of the camera, [..., T, N]."""
    size = cameras.size_px.unsqueeze(-2)  # [..., T, 1, 2]
    inside = ((pixels_px >= -0.5 - margin_px) & (pixels_px < size - 0.5 + margin_px)).all(-1)
    return inside & (depth_m > MIN_DEPTH_M)


def _radial_factor(d: Tensor, r2: Tensor) -> Tensor:
    """(1 + k1 r2 + k2 r4 + k3 r6) / (1 + k4 r2 + k5 r4 + k6 r6); d [..., 1, 8], r2 [..., N]."""
    k1, k2, k3, k4, k5, k6 = (d[..., i] for i in (0, 1, 4, 5, 6, 7))
    return (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))


def _tangential(p: Tensor, xy: Tensor, r2: Tensor) -> Tensor:
    x, y = xy[..., 0], xy[..., 1]
    p1, p2 = p[..., 0], p[..., 1]
    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return torch.stack([dx, dy], -1)


def _fisheye_angle(d: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Distorted angle theta_d(theta) and its derivative; d [..., 1, 8]."""
    k1, k2, k3, k4 = (d[..., i] for i in range(4))
    s = theta * theta
    value = theta * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4))))
    slope = 1 + s * (3 * k1 + s * (5 * k2 + s * (7 * k3 + s * 9 * k4)))
    return value, slope


def _distort_fisheye(cameras: Cameras, xy: Tensor, r2: Tensor) -> Tensor:
    r = r2.clamp(min=1e-16).sqrt()
    theta_d, _ = _fisheye_angle(cameras.distortion.unsqueeze(-2), torch.atan(r))
    return xy * (theta_d / r).unsqueeze(-1)


def _undistort_fisheye(cameras: Cameras, target: Tensor, iterations: int) -> Tensor:
    d = cameras.distortion.unsqueeze(-2)
    theta_d = (target * target).sum(-1).clamp(min=1e-16).sqrt()
    with torch.no_grad():
        theta = theta_d.clamp(max=1.5)
        for _ in range(iterations):
            value, slope = _fisheye_angle(d, theta)
            theta = (theta - (value - theta_d) / slope.clamp(min=0.05)).clamp(0.0, 1.55)
        value, slope = _fisheye_angle(d, theta)
    theta = theta - (value - theta_d) / slope.clamp(min=0.05)
    return target * (torch.tan(theta.clamp(max=1.55)) / theta_d).unsqueeze(-1)


def _undistort_rational(cameras: Cameras, target: Tensor, iterations: int) -> Tensor:
    limit = cameras.fold_radius[..., None, None]
    with torch.no_grad():
        xy = target
        for _ in range(iterations):
            before = xy
            xy = xy - _newton_step(cameras, xy, target).clamp(-0.5, 0.5)
            radius = (xy * xy).sum(-1, keepdim=True).sqrt()
            xy = xy * (limit / radius.clamp(min=1e-9)).clamp(max=1.0)
            if xy.numel() == 0 or (xy - before).abs().amax() < _SETTLED:
                break
    return xy - _newton_step(cameras, xy, target)


def _newton_step(cameras: Cameras, xy: Tensor, target: Tensor) -> Tensor:
    """J^-1 (distort(xy) - target), J the 2x2 derivative of `distort` at xy (rational model)."""
    d = cameras.distortion.unsqueeze(-2)  # [..., T, 1, 8]
    k1, k2, p1, p2, k3, k4, k5, k6 = (d[..., i] for i in range(8))
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    num = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    den = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    f = num / den
    dnum = k1 + r2 * (2 * k2 + 3 * r2 * k3)
    dden = k4 + r2 * (2 * k5 + 3 * r2 * k6)
    df = (dnum - f * dden) / den  # df / d(r2)
    jxx = f + 2 * x * x * df + 2 * p1 * y + 6 * p2 * x
    jxy = 2 * x * y * df + 2 * p1 * x + 2 * p2 * y
    jyy = f + 2 * y * y * df + 6 * p1 * y + 2 * p2 * x
    det = jxx * jyy - jxy * jxy
    det = torch.where(det.abs() < 1e-3, torch.full_like(det, 1e-3), det)
    e = xy * f.unsqueeze(-1) + _tangential(d[..., 2:4], xy, r2) - target
    ex, ey = e[..., 0], e[..., 1]
    return torch.stack([(jyy * ex - jxy * ey) / det, (jxx * ey - jxy * ex) / det], -1)
