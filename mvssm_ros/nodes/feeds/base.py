"""What all feeds have in common: a PersonArray as arrays, and what a feed is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.time import Time

from mvssm_ros.geometry.skeletons import Skeleton, SkeletonMap, skeleton_map
from mvssm_ros.msg import Person, PersonArray
from mvssm_ros.tracking.body_volume import MOST_INFLATION_M, Capsules, body_capsules

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PersonArrays:
    """One person of a PersonArray, in numbers.

    joints_m [J, 3], covariance_m2 [J, 3, 3], velocities_m_s [J, 3]; NaN where unknown.
    velocity_m_s [3] of the body and its covariance [3, 3]; NaN where unknown.
    """

    person: Person
    skeleton: Skeleton
    joints_m: Array
    covariance_m2: Array
    velocities_m_s: Array
    velocity_m_s: Array
    velocity_covariance: Array
    _made: dict[tuple[float, float], Capsules] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Of the id, counted up from 1."""
        return int(self.person.id.lstrip("p"))

    def capsules(self, k_sigma: float, most_inflation_m: float = MOST_INFLATION_M) -> Capsules:
        """The room she takes up; see `body_capsules`. Made once for all feeds."""
        made = self._made.get((k_sigma, most_inflation_m))
        if made is None:
            made = self._made[k_sigma, most_inflation_m] = body_capsules(
                self.joints_m, self.covariance_m2, self.skeleton, k_sigma, most_inflation_m
            )
        return made


class Feed:
    """One kind of output.

    A set that tells nothing (see `tells`) is not the same as nobody there. Feeds that can say
    "unknown" get it too; the others stay silent, so that whoever listens notices their age.
    """

    topic: str
    message_type: type
    says_unknown = False
    counts_doubtful = False  # tentative people too
    k_sigma = 0.0  # standard deviations by which people grow, where they have a size

    def message(self, answer: PersonArray, people: list[PersonArrays]) -> Any:
        """The message for one set, also where ``people`` is empty; None: nothing can be said."""
        raise NotImplementedError

    def begin(self) -> None:
        """Somebody who knows nothing of earlier messages has begun to listen."""


def tells(answer: PersonArray) -> bool:
    """Whether its set could have shown people: two cameras or more were used."""
    return bin(answer.cameras_used).count("1") >= 2


def present(answer: PersonArray, doubtful: bool = False) -> list[PersonArrays]:
    """Those who are there: confirmed or coasting; lost ones are gone.

    Args:
        doubtful: with those who are tentative; they may not exist.
    """
    to_ours = skeleton_map(answer.skeleton)
    there = {Person.CONFIRMED, Person.COASTING} | ({Person.TENTATIVE} if doubtful else set())
    return [_arrays(p, to_ours) for p in answer.people if p.track_state in there]


def stamp_s(answer: PersonArray) -> float:
    return Time.from_msg(answer.header.stamp).nanoseconds * 1e-9


def _arrays(person: Person, to_ours: SkeletonMap) -> PersonArrays:
    """In panoptic15, whatever is published, so that nobody lacks a trunk."""
    joints = person.joints
    positions = [(j.position.x, j.position.y, j.position.z) for j in joints]
    velocities = [(j.velocity.x, j.velocity.y, j.velocity.z) for j in joints]
    covariance = np.array([j.position_covariance for j in joints]).reshape(-1, 3, 3)
    covariance[covariance[:, 0, 0] < 0] = np.nan
    velocity_covariance = np.array(person.velocity_covariance).reshape(3, 3)
    if velocity_covariance[0, 0] < 0:
        velocity_covariance = np.full((3, 3), np.nan)
    velocity = person.velocity
    return PersonArrays(
        person=person,
        skeleton=to_ours.target,
        joints_m=_mean(np.array(positions), to_ours),
        covariance_m2=_mean(covariance, to_ours, independent=True),
        velocities_m_s=_mean(np.array(velocities), to_ours),
        velocity_m_s=np.array([velocity.x, velocity.y, velocity.z]),
        velocity_covariance=velocity_covariance,
    )


def _mean(values: np.ndarray, to_ours: SkeletonMap, independent: bool = False) -> np.ndarray:
    """[K, ...] of the joints of one skeleton to [J, ...] of another; of means the covariances."""
    sizes = [len(sources) ** (2 if independent else 1) for sources in to_ours.sources]
    return np.array(
        [
            values[list(sources)].sum(0) / size if size else np.full(values.shape[1:], np.nan)
            for sources, size in zip(to_ours.sources, sizes)
        ]
    )
