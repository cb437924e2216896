"""A data set of one's own: what `mvssm data from-bag` writes, simple enough to write oneself.

    ROOT/rig.yaml                      a rig file with intrinsics and extrinsics of every camera
    ROOT/people.jsonl                  one line a moment, in any order:
        {"stamp_ns": 1700000000000000000,
         "images": {"cam1": "images/cam1/000000.jpg", "cam2": "images/cam2/000000.jpg"},
         "people": [[[0.1, 2.0, 1.4], null, ...], ...]}
    ROOT/images/<camera>/<number>.jpg  as the camera took it, JPEG or PNG; paths are relative to ROOT

Of each person all joints of PANOPTIC15 in that order: metres in the rig's frame, z up; null where a
joint is not known. Everybody whom two cameras see must be in a line: who is not counts as nobody.

The last fifth of the moments, in the order of their stamps, is the test split, the others are the
training split: neighbouring images are nearly the same, and a random choice would measure what was
learnt by heart. A stamp, or an image, that an earlier line has leaves the later one out: the same moment
could be in both splits. Heights come out over the floor of the rig's space, and so do the cameras.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from mvssm_ros.data_sets.frames import (
    BROKEN,
    MISSING,
    NOT_FINITE,
    Array,
    Candidate,
    Sequence,
    folder,
    usable,
)
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.rig.rig_file import Rig, load_rig

RIG, PEOPLE, IMAGES = "rig.yaml", "people.jsonl", "images"
LAYOUT = f"{RIG}, {PEOPLE} and {IMAGES}/<camera>/<number>.jpg"
REPEATED = "stamp or image of another line"
SPLITS = ("train", "test")
TEST_SHARE = 5  # the last of so many parts
_MOST_BYTES = 1_000_000  # of a line
_SHAPE = (PANOPTIC15.n_joints, 3)
_NECK, _MID_HIP = (PANOPTIC15.joints.index(name) for name in ("neck", "mid_hip"))
_RISE_M = 0.15


@dataclass(frozen=True)
class Moment:
    """One line. images: path by camera, relative to the data set; fault: why it cannot be used."""

    number: int  # of the line, from 1
    stamp_ns: int
    images: dict[str, str]
    joints_m: Array  # [G, 15, 3] in the rig's frame, NaN where not known
    fault: str = ""


def open_own(
    root: str | Path, split: str = "train", images: str = "ends", interval: int = 1
) -> list[Sequence]:
    """The moments of a split, as one sequence.

    Args:
        root: the folder with rig.yaml and people.jsonl; see the module.
        split: "train" or "test".
        images: how well to look at images, see `frames.IMAGE_CHECKS`.
        interval: use every N-th moment.

    Raises:
        UserError: the folder, the rig file or people.jsonl is missing or cannot be used, a camera
            of most lines has no calibration, or one of the rig no images at all, an unknown split.
            Single moments that cannot be used are counted in `Sequence.skipped` instead.
    """
    root = folder(root, LAYOUT)
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}': expected {' or '.join(SPLITS)}")
    if interval < 1:
        raise UserError(f"interval {interval}: expected 1 or more")
    rig = load_rig(root / RIG)
    cameras = _cameras(rig, root / RIG)
    moments = _without_repeats(read_moments(root / PEOPLE))
    _check_cameras(moments, rig, root)
    chosen = split_moments(moments, split)[::interval]
    space = rig.space
    candidates = [_candidate(root, m, list(rig.cameras), space.floor_m) for m in chosen]
    names = tuple(rig.cameras)
    place = (space.center_m, space.size_m)
    name = root.resolve().name
    return [usable(name, cameras, names, candidates, place, images)]


def split_moments(moments: list[Moment], split: str) -> list[Moment]:
    """Those of a split, by stamp: of n >= 2 the last n / 5, but at least one, are for the test."""
    ordered = sorted(moments, key=lambda m: m.stamp_ns)
    n_test = max(1, len(ordered) // TEST_SHARE) if len(ordered) > 1 else 0
    at = len(ordered) - n_test
    return ordered[:at] if split == "train" else ordered[at:]


def doubt(people: Iterable[Array]) -> str:
    """What a look at all people [15, 3] m says against their labels; "" if nothing.

    Whoever stands, walks or sits has the neck over the hips. Labels with y up do not.
    """
    rise_m = np.array([joints[_NECK, 2] - joints[_MID_HIP, 2] for joints in people])
    rise_m = rise_m[np.isfinite(rise_m)]
    low = int((rise_m < _RISE_M).sum())
    if 2 * low <= len(rise_m):
        return ""
    return f"{low} of {len(rise_m)} people have the neck no higher than the hips: is z up in the labels?"


def read_moments(path: Path) -> Iterator[Moment]:
    """The lines of people.jsonl, empty ones left out.

    Raises:
        UserError: the file is missing, cannot be read or is empty. A line that is broken comes with
            a fault, and the stamp of the line before it.
    """
    stamp_ns, found = 0, False
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), 1):
                if line.strip():
                    moment = _moment(number, line, stamp_ns)
                    stamp_ns, found = moment.stamp_ns, True
                    yield moment
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; expected {LAYOUT}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not found:
        raise UserError(f"{path}: is empty; expected a line for every moment")


def _without_repeats(moments: Iterable[Moment]) -> list[Moment]:
    """The same; those whose stamp, or one of whose images, was there before come with a fault."""
    stamps_ns: set[int] = set()
    paths: set[str] = set()
    marked = []
    for moment in moments:
        if not moment.fault:
            images = list(moment.images.values())
            known = moment.stamp_ns in stamps_ns or not paths.isdisjoint(images)
            if known or len(set(images)) < len(images):
                moment = replace(moment, fault=REPEATED)
            stamps_ns.add(moment.stamp_ns)
            paths.update(images)
        marked.append(moment)
    return marked


def _lines(file: Any) -> Iterator[bytes]:
    """Lines; of one that is too long only the beginning, which is broken then."""
    while line := file.readline(_MOST_BYTES):
        while not line.endswith(b"\n") and (rest := file.readline(_MOST_BYTES)):
            line = line[:100] + rest[-1:]
        yield line


def _moment(number: int, line: bytes, stamp_before_ns: int) -> Moment:
    nobody = np.zeros((0, *_SHAPE))
    try:
        stamp_ns, images, people = _read_line(line)
        rows = [_person(person) for person in people]
    except ValueError as error:
        return Moment(number, stamp_before_ns, {}, nobody, f"{BROKEN}: {error}")
    joints = np.array(rows, np.float64).reshape(-1, *_SHAPE)
    if not all(_is_finite(person) for person in people):
        return Moment(number, stamp_ns, images, nobody, NOT_FINITE)
    return Moment(number, stamp_ns, images, joints[np.isfinite(joints).any((1, 2))])


def _read_line(line: bytes) -> tuple[int, dict[str, str], list[Any]]:
    """Stamp, images and people of a line. Raises ValueError that says what is wrong with it."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("a line that is no JSON") from None
    keys = ("stamp_ns", "images", "people")
    if not isinstance(content, dict) or not all(key in content for key in keys):
        raise ValueError(f"a line without {', '.join(keys)}")
    stamp_ns, images, people = (content[key] for key in keys)
    if not isinstance(stamp_ns, int) or isinstance(stamp_ns, bool) or not 0 <= stamp_ns < 2**63:
        raise ValueError("stamp_ns is no whole number of nanoseconds")
    if not isinstance(images, dict) or not _are_paths(images):
        raise ValueError("images are not a path below the data set for each camera")
    if not isinstance(people, list):
        raise ValueError("people is no list")
    return stamp_ns, images, people


