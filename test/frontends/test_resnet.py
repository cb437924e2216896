"""PoseResNet: the published layout of names and shapes, what it hands on, and folding."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.resnet import (
    CONFIGS,
    RESNET50,
    RESNET_SMALL,
    STRIDES,
    PoseResNet,
    fold_batchnorm,
)


def published_layout(n_heatmaps: int = 15) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published PoseResNet-50 checkpoint, written out from its description."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    shapes["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    in_channels = 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1.weight"] = (width, in_channels, 1, 1)
            norm(f"{name}.bn1", width)
            shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
            norm(f"{name}.bn2", width)
            shapes[f"{name}.conv3.weight"] = (4 * width, width, 1, 1)
            norm(f"{name}.bn3", 4 * width)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * width, in_channels, 1, 1)
                norm(f"{name}.downsample.1", 4 * width)
            in_channels = 4 * width
    for index, channels in zip((0, 3, 6), (2048, 256, 256), strict=True):
        shapes[f"deconv_layers.{index}.weight"] = (channels, 256, 4, 4)
        norm(f"deconv_layers.{index + 1}", 256)
    shapes["final_layer.weight"] = (n_heatmaps, 256, 1, 1)
    shapes["final_layer.bias"] = (n_heatmaps,)
    return shapes


def with_trained_statistics(model: PoseResNet) -> PoseResNet:
    """Give every batch normalisation the kind of numbers that training leaves in it."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.2)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.eval()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_resnet50_has_the_published_names_and_shapes_in_the_published_order():
    with torch.device("meta"):
        state = PoseResNet(RESNET50).state_dict()
    assert [(k, tuple(v.shape)) for k, v in state.items()] == list(published_layout().items())


def test_resnet50_has_as_many_parameters_as_the_published_one():
    layout = published_layout()
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    expected = sum(
        torch.Size(shape).numel() for name, shape in layout.items() if not name.endswith(buffers)
    )
    with torch.device("meta"):
        model = PoseResNet(RESNET50)
    assert sum(p.numel() for p in model.parameters()) == expected == 33_999_183


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_features_have_the_promised_strides_and_channels(name):
    config = CONFIGS[name]
    model = with_trained_statistics(PoseResNet(config))
    with torch.no_grad():
        features = model(torch.randn(2, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [
        (2, config.feature_channels, 64 // s, 96 // s) for s in STRIDES
    ]


@pytest.mark.parametrize("lateral", [False, True])
def test_features_are_the_deconvolutions_before_normalisation_and_relu(lateral):
    model = with_trained_statistics(PoseResNet(replace(RESNET_SMALL, lateral=lateral)))
    images = torch.randn(1, 3, 64, 64)
    state = model.state_dict()
    stage = {}
    for k in range(1, 5):
        module = getattr(model, f"layer{k}")
        module.register_forward_hook(lambda _m, _i, out, k=k: stage.update({k: out}))
    with torch.no_grad():
        stride4, stride8, stride16 = model(images)
        x, expected = stage[4], []
        for first in (0, 3, 6):
            x = F.conv_transpose2d(x, state[f"deconv_layers.{first}.weight"], stride=2, padding=1)
            if lateral:  # the stage of the same stride
                name = f"lateral.{first // 3}"
                weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
                x = x + F.conv2d(stage[3 - first // 3], weight, bias)
            expected.append(x)
            norm = f"deconv_layers.{first + 1}"
            mean, var, scale, shift = (
                state[f"{norm}.{part}"].view(1, -1, 1, 1)
                for part in ("running_mean", "running_var", "weight", "bias")
            )
            x = ((x - mean) / (var + 1e-5).sqrt() * scale + shift).clamp(min=0)
        x = model.refine(x)
        heatmaps = F.conv2d(x, state["final_layer.weight"], state["final_layer.bias"])
        torch.testing.assert_close(model.heatmaps(images), heatmaps)
    for found, wanted in zip((stride16, stride8, stride4), expected, strict=True):
        torch.testing.assert_close(found, wanted)
        assert (found < 0).float().mean() > 0.2  # no ReLU went over them


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_folding_batchnorm_changes_nothing(name):
    model = with_trained_statistics(PoseResNet(CONFIGS[name]))
    images = torch.randn(2, 3, 96, 64)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    folded = fold_batchnorm(model)
    with torch.no_grad():
        for plain, fast in zip(model(images), folded(images), strict=True):
            assert fast.sub(plain).abs().max() < 1e-4 * plain.abs().max()
    norms = [n for n, m in folded.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == ["deconv_layers.1", "deconv_layers.4", "deconv_layers.7"]
    for key, value in model.state_dict().items():  # the original is left as it was
        assert torch.equal(value, before[key]), key


def test_views_do_not_touch_each_other():
    model = fold_batchnorm(with_trained_statistics(PoseResNet(RESNET_SMALL)))
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        together, alone = model(images), model(images[1:2])
    for batch, single in zip(together, alone, strict=True):
        torch.testing.assert_close(batch[1:2], single, rtol=1e-4, atol=1e-4)


def test_every_parameter_in_front_of_the_features_learns():
    model = PoseResNet(RESNET_SMALL).train()
    sum(f.square().mean() for f in model(torch.randn(2, 3, 64, 64))).backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None}
    heads = ("deconv_layers.7.", "refine.", "final_layer.")
    assert idle == {name for name, _ in model.named_parameters() if name.startswith(heads)}


def test_an_image_that_does_not_divide_by_32_is_refused_by_name():
    with pytest.raises(UserError, match=r"90x64 pixels.*multiples of 32"):
        PoseResNet(RESNET_SMALL)(torch.zeros(1, 3, 64, 90))
