"""The same squares once more, but different: mirrored, in other colours, with other noise.

Rendering costs as much as training on what is rendered. So each square may be trained on several times,
far enough apart, and never twice the same (`data.reuse`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from mvssm_ros.frontends.images import IMAGENET_MEAN, IMAGENET_STD
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.learning.image_batch import ImageBatch, normalised

BLOCK = 32  # batches that are kept, and come again in a random order


class Reuse:
    """Batches by number, each `make(k)` used `times` times among the others of its block of 32.

    A function of the number and the seed alone, like `make`: what is kept only saves time.
    """

    def __init__(self, make: Callable[[int], ImageBatch], times: int, seed: int) -> None:
        self._make, self._times, self._seed = make, times, seed
        self._block, self._kept = -1, dict[int, ImageBatch]()

    def batch(self, number: int) -> ImageBatch:
        block, place = divmod(number, BLOCK * self._times)
        if block != self._block:
            self._block, self._kept = block, {}
        order = np.random.default_rng([self._seed, block]).permutation(BLOCK * self._times)
        made = block * BLOCK + int(order[place]) % BLOCK
        if made not in self._kept:
            self._kept[made] = self._make(made)
        return varied(self._kept[made], np.random.default_rng([self._seed, block, place]))


def varied(batch: ImageBatch, rng: np.random.Generator) -> ImageBatch:
    """Half of the images mirrored, with their targets (left joints become right ones), and all of them
    in slightly other colours, brightness and noise. For heatmaps alone: cameras are not mirrored."""
    b, t, _, _, width = batch.images.shape
    mean, std = (batch.images.new_tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    light = batch.images * std + mean

    def drawn(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(light)

    gain = np.exp(rng.normal(0, 0.2, (b, t, 1, 1, 1)) + rng.normal(0, 0.05, (b, t, 3, 1, 1)))
    noise = 0.03 * rng.random((b, t, 1, 1, 1)) ** 2
    generator = torch.Generator(light.device).manual_seed(int(rng.integers(2**62)))
    grain = torch.randn(light.shape, device=light.device, generator=generator)
    images = normalised((light * drawn(gain) + drawn(noise) * grain).clamp(0, 1))

    mirrored = torch.from_numpy(rng.random((b, t)) < 0.5).to(light.device)
    images = torch.where(mirrored[..., None, None, None], images.flip(-1), images)
    targets = batch.targets_px[..., PANOPTIC15.mirror, :].clone()
    stride = round(float(batch.cameras.size_px.amax()) / width)
    targets[..., 0] = stride * width - 1 - targets[..., 0]
    targets = torch.where(mirrored[..., None, None, None], targets, batch.targets_px)
    return replace(batch, images=images, targets_px=targets)
