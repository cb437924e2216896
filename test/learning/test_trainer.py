"""Training at a small scale: it learns, it resumes exactly, it runs on several processes."""

import json
from dataclasses import replace

import pytest
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.learning.losses import LossWeights, layer_loss
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig
from mvssm_ros.learning.trainer import (
    Trainer,
    TrainingConfig,
    export,
    prepare,
    train,
    training_loss,
)
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import load_network, read_weights, save_weights

NETWORK = MVSSMConfig(d_model=16, n_layers=2, survivors=(6,), grid_from_layer=1)
TRAINING = TrainingConfig(
    steps=4,
    view_budget=6,
    views={3: 1.0},
    survivors=(6,),
    max_people=2,
    grid=(4, 4),
    warmup_steps=2,
)


def test_the_loss_falls_on_one_batch():
    batch = SyntheticWorld(WorldConfig.noise_free(2), 0).batch(4, 3)
    torch.manual_seed(0)
    model = MVSSM(NETWORK)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss, _, _ = training_loss(model, batch, TRAINING)
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
    training_loss(model, batch, TRAINING)[0].backward()
    silent = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


def test_a_scene_without_people_has_a_finite_loss():
    batch = SyntheticWorld(replace(WorldConfig.training(1), max_people=0), 0).batch(3, 3)
    assert not batch.person_valid.any()
    loss, _, _ = training_loss(MVSSM(NETWORK), batch, TRAINING)
    assert torch.isfinite(loss)


def test_a_perfect_answer_costs_nothing_but_doubt():
    batch = SyntheticWorld(WorldConfig.noise_free(1), 3).batch(2, 3)
    cameras, keypoints, _ = prepare(batch)
    model = MVSSM(NETWORK)
    start = batch.joints_m.clone()
    from mvssm_ros.frontends.keypoints import draw_pyramid
    from mvssm_ros.geometry.cameras import project

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


def test_resuming_gives_the_very_same_weights(tmp_path):
    (tmp_path / "whole").mkdir()
    whole = Trainer(NETWORK, TRAINING, tmp_path / "whole")
    whole.run(progress=False)
    (tmp_path / "parts").mkdir()
    first = Trainer(NETWORK, TRAINING, tmp_path / "parts")
    steps = first._steps()
    next(steps), next(steps)
    first.save()  # and power is lost
    second = Trainer(NETWORK, TRAINING, tmp_path / "parts")
    assert second.step == 2
    second.run(progress=False)
    for a, b in zip(whole.average.values(), second.average.values(), strict=True):
        assert torch.equal(a, b)


def test_resuming_with_other_settings_is_refused(tmp_path):
    Trainer(NETWORK, TRAINING, tmp_path).save()
    with pytest.raises(UserError, match=r"other settings \(learning_rate differ\)"):
        Trainer(NETWORK, replace(TRAINING, learning_rate=1.0), tmp_path)


@pytest.mark.parametrize("processes", [1, 2])
def test_mistakes_are_told_before_anything_starts(tmp_path, processes):
    (tmp_path / "text.safetensors").write_text("hello")
    start = replace(TRAINING, start_from=str(tmp_path / "text.safetensors"))
    with pytest.raises(UserError, match=r"text\.safetensors"):
        train(NETWORK, start, tmp_path / "a", processes)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "checkpoint.pt").write_text("hello")
    with pytest.raises(UserError, match="no checkpoint of a training"):
        train(NETWORK, TRAINING, tmp_path / "b", processes)
    with pytest.raises(UserError, match="cannot be made"):
        train(NETWORK, TRAINING, tmp_path / "text.safetensors" / "c", processes)


def test_another_number_of_processes_is_refused_and_a_finished_run_is_told(tmp_path, capsys):
    short = replace(TRAINING, steps=1)
    train(NETWORK, short, tmp_path)
    train(NETWORK, short, tmp_path)
    assert "already trained to its 1 steps" in capsys.readouterr().out
    with pytest.raises(UserError, match="trained by 1 processes, got 2"):
        train(NETWORK, short, tmp_path, 2)


def test_two_processes_train_log_and_export(tmp_path):
    train(NETWORK, TRAINING, tmp_path, processes=2, save_every=2)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 4
    export(tmp_path, tmp_path / "w.safetensors")
    weights = read_weights(tmp_path / "w.safetensors")
    assert weights.provenance["step"] == 4
    assert json.dumps(weights.provenance["training"])
    load_network(weights)


def test_export_without_a_run(tmp_path):
    with pytest.raises(UserError, match="does not exist: train there first"):
        export(tmp_path, tmp_path / "w.safetensors")


def test_training_starts_from_given_weights(tmp_path):
    torch.manual_seed(5)
    model = MVSSM(NETWORK)
    save_weights(tmp_path / "w.safetensors", NETWORK, model.state_dict(), {})
    start = replace(TRAINING, start_from=str(tmp_path / "w.safetensors"))
    trainer = Trainer(NETWORK, start, tmp_path)
    for a, b in zip(trainer.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