def _person(joints: Any) -> Array:
    """[15, 3] of a person in a line. Raises ValueError."""
    if not isinstance(joints, list) or len(joints) != PANOPTIC15.n_joints:
        raise ValueError(f"a person without {PANOPTIC15.n_joints} joints")
    known = [_numbers(j) if j is not None else [np.nan] * 3 for j in joints]
    return np.array(known, np.float64).reshape(_SHAPE)


def _numbers(joint: Any) -> list[float]:
    wrong = ValueError("a joint that is not [x, y, z] or null")
    if not isinstance(joint, list) or len(joint) != 3:
        raise wrong
    if any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in joint):
        raise wrong
    try:
        return [float(x) for x in joint]
    except OverflowError:
        raise wrong from None


def _is_finite(person: list[Any]) -> bool:
    return all(np.isfinite(joint).all() for joint in person if joint is not None)


def _are_paths(images: dict[str, Any]) -> bool:
    """Relative paths that stay in the data set."""
    texts = list(images.values())
    if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
        return False
    paths = [PurePosixPath(text) for text in texts]
    return not any(path.is_absolute() or ".." in path.parts for path in paths)


def _cameras(rig: Rig, path: Path) -> Cameras:
    """[T] float32, in the rig's frame but for the height: the floor is at z = 0."""
    try:
        cameras = rig.to_cameras(dtype=torch.float64)
    except UserError as error:
        raise UserError(f"rig file {path}: {error}") from None
    up = torch.tensor([0.0, 0.0, rig.space.floor_m], dtype=torch.float64)
    return replace(cameras, t=cameras.t + cameras.R @ up).to(torch.float32)


def _check_cameras(moments: list[Moment], rig: Rig, root: Path) -> None:
    """Raise UserError where the cameras of the rig file are not those of the images."""
    seen = Counter(name for moment in moments for name in moment.images)
    most = sum(bool(moment.images) for moment in moments) / 2  # a few may be misspelt
    unknown = [name for name in sorted(seen) if name not in rig.cameras and seen[name] >= most]
    if unknown:
        raise UserError(
            f"{root / RIG}: has no camera {', '.join(unknown)}, of which {PEOPLE} has images; it has"
            f" {', '.join(rig.cameras)}"
        )
    lacking = [name for name in rig.cameras if name not in seen]
    if seen and lacking:
        raise UserError(
            f"{root / PEOPLE}: has no image of camera {', '.join(lacking)}, which {RIG} has; take it"
            " out of the rig file, or add its images"
        )


def _candidate(root: Path, moment: Moment, names: list[str], floor_m: float) -> Candidate:
    lacking = [name for name in names if name not in moment.images]
    paths = () if lacking else tuple(root / moment.images[name] for name in names)
    fault = moment.fault or (MISSING if lacking else "")
    joints = moment.joints_m - (0.0, 0.0, floor_m)
    name = f"{root.resolve().name}/{moment.number:06d}"
    return Candidate(name, paths, joints, root / f"{PEOPLE}:{moment.number}", fault)
