"""Skeletons drawn over the cameras' images: one picture of all views per set, and the video."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.demo.answers import Answer, ReportedPerson
from mvssm_ros.demo_data import read_frames
from mvssm_ros.geometry.cameras import MIN_DEPTH_M, Cameras, project
from mvssm_ros.geometry.skeletons import SKELETONS

Image = npt.NDArray[np.uint8]

_SKELETON = SKELETONS["panoptic15"]
_BACKGROUND = (32, 34, 40)
_TEXT = (235, 235, 235)
_IS_RIGHT = [name.startswith("right_") for name in _SKELETON.joints]
_RIGHT_SHADE = 0.55
_GAP_PX = 6
_LEGEND_PX = 34
_GOLDEN = 0.618034  # hue step, as of the markers in RViz: the same id has the same colour there


def color_of(person_id: str) -> tuple[int, int, int]:
    """RGB 0..255 of an id such as p0001."""
    digits = "".join(c for c in person_id if c.isdigit()) or "0"
    red, green, blue = colorsys.hsv_to_rgb(int(digits) * _GOLDEN % 1.0, 0.8, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


class OverlayPainter:
    """Draws one answer over the images of its set, the views side by side.

    Args:
        cameras: T views, raw image pixels.
        names: of the views, for the captions.
        height_px: of each view in the picture.
        columns: views beside each other; 0: all of them.
    """

    def __init__(
        self, cameras: Cameras, names: Sequence[str], height_px: int = 800, columns: int = 0
    ) -> None:
        self._columns = columns
        self._cameras = cameras.to(torch.float64)
        self._names = list(names)
        self._height_px = height_px
        sizes = cameras.size_px.cpu().numpy()
        self._scales = [height_px / float(height) for _, height in sizes]
        self._widths_px = [round(s * float(width)) for s, (width, _) in zip(self._scales, sizes)]

    def paint(
        self,
        images: Sequence[Image] | None,
        answer: Answer,
        caption: str,
        more: Sequence[Image] = (),
    ) -> Image:
        """RGB picture [H, W, 3]; ``more`` [height_px, W', 3] stand behind the views.

        Without images the skeletons stand before a plain background, cut off below the lowest.
        """
        tiles = []
        for view, (scale, width_px) in enumerate(zip(self._scales, self._widths_px)):
            if images is None:
                tile = np.full((self._height_px, width_px, 3), _BACKGROUND, np.uint8)
            else:
                size = (width_px, self._height_px)
                tile = cv2.resize(images[view], size, interpolation=cv2.INTER_AREA).astype(np.uint8)
            for person in answer.seen:
                _draw_person(tile, scale * self._pixels(person, view), person)
            _write(tile, self._names[view], (10, 28), 0.8)
            tiles.append(tile)
        picture = _arrange([*tiles, *more], self._columns)
        if images is None:
            drawn = np.flatnonzero((picture != np.array(_BACKGROUND)).any((1, 2)))
            picture = picture[: drawn.max() + 30]
        legend = np.full((_LEGEND_PX, picture.shape[1], 3), _BACKGROUND, np.uint8)
        _write_legend(legend, caption)
        picture = np.vstack([picture, legend])
        height, width = picture.shape[:2]
        return np.ascontiguousarray(picture[: height // 2 * 2, : width // 2 * 2])  # codecs ask it

    def _pixels(self, person: ReportedPerson, view: int) -> npt.NDArray[np.float64]:
        """Joints in raw pixels of one view [15, 2]; NaN where missing or behind the camera."""
        camera = self._cameras.select([view])
        pixels, depth_m = project(camera, torch.from_numpy(np.nan_to_num(person.joints_m)))
        hidden = (depth_m[0].numpy() < MIN_DEPTH_M) | ~np.isfinite(person.joints_m).all(-1)
        return np.where(hidden[:, None], np.nan, pixels[0].numpy())


def _arrange(tiles: Sequence[Image], columns: int) -> Image:
    """Row by row, a gap between them."""
    columns = columns or len(tiles)
    rows = []
    for first in range(0, len(tiles), columns):
        row = []
        for tile in tiles[first : first + columns]:
            row += [tile, np.full((tile.shape[0], _GAP_PX, 3), _BACKGROUND, np.uint8)]
        rows.append(np.hstack(row[:-1]))
    width = max(row.shape[1] for row in rows)
    padded = []
    for whole in rows:
        height = whole.shape[0]
        aside = np.full((height, width - whole.shape[1], 3), _BACKGROUND, np.uint8)
        padded += [np.hstack([whole, aside]), np.full((_GAP_PX, width, 3), _BACKGROUND, np.uint8)]
    return np.vstack(padded[:-1])


def film_frames(videos: Mapping[str, Path], wanted: set[int]) -> Iterator[tuple[int, list[Image]]]:
    """Yield (frame, RGB images of all cameras) of the wanted frames, in order."""
    last = max(wanted, default=-1)
    for frame, images in enumerate(zip(*(read_frames(path) for path in videos.values()))):
        if frame > last:
            return
        if frame in wanted:
            yield frame, list(images)


def _draw_person(tile: Image, pixels: npt.NDArray[np.float64], person: ReportedPerson) -> None:
    """Bones full between observed joints and thin otherwise; observed joints are discs.

    The right side is darker than the left, so that exchanged sides can be seen.
    """
    color = color_of(person.id)
    dark = tuple(round(_RIGHT_SHADE * c) for c in color)
    pale = tuple(round(0.5 * c + 0.5 * 128) for c in color)
    known = [bool((np.abs(pixel) < 1e4).all()) for pixel in pixels]  # not so if NaN
    points = [
        (round(float(x)), round(float(y))) if k else (0, 0) for (x, y), k in zip(pixels, known)
    ]
    for a, b in _SKELETON.edge_indices:
        if known[a] and known[b]:
            firm = bool(person.observed[a] and person.observed[b])
            full = dark if _IS_RIGHT[a] or _IS_RIGHT[b] else color
            cv2.line(tile, points[a], points[b], (0, 0, 0), 5 if firm else 3, cv2.LINE_AA)
            cv2.line(
                tile, points[a], points[b], full if firm else pale, 3 if firm else 1, cv2.LINE_AA
            )
    shown = [joint for joint, is_known in enumerate(known) if is_known]
    for joint in shown:
        if person.observed[joint]:
            cv2.circle(tile, points[joint], 5, (0, 0, 0), -1, cv2.LINE_AA)
            full = dark if _IS_RIGHT[joint] else color
            cv2.circle(tile, points[joint], 4, full, -1, cv2.LINE_AA)
        else:
            cv2.circle(tile, points[joint], 5, pale, 1, cv2.LINE_AA)
    if shown:
        x, y = min((points[joint] for joint in shown), key=lambda point: point[1])
        _write_label(tile, f"{person.id}  {person.confidence:.2f}", (x, max(y - 24, 16)), color)


def _write_label(tile: Image, text: str, at: tuple[int, int], color: tuple[int, int, int]) -> None:
    """Dark on a plate of the person's colour, centred."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(text, font, 0.55, 1)
    x, y = at[0] - width // 2, at[1]
    cv2.rectangle(tile, (x - 5, y - height - 5), (x + width + 5, y + below), color, -1)
    cv2.putText(tile, text, (x, y), font, 0.55, _BACKGROUND, 1, cv2.LINE_AA)


def _write_legend(legend: Image, caption: str) -> None:
    _write(legend, caption + "   dark side: right", (10, 23), 0.55)
    x = legend.shape[1] - 560
    cv2.circle(legend, (x, 17), 5, _TEXT, -1, cv2.LINE_AA)
    _write(legend, "joint seen by two cameras or more", (x + 12, 23), 0.5)
    cv2.circle(legend, (x + 330, 17), 5, _TEXT, 1, cv2.LINE_AA)
    _write(legend, "joint predicted", (x + 342, 23), 0.5)


def _write(
    picture: Image,
    text: str,
    at: tuple[int, int],
    size: float,
    color: tuple[int, int, int] = _TEXT,
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    for x, y, shade in ((1, 1, (0, 0, 0)), (-1, -1, (0, 0, 0)), (0, 0, color)):  # with a rim
        cv2.putText(picture, text, (at[0] + x, at[1] + y), font, size, shade, 1, cv2.LINE_AA)
