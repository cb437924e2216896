"""The node that refines a rig: keypoints over DDS, the service, the latched calibration."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from rclpy.executors import MultiThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger
from walking_people import disturbed, misplaced, ring_rig, walk

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Keypoints2D, Keypoints2DArray, RigCalibration
from mvssm_ros.nodes.refine_node import RefineNode
from mvssm_ros.nodes.rotations import matrix_from_quaternion
from mvssm_ros.rig.rig_file import load_rig

RUN = "import sys; from mvssm_ros.nodes.refine_node import main; sys.exit(main())"
INFO = 20  # of rcl_interfaces/Log
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
RELIABLE = QoSProfile(depth=2000, reliability=ReliabilityPolicy.RELIABLE)


class Refiner:
    """A refine_node that spins in a thread of its own, as its executable does."""

    def __init__(self, world, rig, tmp_path, **parameters):
        rig.save(tmp_path / "given.yaml")
        self.world, self.cameras = world, list(rig.cameras)
        overrides = [Parameter("rig_file", value=str(tmp_path / "given.yaml"))]
        overrides += [Parameter(name, value=value) for name, value in parameters.items()]
        for name in rig.cameras:  # tests send faster than cameras do
            prefix = f"qos_overrides./{name}/keypoints.subscription."
            overrides += [Parameter(prefix + "reliability", value="reliable")]
            overrides += [Parameter(prefix + "depth", value=2000)]
        self.node = RefineNode(context=world.context, parameter_overrides=overrides)
        self.executor = MultiThreadedExecutor(3, context=world.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()
        self.client = world.tester.create_client(Trigger, "/refiner/refine")
        self.found: list[RigCalibration] = []
        world.hear(RigCalibration, "calibration", self.found, LATCHED)
        world.spin_until(self.client.service_is_ready)
        world.wait_for_subscribers([f"/{name}/keypoints" for name in self.cameras])

    def send(self, sequence, names=None):
        """All frames, as fast as it goes, and wait until the node has them."""
        names = names or sequence.cameras
        expected = {name: self.node.received(name) + len(sequence.stamps_ns) for name in names}
        publish(self.world, sequence, names)
        self.world.spin_until(lambda: all(self.node.received(n) >= expected[n] for n in names))

    def ask(self):
        return self.client.call_async(Trigger.Request())

    def refine(self):
        future = self.ask()
        self.world.spin_until(future.done)
        return future.result()

    def close(self):
        self.node.close()
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()


def publish(world, sequence, names=None):
    """All frames of the cameras (default: all), as fast as it goes."""
    for name in names or sequence.cameras:
        view = sequence.cameras.index(name)
        publisher = world.publisher(Keypoints2DArray, f"/{name}/keypoints", RELIABLE)
        for stamp_ns, people in zip(sequence.stamps_ns, sequence.keypoints[:, view]):
            message = Keypoints2DArray(skeleton="panoptic15", width=1280, height=960)
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(int(stamp_ns), 10**9)
            message.people = [
                Keypoints2D(x=p[:, 0].tolist(), y=p[:, 1].tolist(), confidence=p[:, 2].tolist())
                for p in people
                if p[:, 2].any()
            ]
            publisher.publish(message)


@pytest.fixture
def refiner(world, tmp_path):
    """A function that starts the node on a rig."""
    started = []

    def start(rig, **parameters):
        started.append(Refiner(world, rig, tmp_path, **parameters))
        return started[-1]

    yield start
    for each in started:
        each.close()


def read_back(rig, message):
    """The rig with the poses of a calibration message."""
    cameras = dict(rig.cameras)
    for camera in message.cameras:
        p, q = camera.pose.position, camera.pose.orientation
        to_world = matrix_from_quaternion(np.array([q.x, q.y, q.z, q.w]))
        center = np.array([p.x, p.y, p.z])
        cameras[camera.name] = replace(cameras[camera.name], R=to_world.T, t_m=-to_world.T @ center)
    return replace(rig, cameras=cameras)


def test_a_disturbed_rig_comes_back_and_is_published(world, refiner, tmp_path):
    truth = ring_rig(4)
    given = disturbed(truth, seed=4)
    node = refiner(given, out=str(tmp_path / "new.yaml"))
    sequence = walk(truth, seed=3, seconds=5)
    node.send(sequence)
    first, second = node.ask(), node.ask()
    world.spin_until(second.done)
    assert not second.result().success
    assert "in progress" in second.result().message
    world.spin_until(first.done)
    answer = first.result()
    assert answer.success, answer.message
    assert "held-out reprojection error" in answer.message
    assert str(tmp_path / "new.yaml") in answer.message

    world.spin_until(lambda: node.found)
    (message,) = node.found
    assert message.header.frame_id == "map"
    stamp = message.header.stamp
    assert stamp.sec * 10**9 + stamp.nanosec == sequence.stamps_ns[-1]
    assert [camera.name for camera in message.cameras] == list(truth.cameras)
    refined = read_back(given, message)
    deg, m = misplaced(refined, truth)
    assert deg.max() < 0.3
    assert m.max() < 0.015
    for camera in message.cameras:
        covariance = np.reshape(camera.pose_covariance, (6, 6))
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > -1e-12
        assert 0.0005 < np.sqrt(np.trace(covariance[:3, :3])) < 0.03
        assert 0.0002 < np.sqrt(np.trace(covariance[3:, 3:])) < np.deg2rad(0.5)
        assert not np.any(camera.intrinsics.k)
    written = load_rig(tmp_path / "new.yaml")
    for name, entry in written.cameras.items():
        np.testing.assert_allclose(entry.R, refined.cameras[name].R, atol=1e-9)
        np.testing.assert_allclose(entry.t_m, refined.cameras[name].t_m, atol=1e-9)
    late: list[RigCalibration] = []
    world.hear(RigCalibration, "calibration", late, LATCHED)
    world.spin_until(lambda: late)  # latched
    assert late == [message]

    again = node.refine()  # begins where the first one ended
    assert not again.success
    assert "no better" in again.message
    assert len(node.found) == 1


def test_too_few_keypoints_are_told(world, refiner):
    truth = ring_rig(3)
    node = refiner(truth)
    sequence = walk(truth, 3, seconds=1, severity=0)
    answer = node.refine()
    assert not answer.success
    assert "no keypoints yet on /cam1/keypoints, /cam2/keypoints, /cam3/keypoints" in answer.message
    node.send(sequence, names=["cam2"])
    assert "no keypoints yet on /cam1/keypoints, /cam3/keypoints;" in node.refine().message
    node.send(replace(sequence, keypoints=0 * sequence.keypoints))
    answer = node.refine()
    assert not answer.success
    assert "no two cameras see enough of the same people" in answer.message
    assert not node.found


def test_keypoints_that_cannot_be_are_told_and_left_out(world, refiner):
    truth = ring_rig(3)
    node = refiner(truth)
    publisher = world.publisher(Keypoints2DArray, "/cam1/keypoints", RELIABLE)
    for skeleton, joints, width, told in (
        ("insect", 15, 0, "unknown skeleton 'insect'"),
        ("panoptic15", 14, 0, "expected 15"),
        ("panoptic15", 15, 640, "the image is 640 x 960, the calibration is for 1280 x 960"),
    ):
        message = Keypoints2DArray(skeleton=skeleton, width=width, height=960 if width else 0)
        message.header.stamp.sec = 5
        numbers = [0.5] * joints
        message.people = [Keypoints2D(x=numbers, y=numbers, confidence=numbers)]
        before = node.node.received("cam1")
        publisher.publish(message)
        world.spin_until(lambda before=before: node.node.received("cam1") > before)
        good = Keypoints2DArray(skeleton="panoptic15", header=message.header)
        publisher.publish(good)  # the problem is over: the next one is told at once
        world.spin_until(lambda told=told: world.said("camera 'cam1'", "/cam1/keypoints", told))
        world.spin_until(lambda before=before: node.node.received("cam1") > before + 1)


def test_stamps_that_go_back_begin_anew(world, refiner):
    truth = ring_rig(3)
    node = refiner(truth)
    node.send(walk(truth, 3, seconds=3, severity=0))  # to 3.9 s
    message = Keypoints2DArray(skeleton="panoptic15")
    message.header.stamp.nanosec = 1
    world.publisher(Keypoints2DArray, "/cam1/keypoints", RELIABLE).publish(message)
    world.spin_until(lambda: world.said("camera 'cam1'", "went back", "forgotten"))
    assert "no keypoints yet on /cam2/keypoints, /cam3/keypoints" in node.refine().message


def test_parameters_are_checked(world, refiner, tmp_path):
    refiner(ring_rig(3))
    client = AsyncParameterClient(world.tester, "refiner")
    world.spin_until(client.services_are_ready)

    def set_parameter(name, value):
        future = client.set_parameters([Parameter(name, value=value)])
        world.spin_until(future.done)
        (result,) = future.result().results
        return result

    assert set_parameter("time_offsets", True).successful
    assert set_parameter("out", str(tmp_path / "new.yaml")).successful
    assert "does not exist" in set_parameter("out", str(tmp_path / "no" / "new.yaml")).reason
    assert "restart" in set_parameter("rig_file", "other.yaml").reason
    assert not set_parameter("rough_deg", 90.0).successful
    with pytest.raises(UserError, match="knows only"):
        RefineNode(context=world.context, parameter_overrides=[
            Parameter("rig_file", value=str(tmp_path / "given.yaml")),
            Parameter("camera_names", value=["cam1", "door"]),
        ])  # fmt: skip


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_in_the_middle_of_a_refinement(world, tmp_path, signal_number):
    truth = ring_rig(4)
    path = tmp_path / "rig.yaml"
    disturbed(truth, 4).save(path)
    words = ["-p", f"rig_file:={path}"]
    for name in truth.cameras:
        prefix = f"qos_overrides./{name}/keypoints.subscription."
        words += ["-p", f"{prefix}reliability:=reliable", "-p", f"{prefix}depth:=2000"]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--ros-args", *words],
        env={**os.environ, "ROS_DOMAIN_ID": str(world.domain_id), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        client = world.tester.create_client(Trigger, "/refiner/refine")
        world.spin_until(client.service_is_ready, timeout_s=110)
        world.wait_for_subscribers([f"/{name}/keypoints" for name in truth.cameras])
        publish(world, walk(truth, seed=3, seconds=6))
        for name in truth.cameras:
            world.publisher(Keypoints2DArray, f"/{name}/keypoints").wait_for_all_acked()
        at_work = client.call_async(Trigger.Request())
        world.spin_for(0.5)
        while at_work.done():  # refused: it had not read all keypoints yet
            at_work = client.call_async(Trigger.Request())
            world.spin_for(0.5)
        assert world.said("refining cam1, cam2, cam3, cam4", level=INFO)
        process.send_signal(signal_number)
        assert process.wait(timeout=500) == 0
        output = process.stdout.read()
        assert "Traceback" not in output
        assert "not refined: the node is ending" in output
    finally:
        process.kill()
        process.wait()
