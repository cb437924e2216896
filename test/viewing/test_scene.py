"""What is written to the viewer's recording, message by message."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point, Pose, Vector3
from rclpy.time import Time
from recorded_scene import rows_of, values_at
from std_msgs.msg import Header

from mvssm_ros.geometry.cameras import project
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import CameraStatus, Joint, Person, PersonArray, RigStatus
from mvssm_ros.nodes.person_messages import skeleton_info_msg
from mvssm_ros.rig.rig_file import Rig
from mvssm_ros.soak.walkers import ring_rig
from mvssm_ros.viewing import health
from mvssm_ros.viewing.people import person_color

pytest.importorskip("rerun", reason="the viewer library is not installed")

from mvssm_ros.viewing.outlet import Outlet
from mvssm_ros.viewing.scene import Scene

BEGIN_NS = 1_700_000_000_000_000_000
RIG = ring_rig(3)
JOINTS_M = np.random.default_rng(0).uniform([-0.4, -0.4, 0.0], [0.4, 0.4, 1.8], (15, 3))


class Recorded:
    """A scene that is written to a file."""

    def __init__(self, path: Path, rig: Rig = RIG, live: bool = True) -> None:
        self._path = path
        self._outlet = Outlet("", 0, path)
        self.scene = Scene(self._outlet.recording, rig, live)

    def rows(self):
        """What was written; ends it."""
        self._outlet.close()
        return rows_of(self._path)


@pytest.fixture
def recorded(tmp_path):
    return Recorded(tmp_path / "scene.rrd")


def header(second: float) -> Header:
    return Header(stamp=Time(nanoseconds=at(second)).to_msg(), frame_id="map")


def at(second: float) -> int:
    return BEGIN_NS + round(second * 1e9)


def person(name="p0001", state=Person.CONFIRMED, joints_m=JOINTS_M) -> Person:
    joints = []
    for x, y, z in joints_m:
        joint = Joint(position=Point(x=x, y=y, z=z), state=Joint.OBSERVED)
        joint.position_covariance = (np.eye(3) * 0.01).ravel().tolist()
        joints.append(joint)
    velocity = Vector3(x=0.5, y=0.0, z=0.0)
    return Person(
        id=name,
        track_state=state,
        joints=joints,
        velocity=velocity,
        pose=Pose(position=Point(z=1.0)),
    )


def people(second: float, *everybody: Person, **fields) -> PersonArray:
    """An answer of all cameras, 0.12 s after its images."""
    given = {
        "header": header(second),
        "skeleton": "panoptic15",
        "cameras": list(RIG.cameras),
        "cameras_used": 7,
        "latency": Duration(nanosec=120_000_000),
        "people": list(everybody),
    }
    return PersonArray(**{**given, **fields})


def status(second: float, **states: int) -> RigStatus:
    cameras = [
        CameraStatus(name=name, state=states.get(name, CameraStatus.OK), rate_hz=20.0)
        for name in RIG.cameras
    ]
    return RigStatus(header=header(second), summary="As it is.", cameras=cameras)


def rgb(color: int) -> tuple[int, int, int]:
    return (color >> 24, color >> 16 & 255, color >> 8 & 255)


def test_a_person_is_drawn_where_and_when_she_was(recorded):
    recorded.scene.take_people(people(1.0, person()))
    rows = recorded.rows()
    (points,) = values_at(rows, "/world/people/p0001/joints", "Points3D:positions").items()
    assert points[0] == at(1.0)
    np.testing.assert_allclose(points[1], JOINTS_M, atol=1e-6)
    (lines,) = values_at(rows, "/world/people/p0001/bones", "LineStrips3D:strips").values()
    edges = SKELETONS["panoptic15"].edge_indices
    np.testing.assert_allclose(lines, JOINTS_M[edges], atol=1e-6)
    (colors,) = values_at(rows, "/world/people/p0001/bones", "LineStrips3D:colors").values()
    assert {rgb(color) for color in colors} == {person_color("p0001")}
    (labels,) = values_at(rows, "/world/people/p0001/label", "Points3D:labels").values()
    assert labels == ["p0001"]
    (half_m,) = values_at(
        rows, "/world/people/p0001/uncertainty", "Ellipsoids3D:half_sizes"
    ).values()
    np.testing.assert_allclose(half_m, np.full((15, 3), 0.2), atol=1e-6)
    (arrows,) = values_at(rows, "/world/people/p0001/velocity", "Arrows3D:vectors").values()
    np.testing.assert_allclose(arrows, [[0.5, 0.0, 0.0]])


@pytest.mark.parametrize("goodbye", [[], [person(state=Person.LOST)]], ids=["left out", "lost"])
def test_who_goes_away_disappears(recorded, goodbye):
    recorded.scene.take_people(people(1.0, person(), person("p0002")))
    recorded.scene.take_people(people(1.1, person("p0002"), *goodbye))
    recorded.scene.take_people(people(1.2, person("p0002"), *goodbye))
    rows = recorded.rows()
    assert values_at(rows, "/world/people/p0001", "Clear:is_recursive") == {at(1.1): [True]}
    assert not values_at(rows, "/world/people/p0002", "Clear:is_recursive")
    joints = values_at(rows, "/world/people/p0001/joints", "Points3D:positions")
    assert set(joints) == {at(1.0)}


def test_nobody_stays_when_no_answers_come(recorded):
    recorded.scene.take_people(people(1.0, person()))
    recorded.scene.forget_people(3_000_000_000)
    rows = recorded.rows()
    assert values_at(rows, "/world/people/p0001", "Clear:is_recursive") == {at(4.0): [True]}
    overlay = values_at(rows, "/world/cameras/cam1/people", "LineStrips2D:strips")
    assert overlay[at(1.0)]
    assert overlay[at(4.0)] == []


def test_a_joint_that_is_not_known_is_not_drawn(recorded):
    known = person()
    known.joints[5] = Joint(state=Joint.MISSING, position=Point(x=math.nan, y=math.nan, z=math.nan))
    known.joints[5].position_covariance[0] = -1.0
    recorded.scene.take_people(people(1.0, known))
    rows = recorded.rows()
    (points,) = values_at(rows, "/world/people/p0001/joints", "Points3D:positions").values()
    np.testing.assert_allclose(points, np.delete(JOINTS_M, 5, 0), atol=1e-6)
    (half_m,) = values_at(
        rows, "/world/people/p0001/uncertainty", "Ellipsoids3D:half_sizes"
    ).values()
    assert len(half_m) == 14


def test_a_person_without_any_joint_is_nowhere(recorded):
    recorded.scene.take_people(people(1.0, person(joints_m=np.full((15, 3), np.nan))))
    assert not [row for row in recorded.rows() if row.path.startswith("/world/people")]


def test_another_skeleton_is_drawn_by_its_info(recorded):
    skeleton = SKELETONS["coco17"]
    joints_m = np.random.default_rng(1).uniform(0.0, 1.8, (17, 3))
    info = skeleton_info_msg(skeleton)
    info.name = "mine"
    recorded.scene.take_skeleton(info)
    recorded.scene.take_people(people(1.0, person(joints_m=joints_m), skeleton="mine"))
    (lines,) = values_at(
        recorded.rows(), "/world/people/p0001/bones", "LineStrips3D:strips"
    ).values()
    np.testing.assert_allclose(lines, joints_m[skeleton.edge_indices], atol=1e-6)


def test_skeletons_are_projected_into_the_images_with_distortion(recorded):
    """1280 px wide images are shown 640 px wide, and pixels begin at their corner."""
    recorded.scene.take_people(people(1.0, person()))
    (lines,) = values_at(
        recorded.rows(), "/world/cameras/cam2/people", "LineStrips2D:strips"
    ).values()
    pixels, _ = project(RIG.to_cameras(["cam2"], torch.float64), torch.from_numpy(JOINTS_M))
    edges = SKELETONS["panoptic15"].edge_indices
    np.testing.assert_allclose(lines, (pixels[0].numpy()[edges] + 0.5) / 2, atol=1e-3)


def test_frusta_are_where_the_cameras_are(recorded):
    rows = recorded.rows()
    for name, entry in RIG.cameras.items():
        path = f"/world/cameras/{name}"
        (place,) = values_at(rows, path, "Transform3D:translation").items()
        assert place[0] is None  # for all times
        np.testing.assert_allclose(place[1][0], entry.center_m, atol=1e-6)
        (matrix,) = values_at(rows, path, "Transform3D:mat3x3").values()
        np.testing.assert_allclose(np.reshape(matrix[0], (3, 3)), entry.R, atol=1e-6)  # by columns
        (K,) = values_at(rows, path, "Pinhole:image_from_camera").values()
        half_a_pixel = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
        expected = np.diag([0.5, 0.5, 1.0]) @ (entry.K + half_a_pixel)
        np.testing.assert_allclose(np.reshape(K[0], (3, 3)).T, expected, atol=1e-3)


def test_a_silent_camera_turns_red_and_green_again(recorded):
    for second, state in (
        (1.0, CameraStatus.OK),
        (2.0, CameraStatus.STALE),
        (3.0, CameraStatus.OK),
    ):
        recorded.scene.take_status(status(second, cam2=state))
    rows = recorded.rows()
    expected = {at(1.0): health.GOOD, at(2.0): health.BAD, at(3.0): health.GOOD}
    for path, component in (
        ("/world/cameras/cam2", "Pinhole:color"),
        ("/world/cameras/cam2/frame", "Boxes2D:colors"),
    ):
        found = values_at(rows, path, component)
        assert {stamp: rgb(color[0]) for stamp, color in found.items()} == expected
    others = values_at(rows, "/world/cameras/cam1", "Pinhole:color").values()
    assert {rgb(color[0]) for color in others} == {health.GOOD}
    labels = values_at(rows, "/world/cameras/cam2/frame/state", "Points2D:labels")
    assert labels[at(2.0)] == ["silent"]
    assert "| cam2 | silent |" in values_at(rows, "/status", "TextDocument:text")[at(2.0)][0]


def test_what_a_silent_camera_has_seen_last_is_not_shown_as_new(recorded):
    recorded.scene.take_keypoints("cam2", at(1.0), np.ones((1, 15, 3)), (1280, 960))
    recorded.scene.take_people(people(1.0))
    recorded.scene.take_status(status(2.0, cam2=CameraStatus.STALE))
    rows = recorded.rows()
    cleared = values_at(rows, "/world/cameras/cam2/keypoints", "Clear:is_recursive")
    assert set(cleared) == {at(2.0)}
    assert not values_at(rows, "/world/cameras/cam1/keypoints", "Clear:is_recursive")
    assert values_at(rows, "/plots/rate/cam2", "Scalars:scalars") == {at(2.0): [0.0]}
    assert values_at(rows, "/plots/rate/cam1", "Scalars:scalars") == {at(2.0): [20.0]}


def test_when_the_node_says_nothing_cameras_are_neither_good_nor_bad(recorded):
    recorded.scene.take_status(status(1.0))
    recorded.scene.forget_status(at(5.0), "nothing has come")
    rows = recorded.rows()
    colors = values_at(rows, "/world/cameras/cam1", "Pinhole:color")
    assert rgb(colors[at(5.0)][0]) == health.UNKNOWN
    assert "nothing has come" in values_at(rows, "/status", "TextDocument:text")[at(5.0)][0]


def test_latency_and_rates_are_curves(recorded):
    recorded.scene.take_people(people(1.0))
    recorded.scene.take_people(people(1.5, cameras_used=0))  # a farewell has none
    recorded.scene.take_status(status(2.0))
    rows = recorded.rows()
    assert values_at(rows, "/plots/latency/people", "Scalars:scalars") == {at(1.0): [120.0]}
    assert values_at(rows, "/plots/rate/cam3", "Scalars:scalars") == {at(2.0): [20.0]}


def test_diagnostics_are_lines_of_the_log(recorded):
    line = DiagnosticStatus(
        name="mvssm: camera cam1", level=DiagnosticStatus.STALE, message="silent"
    )
    for second in (1.0, 2.0):
        recorded.scene.take_diagnostics(DiagnosticArray(header=header(second), status=[line]))
    rows = recorded.rows()
    found = values_at(rows, "/log", "TextLog:text")
    assert found == {at(1.0): ["mvssm: camera cam1: silent"]}
    assert values_at(rows, "/log", "TextLog:level") == {at(1.0): ["WARN"]}


def test_an_image_is_shown_smaller(recorded):
    image = np.zeros((960, 1280, 3), np.uint8)
    image[:, 640:] = (200, 40, 30)
    recorded.scene.take_image("cam1", at(1.0), image)
    recorded.scene.take_people(people(1.0))
    (blob,) = values_at(recorded.rows(), "/world/cameras/cam1/image", "EncodedImage:blob").items()
    assert blob[0] == at(1.0)
    shown = cv2.imdecode(np.array(blob[1][0], np.uint8).ravel(), cv2.IMREAD_COLOR)[..., ::-1]
    assert shown.shape == (480, 640, 3)
    np.testing.assert_allclose(shown[200, 500], (200, 40, 30), atol=6)
    np.testing.assert_allclose(shown[200, 100], (0, 0, 0), atol=6)


def test_an_image_waits_for_the_people_in_it(recorded):
    keypoints = np.ones((1, 15, 3))
    recorded.scene.take_keypoints("cam1", at(1.0), keypoints, (1280, 960))
    recorded.scene.take_keypoints("cam1", at(2.0), keypoints, (1280, 960))
    recorded.scene.take_people(people(1.0))
    shown = values_at(recorded.rows(), "/world/cameras/cam1/keypoints", "Points2D:positions")
    assert set(shown) == {at(1.0)}


def test_keypoints_are_points_and_missing_ones_are_not(recorded):
    keypoints = np.zeros((2, 15, 3))
    keypoints[0, 3] = (99.5, 199.5, 0.8)
    recorded.scene.take_keypoints("cam1", at(1.0), keypoints, (1280, 960))
    recorded.scene.take_people(people(1.0))
    rows = recorded.rows()
    (points,) = values_at(rows, "/world/cameras/cam1/keypoints", "Points2D:positions").values()
    np.testing.assert_allclose(points, [[50.0, 100.0]])


def test_the_time_goes_on_when_stamps_go_back(recorded):
    recorded.scene.take_people(people(50.0, person()))
    recorded.scene.take_people(people(10.0, person()))
    recorded.scene.take_people(people(10.1, person()))
    rows = recorded.rows()
    joints = values_at(rows, "/world/people/p0001/joints", "Points3D:positions")
    assert sorted(joints) == [at(50.0), at(51.0), at(51.1)]
    (line,) = values_at(rows, "/log", "TextLog:text").values()
    assert "gone back by 40.0 s" in line[0]


def test_without_a_rig_file_cameras_are_those_of_the_messages(tmp_path):
    recorded = Recorded(tmp_path / "scene.rrd", Rig())
    recorded.scene.take_status(status(1.0))
    recorded.scene.take_people(people(1.0, person()))
    assert recorded.scene.cameras == ["cam1", "cam2", "cam3"]
    rows = recorded.rows()
    assert values_at(rows, "/world/people/p0001/joints", "Points3D:positions")
    assert not values_at(rows, "/world/cameras/cam1", "Pinhole:color")  # nobody knows where it is
