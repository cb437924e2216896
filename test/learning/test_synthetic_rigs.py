"""Random rigs are cameras that see the space, with lenses that can be inverted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvssm_ros.geometry.cameras import Cameras, in_view, project, undistort
from mvssm_ros.learning.synthetic.rigs import look_at, perturb_calibration, sample_rigs


@pytest.fixture(scope="module")
def rigs():
    return sample_rigs(np.random.default_rng(0), 150, 5)


def points_in_space(rigs, n: int = 150, height: float = 0.9) -> torch.Tensor:
    rng = np.random.default_rng(1)
    plan = rng.uniform(-0.45, 0.45, (len(rigs.size_m), n, 2))
    plan = rigs.center_m[:, None] + plan * rigs.size_m[:, None]
    points = np.concatenate([plan, np.full((*plan.shape[:2], 1), height)], -1)
    return torch.from_numpy(points.astype(np.float32))


def test_spaces_and_cameras_are_in_the_stated_ranges(rigs):
    assert rigs.size_m.min() >= 3.0
    assert rigs.size_m.max() <= 8.0
    square = rigs.size_m[:, 0] == rigs.size_m[:, 1]
    assert 0.35 < square.mean() < 0.65
    height = rigs.cameras.centers_m[..., 2]
    assert 0.29 < height.min() < 0.8
    assert 3.2 < height.max() < 4.01
    size = rigs.cameras.size_px
    portrait = (size[..., 1] > size[..., 0]).float().mean()
    assert 0.1 < portrait < 0.5
    pinhole = ~rigs.cameras.fisheye
    half = 0.5 * size.amax(-1)
    field = 2 * torch.rad2deg(torch.atan(half / rigs.cameras.K[..., 0, 0]))[pinhole]
    assert field.min() > 49.5
    assert field.max() < 110.5
    assert field.max() - field.min() > 40
    assert 0.01 < rigs.cameras.fisheye.float().mean() < 0.12


def test_rotations_are_rotations(rigs):
    R = rigs.cameras.R
    eye = torch.eye(3).expand_as(R)
    torch.testing.assert_close(R @ R.transpose(-1, -2), eye, atol=1e-5, rtol=0)
    assert torch.linalg.det(R).min() > 0.999


def test_most_of_the_space_is_seen_by_most_cameras(rigs):
    points = points_in_space(rigs)
    seen = in_view(rigs.cameras, *project(rigs.cameras, points))  # [B, T, N]
    assert seen.float().mean() > 0.75
    assert (seen.sum(1) >= 2).float().mean() > 0.95
    assert seen.float().mean((0, 2)).min() > 0.7  # no slot of the rig is a poor one


def test_lenses_can_be_inverted_all_over_the_image(rigs):
    rng = np.random.default_rng(2)
    cameras = rigs.cameras
    share = torch.from_numpy(rng.uniform(0, 1, (*cameras.fisheye.shape, 60, 2)).astype(np.float32))
    share[..., :4, :] = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]])  # the corners
    pixels = share * (cameras.size_px[..., None, :] - 1)
    double = cameras.to(torch.float64)
    xy = undistort(double, pixels.double(), iterations=30)
    rays = torch.cat([xy, torch.ones_like(xy[..., :1])], -1)  # camera frame, depth 1
    local = Cameras(
        double.K.unsqueeze(2), double.distortion.unsqueeze(2), double.fisheye.unsqueeze(2),
        torch.eye(3, dtype=torch.float64).expand(*double.R.shape[:2], 1, 3, 3),
        torch.zeros(*double.t.shape[:2], 1, 3, dtype=torch.float64), double.size_px.unsqueeze(2),
    )  # fmt: skip
    back, _ = project(local, rays)
    error = (back[:, :, 0] - pixels).norm(dim=-1)
    assert error.max() < 0.05
    distorted = cameras.distortion.abs().amax(-1) > 0
    assert 0.5 < distorted.float().mean() < 0.95
    assert (cameras.distortion[..., 0] < -0.16).float().mean() > 0.1  # strong barrel
    assert (cameras.distortion[..., 5] != 0).float().mean() > 0.05  # rational


def test_look_at_puts_the_target_in_the_middle_and_up_is_up():
    position = np.array([[3.0, 1.0, 1.5], [-2.0, -2.0, 0.5], [0.0, 0.0, 4.0]])
    target = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    R = look_at(position, target, np.zeros(3))
    local = (R @ (target - position)[..., None])[..., 0]
    np.testing.assert_allclose(local[:, :2], 0, atol=1e-12)
    assert (local[:, 2] > 0).all()
    up = (R @ np.array([0.0, 0.0, 1.0]))[:2]
    assert (up[:, 1] < -0.8).all()  # the image's y axis points down
    np.testing.assert_allclose(up[:, 0], 0, atol=1e-12)
    turned = look_at(position, target, np.full(3, np.pi / 2))
    assert np.abs((turned @ np.array([0.0, 0.0, 1.0]))[:2, 0]).min() > 0.8


def test_calibration_error_has_the_size_asked_for(rigs):
    asked = 6.0
    error = np.full(rigs.cameras.fisheye.shape, asked)
    wrong = perturb_calibration(np.random.default_rng(3), rigs.cameras, error)
    points = points_in_space(rigs)
    true_px, depth = project(rigs.cameras, points)
    wrong_px, _ = project(wrong, points)
    ordinary = in_view(rigs.cameras, true_px, depth) & ~rigs.cameras.fisheye[..., None]
    scale = 960 / rigs.cameras.size_px.amax(-1)[..., None]
    shift = (wrong_px - true_px).norm(dim=-1) * scale
    typical = shift[ordinary].square().mean().sqrt()
    assert 0.6 * asked < typical < 1.6 * asked
    eye = torch.eye(3).expand_as(wrong.R)
    torch.testing.assert_close(wrong.R @ wrong.R.transpose(-1, -2), eye, atol=1e-5, rtol=0)
    # the centre stays: the error is in the image, not in the place
    torch.testing.assert_close(wrong.centers_m, rigs.cameras.centers_m, atol=1e-4, rtol=0)
    none = perturb_calibration(np.random.default_rng(3), rigs.cameras, 0 * error)
    torch.testing.assert_close(none.K, rigs.cameras.K)
    torch.testing.assert_close(none.R, rigs.cameras.R, atol=1e-6, rtol=0)
