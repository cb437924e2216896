"""Quaternions and matrices against scipy, with and without tf_transformations."""

import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import optional
from mvssm_ros.nodes.rotations import matrix_from_quaternion, quaternion_from_matrix

# Random ones, and the half turns, at which a careless formula divides by zero.
ROTATIONS = [
    *Rotation.random(20, rng=np.random.default_rng(1)),
    *(Rotation.from_rotvec(np.pi * np.eye(3)[axis]) for axis in range(3)),
    Rotation.identity(),
]


@pytest.fixture(params=["own formulas", "tf_transformations"])
def library(request, monkeypatch):
    """Run with each of the two; the second where it is installed."""
    if request.param == "own formulas":
        monkeypatch.setitem(sys.modules, "tf_transformations", None)
        assert optional.tf_transformations() is None
    else:
        pytest.importorskip("tf_transformations")


@pytest.mark.usefixtures("library")
def test_both_ways_agree_with_scipy():
    for rotation in ROTATIONS:
        matrix = matrix_from_quaternion(3.0 * rotation.as_quat())  # need not have unit length
        np.testing.assert_allclose(matrix, rotation.as_matrix(), atol=1e-12)
        quaternion = quaternion_from_matrix(rotation.as_matrix())
        assert np.linalg.norm(quaternion) == pytest.approx(1.0)
        assert quaternion[3] >= -1e-12
        back = Rotation.from_quat(quaternion).as_matrix()
        np.testing.assert_allclose(back, rotation.as_matrix(), atol=1e-9)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [np.nan, 0, 0, 1]])
def test_no_rotation_is_refused(quaternion):
    with pytest.raises(UserError, match="is no rotation"):
        matrix_from_quaternion(np.array(quaternion, float))
