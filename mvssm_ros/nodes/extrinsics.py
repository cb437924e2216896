"""Where the cameras stand, from TF, where tf2_ros is installed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from scipy.spatial.transform import Rotation

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import optional
from mvssm_ros.nodes.frame_tree import KEPT_NS, Edge, FrameTree
from mvssm_ros.rig.validation import rotation_from_quaternion

Array = npt.NDArray[np.float64]

_WAIT_S = 0.15  # for a transform that comes after its image
_ALIVE_S = 1.0  # a frame that was silent for so long is not waited for
_MAX_GAP_NS = 500_000_000  # between two transforms that are interpolated
_MAX_AHEAD_NS = 50_000_000  # beyond the newest transform, at constant velocity


@dataclass(frozen=True, eq=False)
class Placed:
    """Extrinsics of a camera at a moment: x_cam = R x + t."""

    R: Array  # [3, 3]
    t_m: Array  # [3]
    moving: bool  # not all of the chain to the reference frame is static


class TfExtrinsics:
    """Listens to /tf and /tf_static.

    `lookup` is for the inference thread: it may wait a little. What comes from TF is taken on the
    executor's thread, through tf2_ros' TransformListener, for which this is the buffer.

    Args:
        cameras: names of those that it is for; none: it is for frames of the robot.

    Raises:
        UserError: tf2_ros is not installed.
    """

    def __init__(self, node: Node, cameras: Sequence[str] = ()) -> None:
        tf2_ros = optional.tf2_ros()
        if tf2_ros is None:
            whose = f"of camera {', '.join(cameras)} " if cameras else ""
            raise UserError(
                f"extrinsics {whose}from TF need tf2_ros, which is not installed; install it with your ROS"
                " distribution (ros-<distro>-tf2-ros-py), or give extrinsics in the rig file, or set"
                " calibration.source to 'topic'"
            )
        self._errors: Any = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._tree = FrameTree()
        self._static: dict[tuple[str, str], Placed] = {}
        self._changed = threading.Condition()
        self._in_vain_s = -_WAIT_S  # when a transform was last waited for in vain
        self._set_back_s = -_ALIVE_S  # when time was last set back
        backward = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1))
        self._jumps = node.get_clock().create_jump_callback(
            backward, post_callback=self._time_was_set_back
        )
        self._listener = tf2_ros.TransformListener(self, node)

    def close(self) -> None:
        """Unsubscribe."""
        self._jumps.unregister()
        self._listener.unregister()

    def set_transform(self, transform: Any, authority: str) -> None:
        """A message on /tf; called by the listener."""
        self._take(transform, authority, static=False)

    def set_transform_static(self, transform: Any, authority: str) -> None:
        """A message on /tf_static; called by the listener."""
        self._take(transform, authority, static=True)

    def lookup(
        self, reference_frame: str, frame_id: str, stamp_ns: int, patient: bool = True
    ) -> Placed:
        """Extrinsics of a camera at a moment; the same object as long as nothing static changes.

        A moving camera's transform often comes a little after its image, and is waited for; then
        the newest motion is continued for some hundredths of a second, not longer.

        Args:
            patient: wait for it.

        Raises:
            UserError: TF does not connect the two frames, or not at this moment.
        """
        frames = (reference_frame.removeprefix("/"), frame_id.removeprefix("/"))
        with self._changed:
            known = self._static.get(frames)
            if known is not None:
                return known
            if patient:
                self._wait_for(frames, stamp_ns)
            chain = self._tree.chain(*frames)
            if chain is None:
                top = self._tree.top(frames[1])
                why = "nobody publishes it" if top == frames[1] else f"its tree ends at '{top}'"
                raise UserError(
                    f"TF does not know where '{frames[1]}' is in '{frames[0]}': {why}; publish it"
                    " (static_transform_publisher); a camera's may be in the rig file instead"
                )
            moving = [edge for edge in chain if not edge.static]
            for edge in chain:
                if edge.fault and (edge.static or not edge.covers(stamp_ns)):
                    raise UserError(edge.fault)
            if not moving:
                placed = Placed(*self._place(frames, stamp_ns), moving=False)
                self._static[frames] = placed
                return placed
            R, t_m = self._moving(frames, moving, stamp_ns)
        return Placed(R, t_m, moving=True)

    def lookup_pose(
        self, reference_frame: str, frame_id: str, stamp_ns: int
    ) -> tuple[Array, Array]:
        """R [3, 3], t [3] m of any frame: x_frame = R x_reference + t. `lookup` without waiting."""
        placed = self.lookup(reference_frame, frame_id, stamp_ns, patient=False)
        return placed.R, placed.t_m

    def _take(self, transform: Any, authority: str, static: bool) -> None:
        child = transform.child_frame_id.removeprefix("/")
        parent = transform.header.frame_id.removeprefix("/")
        stamp = transform.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec  # rclpy's Time raises below 0
        fault = _fault(transform, f"TF from '{parent}' to '{child}'")
        if not (static or fault) and stamp_ns <= 0:
            fault = f"TF from '{parent}' to '{child}': header.stamp is {stamp_ns / 1e9:g}"
        now_s = time.monotonic()
        with self._changed:
            edge = self._tree.note(child, parent, static, now_s)
            edge.fault = fault
            if edge.stamps_ns and stamp_ns < edge.newest_ns - KEPT_NS and not fault:
                self._start_anew(now_s)
            if static or not edge.stamps_ns:  # what was static may move now
                self._static.clear()
            if static and not fault:
                self._buffer.set_transform_static(transform, authority)
            elif not fault:
                self._buffer.set_transform(transform, authority)
                self._tree.note_stamp(edge, stamp_ns)
            self._changed.notify_all()

    def _start_anew(self, now_s: float) -> None:
        """Tf2 would ignore all transforms from now on. Not again and again for a wrong clock."""
        if now_s - self._set_back_s > _ALIVE_S:
            self._set_back_s = now_s
            self._time_was_set_back()

    def _time_was_set_back(self, jump: Any = None) -> None:
        with self._changed:
            self._buffer.clear()  # but for what is static
            self._tree.forget_stamps()

    def _wait_for(self, frames: tuple[str, str], stamp_ns: int) -> None:
        """Until the chain covers the stamp; not for what is dead, and not twice for one set."""

        def is_there() -> bool:
            chain = self._tree.chain(*frames)
            if chain is None:
                return True  # nothing to wait for
            missing = [edge for edge in chain if not edge.covers(stamp_ns)]
            since_s = time.monotonic() - _ALIVE_S
            return not missing or any(e.fault or e.heard_s < since_s for e in missing)

        if is_there() or time.monotonic() - self._in_vain_s < _WAIT_S:
            return
        if not self._changed.wait_for(is_there, _WAIT_S):
            self._in_vain_s = time.monotonic()

    def _moving(
        self, frames: tuple[str, str], moving: list[Edge], stamp_ns: int
    ) -> tuple[Array, Array]:
        """Between two transforms, or a little beyond the newest."""
        last = min(moving, key=lambda edge: edge.stamps_ns[-1] if edge.stamps_ns else 0)
        where = f"TF from '{last.parent}' to '{last.child}'"
        ahead_ns = stamp_ns - last.newest_ns if last.stamps_ns else None
        if ahead_ns is None or ahead_ns > _MAX_AHEAD_NS:
            ended = (
                "there is none" if ahead_ns is None else f"it ended {ahead_ns / 1e9:.2f} s before"
            )
            raise UserError(
                f"{where} does not tell where '{frames[1]}' was when the image was taken: {ended};"
                " is its publisher still there, and are its clock and the camera's the same?"
            )
        known_ns = min(stamp_ns, last.newest_ns)
        for edge in moving:
            _check_gap(edge, known_ns)
        R, t_m = self._place(frames, known_ns)
        if ahead_ns <= 0:
            return R, t_m
        before_ns = known_ns - _MAX_AHEAD_NS
        for edge in moving:
            _check_gap(edge, before_ns)
        return _continued(self._place(frames, before_ns), (R, t_m), ahead_ns / _MAX_AHEAD_NS)

    def _place(self, frames: tuple[str, str], stamp_ns: int) -> tuple[Array, Array]:
        """The transform that takes points of the reference frame into the camera's, by tf2."""
        reference_frame, frame_id = frames
        try:
            found = self._buffer.lookup_transform(
                frame_id, reference_frame, Time(nanoseconds=stamp_ns)
            )
        except self._errors as error:
            raise UserError(
                f"TF does not know where '{frame_id}' is in '{reference_frame}' ({error})"
            ) from error
        q, t = found.transform.rotation, found.transform.translation
        R = rotation_from_quaternion(np.array([q.x, q.y, q.z, q.w]), f"TF of '{frame_id}'")
        return R, np.array([t.x, t.y, t.z])


