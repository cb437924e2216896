import numpy as np
import torch
from network_scenes import keypoints_seen, people, ring_of_cameras

from mvssm_ros.geometry.support import claim_keypoints


def test_everybody_claims_their_own():
    cameras, two = ring_of_cameras(3), people()
    seen = keypoints_seen(cameras, two)
    claimed, distance, _ = claim_keypoints(two, cameras, seen, 30.0)
    assert claimed.all()
    assert np.nanmax(distance) < 1e-3


def test_a_second_pose_for_the_same_person_has_nothing_left_to_claim():
    cameras, one = ring_of_cameras(3), people()[:1]
    poses = torch.cat([one, one + 0.03])
    claimed, distance, _ = claim_keypoints(poses, cameras, keypoints_seen(cameras, one), 30.0)
    assert claimed[0].all()
    assert not claimed[1].any()
    assert np.isnan(distance[1]).all()


def test_two_people_close_together_both_keep_their_keypoints():
    cameras, one = ring_of_cameras(3), people()[:1]
    both = torch.cat([one, one + 0.03])
    claimed, _, person = claim_keypoints(both, cameras, keypoints_seen(cameras, both), 30.0)
    assert claimed.all()
    assert (person[0] == 0).all()
    assert (person[1] == 1).all()


def test_missing_far_and_unseen_keypoints_are_not_claimed():
    cameras, one = ring_of_cameras(3), people()[:1]
    seen = keypoints_seen(cameras, one)
    seen[0, 0, 4, 2] = 0.0
    seen[1, 0, 5, 0] += 31.0
    behind = one + 2.5 * (cameras.centers_m[2] - one.mean(1))
    claimed, _, _ = claim_keypoints(one, cameras, seen, 30.0)
    assert not claimed[0, 4, 0]
    assert not claimed[0, 5, 1]
    assert claimed.sum() == 15 * 3 - 2
    assert not claim_keypoints(behind, cameras, seen, 1e9)[0][0, :, 2].any()


def test_nobody_or_nothing():
    cameras = ring_of_cameras(2)
    seen = keypoints_seen(cameras, people())
    assert claim_keypoints(people()[:0], cameras, seen, 30.0)[0].shape == (0, 15, 2)
    assert not claim_keypoints(people(), cameras, seen[:, :0], 30.0)[0].any()
