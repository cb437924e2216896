import torch
from network_scenes import people

from mvssm_ros.learning.matching import match_nearest, pose_distances, survivors


def scene():
    """Candidates at 0, 0.1, 0.2 m from person 0, one far from all; person 1 real, person 2 padding."""
    truth = torch.cat([people(), torch.zeros(1, 15, 3).double()])[None]
    valid = torch.tensor([[True, True, False]])
    steps = [
        truth[0, 0],
        truth[0, 0] + torch.tensor([0.1, 0, 0]),
        truth[0, 0] + torch.tensor([0.2, 0, 0]),
    ]
    far = truth[0, 0] + torch.tensor([9.0, 0, 0])
    return torch.stack([*steps, far])[None], truth, valid


def test_distances_are_means_over_joints_and_padding_is_nobody():
    poses, truth, valid = scene()
    d = pose_distances(poses, truth, valid)
    torch.testing.assert_close(d[0, :3, 0], torch.tensor([0.0, 0.1, 0.2]).double())
    assert (d[..., 2] >= 1e3).all()


def test_each_person_takes_its_k_nearest_within_reach():
    poses, truth, valid = scene()
    match = match_nearest(poses, truth[:, :1], valid[:, :1], k=2)
    assert match.positive[0].tolist() == [True, True, False, False]


def test_a_person_takes_its_nearest_however_far():
    poses, truth, valid = scene()
    match = match_nearest(poses[:, 3:], truth[:, :1], valid[:, :1], k=2)
    assert match.positive.tolist() == [[True]]


def test_a_candidate_becomes_one_person_only():
    poses, truth, valid = scene()
    match = match_nearest(poses, truth, valid, k=4, reach_m=5.0)
    assert match.person[0, :3].tolist() == [0, 0, 0]  # though person 1 wants them as well
    assert match.positive[0, :3].all()


def test_no_people_no_positives():
    poses, truth, valid = scene()
    assert not match_nearest(poses, truth, torch.zeros_like(valid)).positive.any()


def test_survivors_are_the_matched_and_the_hardest_negatives():
    poses, truth, valid = scene()
    poses = torch.cat([poses, poses[:, 3:] + 1.0], 1)
    scores = torch.tensor([[0.0, 0.0, 0.0, 0.3, 0.9]]).double()
    kept = survivors(poses, scores, truth[:, :1], valid[:, :1], 4)
    assert sorted(kept[0].tolist()) == [0, 1, 2, 4]
