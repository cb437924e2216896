"""3D labels from a topic of a bag: PersonArray, of a motion capture system, a simulation or a tracker."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.data_sets.labels import (
    TRACK_STATES,
    UNSURE,
    LabelledMoment,
    is_known,
    panoptic15_m,
    skeleton_joints,
)
from mvssm_ros.errors import UserError

TYPE = "mvssm_ros/msg/PersonArray"
_JOINT_STATES = ("missing", "observed", "predicted")


def people_topics(bag: BagReader) -> list[str]:
    """The topics that labels can come from."""
    return sorted(topic.name for topic in bag.topics.values() if topic.type_name == TYPE)


def read_label_topic(bag: BagReader, topic: str, frame_id: str) -> list[LabelledMoment]:
    """The moments of a topic.

    A joint that was predicted is known where its covariance says so (`labels.SURE_M`; that of the
    truth is 0). A moment with somebody tentative or coasting cannot be used, a lost person is not
    there.

    Args:
        bag: open.
        frame_id: the rig's reference frame.

    Raises:
        UserError: there is no such topic, it has another type, or positions in another frame.
    """
    where = f"bag {bag.path}"
    known = people_topics(bag)
    if topic not in known:
        found = bag.topics.get(topic)
        what = f"has {found.type_name}" if found else "is not in it"
        raise UserError(
            f"{where}: topic '{topic}' {what}, expected one of {TYPE}; such topics in it:"
            f" {', '.join(known) or 'none'}"
        )
    where += f", topic '{topic}'"
    moments = []
    for name, _, data in bag.messages([topic]):
        message = bag.deserialize(name, data)
        if message.header.frame_id not in ("", frame_id):
            raise UserError(
                f"{where}: its positions are in frame '{message.header.frame_id}', the rig file's"
                f" reference_frame is '{frame_id}'"
            )
        moments.append(_moment(message, where))
    return moments


def _moment(message: Any, where: str) -> LabelledMoment:
    stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
    names = skeleton_joints(message.skeleton, where)
    fault = UNSURE if message.cameras and not message.cameras_used else ""  # it sees nothing
    ids, people = [], []
    for person in message.people:
        state = TRACK_STATES[min(int(person.track_state), len(TRACK_STATES) - 1)]
        if state == "lost":
            continue
        if state != "confirmed":
            fault = UNSURE
        if len(person.joints) != len(names):
            raise UserError(
                f"{where}: a person has {len(person.joints)} joints, expected {len(names)} for"
                f" '{message.skeleton}'"
            )
        joints = {}
        for joint_name, joint in zip(names, person.joints):
            place = np.array([joint.position.x, joint.position.y, joint.position.z])
            if is_known(_JOINT_STATES[min(int(joint.state), 2)], _sigma_m(joint)):
                joints[joint_name] = place
        body = panoptic15_m(joints)
        if np.isfinite(body).any():
            ids.append(person.id)
            people.append(body)
        else:
            fault = UNSURE  # there, but nobody knows where
    return LabelledMoment(stamp_ns, tuple(ids), np.array(people).reshape(-1, 15, 3), fault)


def _sigma_m(joint: Any) -> float:
    """Root of the mean variance of the axes, NaN where it is not known."""
    covariance = np.asarray(joint.position_covariance, np.float64).reshape(3, 3)
    variance = float(covariance.trace()) / 3
    return math.sqrt(variance) if covariance[0, 0] >= 0 and variance >= 0 else math.nan
