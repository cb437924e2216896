"""The adjustment's calculus, against finite differences and against what a gauge must be."""

import numpy as np
import pytest
import torch
from walking_people import ring_rig

from mvssm_ros.rig import bundle
from mvssm_ros.rig.bundle import Points, Prior, Views, covariance, residuals, triangulate

PRIOR = Prior(0.05, 0.05, np.full(3, 20.0), 0.1)


@pytest.fixture(params=["rational_polynomial", "equidistant"])
def scene(request):
    """Three views of 40 points, of which each view lacks some; noise of 2 px."""
    rng = np.random.default_rng(0)
    cameras = ring_rig(3).to_cameras(dtype=torch.float64)
    if request.param == "equidistant":
        cameras.fisheye[1] = True
    views = Views(cameras, np.array([0.02, -0.01, 0.0]))
    points_m = rng.uniform([-1, -1, 0], [1, 1, 1.8], (40, 3))
    velocity = rng.normal(0, 0.7, (40, 3))
    nothing = Points(np.zeros((3, 40, 2)), np.ones((3, 40)), velocity, np.arange(40) // 5)
    pixels = residuals(views, nothing, points_m) + rng.normal(0, 2, (3, 40, 2))
    weight = rng.uniform(0.1, 1, (3, 40))
    weight[rng.integers(0, 3, 20), np.arange(20)] = 0
    return views, Points(pixels, weight, velocity, nothing.frame), points_m


def test_points_are_triangulated_where_the_error_is_least(scene):
    views, points, start = scene

    def cost(where):
        return (points.weight[..., None] * residuals(views, points, where) ** 2).sum()

    best = triangulate(views, points, triangulate(views, points, start))
    for axis in np.eye(3):
        assert cost(best) < cost(best + 1e-3 * axis)
        assert cost(best) < cost(best - 1e-3 * axis)


def test_the_jacobian_is_the_gradient_with_the_points_moving_along(scene):
    """Kaufman's simplification leaves the gradient of the cost exact."""
    views, points, start = scene
    start = triangulate(views, points, triangulate(views, points, start))
    change = np.random.default_rng(1).normal(0, 1, (3, 9)) * PRIOR.sigma(3) * 0.2

    def cost(x):
        moved = bundle._apply(views, x, PRIOR)
        where = start
        for _ in range(4):
            where = triangulate(moved, points, where)
        return moved, where, bundle._whitened(points, residuals(moved, points, where))

    moved, where, errors = cost(change)
    gradient = errors @ bundle._jacobian(moved, points, where, PRIOR, change)
    steps = 1e-4 * PRIOR.sigma(3).ravel()
    for i, step in enumerate(steps):
        away = np.zeros(27)
        away[i] = step
        up, down = (cost(change + sign * away.reshape(3, 9))[2] for sign in (1, -1))
        slope = (0.5 * (up @ up) - 0.5 * (down @ down)) / (2 * step)
        assert slope * step == pytest.approx(gradient[i] * step, rel=1e-3, abs=1e-6)


def test_changes_are_undone(scene):
    views, _, _ = scene
    change = np.random.default_rng(1).normal(0, 0.05, (3, 9))
    moved = bundle._apply(views, change, PRIOR)
    np.testing.assert_allclose(bundle._offsets(moved, views, PRIOR), change, atol=1e-12)


def test_a_similarity_of_all_is_seen_in_no_image_and_has_no_covariance(scene):
    views, points, points_m = scene
    points_m = triangulate(views, points, points_m)
    still = Points(points.pixels_px, points.weight, 0 * points.velocity_mps, points.frame)
    tangent = bundle._gauge_tangent(views, PRIOR).reshape(27, 8)
    J = bundle._jacobian(views, still, points_m, PRIOR, np.zeros((3, 9)))
    assert np.abs(J @ tangent).max() < 1e-4 * np.abs(J).max()
    spread = covariance(views, points, points_m, PRIOR).reshape(27, 27)
    scaled = tangent / PRIOR.sigma(3).reshape(27, 1)
    whitened = spread / np.outer(PRIOR.sigma(3), PRIOR.sigma(3))
    assert (
        np.abs(scaled.T @ whitened @ scaled).max() < 1e-9 * np.trace(whitened) * (scaled**2).max()
    )
    assert (np.diag(spread) > 0).all()
