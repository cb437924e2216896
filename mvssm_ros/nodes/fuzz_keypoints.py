"""Damaged messages of a 2D detector, read as pose_node reads them, without a middleware between."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

from mvssm_ros.errors import UserError
from mvssm_ros.fuzzing.mutate import damage, number, size
from mvssm_ros.fuzzing.skeletons import Skeletons
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import Keypoints2D, Keypoints2DArray
from mvssm_ros.nodes.fuzz_messages import CameraMessages
from mvssm_ros.soak.record import WRONG_M, distances_m
from mvssm_ros.soak.walkers import SIZE_PX, Detector, Walkers, ring_rig

_STRANGE = ("", "coco", "PANOPTIC15", "panoptic15 ", "x" * 300, "é")


class KeypointArrays(CameraMessages):
    """mvssm_ros/Keypoints2DArray: numbers, lengths, people, skeletons and bytes changed.

    Of the accepted ones some take the place of one camera's in a rig of four, of which the others
    see two people well: whoever is then reported must be one of these.
    """

    message_type = Keypoints2DArray
    mode = "keypoints"

    def __init__(self) -> None:
        self._skeletons = Skeletons(one_in=50)
        self._rig = ring_rig(4)
        self._truth_m = Walkers(0).joints_m(3.0)
        seen = Detector(self._rig, severity=0.0, seed=0).look(self._truth_m)
        self._views = [view.astype(np.float32) for view in seen]

    def make(self, random: Random) -> bytes:
        message = Keypoints2DArray(skeleton="panoptic15", width=SIZE_PX[0], height=SIZE_PX[1])
        message.header.stamp = self._stamp(random)
        people = self._views[0].tolist()
        if random.random() < 0.1:
            people = people * random.choice((0, 2, 10, 32, 33, 200))
        for _ in range(random.randint(0, 4)):
            if people:
                joint = random.choice(random.choice(people))
                at = random.randrange(3)
                joint[at] = number(random, joint[at])
        message.people = [_person(person) for person in people]
        if random.random() < 0.15:
            others = [*SKELETONS, *_STRANGE]
            message.skeleton = random.choice(others)
        if message.people and random.random() < 0.15:
            field = random.choice(("x", "y", "confidence"))
            length = random.choice((0, 1, 14, 16, 17, 33, 1000))
            setattr(random.choice(message.people), field, [0.5] * length)
        if random.random() < 0.1:
            setattr(message, random.choice(("width", "height")), size(random))
        serialized = bytes(serialize_message(message))
        return damage(random, serialized) if random.random() < 0.2 else serialized

    def check(self, data: bytes) -> None:
        try:
            message = deserialize_message(data, Keypoints2DArray)
        except Exception as error:  # the middleware drops it: rclpy tells by bare exceptions
            raise UserError("the middleware cannot read it") from error
        keypoints = self._read(message, SIZE_PX)
        if keypoints.dtype != np.float32 or keypoints.shape[1:] != (15, 3):
            raise ValueError(f"accepted as {keypoints.dtype} {keypoints.shape}")
        if not np.isfinite(keypoints).all():
            raise ValueError("accepted keypoints are not finite")
        if ((keypoints[..., 2] < 0) | (keypoints[..., 2] > 1)).any():
            raise ValueError("an accepted confidence is not within 0 and 1")
        if self._skeletons.wanted(data):
            self._check_skeletons(keypoints)

    def _check_skeletons(self, keypoints: np.ndarray) -> None:
        views = [keypoints, *self._views[1:]]
        people = self._skeletons.check(self._rig.to_cameras(), views, self._rig.space)
        for joints_m, observed in zip(people.joints_m, people.observed):
            far_m = distances_m(joints_m, observed, self._truth_m).min()
            if far_m > WRONG_M:
                raise ValueError(f"a skeleton that is {far_m:.2f} m from everybody")


def _person(joints: list[Any]) -> Keypoints2D:
    person = Keypoints2D()
    for field, values in zip(("x", "y", "confidence"), zip(*joints)):
        setattr(person, field, np.clip(values, -3e38, 3e38).astype(np.float32))
    return person
