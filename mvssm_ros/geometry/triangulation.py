"""Differentiable algebraic triangulation with covariance (MV-SSM section 3, AlgTriangulation).

Each view gives two linear equations in the point X. Their rows are scaled by focal length over
depth, so that the residual is a reprojection error in pixels, and solved about a prior point, which
keeps float32 accurate. The 3x3 normal equations are solved in closed form (LDL^T), batched.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .cameras import MIN_DEPTH_M, Cameras, undistort

MIN_ROW_DEPTH_M = 0.1  # rows are scaled as if no point were nearer to a camera than this


class Triangulation(NamedTuple):
    """points_m [..., N, 3]; covariance_m2 [..., N, 3, 3]; residual_px [..., N] (weighted RMS, one
    axis); solved [..., N] bool: at least two views had weight, else the prior is handed back."""

    points_m: Tensor
    covariance_m2: Tensor
    residual_px: Tensor
    solved: Tensor


def triangulate(
    cameras: Cameras,
    pixels_px: Tensor,
    weights: Tensor,
    prior_m: Tensor,
    *,
    prior_information: Tensor | None = None,
    min_sigma_px: float = 1.0,
    damping: float = 1e-6,
) -> Triangulation:
    """Weighted triangulation of N points.

    pixels_px [..., T, N, 2], weights [..., T, N] >= 0 (a view of weight 0 is not used),
    prior_m [..., N, 3]: where rows are scaled, and the answer where fewer than two views have weight.
    The covariance is ``(J^T W J)^-1 s^2``, s the weighted residual but at least `min_sigma_px`;
    W is normalised to a mean of one over the views used. Unsolved points have a covariance of 1e6.
    prior_information [..., N] (px^2 / m^2, isotropic) holds the answer to the prior; with it, joints
    that fewer than two views see move as well, as far as one view and the prior can tell.
    Solving once from a rough prior leaves the rows scaled by a rough depth: `triangulate_twice`.
    """
    ray = undistort(cameras, pixels_px)  # [..., T, N, 2]
    R, t = cameras.R.unsqueeze(-3), cameras.t.unsqueeze(-2)  # [..., T, 1, 3, 3], [..., T, 1, 3]
    x_cam = prior_m.unsqueeze(-3) @ cameras.R.transpose(-1, -2) + t  # [..., T, N, 3]
    depth = x_cam[..., 2].detach().clamp(min=MIN_ROW_DEPTH_M)
    scale = (cameras.focal_px.unsqueeze(-1) / depth).unsqueeze(-1)  # [..., T, N, 1] px per m
    # residual of X = prior + delta, one row per image axis: A delta - b, in px
    A = (ray.unsqueeze(-1) * R[..., 2:3, :] - R[..., :2, :]) * scale.unsqueeze(
        -1
    )  # [..., T, N, 2, 3]
    b = (x_cam[..., :2] - ray * x_cam[..., 2:3]) * scale  # [..., T, N, 2]

    used = weights > 0
    n_used = used.sum(-2)  # [..., N]
    solved = n_used >= 2
    wA = A * weights[..., None, None]
    normal = torch.einsum("...tnka,...tnkb->...nab", wA, A)
    right = torch.einsum("...tnka,...tnk->...na", wA, b)
    eye = torch.eye(3, dtype=A.dtype, device=A.device)
    trace = normal.diagonal(dim1=-2, dim2=-1).sum(-1)
    answered = solved
    if prior_information is None:
        ridge = torch.where(solved, damping * trace + 1e-12, torch.ones_like(trace))
    else:
        ridge = damping * trace + prior_information
        answered = torch.ones_like(solved)
    normal = normal + ridge[..., None, None] * eye
    inverse = inverse_spd3(normal)
    delta = torch.where(
        answered.unsqueeze(-1),
        (inverse @ right.unsqueeze(-1)).squeeze(-1),
        torch.zeros_like(prior_m),
    )

    residual = torch.einsum("...tnka,...na->...tnk", A, delta) - b  # [..., T, N, 2]
    total = weights.sum(-2).clamp(min=1e-12)
    mean_square = (weights.unsqueeze(-1) * residual**2).sum((-1, -3)) / (2 * total)
    # 2 n equations, 3 unknowns: an unbiased variance divides by 2 n - 3
    dof = (2 * n_used / (2 * n_used - 3).clamp(min=1)).to(mean_square)
    variance = (mean_square * dof).clamp(min=min_sigma_px**2)
    mean_weight = total / n_used.clamp(min=1)
    covariance = inverse * (variance * mean_weight)[..., None, None]
    covariance = torch.where(answered[..., None, None], covariance, 1e6 * eye)
    return Triangulation(prior_m + delta, covariance, mean_square.clamp(min=1e-12).sqrt(), solved)


def triangulate_twice(
    cameras: Cameras, pixels_px: Tensor, weights: Tensor, prior_m: Tensor, **options: Any
) -> Triangulation:
    """Triangulate, then again with the rows scaled by the depths of the first answer."""
    with torch.no_grad():
        first = triangulate(cameras, pixels_px, weights, prior_m, **options)
        ok = first.solved.unsqueeze(-1) & first.points_m.isfinite().all(-1, keepdim=True)
        prior = torch.where(ok, first.points_m, prior_m)
    return triangulate(cameras, pixels_px, weights, prior, **options)


def rays_world(cameras: Cameras, pixels_px: Tensor) -> tuple[Tensor, Tensor]:
    """Viewing rays of pixels [..., T, N, 2]: origins [..., T, 3] m, unit directions [..., T, N, 3]."""
    ray = undistort(cameras, pixels_px)
    homogeneous = torch.cat([ray, torch.ones_like(ray[..., :1])], -1)
    direction = homogeneous @ cameras.R  # R^T d for row vectors
    return cameras.centers_m, direction / direction.norm(dim=-1, keepdim=True).clamp(
        min=MIN_DEPTH_M
    )


def inverse_spd3(matrix: Tensor) -> Tensor:
    """Inverse of symmetric positive definite 3x3 matrices [..., 3, 3] by closed-form LDL^T."""
    a, b, c = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    d, e, f = matrix[..., 1, 1], matrix[..., 1, 2], matrix[..., 2, 2]
    tiny = torch.finfo(matrix.dtype).tiny
    d1 = a.clamp(min=tiny)
    l21, l31 = b / d1, c / d1
    d2 = (d - l21 * b).clamp(min=tiny)
    l32 = (e - l21 * c) / d2
    d3 = (f - l31 * c - l32 * (e - l21 * c)).clamp(min=tiny)
    # rows of L^-1
    m31 = l21 * l32 - l31
    i1, i2, i3 = 1 / d1, 1 / d2, 1 / d3
    xx = i1 + l21 * l21 * i2 + m31 * m31 * i3
    xy = -l21 * i2 - m31 * l32 * i3
    xz = m31 * i3
    yy = i2 + l32 * l32 * i3
    yz = -l32 * i3
    rows = [
        torch.stack([xx, xy, xz], -1),
        torch.stack([xy, yy, yz], -1),
        torch.stack([xz, yz, i3], -1),
    ]
    return torch.stack(rows, -2)
