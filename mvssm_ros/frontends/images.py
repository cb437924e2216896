"""Raw camera images to the network's canvas: scaled, letterboxed, normalised, one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mvssm_ros.errors import UserError

CANVAS_PX = (960, 512)  # width, height, as in VoxelPose, MvP, MVGFormer and the paper
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1, what published backbones were trained with
IMAGENET_STD = (0.229, 0.224, 0.225)


class Letterboxed(NamedTuple):
    """images [T, 3, H, W] float32, normalised, channels-last, `stride` network px a pixel; scale [T] and
    offset_px [T, 2] map raw to network pixels, ``u' = scale u + offset``: hand them to
    `Cameras.affine`."""

    images: Tensor
    scale: Tensor
    offset_px: Tensor


def canvas_for(sizes_px: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The canvas (width, height) for images of these (width, height): upright if all are."""
    width, height = CANVAS_PX
    return (height, width) if all(h > w for w, h in sizes_px) else (width, height)


def letterbox(
    images_rgb: Sequence[np.ndarray], canvas_px: tuple[int, int] | None = None, stride: int = 1
) -> Letterboxed:
    """Scale each image, uint8 RGB [H, W, 3], into the top left corner of its canvas, else black.

    canvas_px is (width, height) in network px, None = `canvas_for` the images; the canvas has one
    pixel for `stride` of them. The scale is the same in both axes and as large as fits; shrinking
    averages (no aliasing). Raises UserError for an array that is no RGB image.
    """
    for view, image in enumerate(images_rgb):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise UserError(
                f"image {view} is not uint8 RGB [H, W, 3]: got {image.dtype} {list(image.shape)}"
            )
    sizes = [(image.shape[1], image.shape[0]) for image in images_rgb]
    width, height = (side // stride for side in canvas_px or canvas_for(sizes))
    canvas = torch.zeros(len(images_rgb), height, width, 3, dtype=torch.uint8)
    scale = torch.tensor([min(width / w, height / h) for w, h in sizes], dtype=torch.float64)
    for view, image in enumerate(images_rgb):
        small = _resize(image, float(scale[view]))  # [h, w, 3]
        canvas[view, : small.shape[0], : small.shape[1]] = small[:height, :width]
    mean, std = (255.0 * torch.tensor(x) for x in (IMAGENET_MEAN, IMAGENET_STD))
    normalised = (canvas.float() - mean) / std
    scale = scale * stride
    # Areas are scaled, not pixel centres: u' + 0.5 = scale (u + 0.5).
    offset = (0.5 * scale - 0.5).unsqueeze(-1).expand(-1, 2)
    return Letterboxed(normalised.permute(0, 3, 1, 2), scale.float(), offset.float())


def _resize(image_rgb: np.ndarray, scale: float) -> Tensor:
    if scale == 1.0:
        return torch.from_numpy(np.array(image_rgb))
    pixels = torch.from_numpy(np.array(image_rgb)).permute(2, 0, 1).unsqueeze(0)  # [1, 3, H, W]
    # scale_factor, not size: the grid keeps the exact scale where a side is no whole number.
    small = F.interpolate(
        pixels, scale_factor=(scale, scale), mode="bilinear", antialias=True, align_corners=False
    )
    return small[0].permute(1, 2, 0)
