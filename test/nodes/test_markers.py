"""Markers: stable, coloured by person, deleted when the person goes."""

import math

from geometry_msgs.msg import Point
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import Joint, Person, PersonArray
from mvssm_ros.nodes.markers import MarkerWriter

PANOPTIC = SKELETONS["panoptic15"]


def person(number, missing=(), state=Person.CONFIRMED):
    joints = [
        Joint(position=Point(x=float(j), y=float(number), z=0.1 * j), state=Joint.OBSERVED)
        for j in range(15)
    ]
    for j in missing:
        joints[j] = Joint(position=Point(x=math.nan, y=math.nan, z=math.nan), state=Joint.MISSING)
    return Person(id=f"p{number:04d}", track_state=state, joints=joints)


def people(*persons):
    return PersonArray(header=Header(frame_id="map"), people=list(persons))


def shown(array):
    return {(m.ns, m.id): m for m in array.markers}


def test_a_person_is_bones_joints_and_a_label_with_its_own_number():
    markers = shown(MarkerWriter(PANOPTIC).update(people(person(7))))
    assert set(markers) == {("bones", 7), ("joints", 7), ("label", 7)}
    assert len(markers["bones", 7].points) == 2 * len(PANOPTIC.edges)
    assert len(markers["joints", 7].points) == 15
    assert markers["label", 7].text == "p0007"
    for marker in markers.values():
        assert marker.header.frame_id == "map"
        assert marker.action == Marker.ADD
        assert marker.pose.orientation.w == 1.0
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (0, 0)  # no flicker
        for color in [marker.color, *marker.colors]:
            assert 0.0 <= min(color.r, color.g, color.b) <= max(color.r, color.g, color.b) <= 1.0
            assert 0.0 < color.a <= 1.0


def test_missing_joints_and_their_bones_are_not_drawn():
    wrist = PANOPTIC.index("left_wrist")
    markers = shown(MarkerWriter(PANOPTIC).update(people(person(1, missing=[wrist]))))
    assert len(markers["bones", 1].points) == 2 * (len(PANOPTIC.edges) - 1)
    assert len(markers["bones", 1].colors) == len(markers["bones", 1].points)
    drawn = [p for m in markers.values() for p in m.points]
    assert all(math.isfinite(p.x) for p in drawn)


def test_a_person_without_any_known_joint_leaves_no_old_drawing_behind():
    writer = MarkerWriter(PANOPTIC)
    writer.update(people(person(1)))
    markers = shown(writer.update(people(person(1, missing=range(15)))))
    assert markers["bones", 1].action == Marker.DELETE
    assert markers["joints", 1].action == Marker.DELETE


def test_a_lost_person_is_deleted_once():
    writer = MarkerWriter(PANOPTIC)
    writer.update(people(person(1), person(2)))
    gone = shown(writer.update(people(person(1), person(2, state=Person.LOST))))
    assert {k for k, m in gone.items() if m.action == Marker.DELETE} == {
        ("bones", 2),
        ("joints", 2),
        ("label", 2),
    }
    assert {number for _, number in shown(writer.update(people(person(1))))} == {1}


def test_a_coasting_person_is_paler():
    writer = MarkerWriter(PANOPTIC)
    seen = shown(writer.update(people(person(1))))["bones", 1].colors[0].a
    coasting = shown(writer.update(people(person(1, state=Person.COASTING))))["bones", 1]
    assert coasting.colors[0].a < seen


def test_a_tentative_person_is_pale_and_in_question():
    seen = shown(MarkerWriter(PANOPTIC).update(people(person(1))))
    doubtful = shown(MarkerWriter(PANOPTIC).update(people(person(1, state=Person.TENTATIVE))))
    assert doubtful["bones", 1].colors[0].a < 0.5 * seen["bones", 1].colors[0].a
    assert doubtful["label", 1].text == seen["label", 1].text + "?"


def test_two_persons_differ_in_colour_and_keep_it():
    writer = MarkerWriter(PANOPTIC)
    first = shown(writer.update(people(person(1), person(2))))
    second = shown(writer.update(people(person(2))))
    assert first["bones", 1].color != first["bones", 2].color
    assert first["bones", 2].color == second["bones", 2].color


def test_clear_deletes_all():
    writer = MarkerWriter(PANOPTIC)
    writer.update(people(person(1)))
    (marker,) = writer.clear(Header(frame_id="map")).markers
    assert marker.action == Marker.DELETEALL
    assert writer.update(people()).markers == []
