"""Where a refined rig is put in the world."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from walking_people import ring_rig

from mvssm_ros.rig.bundle import Views
from mvssm_ros.rig.gauge import align


@pytest.fixture
def given():
    return Views(ring_rig(4).to_cameras(dtype=torch.float64), np.zeros(4))


def moved(views, seed=0, scale=1.1):
    """The whole rig shifted, turned and scaled."""
    rng = np.random.default_rng(seed)
    Q = Rotation.from_rotvec(rng.normal(0, 0.2, 3)).as_matrix()
    return views.placed(views.rotations @ Q.T, scale * views.centers_m @ Q.T + rng.normal(0, 1, 3))


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.2])
def test_a_rig_moved_as_a_whole_comes_back(given, scale):
    back, found = align(moved(given, scale=scale), given, 0.05, 0.05)
    np.testing.assert_allclose(back.centers_m, given.centers_m, atol=1e-5)
    np.testing.assert_allclose(back.rotations, given.rotations, atol=1e-5)
    assert found == pytest.approx(1 / scale, abs=1e-5)


def test_a_camera_that_was_pushed_does_not_drag_the_others_along(given):
    centers = given.centers_m
    centers[1] += (0.2, -0.1, 0.1)
    pushed = given.placed(given.rotations, centers)
    back, _ = align(moved(pushed), given, 0.05, 0.05)
    off = np.linalg.norm(back.centers_m - given.centers_m, axis=1)
    assert off[[0, 2, 3]].max() < 0.01
    assert off[1] == pytest.approx(0.245, abs=0.02)


def test_cameras_that_do_not_count(given):
    centers = given.centers_m
    centers[1] += (50.0, 0.0, 0.0)
    counts = np.array([True, False, True, True])
    back, _ = align(moved(given.placed(given.rotations, centers)), given, 0.05, 0.05, counts)
    np.testing.assert_allclose(back.centers_m[counts], given.centers_m[counts], atol=1e-5)


def test_two_cameras_fix_the_turn_about_their_baseline_too(given):
    pair = Views(given.cameras.select([0, 1]), np.zeros(2))
    back, _ = align(moved(pair), pair, 0.05, 0.05)
    np.testing.assert_allclose(back.rotations, pair.rotations, atol=1e-5)
