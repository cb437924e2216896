"""Begin with weights that exist: what must agree, what may be new, and that it changes nothing."""

from dataclasses import replace

import pytest
import torch
from public_layouts import backbone_layout, blank, mvgformer_layout
from torch import nn
from training_runs import EXPERIMENT, NETWORK, changed

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.frontends.keypoints import draw_pyramid
from mvssm_ros.frontends.resnet import CONFIGS, PoseResNet
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig
from mvssm_ros.learning.training.keypoints_task import prepare
from mvssm_ros.learning.training.warm_start import warm_start
from mvssm_ros.network.checkpoints import mvgformer_network, read_checkpoint
from mvssm_ros.network.config import paper_rgb, small_rgb
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.pyramid import FeaturePyramid
from mvssm_ros.network.weights import read_weights, save_weights


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """With random weights in place of zeros and ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    return module.eval()


def answer(network: MVSSM, batch) -> list[torch.Tensor]:
    """Poses, scores and tokens after the last layer."""
    cameras, keypoints, canvas = prepare(batch)
    start = network.start_poses(batch.space_center_m, batch.space_size_m, grid=(3, 3))
    with torch.no_grad():
        last = network(draw_pyramid(keypoints, canvas), cameras, start)[-1]
    return [last.poses_m, last.scores, last.tokens]


@pytest.fixture(scope="module")
def batch():
    return SyntheticWorld(WorldConfig.training(2), 0).batch(2, 3)


def test_what_mamba_adds_starts_at_nothing(tmp_path, batch):
    plain = replace(NETWORK, ablation="no_mamba")
    without = lively(MVSSM(plain))
    path = tmp_path / "w.safetensors"
    save_weights(path, replace(plain, tree_order=False), without.state_dict(), {"by": "us"})
    torch.manual_seed(3)
    with_mamba = MVSSM(NETWORK)
    told = warm_start(with_mamba, NETWORK, path, frozen=False)
    assert (told["file"], told["provenance"]) == ("w.safetensors", {"by": "us"})
    assert len(with_mamba.state_dict()) > len(without.state_dict())
    for ours, theirs in zip(answer(with_mamba.eval(), batch), answer(without, batch), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_another_network_is_refused_by_the_names_of_its_settings(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, NETWORK, MVSSM(NETWORK).state_dict(), {})
    other = replace(NETWORK, d_model=8, fuse="mean", survivors=(9,))
    with pytest.raises(UserError, match=r"d_model: 16, here 8; fuse: 'mean_max', here 'mean'\)"):
        warm_start(MVSSM(other), other, path, frozen=False)
    turned = replace(NETWORK, tree_order=False)
    with pytest.raises(UserError, match=r"tree_order: True, here False"):
        warm_start(MVSSM(turned), turned, path, frozen=False)
    less = replace(NETWORK, ablation="no_mamba")
    with pytest.raises(UserError, match=r"ablation: 'full', here 'no_mamba'"):
        warm_start(MVSSM(less), less, path, frozen=False)
    fewer = replace(NETWORK, survivors=(3,), n_proposals=0)  # the same weights
    warm_start(MVSSM(fewer), fewer, path, frozen=False)


SMALL = small_rgb(d_model=16, n_layers=2, survivors=(6,), grid_from_layer=1)


def image_network() -> ImageNetwork:
    return ImageNetwork(SMALL)


def test_an_image_network_takes_keypoints_weights_and_keeps_its_backbone(tmp_path):
    path = tmp_path / "w.safetensors"
    reader = lively(MVSSM(NETWORK))
    save_weights(path, NETWORK, reader.state_dict(), {})
    model = image_network()
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    warm_start(model, SMALL, path, frozen=False)
    assert all(
        torch.equal(v, reader.state_dict()[k]) for k, v in model.network.state_dict().items()
    )
    assert all(torch.equal(v, before[k]) for k, v in model.backbone.state_dict().items())
    with pytest.raises(UserError, match=r"has no backbone, and training\.backbone is frozen"):
        warm_start(model, SMALL, path, frozen=True)


def test_weights_for_images_of_half_the_size_are_a_start_for_whole_ones(tmp_path):
    path = tmp_path / "w.safetensors"
    half, whole = replace(SMALL, image_stride=2), replace(SMALL, image_stride=1)
    made = ImageNetwork(half)
    save_weights(path, half, made.network.state_dict(), {}, made.backbone.state_dict())
    model = ImageNetwork(whole)
    warm_start(model, whole, path, frozen=False)
    assert all(torch.equal(v, made.state_dict()[k]) for k, v in model.state_dict().items())


def test_a_backbone_alone_leaves_the_network_fresh(tmp_path):
    path = tmp_path / "w.safetensors"
    backbone = lively(PoseResNet(CONFIGS["resnet_small"]))
    save_weights(path, paper_rgb("resnet_small"), {}, {}, backbone.state_dict())
    model = image_network()
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    warm_start(model, SMALL, path, frozen=True)
    loaded = model.backbone.state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in backbone.state_dict().items())
    assert all(torch.equal(v, before[k]) for k, v in model.network.state_dict().items())
    with pytest.raises(UserError, match="a backbone alone: there is no place for it"):
        warm_start(MVSSM(NETWORK), NETWORK, path, frozen=False)
    large = paper_rgb("resnet50")
    save_weights(path, large, {}, {}, backbone.state_dict())
    with pytest.raises(UserError, match="frontend: 'resnet50', here 'resnet_small'"):
        warm_start(model, SMALL, path, frozen=False)


def random_mvgformer() -> dict[str, torch.Tensor]:
    """Numbers in MVGFormer's published layout that leave people in the images."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for key, shape in mvgformer_layout(n_layers=2, n_instances=4).items():
        value = torch.randn(shape, generator=generator)
        if len(shape) == 2 and "embedding" not in key:
            value *= 0.5 / shape[1] ** 0.5
        elif len(shape) == 1:
            value *= 0.1
        if "norm" in key and key.endswith("weight"):
            value += 1.0
        state[key] = value
    return state


