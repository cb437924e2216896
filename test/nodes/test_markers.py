"""Markers: stable, coloured by person, deleted when the person goes."""

import math

import numpy as np
import pytest
from geometry_msgs.msg import Point, Vector3
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
    for joint in joints:
        joint.position_covariance[0] = -1.0
    return Person(id=f"p{number:04d}", track_state=state, confidence=0.92, joints=joints)


def walking(number, *velocity_m_s):
    """Mid-hip at (1, 2, 0.9)."""
    x, y, z = velocity_m_s
    walker = person(number)
    walker.velocity = Vector3(x=x, y=y, z=z)
    walker.pose.position = Point(x=1.0, y=2.0, z=0.9)
    return walker


def unsure(number, joint, covariance_m2):
    """The covariance of one joint is known."""
    one = person(number)
    for each in one.joints:
        each.position_covariance[0] = -1.0
    one.joints[joint].position_covariance = np.asarray(covariance_m2, float).reshape(-1)
    return one


def people(*persons):
    return PersonArray(header=Header(frame_id="map"), people=list(persons))


def shown(array):
    return {(m.ns, m.id): m for m in array.markers}


def test_a_person_is_bones_joints_and_a_label_with_its_own_number():
    markers = shown(MarkerWriter(PANOPTIC).update(people(person(7))))
    assert set(markers) == {("bones", 7), ("joints", 7), ("label", 7)}
    assert len(markers["bones", 7].points) == 2 * len(PANOPTIC.edges)
    assert len(markers["joints", 7].points) == 15
    assert markers["label", 7].text == "p0007 0.92"
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
    assert doubtful["label", 1].text == "p0001? 0.92"


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


# --- velocity ---


def test_an_arrow_shows_where_a_walker_will_be_in_a_second():
    arrow = shown(MarkerWriter(PANOPTIC).update(people(walking(1, 0.8, -0.4, 0.0))))["velocity", 1]
    assert arrow.type == Marker.ARROW
    begin, end = ([p.x, p.y, p.z] for p in arrow.points)
    assert begin == [1.0, 2.0, 0.9]
    assert end == pytest.approx([1.8, 1.6, 0.9])


@pytest.mark.parametrize("velocity", [(0.05, 0.0, 0.0), (math.nan,) * 3, (math.inf, 0.0, 0.0)])
def test_no_arrow_for_who_stands_or_whose_velocity_is_unknown(velocity):
    markers = shown(MarkerWriter(PANOPTIC).update(people(walking(1, *velocity))))
    assert ("velocity", 1) not in markers


def test_the_arrow_goes_when_the_walker_stops_and_does_not_flicker_before():
    writer = MarkerWriter(PANOPTIC)
    actions = []
    for speed_m_s in (0.09, 0.11, 0.09, 0.11, 0.08, 0.05, 0.09):
        markers = shown(writer.update(people(walking(1, speed_m_s, 0.0, 0.0))))
        arrow = markers.get(("velocity", 1))
        actions.append(None if arrow is None else arrow.action)
    assert actions == [None, *[Marker.ADD] * 4, Marker.DELETE, None]


# --- ellipsoids ---


def rotation(marker):
    q = marker.pose.orientation
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_an_ellipsoid_holds_nine_of_ten_positions():
    generator = np.random.default_rng(4)
    root = generator.normal(size=(3, 3)) * [0.02, 0.05, 0.1]
    covariance_m2 = root @ root.T
    joint = PANOPTIC.index("left_wrist")
    markers = shown(MarkerWriter(PANOPTIC).update(people(unsure(3, joint, covariance_m2))))
    (ellipsoid,) = [m for (ns, _), m in markers.items() if ns == "ellipsoids"]
    assert ellipsoid.type == Marker.SPHERE
    assert ellipsoid.pose.position == person(3).joints[joint].position
    R = rotation(ellipsoid)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1.0)
    size = ellipsoid.scale
    semi_axes_m = 0.5 * np.array([size.x, size.y, size.z])
    drawn = generator.multivariate_normal(np.zeros(3), covariance_m2, 20_000)
    inside = (((drawn @ R) / semi_axes_m) ** 2).sum(1) <= 1
    assert inside.mean() == pytest.approx(0.9, abs=0.01)


def test_an_ellipsoid_stays_the_same_marker_while_it_changes():
    writer = MarkerWriter(PANOPTIC)
    first = shown(writer.update(people(unsure(3, 2, np.eye(3) * 1e-4), unsure(4, 2, np.eye(3)))))
    ids = {key for key in first if key[0] == "ellipsoids"}
    assert len(ids) == 2
    second = shown(writer.update(people(unsure(3, 2, np.eye(3) * 4e-4), unsure(4, 2, np.eye(3)))))
    assert {key for key in second if key[0] == "ellipsoids"} == ids
    gone = shown(writer.update(people(person(3))))
    assert {key for key, m in gone.items() if m.action == Marker.DELETE} == ids | {
        (ns, 4) for ns in ("bones", "joints", "label")
    }


def test_an_ellipsoid_without_extent_can_be_drawn():
    flat = np.diag([1e-4, 0.0, -1e-18])
    markers = shown(MarkerWriter(PANOPTIC).update(people(unsure(1, 0, flat))))
    (ellipsoid,) = [m for (ns, _), m in markers.items() if ns == "ellipsoids"]
    assert min(ellipsoid.scale.x, ellipsoid.scale.y, ellipsoid.scale.z) > 0


# --- switches ---


@pytest.mark.parametrize(
    ("switch", "namespace"),
    [("labels", "label"), ("velocities", "velocity"), ("ellipsoids", "ellipsoids")],
)
def test_what_is_switched_off_is_deleted_and_not_drawn_again(switch, namespace):
    writer = MarkerWriter(PANOPTIC)
    one = unsure(1, 0, np.eye(3))
    one.velocity, one.pose.position = Vector3(x=1.0), Point()
    keys = {key for key in shown(writer.update(people(one))) if key[0] == namespace}
    assert keys
    setattr(writer, switch, False)
    after = shown(writer.update(people(one)))
    assert {key for key, m in after.items() if m.action == Marker.DELETE} == keys
    assert not keys & shown(writer.update(people(one))).keys()
