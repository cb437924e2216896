"""How rendered worlds look, drawn at random: clothes, rooms, furniture, lamps, cameras' faults."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mvssm_ros.rendering.bodies import (
    BAG,
    FOREARM,
    HAIR,
    N_MATERIALS,
    SHANK,
    SHIRT,
    SHOES,
    SKIN,
    TROUSERS,
    Looks,
)
from mvssm_ros.rendering.materials import N_PATTERNS, Materials
from mvssm_ros.rendering.sensor import Sensor
from mvssm_ros.rendering.shapes import Boxes
from mvssm_ros.rendering.stage import Light, Room

Rng = np.random.Generator

_SKINS = np.array([(240, 200, 175), (224, 172, 140), (190, 135, 100), (130, 88, 62), (78, 52, 40)])
_HAIRS = np.array([(25, 20, 18), (60, 42, 30), (110, 75, 45), (190, 150, 95), (150, 148, 145)])
_TABLE_TOP_M, _TABLE_LEG_M = 0.04, 0.05
_CLEAR_M = 0.12  # between furniture and the joints of people


def _linear(srgb: np.ndarray) -> np.ndarray:
    return np.asarray(srgb.clip(0, 1) ** 2.2, np.float32)


def _colors(rng: Rng, n: int, grey: float = 0.3, dark: float = 0.0) -> np.ndarray:
    """n colours [n, 3], linear: a share of greys; `dark` draws them towards black."""
    tone = rng.random((n, 3))
    even = tone.mean(-1, keepdims=True) + rng.normal(0, 0.03, (n, 3))
    share = np.where(rng.random((n, 1)) < grey, 1.0, rng.uniform(0, 0.7, (n, 1)))
    level = rng.uniform(0.25, 1.1, (n, 1)) * (1 - dark * rng.random((n, 1)))
    return _linear((share * even + (1 - share) * tone) * level + 0.02)


def _among(rng: Rng, palette: np.ndarray, n: int) -> np.ndarray:
    """n colours between neighbours of a palette (0..255)."""
    place = rng.uniform(0, len(palette) - 1, n)
    low = np.minimum(place.astype(int), len(palette) - 2)
    part = (place - low)[:, None]
    color = palette[low] * (1 - part) + palette[low + 1] * part
    return _linear(color / 255 + rng.normal(0, 0.02, (n, 3)))


def _materials(
    rng: Rng, color: np.ndarray, plain: float, repeat_m: tuple[float, float], contrast: float = 1.0
) -> Materials:
    """Materials of these colours, a share of them plain, with patterns of another colour."""
    n = len(color)
    other = _colors(rng, n)
    near = color * rng.uniform(0.6, 1.4, (n, 1))
    other = np.where(rng.random((n, 1)) < contrast, other, near).clip(0, 1).astype(np.float32)
    pattern = rng.integers(1, N_PATTERNS, n)
    faint = rng.integers(N_PATTERNS - 16, N_PATTERNS, n)  # even plain cloth is not quite even
    is_plain = rng.random(n) < plain
    pattern = np.where(is_plain, faint, pattern)
    other = np.where(is_plain[:, None], color * rng.uniform(0.8, 1.0, (n, 1)), other)
    repeat = np.exp(rng.uniform(np.log(repeat_m[0]), np.log(repeat_m[1]), n))
    shine = rng.uniform(0, 0.4, n) * (rng.random(n) < 0.3)
    return Materials(
        _tensor(color), _tensor(other), torch.from_numpy(pattern), _tensor(repeat), _tensor(shine)
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def dress(rng: Rng, s: int, g: int) -> tuple[Looks, Materials, Tensor]:
    """Looks of people [S, G], their materials (N_MATERIALS each) and the row of the first, [S, G]."""
    n = s * g
    color = np.zeros((n, N_MATERIALS, 3), np.float32)
    color[:, SKIN], color[:, HAIR] = _among(rng, _SKINS, n), _among(rng, _HAIRS, n)
    color[:, SHIRT] = _colors(rng, n)
    color[:, TROUSERS] = _colors(rng, n, grey=0.5, dark=0.8)
    color[:, SHOES] = _colors(rng, n, grey=0.6, dark=0.7)
    color[:, BAG] = _colors(rng, n, dark=0.5)
    cloth = _materials(rng, color.reshape(-1, 3), 0.6, (0.06, 0.6))
    fields = {k: getattr(cloth, k).view(n, N_MATERIALS, *getattr(cloth, k).shape[1:]).clone()
              for k in ("color", "other", "pattern", "repeat_m", "shine")}  # fmt: skip
    short_sleeves, shorts = rng.random(n) < 0.5, rng.random(n) < 0.25
    alike = rng.random(n) < 0.12  # overalls
    for value in fields.values():
        value[:, FOREARM] = torch.where(
            _like(short_sleeves, value), value[:, SKIN], value[:, SHIRT]
        )
        value[alike, TROUSERS] = value[alike, SHIRT]
        value[:, SHANK] = torch.where(_like(shorts, value), value[:, SKIN], value[:, TROUSERS])
    for kind, rows in ((SKIN, slice(None)), (FOREARM, short_sleeves), (SHANK, shorts)):
        fields["other"][rows, kind] = 0.93 * fields["color"][rows, kind]
    materials = Materials(**{k: v.flatten(0, 1) for k, v in fields.items()})
    hang = np.where(rng.random(n) < 0.35, rng.uniform(0.05, 0.25, n), rng.uniform(0, 0.05, n))
    looks = Looks(
        girth=torch.from_numpy(rng.normal(1.0, 0.11, n).clip(0.8, 1.35).astype(np.float32)),
        hair_m=torch.from_numpy(hang.astype(np.float32)),
        skirt=torch.from_numpy(rng.random(n) < 0.12),
        bag=torch.from_numpy(rng.random(n) < 0.1),
    )
    first = N_MATERIALS * torch.arange(n).view(s, g)
    return Looks(*(x.view(s, g) for x in looks)), materials, first


def _like(mask: np.ndarray, value: Tensor) -> Tensor:
    return torch.from_numpy(mask).view(-1, *[1] * (value.dim() - 2))


def furnish(
    rng: Rng,
    joints_m: Tensor,
    present: Tensor,
    center: np.ndarray,
    size: np.ndarray,
    eyes_m: Tensor,
    most: int = 5,
    first_material: int = 0,
) -> tuple[Boxes, Materials]:
    """Boxes and tables that hold no joint [S, G, J, 3] and no camera [S, T, 3]."""
    s = len(joints_m)
    material = _materials(rng, _colors(rng, s * most, grey=0.4), 0.5, (0.2, 1.5))
    found: list[tuple[list[float], list[float], float, int, int]] = []
    for scene in range(s):
        joints = joints_m[scene, present[scene]].reshape(-1, 3).numpy()
        keep_clear = np.concatenate([joints, eyes_m[scene].numpy()])
        for k in range(int(rng.integers(0, most + 1))):
            at = center[scene] + rng.uniform(-0.75, 0.75, 2) * size[scene]
            yaw = float(rng.uniform(0, np.pi))
            half = np.array([rng.uniform(0.2, 0.9), rng.uniform(0.15, 0.5)])
            table = rng.random() < 0.4
            top = rng.uniform(0.68, 0.8) if table else rng.uniform(0.3, 1.6)
            d = keep_clear[:, :2] - at
            c, sn = np.cos(yaw), np.sin(yaw)
            local = np.abs(np.stack([c * d[:, 0] + sn * d[:, 1], c * d[:, 1] - sn * d[:, 0]], -1))
            if ((local < half + _CLEAR_M).all(-1) & (keep_clear[:, 2] < top + _CLEAR_M)).any():
                continue
            row = first_material + scene * most + k
            for low, high, bottom, upper in _pieces(half, table, float(top)):
                middle = 0.5 * (low + high)
                place = at + np.array(
                    [c * middle[0] - sn * middle[1], sn * middle[0] + c * middle[1]]
                )
                extent = 0.5 * (high - low)
                found.append(
                    (
                        [*place, 0.5 * (bottom + upper)],
                        [*extent, 0.5 * (upper - bottom)],
                        yaw,
                        scene,
                        row,
                    )
                )
    columns = list(zip(*found)) or [(), (), (), (), ()]
    return Boxes(
        torch.tensor(columns[0], dtype=torch.float32).view(-1, 3),
        torch.tensor(columns[1], dtype=torch.float32).view(-1, 3),
        torch.tensor(columns[2], dtype=torch.float32),
        torch.tensor(columns[3], dtype=torch.long),
        torch.tensor(columns[4], dtype=torch.long),
    ), material


def _pieces(
    half: np.ndarray, table: bool, top: float
) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Low and high corner in plan, bottom and top: one of a box, five of a table."""
    if not table:
        return [(-half, half, 0.0, top)]
    pieces = [(-half, half, top - _TABLE_TOP_M, top)]
    for x in (-1, 1):
        for y in (-1, 1):
            corner = np.array([x, y]) * (half - 0.5 * _TABLE_LEG_M)
            pieces.append((corner - 0.5 * _TABLE_LEG_M, corner + 0.5 * _TABLE_LEG_M,
                           0.0, top - _TABLE_TOP_M))  # fmt: skip
    return pieces


