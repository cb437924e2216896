"""From a set of messages to people: read, calibrate, predict. Runs on the inference thread.

Images are decoded on threads of their own, one a camera.
"""

from __future__ import annotations

import importlib
import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.nodes.parallel import CameraThreads
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.frozen import FrozenWatch
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.rig_file import CameraEntry, Rig

if TYPE_CHECKING:
    from mvssm_ros.nodes.camera_input import CameraInput
    from mvssm_ros.predictor import People, Predictor


def import_network() -> None:
    """Import what `make_predictor` needs; takes a second."""
    importlib.import_module("mvssm_ros.predictor")
    importlib.import_module("mvssm_ros.frontends.mediapipe")


def make_predictor(values: dict[str, Any]) -> Predictor:
    """The network that the parameters model.* and input ask for.

    Raises:
        UserError: weights missing, corrupt or of another front-end; detector not installed; device
            not there.
    """
    from mvssm_ros.network.weights import SHIPPED_RGB
    from mvssm_ros.predictor import Predictor

    frontend, weights = values["model.frontend"], values["model.weights"]
    if frontend != "keypoints" and values["input"] == "keypoints":
        raise UserError(
            f"parameter 'input' is 'keypoints', but the front-end '{frontend}' works on images;"
            " set input to 'images', or model.frontend to 'keypoints'"
        )
    if frontend == "resnet_small" and not weights and SHIPPED_RGB.is_file():
        weights = str(SHIPPED_RGB)
    if frontend != "keypoints" and not weights:
        raise UserError(
            f"no weights ship for the front-end '{frontend}'; import some with"
            " 'mvssm weights import' (VoxelPose, MvP or MVGFormer checkpoints), or train them with"
            " 'mvssm train', and set model.weights to the file"
        )
    detector = None
    if frontend == "keypoints" and values["input"] == "images":
        from mvssm_ros.frontends.mediapipe import MediaPipeDetector

        detector = MediaPipeDetector(
            max_people=values["model.max_people"], tiles=values["model.tiles"]
        )
    if values["model.threads"] > 0:
        torch.set_num_threads(values["model.threads"])
    predictor = Predictor.from_pretrained(
        weights or None,
        device=values["model.device"],
        detector=detector,
        score_threshold=score_threshold(values),
        max_people=values["model.max_people"],
    )
    if predictor.frontend != frontend:
        raise UserError(
            f"the weights '{weights}' are for the front-end '{predictor.frontend}', the parameter"
            f" model.frontend is '{frontend}'; set one to fit the other"
        )
    return predictor


def score_threshold(values: dict[str, Any]) -> float | None:
    """The parameter model.score_threshold; None where the weights decide."""
    wanted: float = values["model.score_threshold"]
    return None if wanted < 0 else wanted


@dataclass(frozen=True)
class Solved:
    """The answer for one set: what of it was used, the calibration [T] of these cameras and which of
    them contributed (the others are witnesses), the people, milliseconds by stage."""

    used: ImageSet
    entries: list[CameraEntry]
    cameras: Cameras
    trusted: np.ndarray
    people: People
    times_ms: dict[str, float]


@dataclass(frozen=True)
class _Content:
    """What one camera shows: its calibration, its RGB image or keypoints, their fingerprint."""

    entry: CameraEntry
    data: np.ndarray
    fingerprint: int | None


