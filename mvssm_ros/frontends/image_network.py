"""MV-SSM on images: the backbone, and the network that reads its feature maps, as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvssm_ros.frontends.heatmaps import heatmap_pyramid
from mvssm_ros.frontends.resnet import CONFIGS, STRIDES, PoseResNet
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.pyramid import FeaturePyramid

_NOTHING_LOGIT = -4.0  # of a heatmap before training


class ImageNetwork(nn.Module):
    """`backbone` (PoseResNet) and `network` (MVSSM): the two parts of an RGB weights file.

    With maps per joint (`config.per_joint_maps`) the network reads the backbone's heatmaps, else the
    raw outputs of its transposed convolutions (paper).
    """

    def __init__(self, config: MVSSMConfig):
        super().__init__()
        self.config = config
        self.backbone = PoseResNet(CONFIGS[config.frontend])
        bias = self.backbone.final_layer.bias
        assert bias is not None
        nn.init.constant_(bias, _NOTHING_LOGIT)
        self.network = MVSSM(config)

    def see(self, images: Tensor, heatmap_logits: Tensor | None = None) -> FeaturePyramid:
        """What the network reads of images; see `see`."""
        return see(self.backbone, self.config, images, heatmap_logits)


def see(
    backbone: PoseResNet,
    config: MVSSMConfig,
    images: Tensor,
    heatmap_logits: Tensor | None = None,
) -> FeaturePyramid:
    """What the network reads of images [B, T, 3, H, W], ImageNet-normalised, `config.image_stride`
    network px a pixel.

    heatmap_logits [B, T, 15, H/4, W/4]: the backbone's, where they have been computed already.
    """
    views = images.shape[:2]
    flat = images.flatten(0, 1)  # [B T, 3, H, W]
    if config.per_joint_maps:
        if heatmap_logits is None:
            heatmap_logits = backbone.heatmaps(flat).unflatten(0, views)
        with torch.autocast(images.device.type, enabled=False):  # where a joint is needs all digits
            return heatmap_pyramid(
                heatmap_logits.float().sigmoid(), STRIDES[0] * config.image_stride
            )
    levels = tuple(level.float().unflatten(0, views) for level in backbone(flat))
    return FeaturePyramid(levels, tuple(config.image_stride * s for s in STRIDES))
