"""Algebraic triangulation against an SVD, its gradient, and its covariance against experiment."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from distorted_cameras import MODELS, make_cameras

from mvssm_ros.geometry.cameras import project, undistort
from mvssm_ros.geometry.triangulation import (
    inverse_spd3,
    rays_world,
    triangulate,
    triangulate_twice,
)


def rig(n, model="plumb_bob"):
    """n cameras on a circle, looking at the origin."""
    cameras = make_cameras(MODELS[model], n=n)
    for i in range(n):
        a = 2 * np.pi * i / n
        z = torch.tensor([-np.cos(a), -np.sin(a), -0.3], dtype=torch.float64)
        z = z / z.norm()
        x = torch.linalg.cross(z, torch.tensor([0, 0, 1.0], dtype=torch.float64))
        x = x / x.norm()
        R = torch.stack([x, torch.linalg.cross(z, x), z])
        cameras.R[i] = R
        cameras.t[i] = -R @ (-4 * z)
    return cameras


def svd_point(cameras, pixels, weights, depth):
    """The same weighted linear problem, solved by numpy's SVD of [A | -b]."""
    ray = undistort(cameras, pixels)[:, 0].numpy()
    rows = []
    for i in range(cameras.n_views):
        P = np.concatenate([cameras.R[i].numpy(), cameras.t[i, :, None].numpy()], 1)
        s = np.sqrt(weights[i].item()) * cameras.focal_px[i].item() / depth[i].item()
        rows += [s * (ray[i, 0] * P[2] - P[0]), s * (ray[i, 1] * P[2] - P[1])]
    A = np.stack(rows)
    return np.linalg.lstsq(A[:, :3], -A[:, 3], rcond=None)[0], np.linalg.svd(A)[2][-1]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_exact_points_are_found(n):
    cameras = rig(n)
    points = torch.tensor(np.random.default_rng(0).uniform(-0.8, 0.8, size=(30, 3)))
    pixels, _ = project(cameras, points)
    out = triangulate(cameras, pixels, torch.ones(n, 30).double(), points + 0.3, damping=1e-13)
    torch.testing.assert_close(out.points_m, points, atol=1e-7, rtol=0)
    assert out.solved.all()
    # the homogeneous SVD agrees on exact points
    _, h = svd_point(cameras, pixels[:, :1], torch.ones(n), torch.ones(n))
    np.testing.assert_allclose(h[:3] / h[3], points[0].numpy(), atol=1e-7)


def test_noisy_points_agree_with_least_squares_by_svd():
    cameras = rig(4)
    rng = np.random.default_rng(3)
    points = torch.tensor(rng.uniform(-0.8, 0.8, size=(1, 3)))
    pixels, depth = project(cameras, points)
    pixels = pixels + torch.tensor(rng.normal(size=pixels.shape) * 3)
    weights = torch.tensor(rng.uniform(0.2, 2, size=(4, 1)))
    out = triangulate(cameras, pixels, weights, points, damping=1e-13)
    expected, _ = svd_point(cameras, pixels, weights[:, 0], depth[:, 0])
    np.testing.assert_allclose(out.points_m[0].numpy(), expected, atol=1e-8)


def test_float32_is_accurate_to_a_tenth_of_a_millimetre():
    cameras = rig(3).to(torch.float32)
    points = torch.tensor(np.random.default_rng(0).uniform(-0.8, 0.8, size=(50, 3))).float()
    pixels, _ = project(cameras, points)
    out = triangulate_twice(cameras, pixels, torch.ones(3, 50), points + 0.2)
    assert (out.points_m - points).norm(dim=-1).max() < 1e-4