class Inference:
    """Solves sets of messages.

    Args:
        rig: its space, and its cameras in order.
        inputs: by camera; they read the messages and know the calibration.
        predictor: the network.
        mode: "images" or "keypoints": what the messages hold.
        min_cameras: fewer usable cameras than this give no answer.
    """

    def __init__(
        self,
        rig: Rig,
        inputs: dict[str, CameraInput],
        predictor: Predictor,
        mode: str,
        min_cameras: int,
    ) -> None:
        self._rig = rig
        self._inputs = inputs
        self.predictor = predictor
        self._mode = mode
        self._min_cameras = min_cameras
        self._threads = CameraThreads(len(inputs) if mode == "images" else 1)
        self._frozen = FrozenWatch()
        self.left_out: frozenset[str] = frozenset()  # cameras that disagree: witnesses only
        self._entries: list[CameraEntry] = []  # those that self._cameras was made of
        self._cameras: Cameras | None = None

    def warm_up(self) -> None:
        """Run once on nothing much, so that the first set does not pay for first-time costs.

        Cameras whose calibration is not known yet are left out; with fewer than two left there is
        nothing to run on.
        """
        entries = [
            entry
            for entry in self._rig.cameras.values()
            if entry.K is not None and entry.R is not None and entry.size_px is not None
        ]
        if len(entries) < 2:
            return
        if self._mode == "keypoints":
            centre = [np.array(entry.size_px, np.float32) / 2 for entry in entries]
            contents = [np.full((1, 15, 3), (*xy, 1.0), np.float32) for xy in centre]
        else:
            contents = [np.zeros((e.size_px[1], e.size_px[0], 3), np.uint8) for e in entries]
        self._predict(entries, contents, np.ones(len(entries), bool))

    def solve(self, image_set: ImageSet, start_poses_m: np.ndarray | None = None) -> Solved | None:
        """The people of one set. None if fewer than ``min_cameras`` of its cameras are usable.

        What is wrong with a camera is reported by its `CameraInput`; the others go on.
        ``start_poses_m`` [K, 15, 3]: where people are expected.
        """
        started_s = time.perf_counter()
        read = self._read(image_set)
        frozen = self._frozen.update({name: content.fingerprint for name, content in read.items()})
        for name in read:
            self._inputs[name].note_frozen(name in frozen)
        entries = {name: content.entry for name, content in read.items() if name not in frozen}
        if len(entries) < self._min_cameras:
            return None
        read_s = time.perf_counter()
        chosen = list(entries.values())
        trusted = self._trusted(chosen)
        contents = [read[name].data for name in entries]
        people = self._predict(chosen, contents, trusted, start_poses_m)
        used = ImageSet(
            stamps_ns={name: image_set.stamps_ns[name] for name in entries},
            items={name: image_set.items[name] for name in entries},
        )
        times_ms = {"read": (read_s - started_s) * 1e3, **people.timings_ms}
        return Solved(used, chosen, self._cameras_of(chosen), trusted, people, times_ms)

    def close(self) -> None:
        """End the threads; nothing is solved after that."""
        self._threads.close()

    def _read(self, image_set: ImageSet) -> dict[str, _Content]:
        """What the cameras of a set show, without those that cannot be used, in the set's order."""

        def read(name: str) -> _Content | None:
            camera = self._inputs[name]
            try:
                entry = camera.calibrated(image_set.stamps_ns[name])
                data = camera.read(image_set.items[name], entry.size_px)
            except UserError:
                return None  # the camera has reported it
            return _Content(entry, data, _fingerprint(data))

        found = zip(image_set.items, self._threads.map(read, image_set.items))
        return {name: content for name, content in found if content is not None}

    def _trusted(self, entries: list[CameraEntry]) -> np.ndarray:
        """[T] bool: all but those left out, as long as two remain."""
        trusted = np.array([entry.name not in self.left_out for entry in entries])
        if trusted.sum() < 2:
            trusted[:] = True  # two doubtful cameras show more than none
        return trusted

    def _predict(
        self,
        entries: list[CameraEntry],
        contents: list[np.ndarray],
        trusted: np.ndarray,
        start_poses_m: np.ndarray | None = None,
    ) -> People:
        keypoints = self._mode == "keypoints"
        predict = self.predictor.predict_keypoints if keypoints else self.predictor.predict_images
        return predict(self._cameras_of(entries), contents, self._rig.space, trusted, start_poses_m)

    def _cameras_of(self, entries: list[CameraEntry]) -> Cameras:
        """As tensors; made anew only when a calibration, or the choice of cameras, has changed."""
        same = len(entries) == len(self._entries) and all(
            a is b for a, b in zip(entries, self._entries)
        )
        if self._cameras is None or not same:
            rig = replace(self._rig, cameras={entry.name: entry for entry in entries})
            plausibility.check(rig, "calibration")
            self._cameras = rig.to_cameras()
            self._entries = entries
        return self._cameras


def _fingerprint(content: np.ndarray) -> int | None:
    """Differs when the image or the keypoints do; of an image every seventh row is taken."""
    if content.ndim == 3 and content.shape[1:] == (15, 3):
        return zlib.crc32(content.tobytes()) if content.size else None
    return zlib.crc32(np.ascontiguousarray(content[::7]))
