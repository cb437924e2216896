"""What a camera makes of the light: exposure, colour cast, lens, blur, noise, eight bits, JPEG."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_GAMMA = 2.2
_REACH = 4  # px, of the blur


@dataclass(frozen=True)
class Sensor:
    """Of V cameras each: gain; balance [V, 3] of red, green, blue; contrast (1: none); vignette (share
    of light lost in a corner); blur_px; shot, read: noise at white and at black; jpeg (0: none)."""

    gain: Tensor
    balance: Tensor
    contrast: Tensor
    vignette: Tensor
    blur_px: Tensor
    shot: Tensor
    read: Tensor
    jpeg: Tensor

    @staticmethod
    def perfect(n: int, device: torch.device | str = "cpu") -> Sensor:
        """n cameras that add nothing."""
        one, zero = torch.ones(n, device=device), torch.zeros(n, device=device)
        return Sensor(one, torch.ones(n, 3, device=device), one, zero, zero, zero, zero, zero)

    def to(self, device: torch.device | str) -> Sensor:
        values: Any = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return Sensor(**values)


def expose(
    light: Tensor, valid: Tensor, sensor: Sensor, generator: torch.Generator | None = None
) -> Tensor:
    """Images of light [V, 3, H, W] (linear, 1 = white): float in 0..1, of 256 steps; black where
    valid [V, H, W] is False."""
    height, width = light.shape[-2:]

    def each(x: Tensor) -> Tensor:
        return x.view(-1, *[1] * 3)

    x = torch.linspace(-1, 1, width, device=light.device)
    y = torch.linspace(-1, 1, height, device=light.device)[:, None]
    lens = 1 - each(sensor.vignette) * 0.5 * (x * x + y * y)
    balance = sensor.balance[:, :, None, None]
    out = (light * lens * each(sensor.gain) * balance).clamp(0, 1) ** (1 / _GAMMA)
    out = ((out - 0.5) * each(sensor.contrast) + 0.5).clamp(0, 1)
    out = _blurred(out, sensor.blur_px)
    if bool((sensor.shot > 0).any() or (sensor.read > 0).any()):
        noise = torch.randn(out.shape, device=out.device, generator=generator)
        out = out + noise * (each(sensor.shot) * out.sqrt() + each(sensor.read))
    out = (out.clamp(0, 1) * 255).round() * valid.unsqueeze(1)
    if bool((sensor.jpeg > 0).any()):
        out = _compressed(out, sensor.jpeg)
    return out / 255


def _blurred(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Each image with its own Gaussian."""
    some = (sigma_px > 0.3).nonzero().squeeze(-1)
    if not len(some):
        return images
    d = torch.arange(-_REACH, _REACH + 1, device=images.device)
    kernel = torch.exp(-0.5 * (d / sigma_px[some, None]) ** 2)
    kernel = (kernel / kernel.sum(-1, keepdim=True)).repeat_interleave(3, 0)[:, None]  # [3 N, 1, K]
    x = images[some].flatten(0, 1).unsqueeze(0)  # [1, 3 N, H, W]
    n = x.shape[1]
    x = F.conv2d(F.pad(x, (_REACH, _REACH, 0, 0), mode="replicate"), kernel[:, :, None], groups=n)
    x = F.conv2d(F.pad(x, (0, 0, _REACH, _REACH), mode="replicate"), kernel[..., None], groups=n)
    out = images.clone()
    out[some] = x.view(len(some), 3, *images.shape[-2:])
    return out


def _compressed(images: Tensor, quality: Tensor) -> Tensor:
    """Through JPEG, on the CPU: images [V, 3, H, W] in 0..255, quality [V] 1..100 (0: not)."""
    out = images.clone()
    for v, q in enumerate(quality.tolist()):
        if q > 0:
            pixels = images[v].permute(1, 2, 0).to("cpu", torch.uint8).numpy()
            _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(q)])
            again = cv2.imdecode(np.asarray(data), cv2.IMREAD_COLOR)
            out[v] = torch.from_numpy(again).to(images).permute(2, 0, 1)
    return out
