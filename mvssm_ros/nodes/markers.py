"""Skeletons for RViz: stable ids, colours by person, deleted when the person goes."""

from __future__ import annotations

import colorsys
import math

from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from mvssm_ros.geometry.skeletons import Skeleton
from mvssm_ros.msg import Joint, Person, PersonArray

_NAMESPACES = ("bones", "joints", "label")
_GOLDEN = 0.618034  # hue step: neighbours in number are far apart in colour
_ALPHA = {Person.TENTATIVE: 0.2, Person.COASTING: 0.4}  # else 1
_PREDICTED_ALPHA = 0.4


class MarkerWriter:
    """Turns PersonArrays into MarkerArrays and remembers what is on the screen."""

    def __init__(self, skeleton: Skeleton, line_width_m: float = 0.03) -> None:
        self.line_width_m = line_width_m
        self._edges = [(int(a), int(b)) for a, b in skeleton.edge_indices]
        self._shown: set[int] = set()

    def update(self, people: PersonArray) -> MarkerArray:
        """Markers of everybody, and deletions of those who are gone."""
        alive = {_number(p): p for p in people.people if p.track_state != Person.LOST}
        markers = []
        for number in sorted(self._shown - alive.keys()):
            markers += [_marker(people.header, n, number, Marker.DELETE) for n in _NAMESPACES]
        for number, person in alive.items():
            markers += self._draw(people.header, number, person)
        self._shown = set(alive)
        return MarkerArray(markers=markers)

    def clear(self, header: Header) -> MarkerArray:
        """Remove everything, also what an earlier run may have left."""
        self._shown = set()
        return MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])

    def _draw(self, header: Header, number: int, person: Person) -> list[Marker]:
        red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.8, 1.0)
        alpha = _ALPHA.get(person.track_state, 1.0)

        def color(joint: Joint) -> ColorRGBA:
            seen = joint.state == Joint.OBSERVED
            return ColorRGBA(r=red, g=green, b=blue, a=alpha * (1.0 if seen else _PREDICTED_ALPHA))

        known = [math.isfinite(j.position.x) for j in person.joints]
        bones = _marker(header, "bones", number, Marker.ADD, Marker.LINE_LIST)
        bones.scale.x = self.line_width_m
        for a, b in self._edges:
            if known[a] and known[b]:
                bones.points += [person.joints[a].position, person.joints[b].position]
                bones.colors += [color(person.joints[a]), color(person.joints[b])]
        joints = _marker(header, "joints", number, Marker.ADD, Marker.SPHERE_LIST)
        joints.scale.x = joints.scale.y = joints.scale.z = 2.0 * self.line_width_m
        for joint, is_known in zip(person.joints, known):
            if is_known:
                joints.points.append(joint.position)
                joints.colors.append(color(joint))
        label = _marker(header, "label", number, Marker.ADD, Marker.TEXT_VIEW_FACING)
        label.scale.z = 0.15
        doubtful = person.track_state == Person.TENTATIVE
        label.text = f"{person.id}?" if doubtful else person.id
        label.color = ColorRGBA(r=red, g=green, b=blue, a=alpha)
        highest = max(joints.points, key=lambda p: p.z, default=Point())
        label.pose.position = Point(x=highest.x, y=highest.y, z=highest.z + 0.25)
        for marker in (bones, joints):
            marker.color = label.color  # used by viewers that ignore colours per point
            marker.action = Marker.ADD if marker.points else Marker.DELETE
        return [bones, joints, label]


def _number(person: Person) -> int:
    return int(person.id.lstrip("p"))


def _marker(
    header: Header, namespace: str, number: int, action: int, kind: int = Marker.ARROW
) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=action)
    marker.pose.orientation.w = 1.0
    return marker
