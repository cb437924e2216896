"""Rendered worlds: the same for the same seed, true to their ground truth, fit to train on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mvssm_ros.frontends.heatmaps import draw_heatmaps
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.learning.image_batch import ImageBatch
from mvssm_ros.learning.image_loss import heatmap_loss, image_loss
from mvssm_ros.learning.losses import LossWeights
from mvssm_ros.learning.rendered.world import RenderedConfig, RenderedWorld, for_training
from mvssm_ros.learning.synthetic.world import WorldConfig
from mvssm_ros.network.config import small_rgb

SMALL = small_rgb(d_model=16, n_layers=2, survivors=(6,), grid_from_layer=1)


@pytest.fixture(scope="module")
def batch():
    return RenderedWorld(RenderedConfig.held_out(2), 5, image_stride=2).batch(2, 3)


def test_the_same_seed_and_number_give_the_same_images(batch):
    again = RenderedWorld(RenderedConfig.held_out(2), 5, image_stride=2).batch(2, 3)
    assert torch.equal(batch.images, again.images)
    other = RenderedWorld(RenderedConfig.held_out(2), 6, image_stride=2).batch(2, 3)
    assert not torch.equal(batch.images, other.images)
    training = RenderedWorld(replace(RenderedConfig.held_out(2), split=0), 5, image_stride=2)
    assert not torch.equal(batch.joints_m[:1, :1], training.batch(2, 3).joints_m[:1, :1])


def test_joints_that_are_seen_are_inside_and_people_are_in_the_picture(batch):
    assert batch.images.shape == (2, 3, 3, 256, 480)
    pixels, depth = project(batch.drawn, batch.joints_m.flatten(1, 2))
    size = batch.drawn.size_px.unsqueeze(-2)
    inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(-1) & (depth > 0)
    assert (batch.seen.flatten(2) <= inside).all()
    assert batch.seen.sum() > 60
    assert batch.person_valid.any()


def test_targets_are_in_network_pixels(batch):
    training = for_training(batch, 2)
    raw, _ = project(batch.drawn, batch.joints_m.flatten(1, 2))
    assert torch.allclose(training.targets_px[..., :2].flatten(2, 3), 2 * raw + 0.5, atol=0.05)
    heights = training.targets_px[..., 2]
    assert set(np.unique(heights.numpy())) <= {0.0, 0.5, 1.0}
    assert torch.equal(heights == 1, batch.seen)


def test_squares_are_cut_out_around_people():
    world = RenderedWorld(
        RenderedConfig(crop_px=64, people=WorldConfig(split=0)), 1, image_stride=2
    )
    crop = world.batch(6, 3)
    assert crop.images.shape == (6, 3, 3, 64, 64)
    assert crop.drawn.size_px.max() <= 64
    share = crop.seen.any(-1).any(-1).float().mean()
    assert share > 0.6  # seven of eight are around somebody, if there is somebody


def test_an_empty_scene_and_a_blurred_one():
    people = WorldConfig(split=0, min_people=0, max_people=0)
    config = RenderedConfig(people=people, motion_blur=1.0)
    empty = RenderedWorld(config, 0, image_stride=2).training_batch(1, 2)
    assert not empty.person_valid.any()
    loss, log, _ = image_loss(
        ImageNetwork(SMALL), empty, (3, 3), (6,), LossWeights(heatmaps=1.0, quality_m=(0.4, 0.2))
    )
    assert torch.isfinite(loss)
    assert log["heatmaps"] >= 0


def test_an_arrangement_of_real_cameras_can_be_given(batch):
    rig = Cameras(**{
        name: getattr(batch.cameras, name)[0]
        for name in ("K", "distortion", "fisheye", "R", "t", "size_px")
    })  # fmt: skip
    world = RenderedWorld(RenderedConfig.held_out(1), 0, image_stride=2)
    space = ((0.5, 0.0), (3.0, 3.0))
    made = world.batch(1, 3, rig, space)
    assert torch.equal(made.cameras.K[0], rig.K)
    assert made.space_center_m.tolist() == [[0.5, 0.0]]


def test_the_heatmap_loss_is_least_for_the_target():
    targets = torch.tensor([[[[[100.0, 60.0, 1.0]]]]])  # [1, 1, 1, 1, 3]
    right = torch.logit(draw_heatmaps(targets, (240, 128), 8).clamp(1e-4, 1 - 1e-4))
    nothing, everywhere = torch.full_like(right, -6.0), torch.full_like(right, 6.0)
    costs = [float(heatmap_loss(x, targets, 2)) for x in (right, nothing, everywhere)]
    assert costs[0] < 0.01 * costs[1] < costs[2]


def test_images_of_nobody_do_not_outweigh_the_others():
    nobody = torch.zeros(1, 2, 1, 1, 3)  # [B, T, G, J, 3]
    logits = torch.full((1, 2, 1, 16, 30), -2.0)
    p = torch.tensor(-2.0).sigmoid().item()
    by_hand = 2 * 16 * 30 * p * -np.log(1 - p) / (5 * 2)
    assert heatmap_loss(logits, nobody, 2).item() == pytest.approx(by_hand, rel=1e-5)
    somebody = torch.tensor([100.0, 60.0, 1.0]).expand(1, 2, 12, 1, 3)
    right = torch.logit(draw_heatmaps(somebody, (240, 128), 8).clamp(1e-4, 1 - 1e-4))
    assert heatmap_loss(right, somebody, 2) < 0.01 * by_hand


def test_the_loss_falls_and_every_part_learns(batch):
    torch.manual_seed(0)
    model = ImageNetwork(SMALL).train()
    training = for_training(batch, 2)
    training = replace(training, cameras=training.cameras)
    weights = LossWeights(heatmaps=1.0, quality_m=(0.4, 0.2))
    with torch.no_grad():
        for p in model.network.parameters():
            p.add_(0.02 * torch.randn_like(p))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(6):
        loss, _, _ = image_loss(model, training, (4, 4), (6,), weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    silent = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


def test_later_rounds_begin_at_what_earlier_ones_made_of_the_grid(batch):
    training = for_training(batch, 2)
    torch.manual_seed(0)
    model = ImageNetwork(SMALL).eval()
    with torch.no_grad():
        for p in model.network.parameters():
            p.add_(0.02 * torch.randn_like(p))
    weights = LossWeights(heatmaps=1.0, quality_m=(0.4, 0.2))
    begun, network = [], model.network.forward

    def watched(pyramid, cameras, start_m, select=None):
        begun.append(start_m)
        outputs = network(pyramid, cameras, start_m, select)
        begun.append(outputs[-1].poses_m)
        return outputs

    model.network.forward = watched
    first, _, _ = image_loss(model, training, (4, 4), (6,), weights)
    assert len(begun) == 2
    later, _, _ = image_loss(model, training, (4, 4), (6,), weights, rounds_before=2)
    grid, made, again, made_again, last, _ = begun[2:]
    assert torch.equal(grid, begun[0])
    assert torch.equal(again, made)
    assert torch.equal(last, made_again)
    assert not torch.equal(last, made)
    assert not last.requires_grad
    assert later.item() != first.item()
    later.backward()
    assert model.backbone.final_layer.weight.grad.abs().sum() > 0


def test_joints_that_are_not_known_cost_nothing(batch):
    training = for_training(batch, 2)
    unknown = training.joints_m.clone()
    unknown[..., 5, :] = torch.nan
    torch.manual_seed(0)
    model = ImageNetwork(SMALL).eval()
    parts = ImageBatch(**(vars(training) | {"joints_m": unknown}))
    weights = LossWeights(quality_m=(0.4, 0.2))
    loss, _, _ = image_loss(model, parts, (4, 4), (6,), weights)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_in_bfloat16_the_loss_is_nearly_the_same(batch):
    training = for_training(batch, 2)
    torch.manual_seed(0)
    model = ImageNetwork(SMALL).eval()
    weights = LossWeights(heatmaps=1.0, quality_m=(0.4, 0.2))
    plain, _, _ = image_loss(model, training, (4, 4), (6,), weights)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _, _ = image_loss(model, training, (4, 4), (6,), weights)
    assert mixed.item() == pytest.approx(plain.item(), rel=0.02)