@pytest.mark.slow
@pytest.mark.parametrize("with_mamba", [True, False])
def test_an_imported_mvgformer_computes_the_same_before_the_first_step(tmp_path, batch, with_mamba):
    from mvssm_ros import cli

    source, out = tmp_path / "mvgformer.pth.tar", tmp_path / "w.safetensors"
    torch.save(random_mvgformer() | blank(backbone_layout(), "backbone."), source)
    mamba = ["--with-mamba"] if with_mamba else []
    assert cli.main(["weights", "import", str(source), "--out", str(out), *mamba]) == 0
    plain = mvgformer_network(read_checkpoint(source))
    imported = read_weights(out)
    config = replace(imported.config, ablation="full")
    model = ImageNetwork(config)
    told = warm_start(model, config, out, frozen=True)
    assert told["provenance"]["imported"]["decoder"]["kind"] == "mvgformer"

    generator = torch.Generator().manual_seed(2)
    maps = [torch.randn(1, 3, 256, 192 // s, 192 // s, generator=generator) for s in (4, 8, 16)]
    cameras, _, _ = prepare(batch)
    cameras = replace(
        cameras.affine(torch.full((2, 3), 0.2), torch.zeros(2, 3, 2)),
    )
    first = type(cameras)(**{
        name: getattr(cameras, name)[:1]
        for name in ("K", "distortion", "fisheye", "R", "t", "size_px")
    })  # fmt: skip
    start = plain.start_poses(batch.space_center_m[:1], batch.space_size_m[:1])
    found = []
    for network in (model.network.eval(), plain):
        with torch.no_grad():
            found.append(network(FeaturePyramid(tuple(maps), (4, 8, 16)), first, start))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours.poses_m, theirs.poses_m, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ours.tokens, theirs.tokens, rtol=1e-6, atol=1e-5)
    assert (found[0][0].poses_m - start).norm(dim=-1).max() > 1e-3


def test_a_frozen_backbone_needs_weights_and_does_not_move(tmp_path):
    pytest.importorskip("lightning")
    from mvssm_ros.learning.training.module import TrainingModule

    experiment = replace(changed("training", backbone="frozen"))
    model = image_network()

    class Task:
        trained_on, config = "images", SMALL

    module = TrainingModule(experiment, Task(), model)
    groups = module.configure_optimizers().param_groups
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in model.network.parameters()}
    assert not any(name.startswith("backbone.") for name in module.average)
    module.on_train_epoch_start()
    assert not model.backbone.training
    assert model.network.training
    with_rate = replace(EXPERIMENT, training=replace(EXPERIMENT.training, backbone_rate=0.1))
    module = TrainingModule(with_rate, Task(), image_network())
    rates = [group["rate"] for group in module.configure_optimizers().param_groups]
    assert rates == [1.0, 1.0, 0.1, 0.1]


def test_ones_own_recordings_need_weights_with_a_backbone(tmp_path):
    pytest.importorskip("lightning")
    from mvssm_ros.learning.training.run import _make_module

    path = tmp_path / "w.safetensors"
    save_weights(path, NETWORK, MVSSM(NETWORK).state_dict(), {})
    experiment = changed("training", start_from=str(path))
    data = replace(experiment.data, kind="own")
    experiment = replace(experiment, network=SMALL, data=data)

    class Task:
        trained_on, config, build = "images", SMALL, staticmethod(image_network)

    with pytest.raises(UserError, match="has no backbone, and one's own recordings are too few"):
        _make_module(experiment, Task(), 1, fresh=True)
