"""The loss of a network on images: its heatmaps, and what the decoder makes of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mvssm_ros.frontends.heatmaps import draw_heatmaps
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.frontends.resnet import STRIDES
from mvssm_ros.learning.image_batch import ImageBatch
from mvssm_ros.learning.losses import LossWeights, decoder_loss
from mvssm_ros.learning.matching import survivors
from mvssm_ros.network.pss import LayerOutput

_FEWEST_JOINTS = 5.0  # an image that the loss is divided by


def heatmap_loss(logits: Tensor, targets_px: Tensor, image_stride: int) -> Tensor:
    """Quality focal loss (Li et al., NeurIPS'20; beta 1) of heatmaps, a joint that is to be seen, [].

    logits [B, T, J, H, W]; targets [B, T, G, J, 3] as in `ImageBatch`. A cell costs its cross-entropy
    times its error, so the many empty cells do not drown the few others; times its square (beta 2), and
    what is seen only roughly would never get sharp. Images of nobody count as if they had a few joints:
    divided by one, they would outweigh all others.
    """
    height, width = logits.shape[-2:]
    cell = STRIDES[0] * image_stride
    target = draw_heatmaps(targets_px.nan_to_num(), (cell * width, cell * height), cell)
    error = (target - logits.detach().sigmoid()).abs()
    cost = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    images = targets_px.shape[0] * targets_px.shape[1]
    return (error * cost).sum() / targets_px[..., 2].sum().clamp(min=_FEWEST_JOINTS * images)


def image_loss(
    model: ImageNetwork,
    batch: ImageBatch,
    grid: tuple[int, int],
    kept: tuple[int, ...],
    weights: LossWeights,
    rounds_before: int = 0,
) -> tuple[Tensor, dict[str, float], list[LayerOutput]]:
    """Loss of one batch, its log, and the layers' outputs (none without the decoder).

    grid: columns and rows of start poses where the weights leave their number free; kept: candidates
    that live on after each layer but the last; rounds_before: the start poses are what the network
    makes of the grid in so many rounds (`network.rounds`), without gradient.
    """
    total = batch.images.new_zeros(())
    log: dict[str, float] = {}
    config = model.config
    logits = None
    if weights.heatmaps > 0:
        flat = batch.images.flatten(0, 1)
        logits = model.backbone.heatmaps(flat).unflatten(0, batch.images.shape[:2]).float()
        heat = weights.heatmaps * heatmap_loss(logits, batch.targets_px, config.image_stride)
        total, log["heatmaps"] = total + heat, float(heat.detach())
    if not weights.decoder:
        return total, log, []
    pyramid = model.see(batch.images, logits)
    space = batch.space_center_m, batch.space_size_m
    start = model.network.start_poses(*space, grid=None if config.n_candidates else grid)
    truth, valid = batch.joints_m, batch.person_valid
    inputs: list[Tensor] = []

    def select(layer: int, out: LayerOutput) -> Tensor:
        poses = out.poses_m.detach()
        index = survivors(poses, out.scores.detach(), truth, valid, kept[layer])
        inputs.append(out.pick(index).poses_m.detach())
        return index

    with torch.autocast(batch.images.device.type, enabled=False):  # geometry needs all its digits
        with torch.no_grad():
            for _ in range(rounds_before):
                start = model.network(pyramid, batch.cameras, start)[-1].poses_m
        inputs.append(start)
        outputs = model.network(pyramid, batch.cameras, start, select)
    loss, more = decoder_loss(outputs, inputs, batch.cameras, truth, valid, weights)
    return total + loss, log | more, outputs
