"""The same pictures once more, but different: in other colours, with other noise, squares also mirrored.

Rendering costs as much as training on what is rendered. So each picture may be trained on several times,
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

    A function of the number, the seed and the rank alone, like `make`: what is kept only saves time.
    All processes draw the same numbers in the same order, each in colours of its own: so they have
    equally many views at every step, and none waits for another.
    """

    def __init__(
        self,
        make: Callable[[int], ImageBatch],
        times: int,
        seed: int,
        rank: int = 0,
        *,
        mirror: bool,
    ) -> None:
        self._make, self._times, self._mirror = make, times, mirror
        self._seed, self._rank = seed, rank
        self._block, self._kept = -1, dict[int, ImageBatch]()

    def batch(self, number: int) -> ImageBatch:
        block, place = divmod(number, BLOCK * self._times)
        if block != self._block:
            self._block, self._kept = block, {}
        order = np.random.default_rng([self._seed, block]).permutation(BLOCK * self._times)
        made = block * BLOCK + int(order[place]) % BLOCK
        if made not in self._kept:
            self._kept[made] = self._make(made)
        rng = np.random.default_rng([self._seed, self._rank, block, place])
        again = recoloured(self._kept[made], rng)
        return mirrored(again, rng) if self._mirror else again


def recoloured(batch: ImageBatch, rng: np.random.Generator) -> ImageBatch:
    """The same images in slightly other colours, brightness and noise."""
    b, t = batch.images.shape[:2]
    mean, std = (batch.images.new_tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    light = batch.images * std + mean

    def drawn(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(light)

    gain = np.exp(rng.normal(0, 0.2, (b, t, 1, 1, 1)) + rng.normal(0, 0.05, (b, t, 3, 1, 1)))
    noise = 0.03 * rng.random((b, t, 1, 1, 1)) ** 2
    generator = torch.Generator(light.device).manual_seed(int(rng.integers(2**62)))
    grain = torch.randn(light.shape, device=light.device, generator=generator)
    images = normalised((light * drawn(gain) + drawn(noise) * grain).clamp(0, 1))
    return replace(batch, images=images)


def mirrored(batch: ImageBatch, rng: np.random.Generator) -> ImageBatch:
    """Half of the images mirrored, with their targets (left joints become right ones). For heatmaps
    alone: cameras are not mirrored."""
    b, t, _, _, width = batch.images.shape
    chosen = torch.from_numpy(rng.random((b, t)) < 0.5).to(batch.images.device)
    images = torch.where(chosen[..., None, None, None], batch.images.flip(-1), batch.images)
    targets = batch.targets_px[..., PANOPTIC15.mirror, :].clone()
    stride = round(float(batch.cameras.size_px.amax()) / width)
    targets[..., 0] = stride * width - 1 - targets[..., 0]
    targets = torch.where(chosen[..., None, None, None], targets, batch.targets_px)
    return replace(batch, images=images, targets_px=targets)
