"""What a data set gives: sequences of frames, with the images and people of each.

A frame that cannot be used (an image missing or torn, NaN in the ground truth, ...) is left out and
counted; the others are used. What concerns a whole sequence (its calibration, its folder) is a
`UserError`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras

Array = npt.NDArray[np.float64]
Pair = tuple[float, float]

MISSING, TORN, OTHER_SIZE = "image missing", "image torn", "image of another size"
NOBODY = "nobody in the ground truth"
BROKEN, NOT_FINITE = "ground truth broken", "NaN in the ground truth"
OUTSIDE = "people outside the space"
NOT_METRES = f"{OUTSIDE}, as if not in metres"
NO_FAULT = (NOBODY,)  # reasons to leave a frame out that are no fault of the data

# How well images are looked at. "ends": that each is there and whole, by its first and last bytes.
# "some": also decode those of a few frames. "all": decode all. "none": do not look for them.
IMAGE_CHECKS = ("none", "ends", "some", "all")
_SOME = 20  # frames of a sequence
# People further than this outside the space stand nowhere: the unit or the axes are wrong.
_MARGIN_M = 1.0
_FAR_M = 100.0  # nobody is this far from a rig
_HEIGHTS_M = (-1.0, 3.0)  # of the middle of a person over the floor at 0; the same beyond these
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"  # inside the compressed data 0xff is never followed by 0xd9
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_TAIL = 64  # bytes at the end of a file in which the end marker is looked for


@dataclass(frozen=True, eq=False)
class Frame:
    """One moment, seen by all cameras.

    name         "<sequence>/<frame number>"
    image_paths  one a view, in the order of the cameras
    joints_m     [G, 15, 3] as PANOPTIC15, metres, z up; NaN: that joint is not known. Campus and
                 Shelf: [G, 14, 3] as SHELF14 with a row for every actor, NaN all over where she is
                 not there (what `learning.pcp` needs).
    """

    name: str
    image_paths: tuple[Path, ...]
    joints_m: Array

    @property
    def n_people(self) -> int:
        return int(np.isfinite(self.joints_m).any((1, 2)).sum())


@dataclass(frozen=True, eq=False)
class Sequence:
    """The frames of one recording that can be used.

    cameras                      [T] float32; raw pixels, metres, z up
    space_center_m, space_size_m (x, y) of the floor on which people move
    skipped                      reason -> how many frames are left out for it
    examples                     reason -> the first file in which it was found
    """

    name: str
    cameras: Cameras
    camera_names: tuple[str, ...]
    frames: tuple[Frame, ...]
    space_center_m: Pair
    space_size_m: Pair
    skipped: dict[str, int]
    examples: dict[str, str] = field(default_factory=dict)


def left_out(skipped: Mapping[str, int]) -> str:
    """How many frames are left out for each reason, for people."""
    reasons = [f"{count} left out ({reason})" for reason, count in skipped.items()]
    return ", ".join(reasons) or "none left out"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A frame before it is known whether it can be used.

    truth: the file its people are from. fault: why they cannot be read; joints_m is then empty.
    """

    name: str
    image_paths: tuple[Path, ...]
    joints_m: Array
    truth: Path
    fault: str = ""


def usable(
    name: str,
    cameras: Cameras,
    camera_names: tuple[str, ...],
    candidates: SequenceOf[Candidate],
    space: tuple[Pair, Pair],
    images: str = "ends",
) -> Sequence:
    """The sequence of those candidates that can be used; the others are counted by reason.

    Args:
        space: centre and size of the floor, (x, y) in metres.
        images: how well to look at images, one of IMAGE_CHECKS.

    Raises:
        UserError: another word for `images`.
    """
    if images not in IMAGE_CHECKS:
        raise UserError(f"images '{images}': expected one of {', '.join(IMAGE_CHECKS)}")
    sizes = [(int(w), int(h)) for w, h in cameras.size_px.tolist()]
    decoded = _decoded(len(candidates), images)
    frames: list[Frame] = []
    skipped: dict[str, int] = {}
    examples: dict[str, str] = {}
    for number, candidate in enumerate(candidates):
        reason, where = _truth_fault(candidate, space), str(candidate.truth)
        if not reason and images != "none":
            reason, where = _images_fault(candidate.image_paths, sizes, number in decoded)
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
            examples.setdefault(reason, where)
        else:
            frames.append(Frame(candidate.name, candidate.image_paths, candidate.joints_m))
    return Sequence(name, cameras, camera_names, tuple(frames), *space, skipped, examples)


