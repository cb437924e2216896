"""Two-view proposals: everybody whom two views show is begun near the answer."""

import torch
from network_scenes import keypoints_seen, people, ring_of_cameras

from mvssm_ros.frontends.proposals import two_view_proposals
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig

CENTER, SIZE = torch.zeros(1, 2), torch.full((1, 2), 5.0)


def scene(n_views=3):
    cameras, truth = ring_of_cameras(n_views, torch.float32), people(torch.float32)
    keypoints = torch.stack([v.float() for v in keypoints_seen(cameras, truth)])[None]
    return Cameras.stack([cameras]), keypoints, truth


def nearest_m(poses, truth):
    """Mean joint distance of each person to the nearest proposal, [G]."""
    return (poses[:, None] - truth[None]).norm(dim=-1).mean(-1).amin(0)


def test_exact_keypoints_of_two_views_give_the_people():
    cameras, keypoints, truth = scene(2)
    poses, real = two_view_proposals(cameras, keypoints, CENTER, SIZE, 8)
    assert poses.shape == (1, 8, 15, 3)
    assert real[0, : len(truth)].all()
    assert nearest_m(poses[0, : len(truth)], truth).max() < 1e-3


def test_the_best_of_every_person_come_before_second_ones():
    cameras, keypoints, truth = scene(4)  # six pairs of views a person
    poses, real = two_view_proposals(cameras, keypoints, CENTER, SIZE, len(truth))
    assert real.all()
    assert nearest_m(poses[0], truth).max() < 1e-3


def test_the_order_of_the_views_and_of_the_people_does_not_matter():
    cameras, keypoints, _ = scene(3)
    poses, _ = two_view_proposals(cameras, keypoints, CENTER, SIZE, 2)
    other, _ = two_view_proposals(
        Cameras.stack([ring_of_cameras(3, torch.float32).select([2, 0, 1])]),
        keypoints[:, [2, 0, 1]].flip(2),
        CENTER,
        SIZE,
        2,
    )
    assert nearest_m(other[0], poses[0]).max() < 2e-3


def test_missing_joints_hang_from_the_ones_that_are_there():
    cameras, keypoints, truth = scene(2)
    keypoints = keypoints[:, :, :1].clone()
    keypoints[:, 0, :, 7:9, 2] = 0  # left knee and ankle in one view
    keypoints[:, 1, :, 4:6, 2] = 0  # left elbow and wrist in the other
    poses, real = two_view_proposals(cameras, keypoints, CENTER, SIZE, 1)
    assert real.all()
    known = [j for j in range(15) if j not in (4, 5, 7, 8)]
    gap = (poses[0, 0] - truth[0]).norm(dim=-1)
    assert gap[known].max() < 1e-3
    assert torch.isfinite(gap).all()
    assert gap.max() < 1.0


def test_what_two_views_do_not_show_is_no_proposal():
    cameras, keypoints, _ = scene(3)
    alone = keypoints.clone()
    alone[:, 1:, :, :, 2] = 0
    poses, real = two_view_proposals(cameras, alone, CENTER, SIZE, 4)
    assert not real.any()
    assert torch.isfinite(poses).all()
    few = keypoints.clone()
    few[..., 2:, 2] = 0  # two joints are no body
    assert not two_view_proposals(cameras, few, CENTER, SIZE, 4)[1].any()
    nobody = keypoints[:, :, :0]
    poses, real = two_view_proposals(cameras, nobody, CENTER, SIZE, 4)
    assert poses.shape == (1, 4, 15, 3)
    assert not real.any()


def test_people_outside_the_space_and_behind_cameras_are_none():
    cameras, keypoints, _ = scene(3)
    far = torch.tensor([[50.0, 0.0]])
    assert not two_view_proposals(cameras, keypoints, far, SIZE, 4)[1].any()


def test_noisy_scenes_in_a_batch_as_one_by_one():
    batch = SyntheticWorld(WorldConfig.held_out(), 3).batch(4, 5)
    space = batch.space_center_m, batch.space_size_m
    poses, real = two_view_proposals(batch.cameras, batch.keypoints_px, *space, 24)
    gaps = []
    for b in range(4):
        one = slice(b, b + 1)
        cameras = Cameras.stack([Cameras(**{
            name: getattr(batch.cameras, name)[b]
            for name in ("K", "distortion", "fisheye", "R", "t", "size_px")
        })])  # fmt: skip
        alone, alone_real = two_view_proposals(
            cameras, batch.keypoints_px[one], space[0][one], space[1][one], 24
        )
        torch.testing.assert_close(alone_real, real[one])
        torch.testing.assert_close(alone, poses[one], atol=1e-3, rtol=1e-3)
        truth = batch.joints_m[b][batch.person_valid[b]]
        gaps.append(nearest_m(poses[b], truth))
    assert torch.cat(gaps).median() < 0.15
