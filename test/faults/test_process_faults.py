"""Other processes that die, hang, or run out of disk, beside a node that must not suffer from it."""

import os
import resource
import signal
import subprocess
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mcap.reader import make_reader

from mvssm_ros.msg import CameraStatus, Keypoints2DArray

from ..nodes.conftest import ERROR
from .conftest import WRONG_M

BAD = "cam1"
WITHOUT_BAD, ALL = 0b1101, 0b1111

# A camera's driver: what falls through the lens is what it publishes.
DRIVER = """
import rclpy
from mvssm_ros.msg import Keypoints2DArray

rclpy.init()
node = rclpy.create_node("driver")
publisher = node.create_publisher(Keypoints2DArray, "/cam1/keypoints", 5)
node.create_subscription(Keypoints2DArray, "/cam1/lens", publisher.publish, 5)
rclpy.spin(node)
"""
LISTENER = """
import rclpy
from mvssm_ros.msg import PersonArray
from visualization_msgs.msg import MarkerArray

rclpy.init()
node = rclpy.create_node("listener")
for message_type, topic in ((PersonArray, "people"), (MarkerArray, "markers")):
    node.create_subscription(message_type, topic, lambda message: None, 5)
rclpy.spin(node)
"""
RECORDER = "import sys; from mvssm_ros.nodes.recorder_node import main; sys.exit(main())"
MIB = 2**20


@pytest.fixture
def start(trial):
    """Starts a process in the ROS domain of the trial; all are killed at the end."""
    started = []

    def start_process(code, *arguments, **options):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "ROS_DOMAIN_ID": str(trial.world.domain_id)},
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start_process
    for process in started:
        process.kill()
        process.wait()


def test_camera_process_killed_and_restarted(trial, start):
    def through_the_lens(tick, message):
        trial.world.publisher(Keypoints2DArray, f"/{BAD}/lens").publish(message)
        return []  # the driver sends it

    driver = start(DRIVER)
    trial.world.wait_for_subscribers([f"/{BAD}/lens"])
    trial.simulated.faults = {BAD: through_the_lens}
    trial.healthy()
    driver.kill()  # SIGKILL: it cannot say good-bye
    driver.wait()
    answers = trial.inject({BAD: through_the_lens})
    assert len(answers) >= 3
    assert trial.worst_m(answers) < WRONG_M
    assert {a.cameras_used for a in answers[2:]} == {WITHOUT_BAD}
    trial.wait_for_state(BAD, CameraStatus.STALE)
    assert len(trial.world.wait_for_words(f"camera '{BAD}'", "nothing more comes")) == 1
    start(DRIVER)
    trial.record("camera process killed and restarted", answers, trial.healthy())


def test_a_subscriber_hangs(trial, start):
    """It has asked for reliable messages, and takes none."""
    world = trial.world
    listener = start(LISTENER)
    world.spin_until(
        lambda: all(world.tester.count_subscribers(t) == 2 for t in ("/people", "/markers"))
    )
    trial.healthy()
    listener.send_signal(signal.SIGSTOP)
    answers = trial.inject({}, 4.0)
    assert len(answers) >= 3
    assert trial.worst_m(answers) < WRONG_M
    assert {a.cameras_used for a in answers} == {ALL}
    listener.send_signal(signal.SIGCONT)
    trial.record("a subscriber of people hangs", answers, trial.mend())


def test_disk_full_for_the_recorder(trial, start, tmp_path):
    """The largest size that a file may have is as little room as a full disk, and needs no root."""
    world, bag = trial.world, tmp_path / "bag"

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (9 * MIB, 9 * MIB))

    recorder = start(RECORDER, "--ros-args", "-p", f"bag:={bag}", preexec_fn=little_room)
    world.spin_until(lambda: world.tester.count_subscribers("/people") == 2)
    trial.healthy()
    filler = DiagnosticArray(status=[DiagnosticStatus(name="filler", message="x" * (MIB // 4))])

    def fill(tick, message):
        world.publisher(DiagnosticArray, "/diagnostics").publish(filler)
        return [(0.0, message)]

    answers = trial.inject({BAD: fill}, 4.0)
    assert trial.worst_m(answers) < WRONG_M
    assert {a.cameras_used for a in answers} == {ALL}
    world.spin_until(lambda: recorder.poll() is not None)
    assert recorder.returncode == 1
    (line,) = world.wait_for_words(str(bag), level=ERROR)
    assert "\n" not in line
    assert "room" in line
    with next(bag.glob("*.mcap")).open("rb") as stream:
        topics = [channel.topic for _, channel, _ in make_reader(stream).iter_messages()]
    assert topics.count("/people") >= 3
    assert topics.count("/diagnostics") >= 3
    for log in world.logs:
        log.msg = log.msg.replace(str(bag), "/data/bag")
    trial.record("disk full for the recorder", answers, trial.mend())
