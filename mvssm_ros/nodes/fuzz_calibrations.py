"""Damaged RigCalibration messages, applied to a rig as pose_node applies them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo

from mvssm_ros.fuzzing.mutate import number
from mvssm_ros.msg import CameraCalibration, RigCalibration
from mvssm_ros.nodes.calibration_messages import calibrated_by
from mvssm_ros.nodes.fuzz_messages import CameraInfos
from mvssm_ros.rig.rig_file import CameraEntry, Rig

_FACING = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])  # from +x to the middle, upright
_NAMES = ("east", "west")
_QUATERNIONS = ((-0.5, -0.5, 0.5, 0.5), (-0.5, 0.5, -0.5, 0.5))  # of the optical frames


class Calibrations:
    """mvssm_ros/RigCalibration: poses, names, frames and intrinsics changed."""

    suffix = ".cdr"

    def __init__(self) -> None:
        self._infos = CameraInfos()
        back = np.diag([-1.0, -1.0, 1.0])
        self._rig = Rig(cameras={
            name: replace(CameraEntry.bare(name), R=R, t_m=-R @ np.array([x, 0.0, 1.5]))
            for name, R, x in (("east", _FACING, 4.0), ("west", _FACING @ back, -4.0))
        })  # fmt: skip

    def make(self, random: Random) -> bytes:
        message = RigCalibration(source="fuzz")
        message.header.frame_id = "map" if random.random() < 0.95 else random.choice(("", "é"))
        for name, quaternion, x_m in zip(_NAMES, _QUATERNIONS, (4.0, -4.0), strict=True):
            camera = CameraCalibration(name=name if random.random() < 0.95 else "é" * 99)
            place, turn = camera.pose.position, camera.pose.orientation
            place.x, place.z = x_m, 1.5
            turn.x, turn.y, turn.z, turn.w = quaternion
            if random.random() < 0.3:
                part, axis = random.choice(((place, "x"), (place, "z"), (turn, "x"), (turn, "w")))
                setattr(part, axis, number(random, getattr(part, axis)))
            if random.random() < 0.3:
                camera.intrinsics = deserialize_message(self._infos.make(random), CameraInfo)
            message.cameras.append(camera)
        return serialize_message(message)

    def check(self, data: bytes) -> None:
        message = deserialize_message(data, RigCalibration)
        for entry in calibrated_by(self._rig, message, "/calibration").cameras.values():
            if not (np.isfinite(entry.R).all() and np.isfinite(entry.t_m).all()):
                raise ValueError(f"accepted extrinsics are not finite: {entry.R}, {entry.t_m}")
            if entry.K is not None and not np.isfinite(entry.K).all():
                raise ValueError(f"accepted K {entry.K.tolist()}")
