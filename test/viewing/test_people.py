"""People as what can be drawn."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mvssm_ros.viewing.people import (
    COASTING,
    CONFIRMED,
    TENTATIVE,
    SeenPerson,
    arrow,
    bones,
    ellipsoids,
    joint_colors,
    person_color,
)

EDGES = np.array([[0, 1], [1, 2]])


def person(**changes) -> SeenPerson:
    """Three joints above each other, the last one not known."""
    fields = {
        "id": "p0003",
        "track_state": CONFIRMED,
        "joints_m": np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.5], [np.nan] * 3]),
        "observed": np.array([True, True, False]),
        "covariance_m2": np.stack([np.diag([0.01, 0.04, 0.09])] * 3),
        "origin_m": np.array([0.0, 0.0, 1.0]),
        "velocity_m_s": np.array([1.0, 0.0, 0.0]),
    }
    return SeenPerson(**{**fields, **changes})


def test_colours_are_those_of_the_markers_in_rviz():
    from mvssm_ros.geometry.skeletons import SKELETONS
    from mvssm_ros.msg import Joint, Person, PersonArray
    from mvssm_ros.nodes.markers import MarkerWriter

    joints = [Joint(state=Joint.OBSERVED) for _ in range(15)]
    message = Person(id="p0007", track_state=Person.CONFIRMED, joints=joints)
    drawn = MarkerWriter(SKELETONS["panoptic15"]).update(PersonArray(people=[message]))
    color = drawn.markers[0].color
    expected = [255 * color.r, 255 * color.g, 255 * color.b]
    np.testing.assert_allclose(person_color("p0007"), expected, atol=0.51)


def test_neighbours_have_colours_far_apart():
    colors = np.array([person_color(f"p{n:04d}") for n in range(1, 6)], float)
    far = np.abs(colors[:, None] - colors[None]).sum(-1)
    assert far[~np.eye(5, dtype=bool)].min() > 100


def test_a_bone_to_an_unknown_joint_is_not_drawn():
    lines, colors = bones(person().joints_m, joint_colors(person()), EDGES)
    np.testing.assert_array_equal(lines, [[[0, 0, 1], [0, 0, 1.5]]])
    assert colors.shape == (1, 3)


def test_edges_beyond_the_joints_are_left_out():
    lines, _ = bones(person().joints_m, joint_colors(person()), np.array([[0, 1], [0, 17]]))
    assert len(lines) == 1


@pytest.mark.parametrize("state", [TENTATIVE, COASTING])
def test_who_is_not_sure_is_paler(state):
    own = np.array(person_color("p0003"), float)

    def far(seen):
        return np.abs(joint_colors(seen)[0] - own).sum()

    assert far(person()) == 0
    assert far(person(track_state=state)) > 100


def test_a_joint_that_was_not_seen_makes_its_bone_paler():
    unseen = person(observed=np.array([True, False, False]))
    _, colors = bones(unseen.joints_m, joint_colors(unseen), EDGES)
    np.testing.assert_array_equal(colors[0], joint_colors(unseen)[1])


def test_ellipsoids_are_the_covariances():
    turned = Rotation.from_euler("xyz", [0.3, -0.5, 1.1]).as_matrix()
    covariance_m2 = turned @ np.diag([0.01, 0.04, 0.09]) @ turned.T
    seen = person(covariance_m2=np.stack([covariance_m2, covariance_m2, np.full((3, 3), np.nan)]))
    centers_m, half_m, quaternions = ellipsoids(seen)
    np.testing.assert_array_equal(centers_m, seen.joints_m[:2])
    axes = Rotation.from_quat(quaternions[0]).as_matrix()
    np.testing.assert_allclose(
        axes @ np.diag((half_m[0] / 2) ** 2) @ axes.T, covariance_m2, atol=1e-9
    )


def test_what_is_no_covariance_has_no_ellipsoid():
    wrong = np.stack([np.diag([1.0, 1.0, -1.0]), np.diag([0.01, 0.01, 0.01]), np.eye(3)])
    centers_m, *_ = ellipsoids(person(covariance_m2=wrong))
    np.testing.assert_array_equal(centers_m, [[0.0, 0.0, 1.5]])


def test_an_unknown_velocity_has_no_arrow():
    assert len(arrow(person())[0]) == 1
    assert len(arrow(person(velocity_m_s=np.full(3, np.nan)))[0]) == 0


def test_the_label_is_above_the_head():
    assert person().label_m[2] == 1.75
    assert person(track_state=TENTATIVE).label == "p0003?"