def rooms(
    rng: Rng, center: np.ndarray, size: np.ndarray, first_material: int
) -> tuple[Room, Materials]:
    """A room around each space: center, size [S, 2] m."""
    s = len(center)
    beyond = np.exp(rng.uniform(np.log(0.4), np.log(6.0), (2, s, 2)))
    low = np.concatenate([center - 0.5 * size - beyond[0], np.zeros((s, 1))], -1)
    high = np.concatenate([center + 0.5 * size + beyond[1], rng.uniform(2.6, 6, (s, 1))], -1)
    grow = rng.uniform(-0.3, 0.4, (s, 2))
    has_mat = rng.random((s, 1)) < 0.4
    mat_low = np.where(has_mat, center - 0.5 * size * (1 + grow), 1e6)
    mat_high = np.where(has_mat, center + 0.5 * size * (1 + grow), -1e6)
    material = _materials(rng, _colors(rng, 4 * s, grey=0.6), 0.3, (0.3, 5.0), contrast=0.4)
    row = torch.arange(4 * s).view(s, 4) + first_material

    room = Room(_tensor(low), _tensor(high), row[:, 0], row[:, 1], row[:, 2],
                _tensor(mat_low), _tensor(mat_high), row[:, 3])  # fmt: skip
    return room, material


def lights(rng: Rng, s: int) -> Light:
    """A lamp somewhere above, and light from all sides, of slightly different colours."""
    azimuth, height = rng.uniform(0, 2 * np.pi, s), np.deg2rad(rng.uniform(25, 88, s))
    lamp = rng.uniform(0.05, 1.1, (s, 1)) * rng.normal(1, 0.08, (s, 3))
    ambient = rng.uniform(0.25, 0.9, (s, 1)) * rng.normal(1, 0.06, (s, 3))
    towards = [np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)]
    return Light(*(_tensor(x)
                   for x in (np.stack(towards, -1), lamp.clip(0.02), ambient.clip(0.1))))  # fmt: skip


def sensors(rng: Rng, n: int) -> Sensor:
    """n cameras, from good to poor."""
    poor = rng.random(n) ** 2
    values = (
        np.exp(rng.normal(0, 0.28, n)),
        rng.normal(1, 0.07, (n, 3)),
        rng.normal(1, 0.12, n).clip(0.6, 1.4),
        rng.uniform(0, 0.5, n),
        np.where(rng.random(n) < 0.4, rng.uniform(0.3, 1.3, n), 0.0),
        0.05 * poor * rng.random(n),
        0.04 * poor * rng.random(n),
        np.where(rng.random(n) < 0.6, rng.integers(25, 96, n), 0),
    )
    return Sensor(*(_tensor(v) for v in values))
