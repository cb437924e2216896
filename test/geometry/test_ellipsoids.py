"""Ellipsoids of covariances: as large as they should be, turned as they should be."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mvssm_ros.geometry.ellipsoids import ellipsoids, sigmas


def test_sigmas_of_a_probability_in_3d():
    samples = np.random.default_rng(0).normal(size=(100_000, 3))
    within = np.linalg.norm(samples, axis=1) < sigmas(0.9)
    assert within.mean() == pytest.approx(0.9, abs=0.005)


def test_diameters_and_axes_give_the_covariance_back():
    R = Rotation.random(50, random_state=1).as_matrix()
    variances_m2 = np.random.default_rng(2).uniform(1e-5, 1e-1, (50, 3))
    covariance_m2 = np.einsum("nij,nj,nkj->nik", R, variances_m2, R)
    diameters_m, quaternions = ellipsoids(covariance_m2, 2.0)
    axes = Rotation.from_quat(quaternions).as_matrix()
    back = np.einsum("nij,nj,nkj->nik", axes, (diameters_m / 4.0) ** 2, axes)
    np.testing.assert_allclose(back, covariance_m2, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0)


def test_nothing_in_nothing_out():
    diameters_m, quaternions = ellipsoids(np.zeros((0, 3, 3)), 2.0)
    assert diameters_m.shape == (0, 3)
    assert quaternions.shape == (0, 4)
