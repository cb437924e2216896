"""Calibration that fails while the rig runs: TF that is late, gone or nonsense; wrong messages."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation

from mvssm_ros.msg import CameraStatus, RigCalibration

from ..support.calibration_messages import rig_calibration
from ..support.robot_with_cameras import STATIC_QOS, RobotWithCameras, without_extrinsics
from .conftest import SUCCESS, WRONG_M, SimulatedRig, Trial

BAD = "cam1"
WITHOUT_BAD, ALL = 0b1101, 0b1111
EXACT_M = 0.005  # perfect keypoints of cameras whose places are known


class Robot:
    """Publishes the transforms of `RobotWithCameras` at 50 Hz while it is asked to."""

    def __init__(self, world, robot: RobotWithCameras) -> None:
        from tf2_msgs.msg import TFMessage

        self.late_s = 0.0
        self.spoil = None  # changes a transform
        self._message_type = TFMessage
        self._robot = robot
        self._world = world
        self._pending = []
        world.publisher(TFMessage, "/tf_static", STATIC_QOS).publish(
            TFMessage(transforms=robot.static())
        )
        self._timer = world.tester.create_timer(0.02, self._tick)

    def die(self) -> None:
        self._timer.cancel()

    def revive(self) -> None:
        self._timer.reset()

    def _tick(self) -> None:
        moving = self._robot.moving(time.time_ns())
        if self.spoil is not None:
            self.spoil(moving.transform)
        self._pending.append((time.monotonic() + self.late_s, moving))
        due = [m for when_s, m in self._pending if when_s <= time.monotonic()]
        self._pending = self._pending[len(due) :]
        self._world.publisher(self._message_type, "/tf").publish(self._message_type(transforms=due))


@pytest.fixture
def on_board():
    """The cameras on the robot; a test may ask for others."""
    return [BAD]


@pytest.fixture
def on_robot(world, rig_and_file, trained_weights, tmp_path, on_board):
    """As `trial`, all extrinsics from TF, some cameras on a robot that drives and turns."""
    pytest.importorskip("tf2_ros", reason="TF needs tf2_ros")
    rig, _ = rig_and_file
    path = tmp_path / "nowhere.yaml"
    without_extrinsics(rig).save(path)
    driving = RobotWithCameras(rig, on_board)
    robot = Robot(world, driving)
    node = world.pose_node(
        rig_file=str(path), input="keypoints", model__weights=trained_weights, sync__slop=0.03
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([*(f"/{name}/keypoints" for name in rig.cameras), "/tf"])
    simulated = SimulatedRig(world, rig)

    def seen_from_the_robot(name, tick, stamp_ns):
        simulated.rig = driving.rig_at(stamp_ns)
        return simulated.keypoints(name, tick, stamp_ns)

    simulated.make = seen_from_the_robot
    made = Trial(simulated, node)
    made.healthy()
    yield made, robot
    made.simulated.stop()
    robot.die()


def answers_while(trial, cameras, count=10):
    """Until so many answers used exactly these cameras, however slow the machine is."""
    began = len(trial.world.answers)
    trial.inject({}, 2.0)

    def enough():
        return [a.cameras_used for a in trial.world.answers[began:]].count(cameras) >= count

    trial.world.spin_until(enough)
    return trial.world.answers[began:]


EVERY_CAMERA = pytest.mark.parametrize(
    "on_board", [["cam0", "cam1", "cam2", "cam3"]], ids=["all on board"]
)


@EVERY_CAMERA  # a camera that is wrong alone would be outvoted
def test_cameras_that_drive_and_turn_are_where_they_were_when_the_image_was_taken(on_robot):
    trial, _ = on_robot
    answers = answers_while(trial, ALL, 25)
    assert trial.worst_m(answers) < EXACT_M
    assert len({p.id for a in answers for p in a.people}) == 1
    trial.record("none: the rig on a robot that drives and turns", answers, None)


@EVERY_CAMERA
def test_tf_of_moving_cameras_is_late(on_robot):
    """Every transform comes 50 ms after its image: it is waited for."""
    trial, robot = on_robot
    robot.late_s = 0.05
    answers = answers_while(trial, ALL)
    assert trial.worst_m(answers) < EXACT_M
    robot.late_s = 0.0
    trial.record("TF of moving cameras comes 50 ms late", answers, trial.mend())


def test_tf_of_a_moving_camera_is_gone(on_robot):
    trial, robot = on_robot
    robot.die()
    answers = answers_while(trial, WITHOUT_BAD)
    assert {a.cameras_used for a in answers[-8:]} == {WITHOUT_BAD}
    assert trial.worst_m(answers) < WRONG_M / 10
    (line,) = trial.world.wait_for_words(f"camera '{BAD}'", "'odom' to 'base_link'")
    assert "publisher" in line
    assert "\n" not in line
    trial.wait_for_state(BAD, CameraStatus.NO_CALIBRATION)
    robot.revive()
    recovered_s = trial.mend()
    (joint,) = (person.joints[2] for person in trial.world.answers[-1].people)
    assert joint.view_mask == ALL
    trial.record("TF of a moving camera gone", answers, recovered_s)


def _nan(transform):
    transform.translation.x = math.nan


def _stretched(transform):
    transform.rotation.w = 1.5


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("TF gives NaN", _nan, "not a finite number"),
        ("TF gives a quaternion that is not of length 1", _stretched, "norm of its quaternion"),
    ],
)
def test_tf_gives_nonsense(on_robot, name, spoil, said):
    trial, robot = on_robot
    robot.spoil = spoil
    answers = answers_while(trial, WITHOUT_BAD)
    assert {a.cameras_used for a in answers[-8:]} == {WITHOUT_BAD}
    assert trial.worst_m(answers) < WRONG_M / 10
    (line,) = trial.world.wait_for_words(f"camera '{BAD}'", "'odom' to 'base_link'", said)
    assert "\n" not in line
    robot.spoil = None
    trial.record(name, answers, trial.mend())


def test_a_static_camera_is_moved(on_robot):
    """A new /tf_static: the camera is where it says from then on."""
    trial, robot = on_robot
    from tf2_msgs.msg import TFMessage

    moved_m = np.array([0.1, 0.0, 0.0])
    driving = robot._robot
    entry = driving.rig.cameras["cam0"]
    shifted = replace(entry, t_m=entry.t_m - entry.R @ moved_m)
    driving.rig = replace(driving.rig, cameras={**driving.rig.cameras, "cam0": shifted})
    trial.world.publisher(TFMessage, "/tf_static", STATIC_QOS).publish(
        TFMessage(transforms=driving.static())
    )
    answers = answers_while(trial, ALL)
    assert trial.worst_m(answers[2:]) < EXACT_M
    (joint,) = (person.joints[2] for person in answers[-1].people)
    assert joint.view_mask == ALL
    (line,) = trial.world.wait_for_words("camera 'cam0'", "TF has a new place")
    assert "moved by 0.100 m" in line
    trial.record("a static camera has moved: a new /tf_static", answers, None)


# --- calibration messages ---


def publish_calibration(trial, message):
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    trial.world.publisher(RigCalibration, "calibration", qos).publish(message)


def test_a_calibration_in_millimetres(trial):
    message = rig_calibration(trial.simulated.rig, [BAD])
    place = message.cameras[0].pose.position
    place.x, place.y, place.z = 1000 * place.x, 1000 * place.y, 1000 * place.z
    publish_calibration(trial, message)
    answers = answers_while(trial, ALL)
    assert {a.cameras_used for a in answers} == {ALL}
    assert trial.worst_m(answers) < EXACT_M
    (line,) = trial.world.wait_for_words("a calibration is refused", "millimetres")
    assert "\n" not in line
    trial.record("a calibration message in millimetres", answers, trial.mend())


def test_a_bumped_camera_is_calibrated_anew(trial):
    """It is left out; with a calibration that tells where it is now it comes back at once."""
    simulated, straight = trial.simulated, trial.simulated.rig
    entry = straight.cameras[BAD]
    turn = Rotation.from_euler("y", 2.0, degrees=True).as_matrix()
    turned = replace(entry, R=turn @ entry.R, t_m=turn @ entry.t_m)
    simulated.rig = replace(straight, cameras={**straight.cameras, BAD: turned})
    trial.inject({}, 1.0)
    trial.world.spin_until(lambda: trial.world.said(f"camera '{BAD}'", "left out"))
    began = len(trial.world.answers)
    publish_calibration(trial, rig_calibration(simulated.rig, [BAD]))
    recovered_s = trial.mend()
    answers = trial.world.answers[began:]
    assert trial.worst_m(answers) < WRONG_M
    assert trial.worst_m(answers[-3:]) < EXACT_M
    (joint,) = (person.joints[2] for person in answers[-1].people)
    assert joint.view_mask == ALL
    assert len({p.id for a in trial.world.answers for p in a.people}) == 1
    trial.record("camera turned by 2 degrees, then calibrated by message", answers, recovered_s)
