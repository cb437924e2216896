"""Further rounds: what they begin with, who is kept, when they end."""

import torch
from network_scenes import people

from mvssm_ros.network.pss import LayerOutput
from mvssm_ros.network.rounds import SURE, further_rounds


def answer(poses, scores):
    """One scene of candidates [M, 15, 3] with these scores, before two views."""
    m = len(poses)
    logits = torch.logit(torch.tensor(scores).double())[:, None].expand(m, 15)
    return LayerOutput(
        tokens=torch.zeros(1, m, 15, 4).double(),
        poses_m=poses[None],
        covariance_m2=torch.zeros(1, m, 15, 3, 3).double(),
        joint_logits=logits[None],
        keypoints_px=torch.zeros(1, 2, m, 15, 2).double(),
        confidence=torch.ones(1, 2, m, 15).double(),
        solved=torch.ones(1, m, 15).bool(),
    )


def test_a_round_begins_with_everybody_once_and_what_it_says_counts():
    a, b = people()
    asked = []

    def decode(start_m):
        asked.append(start_m)
        return answer(start_m[0] + 0.01, [0.9, 0.8])

    found = further_rounds(decode, answer(torch.stack([a, b, a + 0.02]), [0.7, 0.9, 0.3]), 2, 0.1)
    assert [len(x[0]) for x in asked] == [2, 2]  # the third was the first once more
    torch.testing.assert_close(asked[0][0], torch.stack([b, a]))
    torch.testing.assert_close(found.poses_m[0], torch.stack([b, a]) + 0.02)
    torch.testing.assert_close(found.scores[0], torch.tensor([0.9, 0.8]).double())


def test_who_slides_into_somebody_else_stays_if_sure():
    a, b = people()

    def both_become_a(start_m):
        return answer(a.expand(len(start_m[0]), 15, 3), [0.95, 0.9][: len(start_m[0])])

    sure = further_rounds(both_become_a, answer(torch.stack([a, b]), [0.9, SURE + 0.01]), 3, 0.1)
    torch.testing.assert_close(sure.poses_m[0], torch.stack([a, b]))
    torch.testing.assert_close(sure.scores[0], torch.tensor([0.95, SURE + 0.01]).double())
    assert sure.confidence.shape == (1, 2, 2, 15)
    unsure = further_rounds(both_become_a, answer(torch.stack([a, b]), [0.9, SURE - 0.01]), 3, 0.1)
    torch.testing.assert_close(unsure.poses_m[0], a[None])


def test_nobody_is_not_asked_about():
    def decode(start_m):
        raise AssertionError("nobody to begin with")

    assert further_rounds(decode, answer(people(), [0.05, 0.02]), 3, 0.1).poses_m.shape[1] == 0
