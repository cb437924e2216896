"""Reads back what the demo has recorded: the bag alone says what came out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.demo.answers import Answer, ReportedPerson
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import SkeletonMap, skeleton_map

_OBSERVED = 1  # Joint.OBSERVED


@dataclass(frozen=True)
class Recording:
    """One run.

    answers: one per set answered, in order of their stamps.
    sent: stamp (ns) -> frame of the film, of every set of images that was sent.
    counts: last diagnostics of pose_node, by key (sets_..., images_..., <stage>_p50_ms ...).
    reprojection_px: last running median of each camera, raw px; NaN if unknown.
    """

    answers: list[Answer]
    sent: dict[int, int]
    fps: float
    counts: dict[str, float] = field(default_factory=dict)
    reprojection_px: dict[str, float] = field(default_factory=dict)


def read_recording(bag: Path, frames_file: Path) -> Recording:
    """Read the recorder's bag and the player's frames_file.

    Raises:
        UserError: the bag or the file cannot be read.
    """
    try:
        film = json.loads(frames_file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"demo: {frames_file}, written by the player, cannot be read: {error}"
        ) from None
    sent = {int(each["stamp_ns"]): int(each["frame"]) for each in film["sent"]}
    answers: list[Answer] = []
    counts: dict[str, float] = {}
    reprojection_px: dict[str, float] = {}
    with BagReader(bag) as reader:
        for topic, _, data in reader.messages(["/people", "/diagnostics", "/rig_status"]):
            message = reader.deserialize(topic, data)
            if topic == "/people" and message.cameras_used:  # 0: a farewell, not an answer to a set
                answers.append(_answer(message, sent))
            elif topic == "/diagnostics":
                counts = _counts(message) or counts
            elif topic == "/rig_status":
                reprojection_px = {c.name: float(c.reprojection_px) for c in message.cameras}
    answers.sort(key=lambda answer: answer.stamp_ns)
    return Recording(answers, sent, float(film["fps"]), counts, reprojection_px)


def _answer(message: Any, sent: dict[int, int]) -> Answer:
    stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
    to_ours = skeleton_map(message.skeleton)
    return Answer(
        stamp_ns=stamp_ns,
        frame=sent.get(stamp_ns, -1),
        cameras=tuple(message.cameras),
        cameras_used=int(message.cameras_used),
        people=tuple(_person(person, to_ours) for person in message.people),
    )


def _person(person: Any, to_ours: SkeletonMap) -> ReportedPerson:
    """In panoptic15, whatever was published; the middle of two is observed where both are."""
    position_m = np.array([(j.position.x, j.position.y, j.position.z) for j in person.joints])
    observed = np.array([j.state == _OBSERVED for j in person.joints])
    view_mask = np.array([j.view_mask for j in person.joints], np.uint64)
    sources = [list(joints) for joints in to_ours.sources]
    return ReportedPerson(
        id=person.id,
        track_state=int(person.track_state),
        confidence=float(person.confidence),
        joints_m=np.array([position_m[s].mean(0) for s in sources], np.float64),
        observed=np.array([observed[s].all() for s in sources]),
        view_mask=np.array([np.bitwise_and.reduce(view_mask[s]) for s in sources], np.uint64),
    )


def _counts(array: Any) -> dict[str, float]:
    for status in array.status:
        if status.name.endswith(": pipeline"):
            return {value.key: float(value.value) for value in status.values}
    return {}
