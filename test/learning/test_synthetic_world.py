"""Batches of synthetic scenes: what the network is trained and judged on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.learning.oracle import triangulate_true_people
from mvssm_ros.learning.synthetic.rigs import sample_rigs
from mvssm_ros.learning.synthetic.world import (
    SceneBatch,
    SyntheticWorld,
    WorldConfig,
    infer_space,
)


def tensors(batch: SceneBatch) -> list[torch.Tensor]:
    cameras = [batch.cameras.K, batch.cameras.R, batch.cameras.t, batch.cameras.distortion]
    return [*cameras, *(v for v in vars(batch).values() if isinstance(v, torch.Tensor))]


def true_pixels(batch: SceneBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Ground truth in every view [B, T, G, 15, 2], and whether it is inside the image."""
    B, G = batch.person_valid.shape
    pixels, depth = project(batch.cameras, batch.joints_m.flatten(1, 2))
    T = pixels.shape[1]
    inside = in_view(batch.cameras, pixels, depth)
    return pixels.view(B, T, G, 15, 2), inside.view(B, T, G, 15)


def own_error(batch: SceneBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance in 960-px [B, T, D, 15] of each detected joint to its person's; which count."""
    pixels, _ = true_pixels(batch)
    index = batch.identity.clamp(min=0)[..., None, None].expand(*batch.identity.shape, 15, 2)
    own = torch.gather(pixels, 2, index)
    scale = 960 / batch.cameras.size_px.amax(-1)[..., None, None]
    error = (batch.keypoints_px[..., :2] - own).norm(dim=-1) * scale
    return error, (batch.identity[..., None] >= 0) & (batch.keypoints_px[..., 2] > 0)


@pytest.mark.parametrize("config", [WorldConfig.training(), WorldConfig.held_out()])
@pytest.mark.parametrize("n_views", [2, 5, 10])
def test_shapes_and_ranges(config: WorldConfig, n_views: int):
    batch = SyntheticWorld(config, 0).batch(6, n_views)
    B, T, D, J, _ = batch.keypoints_px.shape
    G = batch.person_valid.shape[1]
    assert B == 6
    assert n_views == T
    assert J == 15
    assert 1 <= D <= config.detections_cap
    assert 1 <= G <= config.max_people
    assert batch.cameras.K.shape == (6, n_views, 3, 3)
    assert batch.identity.shape == (B, T, D)
    assert batch.identity.dtype == torch.int64
    assert batch.joints_m.shape == (B, G, 15, 3)
    assert batch.space_center_m.shape == batch.space_size_m.shape == (B, 2)
    for tensor in tensors(batch):
        assert torch.isfinite(tensor).all()
        assert tensor.dtype in (torch.float32, torch.int64, torch.bool)
    confidence = batch.keypoints_px[..., 2]
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert batch.identity.min() >= -1
    assert batch.identity.max() < G
    empty = (confidence == 0).all(-1)
    assert (batch.identity[empty] == -1).all()
    named = batch.identity.clamp(min=0).flatten(1)
    valid = torch.gather(batch.person_valid, 1, named).view_as(batch.identity)
    assert valid[batch.identity >= 0].all()  # nobody is named who is not ground truth


def test_a_person_is_named_once_a_view():
    batch = SyntheticWorld(WorldConfig.training(), 1).batch(12, 6)
    for g in range(batch.person_valid.shape[1]):
        assert (batch.identity == g).sum(-1).max() <= 1


def test_the_same_seed_gives_the_same_scenes_and_another_does_not():
    config = WorldConfig.training()
    first, again = (SyntheticWorld(config, 5).batch(4, 3) for _ in range(2))
    for a, b in zip(tensors(first), tensors(again)):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    other = SyntheticWorld(config, 6).batch(4, 3)
    assert not torch.equal(first.space_size_m, other.space_size_m)


def test_a_resumed_world_goes_on_where_it_stopped():
    config = WorldConfig.training()
    world = SyntheticWorld(config, 5)
    world.batch(4, 3)
    second = world.batch(2, 4)
    resumed = SyntheticWorld(config, 5)
    resumed.batch_index = 1
    for a, b in zip(tensors(second), tensors(resumed.batch(2, 4))):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_held_out_scenes_differ_from_training_scenes_of_the_same_seed():
    config = WorldConfig.held_out()
    held_out = SyntheticWorld(config, 7).batch(4, 3)
    trained = SyntheticWorld(replace(config, split=WorldConfig.training().split), 7).batch(4, 3)
    assert not torch.isclose(held_out.space_size_m, trained.space_size_m).any()


def test_without_noise_detections_are_the_projections_of_their_person():
    for n_views in (2, 4):
        batch = SyntheticWorld(WorldConfig.noise_free(), 2).batch(16, n_views)
        error, counts = own_error(batch)
        assert counts.sum() > 500
        assert error[counts].max() < 0.05


def test_without_noise_detections_triangulate_to_their_person():
    batch = SyntheticWorld(WorldConfig.noise_free(), 3).batch(16, 5)
    start = torch.cat([batch.space_center_m, torch.ones(16, 1)], -1)
    people = triangulate_true_people(
        batch.cameras, batch.keypoints_px, batch.identity, batch.person_valid.shape[1], start
    )
    solved = people.valid & batch.person_valid[..., None]
    assert solved.sum() > 300
    error = (people.joints_m.float() - batch.joints_m).norm(dim=-1)[solved]
    assert error.quantile(0.99) < 0.002
    assert error.max() < 0.05


def test_most_people_are_seen_by_several_cameras():
    batch = SyntheticWorld(WorldConfig.held_out(), 4).batch(40, 5)
    _, inside = true_pixels(batch)
    views = (inside.sum(-1) >= 5).sum(1)[batch.person_valid]
    assert (views >= 3).float().mean() > 0.9
    present = batch.joints_m.abs().sum((-1, -2)) > 0
    assert batch.person_valid[present].all()
    hips = batch.joints_m[:, :, 2, :2] - batch.space_center_m[:, None]
    within = (hips.abs() <= 0.5 * batch.space_size_m[:, None] + 0.75).all(-1)
    assert within[batch.person_valid].all()


def test_people_do_not_stand_in_each_other():
    batch = SyntheticWorld(WorldConfig.training(), 5).batch(60, 4)
    place = batch.joints_m[:, :, 2, :2]
    gap = torch.cdist(place, place)
    both = batch.person_valid[:, :, None] & batch.person_valid[:, None]
    both &= ~torch.eye(place.shape[1], dtype=torch.bool)
    gaps = gap[both]
    assert (gaps < 0.3).float().mean() < 0.03
    assert (gaps < 0.7).float().mean() > 0.01  # but some are close
    count = batch.person_valid.sum(-1)
    assert count.min() == 0
    assert count.max() >= 6


def test_full_noise_looks_as_documented():
    batch = SyntheticWorld(WorldConfig.held_out(), 6).batch(60, 5)
    error, counts = own_error(batch)
    confident = counts & (batch.keypoints_px[..., 2] > 0.5)
    assert 1.0 < error[confident].median() < 3.5
    assert error[confident].quantile(0.9) < 15
    _, inside = true_pixels(batch)
    B, T, G = inside.shape[:3]
    found = (batch.identity[..., None] == torch.arange(G)).any(2)  # [B, T, G]
    fully_seen = inside.all(-1) & batch.person_valid[:, None]
    missed = 1 - found[fully_seen].float().mean()
    assert 0.04 < missed < 0.10  # 6 % and the few whom others or furniture hide
    false = ((batch.identity < 0) & (batch.keypoints_px[..., 2] > 0).any(-1)).sum()
    assert 0.05 < false / (B * T) < 0.30
    assert batch.person_valid.sum(-1).min() >= 1
    assert batch.person_valid.sum(-1).max() <= 4


def test_given_cameras_are_exact_when_held_out_and_not_always_in_training():
    held_out = WorldConfig.held_out()
    clean = replace(held_out, clean_scenes=1.0)
    wrong = replace(clean, calibration_error=1.0)
    late = replace(clean, time_offset=1.0)
    typical = {}
    for name, config in (("exact", clean), ("wrong", wrong), ("late", late)):
        error, counts = own_error(SyntheticWorld(config, 8).batch(40, 4))
        typical[name] = error[counts]
    assert typical["exact"].max() < 0.05
    assert 0.5 < typical["wrong"].median() < 5
    assert 5 < typical["wrong"].quantile(0.98) < 40
    assert typical["late"].median() > 0.05
    assert 1 < typical["late"].max() < 60
    assert WorldConfig.training().calibration_error > 0
    assert WorldConfig.training().time_offset > 0
    assert held_out.calibration_error == held_out.time_offset == 0


def test_real_cameras_can_be_given():
    rigs = sample_rigs(np.random.default_rng(9), 1, 4)
    cameras = rigs.cameras
    arrangement = type(cameras)(
        *(getattr(cameras, n)[0] for n in ("K", "distortion", "fisheye", "R", "t", "size_px"))
    )
    center, size = infer_space(arrangement)
    batch = SyntheticWorld(WorldConfig.held_out(), 1).batch(5, 4, arrangement=arrangement)
    torch.testing.assert_close(batch.cameras.K, arrangement.K.expand(5, 4, 3, 3))
    torch.testing.assert_close(batch.space_center_m[2], torch.tensor(center))
    torch.testing.assert_close(batch.space_size_m[2], torch.tensor(size))
    # the inferred space is about where the cameras look
    assert (batch.space_center_m[0] - torch.from_numpy(rigs.center_m[0])).norm() < 4
    assert batch.person_valid.any()
    own = SyntheticWorld(WorldConfig.held_out(), 1).batch(
        5, 4, arrangement=arrangement, space=((0.5, 0.5), (2.0, 2.0))
    )
    assert (own.space_size_m == 2.0).all()
    with pytest.raises(ValueError, match=r"expected \(3,\)"):
        SyntheticWorld(WorldConfig.held_out(), 1).batch(5, 3, arrangement=arrangement)
