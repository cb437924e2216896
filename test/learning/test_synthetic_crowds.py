"""Crowds: they repeat, people keep apart and move as people do, and detections are theirs."""

import numpy as np
import pytest
import torch

from mvssm_ros.geometry.cameras import project
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.learning.synthetic.crowds import make_crowd, walk_about

HIP = PANOPTIC15.index("mid_hip")


@pytest.fixture(scope="module")
def walkers():
    """Eight people for forty seconds at 10 Hz: joints [F, G, 15, 3]."""
    rng = np.random.default_rng(3)
    return walk_about(rng, 8, np.arange(400) / 10, np.array([1.0, -2.0]), np.array([6.0, 5.0]))


def test_the_same_arguments_give_the_same_crowd_and_other_ones_another():
    a, b = (make_crowd(1, 2, 3, seconds=2.0) for _ in range(2))
    np.testing.assert_array_equal(a.truth_m, b.truth_m)
    np.testing.assert_array_equal(a.keypoints_px, b.keypoints_px)
    assert not np.array_equal(a.truth_m, make_crowd(2, 2, 3, seconds=2.0).truth_m)


def test_people_stay_in_the_space_keep_apart_walk_stand_and_sit(walkers):
    place = walkers[:, :, HIP, :2] - np.array([1.0, -2.0])
    assert (np.abs(place) < np.array([3.0, 2.5])).all()
    apart = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1) + 9 * np.eye(8)
    assert apart.min() > 0.1
    assert (apart.min(-1) < 0.8).mean() > 0.1  # but they do come close
    speed = np.linalg.norm(np.diff(place, axis=0), axis=-1) * 10
    assert 0.2 < (speed > 0.4).mean() < 0.8
    assert (walkers[..., HIP, 2].min(0) < 0.65).any()


def test_nobody_moves_faster_than_people_do(walkers):
    speed = np.linalg.norm(np.diff(walkers, axis=0), axis=-1) * 10  # m/s
    assert speed[:, :, HIP].max() < 2.5
    assert speed.max() < 12.0
    # bones keep their lengths
    thigh = (
        walkers[:, :, PANOPTIC15.index("left_hip")] - walkers[:, :, PANOPTIC15.index("left_knee")]
    )
    length = np.linalg.norm(thigh, axis=-1)
    np.testing.assert_allclose(length, np.tile(length[:1], (400, 1)), rtol=1e-3)


def test_without_noise_every_detection_is_a_projection_of_somebody():
    crowd = make_crowd(5, 3, 4, seconds=1.0, severity=0.0)
    for f, views in enumerate(crowd.keypoints_px):
        points = torch.from_numpy(crowd.truth_m[f].reshape(-1, 3).astype(np.float32))
        pixels = project(crowd.cameras, points)[0].numpy().reshape(4, 3, 15, 2)
        for view, people in zip(pixels, views):
            for found in people[(people[..., 2] > 0).any(-1)]:
                seen = found[:, 2] > 0
                off = np.linalg.norm(found[None, seen, :2] - view[:, seen], axis=-1)
                assert off.max(-1).min() < 0.5  # px


def test_two_cameras_see_nearly_everybody_at_all_times():
    crowd = make_crowd(0, 4, 5, seconds=10.0)
    assert (crowd.views_of >= 2).mean() > 0.95
    assert (crowd.unhidden <= crowd.views_of).all()
    assert (np.diff(crowd.stamps_ns) == 100_000_000).all()
    assert 0.5 < (crowd.keypoints_px[..., 2] > 0).any(-1).sum() / crowd.unhidden.sum() < 1.5
