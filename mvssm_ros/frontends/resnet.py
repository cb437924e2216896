"""The paper's image front-end: a PoseResNet, RGB images to a pyramid of feature maps.

PoseResNet ("Simple Baselines for Human Pose Estimation", ECCV'18) is a ResNet ("Deep Residual
Learning", CVPR'16) followed by three transposed convolutions, each with batch normalisation and
ReLU. MvP and MVGFormer, and the paper after them, hand on what each transposed convolution puts
out, *before* its normalisation and ReLU: 256 channels at strides 16, 8 and 4. The names of the
parameters are those of the published checkpoints, so those load as they are; the order of the
layers inside ``deconv_layers`` (convolution, normalisation, ReLU, three times over) is part of
those names.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from mvssm_ros.errors import UserError

STRIDES = (4, 8, 16)  # of the features that forward() returns, in that order
_COARSEST_STRIDE = 32  # of the last residual stage: image sides must be multiples of it


@dataclass(frozen=True)
class ResNetConfig:
    """The size of a PoseResNet."""

    bottleneck: bool  # blocks of 1x1, 3x3, 1x1 (ResNet-50) instead of 3x3, 3x3 (ResNet-18)
    depths: tuple[int, int, int, int]  # residual blocks of the four stages
    width: int  # channels of the stem; stage i works with width * 2^i
    feature_channels: int  # channels of each feature map
    n_heatmaps: int = 15  # joints of the 2D heatmap head, which the features do not pass through
    lateral: bool = (
        False  # residual stages of the same stride join each transposed convolution, and
    )
    # one more block works on what has come together before the heatmaps are read off

    @property
    def expansion(self) -> int:
        """Output channels of a block over its working channels."""
        return 4 if self.bottleneck else 1


RESNET50 = ResNetConfig(bottleneck=True, depths=(3, 4, 6, 3), width=64, feature_channels=256)
"""PoseResNet-50 of the paper, VoxelPose, MvP and MVGFormer: 34.0 M parameters."""

RESNET_SMALL = ResNetConfig(
    bottleneck=False, depths=(2, 2, 2, 2), width=48, feature_channels=64, lateral=True
)
"""For a CPU: ResNet-18 of three quarters of its width, 64-channel features, and lateral connections
(as in feature pyramid networks, CVPR'17), with which it learns sooner where joints are: 7.0 M
parameters."""

CONFIGS = {"resnet50": RESNET50, "resnet_small": RESNET_SMALL}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [T, C, H, W] -> [T, width, H/s, W/s]."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        return self.bn2(self.conv2(x)).add_(shortcut).relu_()


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride) and 1x1 convolutions beside a shortcut:
    [T, C, H, W] -> [T, 4 * width, H/s, W/s]."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(x)).relu_()
        return self.bn3(self.conv3(x)).add_(shortcut).relu_()


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class PoseResNet(nn.Module):
    """RGB images of all views to three feature maps a view.

    ``model(images)``: images [T, 3, H, W], float, ImageNet-normalised, H and W multiples of 32
    (the paper: 512 x 960). Returns, finest first, [T, C, H/4, W/4], [T, C, H/8, W/8] and
    [T, C, H/16, W/16]: the raw outputs of the transposed convolutions. Channels-last memory is the
    fast layout on a CPU; ``fold_batchnorm`` returns such a copy for inference.
    """

    def __init__(self, config: ResNetConfig = RESNET50) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, config.feature_channels
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(width, 0)
        self.layer2 = self._stage(width * config.expansion, 1)
        self.layer3 = self._stage(width * 2 * config.expansion, 2)
        self.layer4 = self._stage(width * 4 * config.expansion, 3)
        layers: list[nn.Module] = []
        for in_channels in (width * 8 * config.expansion, channels, channels):
            layers += [
                nn.ConvTranspose2d(in_channels, channels, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        self.deconv_layers = nn.Sequential(*layers)
        stages = (4, 2, 1) if config.lateral else ()  # of layer3, layer2, layer1
        self.lateral = nn.ModuleList(
            nn.Conv2d(width * stage * config.expansion, channels, 1) for stage in stages
        )
        self.refine = BasicBlock(channels, channels, 1) if config.lateral else nn.Identity()
        self.final_layer = nn.Conv2d(channels, config.n_heatmaps, 1)
        self._initialise()

    def _stage(self, in_channels: int, index: int) -> nn.Sequential:
        config = self.config
        block = Bottleneck if config.bottleneck else BasicBlock
        width = config.width * 2**index
        first = block(in_channels, width, stride=1 if index == 0 else 2)
        others = [
            block(width * config.expansion, width, stride=1)
            for _ in range(config.depths[index] - 1)
        ]
        return nn.Sequential(first, *others)

    def _initialise(self) -> None:
        """He initialisation (ICCV'15); batch normalisation starts as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.ConvTranspose2d):
                # Four of a 4x4 kernel's taps meet in each output pixel at stride 2.
                std = (2.0 / (4 * module.in_channels)) ** 0.5
                nn.init.normal_(module.weight, std=std)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature maps at strides 4, 8 and 16 (see the class)."""
        stride16, stride8, stride4 = self._deconvolutions(images)
        return stride4, stride8, stride16

    def heatmaps(self, images: Tensor) -> Tensor:
        """2D joint heatmaps [T, n_heatmaps, H/4, W/4]: what the backbone is pre-trained on."""
        stride4 = self._deconvolutions(images)[2]
        norm, relu = self.deconv_layers[7], self.deconv_layers[8]
        return cast(Tensor, self.final_layer(self.refine(relu(norm(stride4)))))

    def _deconvolutions(self, images: Tensor) -> list[Tensor]:
        """Raw output of each transposed convolution, coarsest first."""
        height, width = images.shape[-2:]
        if height % _COARSEST_STRIDE or width % _COARSEST_STRIDE:
            raise UserError(
                f"the resnet front-end got images of {width}x{height} pixels; width and height "
                f"must be multiples of {_COARSEST_STRIDE} (letterbox the images first)"
            )
        x = self.bn1(self.conv1(images)).relu_()
        stride4 = self.layer1(self.maxpool(x))
        stride8 = self.layer2(stride4)
        stride16 = self.layer3(stride8)
        x = self.layer4(stride16)
        raw = []
        for first, beside in ((0, stride16), (3, stride8), (6, stride4)):
            if first > 0:
                norm, relu = self.deconv_layers[first - 2], self.deconv_layers[first - 1]
                x = relu(norm(x))
            x = self.deconv_layers[first](x)
            if self.config.lateral:
                x = x + self.lateral[first // 3](beside)
            raw.append(x)
        return raw


def fold_batchnorm(model: PoseResNet) -> PoseResNet:
    """A copy for inference: channels-last, in evaluation mode, every batch normalisation that
    follows a convolution multiplied into it.

    The normalisations after the transposed convolutions stay, since the features are taken in
    front of them. The copy computes the same features and is no longer trainable nor loadable.
    """
    folded = copy.deepcopy(model).eval()
    _fold(folded, "conv1", "bn1")
    for module in list(folded.modules()):
        if not isinstance(module, BasicBlock | Bottleneck):
            continue
        _fold(module, "conv1", "bn1")
        _fold(module, "conv2", "bn2")
        if isinstance(module, Bottleneck):
            _fold(module, "conv3", "bn3")
        if module.downsample is not None:
            _fold(module.downsample, "0", "1")
    folded.requires_grad_(False)
    return folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold(parent: nn.Module, conv: str, norm: str) -> None:
    setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm)))
    setattr(parent, norm, nn.Identity())