def _decoded(count: int, images: str) -> Collection[int]:
    """The candidates whose images are decoded."""
    if images == "all":
        return range(count)
    if images == "some" and count:
        return set(np.linspace(0, count - 1, min(_SOME, count)).round().astype(int).tolist())
    return ()


def _truth_fault(candidate: Candidate, space: tuple[Pair, Pair]) -> str:
    if candidate.fault:
        return candidate.fault
    joints = candidate.joints_m
    people = joints[np.isfinite(joints).any((1, 2))]  # without actors who are not there
    if not len(people):
        return NOBODY
    at = np.nanmean(people, axis=1)  # [G, 3]
    off = np.abs(at[:, :2] - np.array(space[0])) - np.array(space[1]) / 2
    flying = (at[:, 2] < _HEIGHTS_M[0]) | (at[:, 2] > _HEIGHTS_M[1])
    if np.abs(at).max() > _FAR_M:
        return NOT_METRES
    return OUTSIDE if (off > _MARGIN_M).any() or flying.any() else ""


def _images_fault(
    paths: tuple[Path, ...], sizes: list[tuple[int, int]], decode: bool
) -> tuple[str, str]:
    for path, size in zip(paths, sizes, strict=True):
        fault = image_fault(path, size if decode else None)
        if fault:
            return fault, str(path)
    return "", ""


def image_fault(path: Path, size_px: tuple[int, int] | None = None) -> str:
    """What is wrong with an image file, "" for nothing.

    size_px: (width, height) it must have; it is then decoded, else only its ends are looked at.
    """
    if size_px is None:
        try:
            with path.open("rb") as file:
                head = file.read(len(_PNG))
                file.seek(max(0, file.seek(0, 2) - _TAIL))
                return "" if _is_whole(head, file.read()) else TORN
        except OSError:
            return MISSING
    try:
        height, width = read_image(path).shape[:2]
    except UserError:
        return TORN if path.is_file() else MISSING
    return "" if (width, height) == size_px else OTHER_SIZE


def _is_whole(head: bytes, tail: bytes) -> bool:
    if head.startswith(_PNG):
        return _PNG_END in tail
    return head.startswith(_JPEG) and _JPEG_END in tail


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """An image file (JPEG or PNG) as [H, W, 3] uint8 RGB, as stored: not turned by its EXIF.

    Raises:
        UserError: it is missing, no JPEG or PNG, or torn (its end is missing: what a download or a
            conversion leaves that was broken off).
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"image {path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"image {path}: cannot be read ({error.strerror})") from None
    if not data.startswith((_JPEG, _PNG)):
        raise UserError(f"image {path}: expected a JPEG or PNG, got {len(data)} bytes of else")
    if not _is_whole(data[: len(_PNG)], data[-_TAIL:]):
        raise UserError(f"image {path}: is torn, its end is missing; get or convert it again")
    pixels: Any = None
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pass
    if pixels is None:
        raise UserError(f"image {path}: cannot be decoded; get or convert it again")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Numbers that are too large, or nesting too deep, for the reader of a file: a UserError too."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{file}: is broken ({error})") from None


def folder(path: str | Path, expected: str) -> Path:
    """A folder of the user's. Raises UserError, which says what is expected in it."""
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise UserError(f"data set {path}: {what}, expected a folder with {expected}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise UserError(f"data set {path}: may not be read; give yourself the right to")
    return path
