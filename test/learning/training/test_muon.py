"""Muon for a backbone's convolutions: its arithmetic, what it leaves to AdamW, and resumed runs."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from training_runs import EXPERIMENT

pytest.importorskip("lightning")

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.learning.image_task import ImagesTask
from mvssm_ros.learning.losses import LossWeights
from mvssm_ros.learning.training.checkpoints import LAST, read_checkpoint
from mvssm_ros.learning.training.experiment import DataConfig, Experiment, TrainingConfig
from mvssm_ros.learning.training.muon import MuonAdamW, inner_kernels, orthogonal
from mvssm_ros.learning.training.run import train
from mvssm_ros.network.config import small_rgb

IMAGES = Experiment(
    "squares",
    DataConfig(kind="rendered", views={2: 1.0}, view_budget=2, max_people=1, crop_px=64),
    small_rgb(),
    TrainingConfig(
        steps=4, survivors=(8, 6, 4), warmup_steps=1, save_every=2, log_every=1, optimizer="muon"
    ),
    LossWeights(heatmaps=1.0, decoder=0),
    replace(EXPERIMENT.validation, every=0),
)


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (64, 64)])
def test_a_matrix_keeps_its_directions_and_gets_even_singular_values(shape):
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape, dtype=torch.float64), full_matrices=False)
    values = torch.logspace(0, -1, min(shape), dtype=torch.float64)
    turned = u.T @ orthogonal(7.0 * u @ torch.diag(values) @ v) @ v.T
    diagonal = turned.diagonal()
    assert (turned - torch.diag(diagonal)).abs().max() < 1e-9
    assert 0.6 < diagonal.min() < diagonal.max() < 1.3
    assert orthogonal(torch.zeros(3, 4)).abs().max() == 0


def test_it_is_for_all_kernels_but_the_first_and_the_last():
    backbone = ImageNetwork(small_rgb()).backbone
    kernels = [p for p in backbone.parameters() if p.dim() == 4]
    others = [p for p in kernels if not any(p is k for k in inner_kernels(backbone))]
    assert [tuple(p.shape) for p in others] == [(48, 3, 7, 7), (15, 64, 1, 1)]


def test_kernels_step_by_muon_and_all_else_as_by_adamw():
    torch.manual_seed(0)
    kernel, bias, lone = (torch.nn.Parameter(torch.randn(s)) for s in ((8, 2, 3, 3), (5,), (5,)))
    lone.data.copy_(bias.data)
    options = {"lr": 1e-2, "weight_decay": 0.1}
    both = MuonAdamW([{"params": [kernel], "muon": True}, {"params": [bias]}], **options)
    alone = torch.optim.AdamW([lone], **options)
    momentum = torch.zeros_like(kernel)
    for _ in range(3):
        before = kernel.detach().clone()
        for parameter in (kernel, bias):
            parameter.grad = torch.randn_like(parameter)
        lone.grad = bias.grad.clone()
        both.step()
        alone.step()
        assert torch.equal(bias, lone)
        momentum = 0.95 * momentum + 0.05 * kernel.grad
        wish = orthogonal((0.05 * kernel.grad + 0.95 * momentum).flatten(1)).view_as(kernel)
        torch.testing.assert_close(kernel.detach(), 0.999 * before - 1e-2 * wish)


class Stopped(ImagesTask):
    """At step 1 its process is told to stop."""

    def batch(self, step, rank, world):
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().batch(step, rank, world)


def test_a_run_that_was_stopped_goes_on_to_the_very_same_weights(tmp_path):
    assert train(IMAGES, tmp_path / "whole", device="cpu").finished
    assert train(IMAGES, tmp_path / "two", device="cpu", task=Stopped(IMAGES)).signal
    assert train(IMAGES, tmp_path / "two", device="cpu").finished
    one, two = (read_checkpoint(tmp_path / run / LAST) for run in ("whole", "two"))
    states = [saved["optimizer_states"][0]["state"].values() for saved in (one, two)]
    assert sum("momentum" in state for state in states[0]) > 20
    assert all(torch.equal(a[k], b[k]) for a, b in zip(*states, strict=True) for k in a)
    assert all(torch.equal(v, two["state_dict"][k]) for k, v in one["state_dict"].items())


def test_without_a_backbone_it_is_one_error():
    with pytest.raises(UserError, match=r"optimizer: muon is for .* 'keypoints' has none"):
        replace(EXPERIMENT, training=replace(EXPERIMENT.training, optimizer="muon"))
