"""The backbone's 2D heatmaps as a pyramid of maps per joint: what the keypoints decoder reads.

A decoder on maps per joint learns in minutes where one on mixed channels stands still for hours
(our choice; the paper samples the backbone's 256 channels). The maps are those that
`frontends.keypoints` draws of a detector's 2D people, so the decoder trained on keypoints is where
the training on images begins: per joint and level a mass and a mean-shift vector in cells,

    mass  m0 / (m0 + eps)     shift  m1 / (m0 + eps)     m0 = sum_y w(y - x) h(y), m1 with (y - x) h(y)

For a heatmap of Gaussians of `SIGMA_CELLS` both are exactly what would have been drawn, since the
product of two Gaussians is one.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mvssm_ros.frontends import keypoints
from mvssm_ros.network.pyramid import FeaturePyramid

SIGMA_CELLS = 1.0  # of the Gaussian that stands for a joint in a heatmap
FLOOR = 0.03  # of a heatmap: below it nothing is seen
_EPS = 0.01
_REACH = 3.0  # half width of a window, in its sigmas


def draw_heatmaps(keypoints_px: Tensor, canvas_px: tuple[int, int], cell_px: int) -> Tensor:
    """Targets: keypoints [..., P, J, 3] (x, y in network px, confidence) -> [..., J, H, W] in 0..1,
    a cell for `cell_px` network px.

    The largest of the people's Gaussians, each as high as its confidence.
    """
    width, height = (side // cell_px for side in canvas_px)
    k = keypoints_px.transpose(-3, -2)  # [..., J, P, 3]
    centre = (k[..., :2] + 0.5) / cell_px - 0.5  # cells
    x = torch.arange(width, dtype=k.dtype, device=k.device)
    y = torch.arange(height, dtype=k.dtype, device=k.device)
    gx = torch.exp(-0.5 * ((centre[..., 0:1] - x) / SIGMA_CELLS) ** 2)  # [..., J, P, W]
    gy = torch.exp(-0.5 * ((centre[..., 1:2] - y) / SIGMA_CELLS) ** 2) * k[..., 2:3]
    if k.shape[-2] == 0:
        return k.new_zeros((*k.shape[:-2], height, width))
    out = gy[..., 0, :, None] * gx[..., 0, None, :]
    for person in range(1, k.shape[-2]):  # one after the other: all at once would not fit the cache
        out = torch.maximum(out, gy[..., person, :, None] * gx[..., person, None, :])
    return out


def heatmap_pyramid(heatmaps: Tensor, cell_px: int) -> FeaturePyramid:
    """Heatmaps [B, T, J, H, W] in 0..1, a cell for `cell_px` network px -> levels [B, T, J, 3, H', W']."""
    b, t, j, _, _ = heatmaps.shape
    seen = ((heatmaps - FLOOR) / (1 - FLOOR)).clamp(min=0)
    seen = seen.flatten(0, 2).unsqueeze(1)  # [B T J, 1, H, W]
    levels = []
    for stride in keypoints.STRIDES:
        moments = _moments(seen, stride // cell_px)  # [B T J, 3, H', W']
        maps = moments / (moments[:, :1] + _EPS)
        levels.append(maps.view(b, t, j, 3, *maps.shape[-2:]))
    mirror = torch.as_tensor(keypoints._MIRROR, device=heatmaps.device)
    return FeaturePyramid(tuple(levels), keypoints.STRIDES, mirror)


def _moments(heat: Tensor, factor: int) -> Tensor:
    """m0 and the two m1 of maps [N, 1, H, W] pooled by `factor`: [N, 3, H / factor, W / factor]."""
    if factor > 1:
        heat = F.avg_pool2d(heat, factor)
    point = (
        SIGMA_CELLS / factor
    )  # a joint's sigma in cells of this level; pooling widens it a little
    heat_var = point**2 + (1 - 1 / factor**2) / 12
    all_var = keypoints.SIGMA_CELLS**2
    window_var = all_var - heat_var
    reach = math.ceil(_REACH * math.sqrt(window_var))
    d = torch.arange(-reach, reach + 1, dtype=heat.dtype, device=heat.device)
    g = torch.exp(-0.5 * d**2 / window_var)
    # one joint of confidence 1 at a cell's centre gives m0 = 1 there
    height = all_var / (2 * math.pi * point**2 * window_var)
    lever = all_var / window_var
    rows = torch.stack([g, g * d])[:, None, None, :]  # [2, 1, 1, K]
    across = F.conv2d(heat, rows, padding=(0, reach))  # [N, 2, H, W]: plain, times dx
    columns = height * torch.stack([g, lever * g, lever * g * d])[:, None, :, None]  # [3, 1, K, 1]
    stacked = torch.cat([across, across[:, :1]], 1)  # m0, m1x, m1y before the columns
    return F.conv2d(stacked, columns, padding=(reach, 0), groups=3)
