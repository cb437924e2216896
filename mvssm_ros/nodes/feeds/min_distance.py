"""feeds/min_distance: how far people are from parts of a robot, and how fast they come closer.

The quantities that are ours in speed and separation monitoring (ISO/TS 15066, section 5.5.4): position
and speed of the person, their uncertainty and our latency.

NOT SAFETY-RATED. What is not known is NaN, never far: a set that tells nothing, images that are too
old, a link that TF cannot place. People who are only tentative count, because they may be there.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point
from std_msgs.msg import Header

from mvssm_ros.msg import LinkSeparation, PersonArray, Separation
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays, tells
from mvssm_ros.nodes.feeds.frames import Frames
from mvssm_ros.tracking.body_volume import Capsules, closest_points, together, worst_sigma_m
from mvssm_ros.tracking.robot_links import Link, parse_link

Array = npt.NDArray[np.float64]
_NAN = math.nan


class MinDistanceFeed(Feed):
    """The nearest person to each link.

    Args:
        frames: knows where the links are.
        links: as `parse_link` takes them.
        k_sigma: people grow by so many standard deviations.
    """

    topic = "feeds/min_distance"
    message_type = Separation
    says_unknown = True
    counts_doubtful = True

    def __init__(self, frames: Frames, links: list[str], k_sigma: float) -> None:
        self._frames = frames
        self._links = [parse_link(text) for text in links if text] or [Link("", "", "", 0.0)]
        self.k_sigma = k_sigma
        self.max_age_s = 0.0  # older images tell nothing; 0: however old

    def message(self, answer: PersonArray, people: list[PersonArrays]) -> Separation:
        """Every link, in the parameter's order."""
        bodies = [p.capsules(self.k_sigma, math.inf) for p in people]
        somewhere = all(len(body) for body in bodies)  # else nobody knows where somebody is
        known = tells(answer) and not self.is_too_old(answer) and somewhere
        limbs = together(bodies)
        owners = np.repeat(np.arange(len(people)), [len(body) for body in bodies])
        links = []
        for link in self._links:
            ends = self._ends(link, answer.header) if known else None
            found = _unknown(link.text or answer.header.frame_id, latency_s(answer))
            if ends is not None and people:
                self._fill(found, link, ends, limbs, [people[i] for i in owners])
            elif ends is not None:
                found.distance_m = math.inf
            links.append(found)
        return Separation(header=answer.header, links=links)

    def unknown(self, header: Header) -> Separation:
        """No set has come for too long."""
        links = [_unknown(link.text or header.frame_id, _NAN) for link in self._links]
        return Separation(header=header, links=links)

    def is_too_old(self, answer: PersonArray) -> bool:
        """Or from the future: then the clocks disagree, and its age is not known."""
        return 0 < self.max_age_s < abs(latency_s(answer))

    def _ends(self, link: Link, header: Header) -> tuple[Array, Array] | None:
        """Where a link is [3], [3] m; None: unknown."""
        first, second = (self._frames.pose(f, header) for f in (link.first, link.second))
        return None if first is None or second is None else (first[1], second[1])

    def _fill(
        self,
        found: LinkSeparation,
        link: Link,
        ends_m: tuple[Array, Array],
        capsules: Capsules,
        owners: list[PersonArrays],
    ) -> None:
        """With the nearest of everybody's limbs."""
        between_m, on_axis, on_link = closest_points(capsules, *ends_m)
        distance_m = between_m - capsules.radii_m - link.radius_m
        limb = int(np.argmin(distance_m))
        person = owners[limb]
        found.person_id = person.person.id
        toward = on_link[limb] - on_axis[limb]
        apart_m = float(np.linalg.norm(toward))
        toward = toward / apart_m if apart_m > 1e-6 else np.full(3, _NAN)
        ends = capsules.joints[limb]
        away = np.linalg.norm(person.joints_m[ends] - on_axis[limb], axis=-1)
        joint = int(ends[np.argmin(away)])
        share = away[0] / max(float(away.sum()), 1e-9)  # of the way from the first joint
        first, second = person.velocities_m_s[ends]
        velocity = (1 - share) * first + share * second
        found.joint = person.skeleton.joints[joint]
        found.distance_m = float(distance_m[limb])
        found.closing_speed_m_s = float(velocity @ toward)
        found.human_speed_m_s = float(np.linalg.norm(velocity))
        covariance = person.covariance_m2[ends]
        if np.isfinite(covariance).all():
            found.uncertainty_m = float(self.k_sigma * worst_sigma_m(covariance).max())
        found.on_person = _point(on_axis[limb] + capsules.radii_m[limb] * toward)
        found.on_link = _point(on_link[limb] - link.radius_m * toward)


def latency_s(answer: PersonArray) -> float:
    """From the images' stamp to publishing."""
    return answer.latency.sec + answer.latency.nanosec * 1e-9


def _unknown(link: str, age_s: float) -> LinkSeparation:
    return LinkSeparation(
        link=link,
        distance_m=_NAN,
        closing_speed_m_s=_NAN,
        human_speed_m_s=_NAN,
        uncertainty_m=_NAN,
        latency_s=age_s,
        on_person=Point(x=_NAN, y=_NAN, z=_NAN),
        on_link=Point(x=_NAN, y=_NAN, z=_NAN),
    )


def _point(position_m: Array) -> Point:
    return Point(x=float(position_m[0]), y=float(position_m[1]), z=float(position_m[2]))
