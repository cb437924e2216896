"""How one camera is calibrated, from wherever that is known: rig file, camera_info, TF, messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sensor_msgs.msg import CameraInfo

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import conversions
from mvssm_ros.nodes.extrinsics import TfExtrinsics
from mvssm_ros.rig.calibration_change import camera_change
from mvssm_ros.rig.rig_file import CameraEntry

_GRACE_S = 2.0  # camera_info and TF may come this much later than the first image
_TELL_EVERY_S = 10.0  # of a camera_info that changes all the time


class CalibratedCamera:
    """What is known of one camera.

    `at` is for the inference thread, `take_info` for the executor's.

    Args:
        entry: what the rig file, or a calibration message, says; the rest comes from camera_info
            (intrinsics) and TF (extrinsics).
        info_topic: for error messages.
        tf: None without TF.
        reference_frame: extrinsics from TF are looked up in this frame.
        tell: logs a line.
        changed: called when what `at` returns has changed, other than by a camera that moves.
    """

    def __init__(
        self,
        entry: CameraEntry,
        info_topic: str,
        tf: TfExtrinsics | None,
        reference_frame: str,
        tell: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.entry = entry
        self._info_topic = info_topic
        self._tf = tf
        self._reference_frame = reference_frame
        self._tell = tell
        self._changed = changed
        self._info: CameraInfo | None = None
        self._intrinsics: conversions.Intrinsics | UserError | None = None
        self._told_s = -_TELL_EVERY_S
        self._asked_s: float | None = None  # when it was first needed
        self._last: CameraEntry | None = None  # the last that was complete

    def begin(self) -> None:
        """The camera is subscribed to; its camera_info may be on its way."""
        self._asked_s = None

    @property
    def last(self) -> CameraEntry | None:
        """The camera as it was last used."""
        return self._last

    @property
    def may_be_on_its_way(self) -> bool:
        """What lacks was first needed a moment ago, and nothing wrong has come."""
        wrong = isinstance(self._intrinsics, UserError)
        return not wrong and (self._asked_s is None or time.monotonic() - self._asked_s < _GRACE_S)

    def at(self, stamp_ns: int) -> CameraEntry:
        """With intrinsics and extrinsics, as valid at the stamp; the same object until it changes.

        Raises:
            UserError: one of them is missing or unusable.
        """
        if self._asked_s is None:
            self._asked_s = time.monotonic()
        entry, moving = self._with_extrinsics(self.with_intrinsics(), stamp_ns)
        last = self._last
        if last is not None and last.K is entry.K and _same_pose(last, entry):
            return last
        if last is not None and not (moving and last.K is entry.K):
            if self.entry.R is None and not (moving or _same_pose(last, entry)):
                change = camera_change(last, entry)
                self._tell(f"camera '{entry.name}': TF has a new place for it ({change})")
            self._changed()
        self._last = entry
        return entry

    def with_intrinsics(self) -> CameraEntry:
        """With intrinsics, and extrinsics if they do not come from TF.

        Raises:
            UserError: camera_info is needed and is missing or unusable.
        """
        if self.entry.K is not None:
            return self.entry
        name, intrinsics = self.entry.name, self._intrinsics
        if isinstance(intrinsics, UserError):
            raise intrinsics
        if intrinsics is None:
            raise UserError(
                f"camera '{name}': images arrive but no camera_info on '{self._info_topic}';"
                f" publish it, set cameras.{name}.info_topic, or give intrinsics_px in the rig file"
            )
        return _with(self.entry, intrinsics)

    def take_info(self, info: CameraInfo) -> UserError | None:
        """A camera_info has come. Returns what is wrong with it if it differs from the last."""
        if self._info is not None and _same_calibration(info, self._info):
            return None
        self._info = info
        before = self._intrinsics
        try:
            self._intrinsics = conversions.info_to_intrinsics(
                info, self.entry.name, self._info_topic
            )
        except UserError as error:
            self._intrinsics = error
            return error
        if isinstance(before, conversions.Intrinsics):
            self._tell_change(before, self._intrinsics)
        return None

    def _tell_change(self, before: conversions.Intrinsics, now: conversions.Intrinsics) -> None:
        bare = CameraEntry.bare(self.entry.name)
        change = camera_change(_with(bare, before), _with(bare, now))
        used = (
            "is used from now on" if self.entry.K is None else "is not used: K comes from elsewhere"
        )
        if change and time.monotonic() - self._told_s > _TELL_EVERY_S:
            self._told_s = time.monotonic()
            self._tell(
                f"camera '{self.entry.name}': the calibration on '{self._info_topic}' has changed"
                f" ({change}) and {used}"
            )

    def _with_extrinsics(self, entry: CameraEntry, stamp_ns: int) -> tuple[CameraEntry, bool]:
        """And whether it moves."""
        if entry.R is not None and entry.t_m is not None:
            return entry, False
        if self._tf is None:
            raise UserError(
                f"camera '{entry.name}': where it stands is not known: nothing has come on the topic"
                " 'calibration' (parameter calibration.source); publish mvssm_ros/RigCalibration"
                " there, transient local"
            )
        try:
            placed = self._tf.lookup(self._reference_frame, entry.frame_id, stamp_ns)
        except UserError as error:
            raise UserError(f"camera '{entry.name}': {error}") from error
        return replace(entry, R=placed.R, t_m=placed.t_m), placed.moving


def _with(entry: CameraEntry, intrinsics: conversions.Intrinsics) -> CameraEntry:
    return replace(
        entry,
        K=intrinsics.K,
        distortion_model=intrinsics.distortion_model,
        distortion=intrinsics.distortion,
        size_px=intrinsics.size_px,
    )


def _same_pose(a: CameraEntry, b: CameraEntry) -> bool:
    return np.array_equal(_array(a.R), _array(b.R)) and np.array_equal(_array(a.t_m), _array(b.t_m))


def _array(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(0) if values is None else values


def _same_calibration(a: CameraInfo, b: CameraInfo) -> bool:
    return (
        np.array_equal(a.k, b.k)
        and np.array_equal(a.d, b.d)
        and (a.width, a.height, a.distortion_model, a.binning_x, a.binning_y, a.roi)
        == (b.width, b.height, b.distortion_model, b.binning_x, b.binning_y, b.roi)
    )
