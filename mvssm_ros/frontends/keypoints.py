"""Keypoints front-end: the 2D keypoints of any detector, drawn as a heatmap pyramid.

Per joint and level three channels (a token also sees those of its mirror joint, so that it can tell
when a detector has swapped left and right):

    mass     m0 / (m0 + eps),  m0 = sum over people of confidence x Gaussian
    shift    the mean-shift vector m1 / m0 in cells, times the mass above; m1 = sum over people of
             confidence x Gaussian x (keypoint - place)

The Gaussians are summed in closed form, as an outer product of a row and a column a person, so the
first moment is exact: near a keypoint, place + shift is the keypoint itself, to a fraction of a cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.network.pyramid import FeaturePyramid

STRIDES = (8, 16, 32)  # network px a cell
CANVAS_PX = 960  # long side of every image in network pixels
SIGMA_CELLS = 1.8
CHANNELS = 3
_EPS = 0.01
_MIRROR = SKELETONS["panoptic15"].mirror


def canvas_scale(size_px: Tensor) -> Tensor:
    """Raw to network pixels: the factor that makes the long side CANVAS_PX; size [..., 2] -> [...]."""
    return CANVAS_PX / size_px.amax(-1)


def canvas_size(size_px: Tensor) -> tuple[int, int]:
    """(width, height) in network px that holds every image of `size_px` [..., 2], in whole cells."""
    scaled = size_px * canvas_scale(size_px).unsqueeze(-1)
    largest = scaled.flatten(0, -2).amax(0)
    cell = STRIDES[-1]
    width, height = (cell * math.ceil(float(x) / cell - 1e-3) for x in largest)
    return width, height


def draw_pyramid(
    keypoints_px: Tensor, canvas_px: tuple[int, int], strides: Sequence[int] = STRIDES
) -> FeaturePyramid:
    """Draw keypoints [B, T, P, J, 3] (x, y in network px, confidence; 0 = missing) of P people.

    Returns levels [B, T, J, 3, H, W] for a canvas (width, height) in network px.
    """
    levels = [_draw_level(keypoints_px, canvas_px, stride) for stride in strides]
    mirror = torch.as_tensor(_MIRROR, device=keypoints_px.device)
    return FeaturePyramid(tuple(levels), tuple(strides), mirror)


def _draw_level(keypoints_px: Tensor, canvas_px: tuple[int, int], stride: int) -> Tensor:
    width, height = (math.ceil(side / stride) for side in canvas_px)
    k = keypoints_px.transpose(2, 3)  # [B, T, J, P, 3]
    centre = (k[..., :2] + 0.5) / stride - 0.5  # cells
    x = torch.arange(width, dtype=k.dtype, device=k.device)
    y = torch.arange(height, dtype=k.dtype, device=k.device)
    dx, dy = centre[..., 0:1] - x, centre[..., 1:2] - y  # [B, T, J, P, W], [B, T, J, P, H]
    gx = torch.exp(-0.5 * (dx / SIGMA_CELLS) ** 2)
    gy = torch.exp(-0.5 * (dy / SIGMA_CELLS) ** 2) * k[..., 2:3]
    rows = torch.stack([gy, gy, gy * dy], 3)  # [B, T, J, 3, P, H]
    columns = torch.stack([gx, gx * dx, gx], 3)  # [B, T, J, 3, P, W]
    moments = rows.transpose(-1, -2) @ columns  # [B, T, J, 3, H, W]: m0, then m1 about each cell
    mass = moments[..., :1, :, :] + _EPS
    return moments.div_(mass)