def test_gradient():
    cameras = rig(3)
    point = torch.tensor([[0.2, -0.1, 0.3]], dtype=torch.float64)
    pixels, _ = project(cameras, point)
    pixels = (pixels + 2 * torch.randn(pixels.shape, dtype=torch.float64)).requires_grad_()
    weights = torch.tensor([[0.5], [1.0], [0.8]], dtype=torch.float64, requires_grad=True)

    def points_and_covariance(p, w):
        out = triangulate(cameras, p, w, point)
        return out.points_m, out.covariance_m2, out.residual_px

    assert torch.autograd.gradcheck(points_and_covariance, (pixels, weights), atol=1e-6)


def test_fewer_than_two_views_keep_the_prior():
    cameras = rig(3)
    prior = torch.tensor([[0.2, -0.1, 0.3], [0.0, 0.1, 0.2]], dtype=torch.float64)
    pixels, _ = project(cameras, prior + 0.1)
    weights = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    out = triangulate(cameras, pixels, weights, prior)
    assert out.solved.tolist() == [False, True]
    torch.testing.assert_close(out.points_m[0], prior[0])
    assert out.covariance_m2[0, 0, 0] == 1e6


def test_a_view_without_weight_changes_nothing():
    cameras = rig(4)
    point = torch.tensor([[0.2, -0.1, 0.3]], dtype=torch.float64)
    pixels, _ = project(cameras, point)
    weights = torch.tensor([[1.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    wrong = pixels.clone()
    wrong[1] += 300
    a, b = triangulate(cameras, pixels, weights, point), triangulate(cameras, wrong, weights, point)
    torch.testing.assert_close(a.points_m, b.points_m)
    torch.testing.assert_close(a.covariance_m2, b.covariance_m2)


def test_covariance_matches_the_spread_of_repeated_noisy_measurements():
    cameras = rig(5)
    n = 4000
    point = torch.tensor([[0.2, -0.1, 0.9]], dtype=torch.float64).expand(n, 3)
    pixels, _ = project(cameras, point)
    noise = torch.tensor(np.random.default_rng(0).normal(size=pixels.shape) * 2.0)
    out = triangulate(cameras, pixels + noise, torch.ones(5, n).double(), point, min_sigma_px=0.0)
    error = out.points_m - point
    measured = error.T @ error / n
    tolerance = 0.05 * measured.diagonal().max().item()
    torch.testing.assert_close(out.covariance_m2.mean(0), measured, rtol=0.1, atol=tolerance)


def test_equivariance_under_a_rigid_motion_of_the_world():
    cameras = rig(3)
    point = torch.tensor([[0.2, -0.1, 0.3]], dtype=torch.float64)
    pixels, _ = project(cameras, point)
    pixels = pixels + 3.0 * torch.randn(pixels.shape, dtype=torch.float64)
    w = torch.ones(3, 1).double()
    Q = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    Q = Q * Q.det()
    shift = torch.tensor([10.0, -3.0, 0.5], dtype=torch.float64)
    R2 = cameras.R @ Q.T
    moved = replace(cameras, R=R2, t=cameras.t - R2 @ shift)
    a = triangulate(cameras, pixels, w, point)
    b = triangulate(moved, pixels, w, point @ Q.T + shift)
    torch.testing.assert_close(b.points_m, a.points_m @ Q.T + shift)
    torch.testing.assert_close(b.covariance_m2, Q @ a.covariance_m2 @ Q.T)


def test_inverse_spd3():
    a = torch.randn(100, 3, 5, dtype=torch.float64)
    m = a @ a.transpose(-1, -2)
    torch.testing.assert_close(inverse_spd3(m), torch.linalg.inv(m))


def test_rays_meet_the_points_they_came_from():
    cameras = rig(3)
    points = torch.tensor(np.random.default_rng(0).uniform(-0.8, 0.8, size=(10, 3)))
    pixels, _ = project(cameras, points)
    origin, direction = rays_world(cameras, pixels)
    to_point = points - origin.unsqueeze(-2)
    torch.testing.assert_close(
        to_point / to_point.norm(dim=-1, keepdim=True), direction, atol=1e-7, rtol=0
    )
