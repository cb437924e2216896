"""The people of a bag, each over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import SKELETONS, Skeleton, skeleton_map

Array = npt.NDArray[np.float64]

_TYPE = "mvssm_ros/msg/PersonArray"
_CONFIRMED, _LOST = 1, 3  # Person.track_state


@dataclass(frozen=True, eq=False)
class Track:
    """One person in F sets, in the order of their stamps; sets without the person are not there.

    stamps_ns [F] int64; track_state [F] and joint_state [F, J] as in Person.msg and Joint.msg;
    joints_m [F, J, 3] in ``frame_id``, z up, NaN where missing; sigma_m [F, J]: standard deviation,
    root of the mean variance of the axes, NaN where unknown; confidence [F, J] 0..1.
    """

    id: str
    skeleton: Skeleton
    frame_id: str
    stamps_ns: npt.NDArray[np.int64]
    track_state: npt.NDArray[np.uint8]
    joint_state: npt.NDArray[np.uint8]
    joints_m: Array
    sigma_m: Array
    confidence: Array

    def panoptic15_m(self) -> Array:
        """[F, 15, 3]: the joints in panoptic15, some of them the middle of two."""
        sources = skeleton_map(self.skeleton.name).sources
        return np.stack(
            [
                self.joints_m[:, list(s)].mean(1) if s else np.full((len(self.joints_m), 3), np.nan)
                for s in sources
            ],
            1,
        )


def read_tracks(path: str | Path, topic: str = "/people", person: str | None = None) -> list[Track]:
    """Everybody who was confirmed at least once, in the order of first appearance.

    Args:
        person: only this id.

    Raises:
        UserError: the bag cannot be read, has no such topic or person, or nobody.
    """
    rows: dict[str, list[tuple[int, Any]]] = {}
    skeletons: set[str] = set()
    frames: set[str] = set()
    with BagReader(path) as bag:
        found = sorted(t.name for t in bag.topics.values() if t.type_name == _TYPE)
        if topic not in found:
            raise UserError(
                f"bag {path}: there is no topic '{topic}' of {_TYPE} in it; such topics in it:"
                f" {', '.join(found) or 'none'}"
            )
        for name, _, data in bag.messages([topic]):
            answer = bag.deserialize(name, data)
            stamp_ns = answer.header.stamp.sec * 1_000_000_000 + answer.header.stamp.nanosec
            for each in answer.people:
                if each.track_state != _LOST:
                    rows.setdefault(each.id, []).append((stamp_ns, each))
                    skeletons.add(answer.skeleton)
                    frames.add(answer.header.frame_id)
    where = f"bag {path}, topic '{topic}'"
    if len(skeletons) > 1 or len(frames) > 1:
        raise UserError(f"{where}: it mixes {', '.join(sorted(skeletons | frames))}")
    for name in skeletons - set(SKELETONS):
        raise UserError(f"{where}: unknown skeleton '{name}': expected one of {sorted(SKELETONS)}")
    there = {i: r for i, r in rows.items() if any(p.track_state == _CONFIRMED for _, p in r)}
    if person is not None:
        if person not in there:
            raise UserError(
                f"{where}: nobody called '{person}'; there are {', '.join(there) or 'none'}"
            )
        there = {person: there[person]}
    if not there:
        raise UserError(f"{where}: nobody was confirmed in it")
    skeleton, frame_id = SKELETONS[skeletons.pop()], frames.pop()
    return [_track(i, there[i], skeleton, frame_id, where) for i in there]


def _track(
    person: str, rows: list[tuple[int, Any]], skeleton: Skeleton, frame_id: str, where: str
) -> Track:
    rows = sorted(dict(rows).items())
    if any(len(each.joints) != skeleton.n_joints for _, each in rows):
        raise UserError(
            f"{where}: '{person}' has not always the {skeleton.n_joints} joints of {skeleton.name}"
        )
    joints = [each.joints for _, each in rows]
    variance_m2 = np.array([[_variance_m2(j.position_covariance) for j in js] for js in joints])
    return Track(
        id=person,
        skeleton=skeleton,
        frame_id=frame_id,
        stamps_ns=np.array([stamp_ns for stamp_ns, _ in rows], np.int64),
        track_state=np.array([each.track_state for _, each in rows], np.uint8),
        joint_state=np.array([[j.state for j in js] for js in joints], np.uint8),
        joints_m=np.array(
            [[(j.position.x, j.position.y, j.position.z) for j in js] for js in joints], np.float64
        ),
        sigma_m=np.sqrt(variance_m2),
        confidence=np.array([[j.confidence for j in js] for js in joints], np.float64),
    )


def _variance_m2(covariance: Any) -> float:
    """Mean of the three axes; NaN where the covariance is unknown."""
    return float("nan") if covariance[0] < 0 else float(sum(covariance[::4])) / 3
