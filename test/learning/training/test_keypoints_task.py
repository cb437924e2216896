"""Training on keypoints: the loss and what it reaches, the scenes that are seen and held out."""

import json
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from training_runs import EXPERIMENT, NETWORK, changed

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.keypoints import draw_pyramid
from mvssm_ros.geometry.cameras import project
from mvssm_ros.learning.evaluation import evaluate, network_method
from mvssm_ros.learning.held_out import held_out_scenes
from mvssm_ros.learning.losses import LossWeights, layer_loss
from mvssm_ros.learning.panoptic_rigs import SPACE
from mvssm_ros.learning.synthetic.rigs import look_at
from mvssm_ros.learning.synthetic.world import SceneBatch, SyntheticWorld, WorldConfig
from mvssm_ros.learning.training.experiment import Experiment, TrainingConfig, ValidationConfig
from mvssm_ros.learning.training.keypoints_task import (
    KeypointsTask,
    prepare,
    training_loss,
    views_at,
)
from mvssm_ros.learning.training.task import make_task, move
from mvssm_ros.learning.training.warm_start import warm_start
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import SHIPPED
from mvssm_ros.predictor import Predictor


def test_the_loss_falls_on_one_batch():
    batch = SyntheticWorld(WorldConfig.noise_free(2), 0).batch(4, 3)
    torch.manual_seed(0)
    model = MVSSM(NETWORK)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss, _, _ = training_loss(model, batch, EXPERIMENT)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_every_parameter_learns():
    batch = SyntheticWorld(WorldConfig.training(3), 0).batch(4, 3)
    model = MVSSM(NETWORK)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    training_loss(model, batch, EXPERIMENT)[0].backward()
    silent = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


def test_a_scene_without_people_has_a_finite_loss():
    batch = SyntheticWorld(replace(WorldConfig.training(1), max_people=0), 0).batch(3, 3)
    assert not batch.person_valid.any()
    loss, _, _ = training_loss(MVSSM(NETWORK), batch, EXPERIMENT)
    assert torch.isfinite(loss)


def test_a_perfect_answer_costs_nothing_but_doubt():
    batch = SyntheticWorld(WorldConfig.noise_free(1), 3).batch(2, 3)
    cameras, keypoints, _ = prepare(batch)
    model = MVSSM(NETWORK)
    start = batch.joints_m.clone()
    out = model(draw_pyramid(keypoints, (960, 960)), cameras, start)[0]
    pixels, _ = project(cameras, start.flatten(1, 2))
    perfect = out._replace(
        poses_m=start,
        joint_logits=torch.full_like(out.joint_logits, 20.0),
        keypoints_px=pixels.view_as(out.keypoints_px),
    )
    terms = layer_loss(
        perfect, start, cameras, batch.joints_m, batch.person_valid, 0.1, LossWeights()
    )
    assert all(abs(float(v)) < 1e-5 for v in terms.values())


def same(a: SceneBatch, b: SceneBatch) -> bool:
    return torch.equal(a.keypoints_px, b.keypoints_px) and torch.equal(a.joints_m, b.joints_m)


def test_batches_are_a_function_of_step_and_process():
    task = KeypointsTask(EXPERIMENT)
    again = KeypointsTask(EXPERIMENT)
    again.batch(7, 0, 1)
    assert same(task.batch(2, 1, 2), again.batch(2, 1, 2))
    assert same(task.batch(2, 1, 2), task.batch(5, 0, 1))  # batch 5 of the seed
    assert not same(task.batch(2, 0, 2), task.batch(2, 1, 2))
    other = KeypointsTask(changed("training", seed=1))
    assert not same(task.batch(0, 0, 1), other.batch(0, 0, 1))


def test_the_number_of_views_is_drawn_by_its_shares_whatever_their_order():
    experiment = changed("data", views={5: 0.75, 2: 0.25})
    counts = Counter(views_at(experiment, step) for step in range(400))
    assert counts.keys() == {2, 5}
    assert 270 < counts[5] < 330
    turned = changed("data", views={2: 0.25, 5: 0.75})
    assert [views_at(turned, s) for s in range(20)] == [views_at(experiment, s) for s in range(20)]


def test_move_leaves_nothing_out():
    batch = KeypointsTask(EXPERIMENT).batch(0, 0, 1)
    moved = move(batch, torch.device("meta"))
    assert all(getattr(moved, f.name).device.type == "meta" for f in fields(moved)[1:])
    assert moved.cameras.K.device.type == "meta"


@pytest.fixture
def calibration(tmp_path):
    """Six made-up cameras under the node numbers of CMU0, in Panoptic's frame."""
    rng, cameras = np.random.default_rng(0), []
    for node in (3, 6, 12, 13, 23):
        center = np.append(rng.uniform(-200, 200, 2), -300.0)
        R = look_at(center, np.zeros(3), np.array(rng.uniform(-1, 1)))
        cameras.append({
            "type": "hd", "panel": 0, "node": node, "resolution": [1920, 1080],
            "K": [[1400.0, 0, 950.0], [0, 1395.0, 550.0], [0, 0, 1]], "distCoef": [0.0] * 5,
            "R": R.tolist(), "t": (-R @ center)[:, None].tolist(),
        })  # fmt: skip
    path = tmp_path / "private" / "calibration.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"cameras": cameras}))
    return path


def test_a_fixed_arrangement_is_in_every_scene(calibration):
    views = {"arrangement": "CMU0", "views": {5: 1.0}, "view_budget": 10}
    experiment = changed("data", **views, calibration=str(calibration))
    task = make_task(experiment)
    batch = task.batch(0, 0, 1)
    assert batch.cameras.fisheye.shape == (2, 5)
    assert torch.equal(batch.cameras.size_px[0], batch.cameras.size_px[1])
    assert batch.space_size_m.tolist() == [list(SPACE[1])] * 2
    assert task.batch(3, 0, 1).cameras.fisheye.shape == (2, 5)
    assert "private" not in json.dumps(experiment.settings())
    with pytest.raises(UserError, match=r"CMU0 needs data\.calibration \(--calibration\)"):
        make_task(changed("data", **views))


def test_the_held_out_scenes_are_those_of_evaluate():
    validation = ValidationConfig(scenes=4, views=(3, 4), seed=5)
    ours = KeypointsTask(replace(EXPERIMENT, validation=validation)).validation_scenes()
    theirs = held_out_scenes(4, 3, 5) + held_out_scenes(4, 4, 5)
    assert len(ours) == 8
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one.truth_m, other.truth_m)
        assert all(map(np.array_equal, one.keypoints_px, other.keypoints_px))


def test_started_from_the_shipped_weights_the_figures_are_those_of_evaluate():
    experiment = Experiment(
        training=TrainingConfig(start_from=str(SHIPPED)),
        validation=ValidationConfig(scenes=6, views=(5,)),
    )
    task = KeypointsTask(experiment)
    model = task.build()
    origin = warm_start(model, task.config, SHIPPED, frozen=False)
    assert origin["file"] == "keypoints.safetensors"
    figures = task.validate(model.eval())
    expected = evaluate(network_method(Predictor.from_pretrained()), held_out_scenes(6, 5, 0))
    del expected["ms_per_set"]
    assert figures == expected
    assert figures["AP100"] > 50
