"""The cameras in RViz: where they are, what they see, and by the colour how they are doing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rclpy.parameter import Parameter
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from mvssm_ros.geometry.cameras import project
from mvssm_ros.msg import CameraStatus
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.camera_markers import (
    AMBER,
    GREEN,
    GREY,
    RED,
    CameraMarkerWriter,
    ShownCamera,
    frustum_lines,
)
from mvssm_ros.nodes.rig_summary import CameraState
from mvssm_ros.nodes.rotations import matrix_from_quaternion

from .conftest import ring_of_cameras
from .test_pose_node import send_sets, start

HEADER = Header(frame_id="map")


def shown(entry, state=CameraStatus.OK, *problems):
    return ShownCamera(entry, CameraState(entry.name, state, problems))


def markers_of(*cameras):
    writer = CameraMarkerWriter()
    writer.take(list(cameras))
    return {(m.ns, m.id): m for m in writer.message(HEADER).markers}


def test_the_corners_of_a_frustum_are_seen_in_the_corners_of_the_image():
    rig = ring_of_cameras()
    markers = markers_of(*(shown(entry) for entry in rig.cameras.values()))
    for number, (name, entry) in enumerate(rig.cameras.items()):
        frustum = markers["frusta", number]
        position, q = frustum.pose.position, frustum.pose.orientation
        R = matrix_from_quaternion(np.array([q.x, q.y, q.z, q.w]))
        center_m = np.array([position.x, position.y, position.z])
        np.testing.assert_allclose(center_m, entry.center_m, atol=1e-9)
        ends_m = np.array([[p.x, p.y, p.z] for p in frustum.points]) @ R.T + center_m
        assert len(ends_m) % 2 == 0
        corners_m = ends_m[~np.isclose(ends_m, center_m).all(1)][:4]
        pixels, depth = project(
            rig.to_cameras([name]), torch.tensor(corners_m, dtype=torch.float32)
        )
        assert (depth > 0).all()
        width, height = entry.size_px
        expected = [(0, 0), (width, 0), (width, height), (0, height)]
        np.testing.assert_allclose(pixels[0].numpy(), expected, atol=0.1)
        assert markers["names", number].text == name


@pytest.mark.parametrize(
    ("state", "problems", "color"),
    [
        (CameraStatus.OK, [], GREEN),
        (CameraStatus.OK, ["its reprojection error is high"], AMBER),
        (CameraStatus.WAITING, [], AMBER),
        (CameraStatus.WAITING, ["nothing received"], RED),
        (CameraStatus.STALE, [], RED),
        (CameraStatus.BAD_IMAGE, ["encoding"], RED),
        (CameraStatus.NO_CALIBRATION, ["no K"], RED),
        (CameraStatus.FROZEN, ["the same"], RED),
        (CameraStatus.OUT_OF_STEP, ["stamps"], RED),
        (CameraStatus.DISAGREES, ["moved"], GREY),
    ],
)
def test_the_colour_tells_how_a_camera_is_doing(state, problems, color):
    entry = ring_of_cameras().cameras["cam0"]
    markers = markers_of(shown(entry, state, *problems))
    assert markers["frusta", 0].color == color
    assert (markers["names", 0].text == "cam0") == (state == CameraStatus.OK)


def test_a_camera_whose_place_nobody_knows_is_not_drawn():
    first, second = list(ring_of_cameras(2).cameras.values())
    markers = markers_of(shown(replace(first, R=None)), shown(second))
    assert {key: m.action for key, m in markers.items()} == {
        ("frusta", 0): Marker.DELETE,
        ("names", 0): Marker.DELETE,
        ("frusta", 1): Marker.ADD,
        ("names", 1): Marker.ADD,
    }


def test_a_change_is_a_new_place_or_a_new_state():
    entry = ring_of_cameras().cameras["cam0"]
    writer = CameraMarkerWriter()
    moved = replace(entry, t_m=entry.t_m + 0.1)
    assert writer.take([shown(entry)])
    assert not writer.take([shown(entry)])
    assert writer.take([shown(entry, CameraStatus.STALE)])
    assert not writer.take([shown(entry, CameraStatus.STALE, "nothing more comes")])
    assert writer.take([shown(moved, CameraStatus.STALE)])
    (wiped,) = writer.clear(HEADER).markers
    assert wiped.action == Marker.DELETEALL
    assert writer.take([shown(moved, CameraStatus.STALE)])


def test_a_pixel_of_the_frustum_is_where_the_camera_matrix_says():
    entry = ring_of_cameras().cameras["cam0"]
    corner = frustum_lines(entry)[1]  # of the first line: from the centre to the corner (0, 0)
    np.testing.assert_allclose(
        np.array([corner.x, corner.y]) / corner.z, [-319.5 / 500.0, -239.5 / 500.0]
    )


# --- the node ---


@pytest.fixture
def watched(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    node = start(world, rig, path, untrained_weights)
    return world, rig, node


def colors(message):
    """Of the frusta, as the constants have them: messages carry 32 bits."""
    found = [m.color for m in message.markers if m.ns == "frusta"]
    return [ColorRGBA(r=round(c.r, 4), g=round(c.g, 4), b=round(c.b, 4), a=c.a) for c in found]


def test_a_silent_camera_turns_red_and_green_again_for_who_comes_late_too(watched):
    world, rig, _ = watched
    heard, late = [], []
    world.hear(MarkerArray, "camera_markers", heard, qos.latched_qos())
    sets = iter(range(10_000))

    def until(expected, cameras):
        """Sets of these cameras come, until the cameras are shown so."""

        def are_shown():
            send_sets(world, rig, [next(sets)], cameras=cameras)
            return heard and colors(heard[-1]) == expected

        world.spin_until(are_shown)

    until([GREEN] * 4, list(rig.cameras))
    until([GREEN, GREEN, RED, GREEN], ["cam0", "cam1", "cam3"])
    world.hear(MarkerArray, "camera_markers", late, qos.latched_qos())
    world.spin_until(lambda: late)
    assert {m.id for m in late[0].markers if m.action == Marker.ADD} == {0, 1, 2, 3}
    until([GREEN] * 4, list(rig.cameras))


def test_the_cameras_go_when_they_are_switched_off_and_when_the_node_ends(watched):
    world, _, node = watched
    heard = []
    world.hear(MarkerArray, "camera_markers", heard, qos.latched_qos())

    def wiped():
        return heard[-1].markers[0].action == Marker.DELETEALL

    world.spin_until(lambda: heard and not wiped())
    node.set_parameters([Parameter("publish.camera_markers", value=False)])
    world.spin_until(wiped)
    count = len(heard)
    world.spin_for(2.5)
    assert len(heard) == count
    node.set_parameters([Parameter("publish.camera_markers", value=True)])
    world.spin_until(lambda: not wiped())
    node.trigger_deactivate()
    world.spin_until(wiped)
