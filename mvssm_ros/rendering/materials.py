"""What surfaces look like: two colours, mixed by a pattern that is laid over the surface in metres."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 64  # of a pattern, cells; it repeats
PLAIN, STRIPES, ACROSS, CHECKS, DOTS, PLAID, TILES, PLANKS = range(8)  # then noise, fine to coarse
N_NOISE = 16
N_PATTERNS = 8 + N_NOISE


@dataclass(frozen=True)
class Materials:
    """K materials: color, other [K, 3] in 0..1 (linear light); pattern [K] long; repeat_m [K]: the
    side of the surface that one pattern covers; shine [K] 0..1."""

    color: Tensor
    other: Tensor
    pattern: Tensor
    repeat_m: Tensor
    shine: Tensor

    @staticmethod
    def plain(colors: Tensor) -> Materials:
        """Of one colour each, [K, 3]."""
        k = len(colors)
        one = torch.ones(k, device=colors.device)
        pattern = torch.zeros(k, dtype=torch.long, device=colors.device)
        return Materials(colors, colors, pattern, one, 0.0 * one)

    @staticmethod
    def joined(parts: list[Materials]) -> Materials:
        values: Any = {
            f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(parts[0])
        }
        return Materials(**values)


def color_at(materials: Materials, index: Tensor, u_m: Tensor, v_m: Tensor) -> Tensor:
    """Colours [..., 3] of materials index [...] at the surface coordinates u, v [...] m."""
    scale = (SIZE / materials.repeat_m)[index]
    share = _lookup(patterns(index.device), materials.pattern[index], u_m * scale, v_m * scale)
    return torch.lerp(materials.color[index], materials.other[index], share.unsqueeze(-1))


def _lookup(bank: Tensor, pattern: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Patterns [K, SIZE, SIZE] at cells u, v, bilinear and repeating."""
    u0, v0 = u.floor(), v.floor()
    fu, fv = u - u0, v - v0
    iu, iv = u0.long() % SIZE, v0.long() % SIZE
    flat = bank.flatten()
    base = pattern * (SIZE * SIZE)
    ju, jv = (iu + 1) % SIZE, (iv + 1) % SIZE
    top = torch.lerp(flat[base + iv * SIZE + iu], flat[base + iv * SIZE + ju], fu)
    low = torch.lerp(flat[base + jv * SIZE + iu], flat[base + jv * SIZE + ju], fu)
    return torch.lerp(top, low, fv)


@lru_cache(maxsize=4)
def patterns(device: torch.device) -> Tensor:
    """[N_PATTERNS, SIZE, SIZE] in 0..1, the same on every machine."""
    x = torch.arange(SIZE).expand(SIZE, SIZE).float()
    y = x.T
    sixteenth = SIZE // 4
    band = ((x % sixteenth) < sixteenth // 2).float()
    board = (band + band.T) % 2
    centre = sixteenth / 2 - 0.5
    dots = (((x % sixteenth - centre) ** 2 + (y % sixteenth - centre) ** 2) < 18).float()
    joint = ((x < 2) | (y < 2)).float()
    row = (y // sixteenth).long()
    shift = torch.tensor([0, 40, 17, 53])[row]
    planks = ((y % sixteenth < 1) | ((x + shift) % SIZE < 1)).float()
    tone = torch.tensor([0.0, 0.35, 0.1, 0.5])[row]
    drawn = [0 * x, band, band.T, board, dots, 0.5 * (band + band.T), joint, planks.maximum(tone)]
    generator = torch.Generator().manual_seed(7)
    noise = []
    for k in range(N_NOISE):
        coarse = 4 * 2 ** (k % 4)
        total = torch.zeros(SIZE, SIZE)
        for octave in range(3):
            cells = min(SIZE, coarse * 2**octave)
            total += 0.55**octave * _smooth(torch.rand(cells, cells, generator=generator))
        low, high = total.quantile(0.05), total.quantile(0.95)
        total = ((total - low) / (high - low)).clamp(0, 1)
        noise.append((total > 0.5).float() if k % 3 == 2 else total)
    return torch.stack(drawn + noise).to(device)


def _smooth(cells: Tensor) -> Tensor:
    """Random cells [n, n] enlarged to a pattern that repeats without a seam."""
    n = len(cells)
    rolled = F.pad(cells[None, None], (1, 1, 1, 1), mode="circular")
    factor = SIZE // n
    large = F.interpolate(rolled, scale_factor=factor, mode="bilinear", align_corners=False)
    return large[0, 0, factor:-factor, factor:-factor]
