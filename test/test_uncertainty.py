"""Covariances that know what the network does not say."""

import numpy as np

from mvssm_ros.uncertainty import GROUP_OF_JOINT, GROUPS, SHIPPED

COVARIANCE = np.broadcast_to(np.diag([1e-5, 2e-5, 9e-5]), (15, 3, 3)).astype(np.float32)


def volume(confidence, views):
    honest = SHIPPED.honest(COVARIANCE, np.full(15, confidence), np.full(15, views))
    return np.linalg.det(honest.astype(float))


def test_less_confidence_and_fewer_views_mean_less_sure():
    assert (volume(0.5, 3) > 5 * volume(0.95, 3)).all()
    assert (volume(0.95, 0) > volume(0.95, 1)).all()
    assert (volume(0.95, 1) > volume(0.95, 3)).all()


def test_larger_than_the_networks_own_and_longest_where_that_is():
    honest = SHIPPED.honest(COVARIANCE, np.full(15, 0.9), np.full(15, 5))
    assert honest.dtype == np.float32
    assert (np.linalg.eigvalsh(honest - COVARIANCE) > 0).all()
    assert (honest[:, 2, 2] > honest[:, 0, 0]).all()


def test_any_confidence_and_batch_gives_finite_positive_covariances():
    confidence = np.array([0.0, 1.0, 0.5])[:, None] * np.ones(15)
    honest = SHIPPED.honest(np.stack([COVARIANCE] * 3), confidence, np.zeros((3, 15), int))
    assert np.isfinite(honest).all()
    assert (np.linalg.eigvalsh(honest) > 0).all()


def test_every_joint_has_a_group():
    assert np.bincount(GROUP_OF_JOINT, minlength=len(GROUPS)).tolist() == [6, 1, 4, 4]
