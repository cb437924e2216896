"""People for RViz: stable ids, colours by person, deleted when the person goes.

One namespace for each kind of drawing, so that RViz can switch them: bones, joints, label, velocity
(where she will be in a second, as she moves now) and ellipsoids (where each joint is with 90 %).
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
from geometry_msgs.msg import Point, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from mvssm_ros.geometry.ellipsoids import ellipsoids, sigmas
from mvssm_ros.geometry.skeletons import Skeleton
from mvssm_ros.msg import Joint, Person, PersonArray

NAMESPACES = ("bones", "joints", "label", "velocity", "ellipsoids")
_GOLDEN = 0.618034  # hue step: neighbours in number are far apart in colour
_ALPHA = {Person.TENTATIVE: 0.2, Person.COASTING: 0.4}  # else 1
_PREDICTED_ALPHA = 0.4
_MOVES_M_S = (0.1, 0.07)  # an arrow comes above the first speed and goes below the second
_AHEAD_S = 1.0
_ARROW_M = Vector3(x=0.04, y=0.1, z=0.12)  # diameters of shaft and head, length of the head
_ELLIPSOID_SIGMAS = sigmas(0.9)
_ELLIPSOID_ALPHA = 0.25
_FLAT_M = 0.001  # RViz refuses what has no extent
_IDS_PER_PERSON = 64  # joints of a skeleton at most, for markers that are one a joint


class MarkerWriter:
    """Turns PersonArrays into MarkerArrays and remembers what is on the screen.

    labels, velocities and ellipsoids say which of these are drawn; they may change between updates.
    """

    def __init__(self, skeleton: Skeleton, line_width_m: float = 0.03) -> None:
        self.skeleton = skeleton
        self.line_width_m = line_width_m
        self.labels = self.velocities = self.ellipsoids = True
        self._edges = [(int(a), int(b)) for a, b in skeleton.edge_indices]
        self._shown: set[tuple[str, int]] = set()  # namespace and id
        self._spheres: dict[int, Marker] = {}  # by id; making one takes longer than filling it

    def update(self, people: PersonArray) -> MarkerArray:
        """Markers of everybody, and deletions of what is on the screen and no longer true."""
        header = people.header
        drawn = [
            marker
            for person in people.people
            if person.track_state != Person.LOST
            for marker in self._draw(header, person)
        ]
        shown = {(marker.ns, marker.id) for marker in drawn}
        gone = [_marker(header, *key, Marker.DELETE) for key in sorted(self._shown - shown)]
        self._spheres = {n: m for n, m in self._spheres.items() if ("ellipsoids", n) in shown}
        self._shown = shown
        return MarkerArray(markers=[*gone, *drawn])

    def clear(self, header: Header) -> MarkerArray:
        """Remove everything, also what an earlier run may have left."""
        self._shown = set()
        return MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])

    def _draw(self, header: Header, person: Person) -> list[Marker]:
        number = int(person.id.lstrip("p"))
        red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.8, 1.0)
        color = ColorRGBA(r=red, g=green, b=blue, a=_ALPHA.get(person.track_state, 1.0))
        known = [math.isfinite(j.position.x) for j in person.joints]
        if not any(known):
            return []
        markers = self._bones(header, number, person, known, color)
        markers.append(self._joints(header, number, person, known, color))
        if self.labels:
            markers.append(_label(header, number, person, known, color))
        if self.velocities:
            markers += self._velocity(header, number, person, color)
        if self.ellipsoids:
            markers += self._ellipsoids(header, number, person, known, color)
        return markers

    def _bones(
        self, header: Header, number: int, person: Person, known: list[bool], color: ColorRGBA
    ) -> list[Marker]:
        marker = _marker(header, "bones", number, Marker.ADD, Marker.LINE_LIST)
        marker.scale.x = self.line_width_m
        marker.color = color  # used by viewers that ignore colours per point
        for a, b in self._edges:
            if known[a] and known[b]:
                marker.points += [person.joints[a].position, person.joints[b].position]
                marker.colors += [_of_joint(color, person.joints[i]) for i in (a, b)]
        return [marker] if marker.points else []

    def _joints(
        self, header: Header, number: int, person: Person, known: list[bool], color: ColorRGBA
    ) -> Marker:
        marker = _marker(header, "joints", number, Marker.ADD, Marker.SPHERE_LIST)
        marker.scale.x = marker.scale.y = marker.scale.z = 2.0 * self.line_width_m
        marker.color = color
        for joint, is_known in zip(person.joints, known):
            if is_known:
                marker.points.append(joint.position)
                marker.colors.append(_of_joint(color, joint))
        return marker

    def _velocity(
        self, header: Header, number: int, person: Person, color: ColorRGBA
    ) -> list[Marker]:
        begin, velocity = person.pose.position, person.velocity
        speed_m_s = math.hypot(velocity.x, velocity.y, velocity.z)
        limit_m_s = _MOVES_M_S[("velocity", number) in self._shown]
        if not (speed_m_s > limit_m_s and math.isfinite(speed_m_s) and math.isfinite(begin.x)):
            return []
        marker = _marker(header, "velocity", number, Marker.ADD, Marker.ARROW)
        marker.scale, marker.color = _ARROW_M, color
        end = Point(
            x=begin.x + _AHEAD_S * velocity.x,
            y=begin.y + _AHEAD_S * velocity.y,
            z=begin.z + _AHEAD_S * velocity.z,
        )
        marker.points = [begin, end]
        return [marker]

    def _ellipsoids(
        self, header: Header, number: int, person: Person, known: list[bool], color: ColorRGBA
    ) -> list[Marker]:
        covariance_m2 = np.array([j.position_covariance for j in person.joints]).reshape(-1, 3, 3)
        told = np.isfinite(covariance_m2).all((1, 2)) & (covariance_m2[:, 0, 0] >= 0)
        joints = np.flatnonzero(told & known)
        diameters_m, quaternions = ellipsoids(covariance_m2[joints], _ELLIPSOID_SIGMAS)
        pale = ColorRGBA(r=color.r, g=color.g, b=color.b, a=_ELLIPSOID_ALPHA * color.a)
        markers = []
        for j, diameter_m, quaternion in zip(
            joints.tolist(), np.maximum(diameters_m, _FLAT_M).tolist(), quaternions.tolist()
        ):
            marker = self._sphere(number * _IDS_PER_PERSON + j)
            marker.header, marker.color = header, pale
            marker.pose.position = person.joints[j].position
            marker.pose.orientation = _quaternion(quaternion)
            marker.scale = _vector(diameter_m)
            markers.append(marker)
        return markers

    def _sphere(self, number: int) -> Marker:
        if number not in self._spheres:
            self._spheres[number] = _marker(
                Header(), "ellipsoids", number, Marker.ADD, Marker.SPHERE
            )
        return self._spheres[number]


def _label(
    header: Header, number: int, person: Person, known: list[bool], color: ColorRGBA
) -> Marker:
    """Id and confidence above the head; a question mark for who may not be there."""
    marker = _marker(header, "label", number, Marker.ADD, Marker.TEXT_VIEW_FACING)
    marker.scale.z = 0.15
    marker.color = color
    doubt = "?" if person.track_state == Person.TENTATIVE else ""
    marker.text = f"{person.id}{doubt} {person.confidence:.2f}"
    highest = max(
        (j.position for j, is_known in zip(person.joints, known) if is_known), key=lambda p: p.z
    )
    marker.pose.position = Point(x=highest.x, y=highest.y, z=highest.z + 0.25)
    return marker


def _of_joint(color: ColorRGBA, joint: Joint) -> ColorRGBA:
    if joint.state == Joint.OBSERVED:
        return color
    return ColorRGBA(r=color.r, g=color.g, b=color.b, a=_PREDICTED_ALPHA * color.a)


def _vector(xyz: list[float]) -> Vector3:
    return Vector3(x=xyz[0], y=xyz[1], z=xyz[2])


def _quaternion(xyzw: list[float]) -> Quaternion:
    return Quaternion(x=xyzw[0], y=xyzw[1], z=xyzw[2], w=xyzw[3])


def _marker(
    header: Header, namespace: str, number: int, action: int, kind: int = Marker.ARROW
) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=action)
    marker.pose.orientation.w = 1.0
    return marker
