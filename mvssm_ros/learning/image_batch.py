"""What training on images is fed with, whether rendered or from a data set."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from mvssm_ros.frontends.images import CANVAS_PX, IMAGENET_MEAN, IMAGENET_STD
from mvssm_ros.geometry.cameras import Cameras


@dataclass(frozen=True)
class ImageBatch:
    """B scenes of T views, G people.

    images        [B, T, 3, H, W] ImageNet-normalised
    cameras       [B, T] in network pixels
    joints_m      [B, G, 15, 3] ground truth, NaN where a joint is unknown
    person_valid  [B, G] bool
    targets_px    [B, T, G, 15, 3] x, y in network px, and how high the heatmap is to be there: 1 where
                  the joint is seen, less where it is hidden, 0 outside the image or unknown
    space_center_m, space_size_m [B, 2]
    """

    images: Tensor
    cameras: Cameras
    joints_m: Tensor
    person_valid: Tensor
    targets_px: Tensor
    space_center_m: Tensor
    space_size_m: Tensor

    def to(self, device: torch.device | str) -> ImageBatch:
        values: Any = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return ImageBatch(**values)


def canvas_of(image_stride: int) -> tuple[int, int]:
    """Width and height of the images in their own pixels, for a network of this stride."""
    return CANVAS_PX[0] // image_stride, CANVAS_PX[1] // image_stride


def image_cameras(cameras: Cameras, canvas_px: tuple[int, int]) -> Cameras:
    """Cameras [..., T] as `frontends.images.letterbox` scales their images to a canvas."""
    canvas = cameras.size_px.new_tensor(canvas_px)
    scale = (canvas / cameras.size_px).amin(-1)
    return cameras.affine(scale, (0.5 * scale - 0.5).unsqueeze(-1).expand(*scale.shape, 2))


def network_cameras(cameras: Cameras, image_stride: int) -> Cameras:
    """Cameras of canvas pixels in network pixels: areas are scaled, not pixel centres."""
    scale = torch.full_like(cameras.focal_px, float(image_stride))
    return cameras.affine(scale, (0.5 * scale - 0.5).unsqueeze(-1).expand(*scale.shape, 2))


def normalised(images: Tensor) -> Tensor:
    """Images [..., 3, H, W] in 0..1 as published backbones expect them."""
    mean, std = (images.new_tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std