def _fault(transform: Any, where: str) -> str:
    """What is wrong with a transform; empty if nothing. Tf2 ignores such ones."""
    q, t = transform.transform.rotation, transform.transform.translation
    if not np.isfinite([q.x, q.y, q.z, q.w, t.x, t.y, t.z]).all():
        return f"{where}: a value is not a finite number; fix its publisher"
    norm = float(np.linalg.norm([q.x, q.y, q.z, q.w]))
    if abs(norm**2 - 1) >= 1e-2:  # tf2's limit
        return f"{where}: the norm of its quaternion is {norm:.4g}, expected 1; fix its publisher"
    return ""


def _check_gap(edge: Edge, stamp_ns: int) -> None:
    gap_ns = edge.gap_ns(stamp_ns)
    where = f"TF from '{edge.parent}' to '{edge.child}'"
    if gap_ns is None:
        raise UserError(f"{where} begins after the image; are its clock and the camera's the same?")
    if gap_ns > _MAX_GAP_NS:
        raise UserError(
            f"{where} has a gap of {gap_ns / 1e9:.2f} s where the image was taken, expected up to"
            f" {_MAX_GAP_NS / 1e9:g} s; publish it more often, or on /tf_static if it does not move"
        )


def _continued(
    before: tuple[Array, Array], now: tuple[Array, Array], share: float
) -> tuple[Array, Array]:
    """The same motion once more, ``share`` of it: turning and driving at constant velocity."""
    (R0, t0), (R1, t1) = before, now
    center0_m, center1_m = -R0.T @ t0, -R1.T @ t1
    turn = Rotation.from_matrix(R1 @ R0.T).as_rotvec()
    R = Rotation.from_rotvec(share * turn).as_matrix() @ R1
    return R, -R @ (center1_m + share * (center1_m - center0_m))
