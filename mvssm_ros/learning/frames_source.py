"""Batches of a data set's frames for training on images, and its held-out frames for validation."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from mvssm_ros.data_sets.frames import Frame, Sequence, left_out, read_image
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.images import letterbox
from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.geometry.skeletons import skeleton_map
from mvssm_ros.learning.image_batch import ImageBatch
from mvssm_ros.learning.image_evaluation import ImageSet
from mvssm_ros.rig.rig_file import Space

if TYPE_CHECKING:
    from mvssm_ros.learning.training.experiment import DataConfig

_log = logging.getLogger(__name__)
Place = tuple[Sequence, Frame]


class FramesSource:
    """The frames of a data set below `data.root`, in an order drawn anew for every pass.

    Raises UserError where the data set cannot be opened or has no frame to train on. Whatever is not
    usable is left out beforehand and counted (`skipped`, by reason).
    """

    def __init__(self, data: DataConfig, image_stride: int):
        if not data.root:
            raise UserError(f"data.root: {data.kind} needs the data set's folder (--data ROOT)")
        self.data, self.image_stride = data, image_stride
        sequences = _open(data, "train")
        self.skipped: dict[str, int] = {}
        for sequence in sequences:
            for reason, count in sequence.skipped.items():
                self.skipped[reason] = self.skipped.get(reason, 0) + count
        self.places: list[Place] = [(s, f) for s in sequences for f in s.frames]
        if not self.places:
            raise UserError(
                f"{data.root}: no frame of {data.kind} to train on, {left_out(self.skipped)};"
                f" 'mvssm data check {data.root}' says where"
            )
        views = sequences[0].cameras.n_views
        self.at_once = max(1, data.view_budget // views)  # frames a batch

    def __str__(self) -> str:
        return f"{self.data.root}, {len(self.places)} frames to train on, {left_out(self.skipped)}"

    def batch(self, number: int, seed: int) -> ImageBatch:
        """Batch `number` of the endless stream of a seed. All its frames are of one sequence.

        A frame whose images can no longer be read is left out, with a line in the log; if none of them
        can, the batch is the next one's. Raises UserError where no frame at all can be read.
        """
        per_pass = max(1, len(self.places) // self.at_once)
        rng = np.random.default_rng([seed, number // per_pass])
        # neighbours in this order are of one sequence, so that they have the same cameras
        order = np.concatenate([rng.permutation(rows) for rows in self._rows_by_sequence])
        starts = rng.permutation(per_pass) * self.at_once
        for more in range(per_pass):
            start = int(starts[(number + more) % per_pass])
            chosen = [self.places[i] for i in order[start : start + self.at_once]]
            sequence = chosen[0][0]
            read = [(f, _images(f)) for own, f in chosen if own is sequence]
            whole = [(frame, images) for frame, images in read if images]
            if whole:
                return frames_batch(sequence, whole, self.image_stride)
        raise UserError(f"{self.data.root}: no image of {self.data.kind} can be read any more")

    @cached_property
    def _rows_by_sequence(self) -> list[np.ndarray]:
        names = np.array([sequence.name for sequence, _ in self.places])
        return [np.flatnonzero(names == name) for name in dict.fromkeys(names)]

    @cached_property
    def _held_out(self) -> list[Place]:
        return [(s, f) for s in _open(self.data, "test") for f in s.frames]

    def validation_sets(self, count: int) -> list[ImageSet]:
        """At most `count` held-out frames, evenly over all of them."""
        places = self._held_out
        if not places:
            raise UserError(f"{self.data.root}: no frame of {self.data.kind} to validate on")
        rows = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
        return [image_set(*places[i]) for i in rows]


def image_set(sequence: Sequence, frame: Frame) -> ImageSet:
    """One frame as the evaluation takes it."""
    return ImageSet(
        tuple(read_image(path) for path in frame.image_paths),
        sequence.cameras,
        Space(sequence.space_center_m, sequence.space_size_m, 0.0),
        _as_panoptic15(frame.joints_m),
    )


def _images(frame: Frame) -> list[np.ndarray]:
    """The images of a frame; none, and a warning, where one has gone since the data set was opened."""
    try:
        return [read_image(path) for path in frame.image_paths]
    except UserError as error:
        _log.warning("frame %s is left out: %s", frame.name, error)
        return []


def frames_batch(
    sequence: Sequence, frames: list[tuple[Frame, list[np.ndarray]]], image_stride: int
) -> ImageBatch:
    """Frames of one sequence, with their images, as a training batch."""
    people = [_as_panoptic15(frame.joints_m) for frame, _ in frames]
    most = max(1, *(len(p) for p in people))
    truth = np.zeros((len(frames), most, 15, 3), np.float32)
    valid = np.zeros((len(frames), most), bool)
    for row, found in enumerate(people):
        truth[row, : len(found)], valid[row, : len(found)] = found, True
    boxed = [letterbox(images, stride=image_stride) for _, images in frames]
    scaled = sequence.cameras.affine(boxed[0].scale, boxed[0].offset_px)
    cameras = Cameras.stack([scaled] * len(frames))
    joints = torch.from_numpy(truth)
    known = ~joints.isnan().any(-1)
    pixels, depth = project(cameras, joints.nan_to_num().flatten(1, 2))  # [B, T, G J, 2]
    seen = in_view(cameras, pixels, depth) & (known & torch.from_numpy(valid)[..., None]).flatten(
        1
    ).unsqueeze(1)
    targets = torch.cat([pixels, seen.float().unsqueeze(-1)], -1)
    space = (sequence.space_center_m, sequence.space_size_m)
    center, size = (torch.tensor([values] * len(frames), dtype=torch.float32) for values in space)
    return ImageBatch(
        torch.stack([b.images for b in boxed]).contiguous(),
        cameras,
        joints,
        torch.from_numpy(valid),
        targets.unflatten(2, (most, 15)),
        center,
        size,
    )


def _as_panoptic15(joints_m: np.ndarray) -> np.ndarray:
    """People [G, J, 3] of a data set as PANOPTIC15, NaN where unknown; without those who are nowhere."""
    joints = np.asarray(joints_m, np.float64)
    joints = joints[np.isfinite(joints).any((1, 2))]
    if joints.shape[1] == 14:
        known = np.isfinite(joints).all(-1, keepdims=True)
        given = np.concatenate([np.nan_to_num(joints), known], -1)
        mapped = skeleton_map("shelf14").apply(given)
        joints = np.where(mapped[..., 3:] > 0, mapped[..., :3], np.nan)
    return joints.astype(np.float32)


def _open(data: DataConfig, split: str) -> list[Sequence]:
    """The sequences of a split, images looked at by their ends."""
    names = data.sequences if split == "train" else data.validation_sequences
    interval = data.interval if split == "train" else data.validation_interval
    if data.kind == "panoptic":
        from mvssm_ros.data_sets.panoptic import DEFAULT_ARRANGEMENT, open_panoptic

        arrangement = data.arrangement or DEFAULT_ARRANGEMENT
        return open_panoptic(data.root, split, arrangement, interval, names or None)
    if data.kind == "human36m":
        from mvssm_ros.data_sets.human36m import open_human36m

        return open_human36m(data.root, split)
    if data.kind == "own":
        from mvssm_ros.data_sets.own import open_own

        return open_own(data.root, split, interval=interval)
    from mvssm_ros.data_sets.campus_shelf import open_campus, open_shelf

    open_set = open_campus if data.kind == "campus" else open_shelf
    evaluated = open_set(data.root)
    if split == "test":
        return [evaluated]
    tested = {frame.name for frame in evaluated.frames}
    every = open_set(data.root, whole=True)
    return [replace(every, frames=tuple(f for f in every.frames if f.name not in tested))]
