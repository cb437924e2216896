"""A real ROS world of its own for every test: domain, context, executor, and what was heard."""

from __future__ import annotations

import fcntl
import gc
import random
import tempfile
import time
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import rclpy
import torch
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo
from visualization_msgs.msg import MarkerArray

from mvssm_ros.geometry.cameras import project
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import Keypoints2D, Keypoints2DArray, PersonArray, RigStatus, SkeletonInfo
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import SHIPPED, save_weights
from mvssm_ros.nodes.pose_node import PoseNode
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space


def free_domain() -> tuple[int, IO[str]]:
    """A ROS domain that no other test of this machine is using, and the lock that says so.

    1 to 60: `mvssm demo` takes its own from 61 up.
    """
    for number in random.SystemRandom().sample(range(1, 61), 60):
        lock = (Path(tempfile.gettempdir()) / f"mvssm_test_domain_{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return number, lock
    raise RuntimeError("all ROS domains from 1 to 60 are in use by other tests")


INFO, WARN, ERROR = 20, 30, 40  # of rcl_interfaces/Log, where they are bytes
SIZE_PX = (640, 480)
SPACE = Space(center_m=(0.0, 0.0), size_m=(4.0, 4.0), floor_m=0.0)
_STANDING_M = {  # facing +x
    "neck": (0.0, 0.0, 1.45),
    "nose": (0.1, 0.0, 1.6),
    "mid_hip": (0.0, 0.0, 0.95),
    "left_shoulder": (0.0, 0.2, 1.45),
    "left_elbow": (0.0, 0.25, 1.15),
    "left_wrist": (0.1, 0.3, 0.9),
    "left_hip": (0.0, 0.12, 0.95),
    "left_knee": (0.02, 0.12, 0.5),
    "left_ankle": (0.0, 0.12, 0.08),
}


# The tests send single messages. A best-effort reader loses those that come before it has found the
# writer; a reliable one asks for them again.
_RELIABLE = [
    f"qos_overrides./cam{index}/{topic}.subscription.reliability"
    for index in range(4)
    for topic in ("keypoints", "camera_info")
]


def standing_person(x_m: float = 0.0, y_m: float = 0.0) -> np.ndarray:
    """[15, 3] m, panoptic15."""
    joints = [
        np.array(_STANDING_M[name])
        if name in _STANDING_M
        else np.array(_STANDING_M[name.replace("right", "left")]) * [1, -1, 1]
        for name in SKELETONS["panoptic15"].joints
    ]
    return np.array(joints) + np.array([x_m, y_m, 0.0])


def ring_of_cameras(count: int = 4) -> Rig:
    """Cameras 4 m from the middle, 2 m high, looking at a point 0.9 m above it."""
    cameras = {}
    for index in range(count):
        angle = 2 * np.pi * index / count + 0.3
        center = np.array([4 * np.cos(angle), 4 * np.sin(angle), 2.0])
        forward = np.array([0.0, 0.0, 0.9]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        name = f"cam{index}"
        bare = CameraEntry.bare(name)
        cameras[name] = CameraEntry(
            **{
                **bare.__dict__,
                "size_px": SIZE_PX,
                "K": np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]]),
                "distortion": np.zeros(5),
                "R": R,
                "t_m": -R @ center,
            }
        )
    return Rig("map", SPACE, cameras)


def without_intrinsics(rig: Rig) -> Rig:
    """The same rig, intrinsics to come from camera_info."""
    bare = {"size_px": None, "K": None, "distortion": None}
    cameras = {n: CameraEntry(**{**e.__dict__, **bare}) for n, e in rig.cameras.items()}
    return Rig(rig.reference_frame, rig.space, cameras)


def stamp(index: int):
    """Stamps of a 20 Hz camera, some time in 2023."""
    return Time(nanoseconds=1_700_000_000_000_000_000 + index * 50_000_000).to_msg()


class World:
    """One ROS domain with a tester node that publishes cameras and hears everything."""

    def __init__(self) -> None:
        gc.collect()  # an earlier test's node of the same name would keep the log lines to itself
        self.domain_id, self._domain_lock = free_domain()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain_id)
        self.tester = rclpy.create_node("tester", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.tester)
        self.nodes = [self.tester]
        self.people: list[PersonArray] = []
        self.markers: list[MarkerArray] = []
        self.status: list[RigStatus] = []
        self.info: list[SkeletonInfo] = []
        self.logs: list[Log] = []
        latched = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self.hear(PersonArray, "people", self.people)
        self.hear(MarkerArray, "markers", self.markers)
        self.hear(RigStatus, "rig_status", self.status)
        self.hear(SkeletonInfo, "skeleton_info", self.info, latched)
        self.hear(Log, "/rosout", self.logs, QoSProfile(depth=1000, durability=latched.durability))
        self._publishers = {}

    def hear(self, message_type, topic, into: list, qos=50):
        return self.tester.create_subscription(message_type, topic, into.append, qos)

    def publisher(self, message_type, topic, qos=10):
        """A publisher of the tester, connected to those who listen already."""
        if topic not in self._publishers:
            made = self.tester.create_publisher(message_type, topic, qos)
            self._publishers[topic] = made
            if self.tester.count_subscribers(topic):
                self.spin_until(lambda: made.get_subscription_count() > 0)
        return self._publishers[topic]

    def pose_node(self, **parameters) -> PoseNode:
        """pose_node, unconfigured. Parameters with __ for the dots of their names."""
        overrides = [
            Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()
        ]
        overrides += [Parameter(n, value="reliable") for n in _RELIABLE if n not in parameters]
        return self._add(PoseNode(context=self.context, parameter_overrides=overrides))

    def pose_node_from_file(self, path) -> PoseNode:
        """pose_node, unconfigured, with the parameters of a file."""
        return self._add(
            PoseNode(context=self.context, cli_args=["--ros-args", "--params-file", str(path)])
        )

    def _add(self, node: PoseNode) -> PoseNode:
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def spin_until(self, condition, timeout_s: float = 200.0) -> None:
        """Spin until the condition holds; fail with what was logged if it does not."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end_s:
                logged = "\n".join(f"  {log.msg}" for log in self.logs)
                status = self.status[-1] if self.status else "none"
                pytest.fail(f"not within {timeout_s:g} s; last status: {status}; log:\n{logged}")
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.executor.spin_once(timeout_sec=0.05)

    def said(self, *parts: str, level: int = WARN) -> list[str]:
        """Log lines of at least this level that hold all the parts."""
        return [
            log.msg for log in self.logs if log.level >= level and all(p in log.msg for p in parts)
        ]

    def wait_for_words(self, *parts: str, level: int = WARN) -> list[str]:
        """Spin until there are such log lines, and return them."""
        self.spin_until(lambda: self.said(*parts, level=level))
        return self.said(*parts, level=level)

    @property
    def answers(self) -> list[PersonArray]:
        """What was published for a set; the rest are farewells, which use no camera."""
        return [message for message in self.people if message.cameras_used]

    def publish_keypoints(self, rig: Rig, index: int, people_m=(), cameras=None, **fields) -> None:
        """What a perfect 2D detector sees of the people [15, 3] m, in one set of images."""
        for name in cameras if cameras is not None else rig.cameras:
            message = Keypoints2DArray(skeleton="panoptic15", width=SIZE_PX[0], height=SIZE_PX[1])
            message.header.stamp = stamp(index)
            for joints_m in people_m:
                points = torch.tensor(joints_m, dtype=torch.float32)
                pixels, _ = project(rig.to_cameras([name]), points)
                x, y = pixels[0].T.tolist()
                message.people.append(Keypoints2D(x=x, y=y, confidence=[0.9] * 15))
            for field, value in fields.items():
                setattr(message, field, value)
            self.publisher(Keypoints2DArray, f"/{name}/keypoints").publish(message)

    def publish_until_answered(self, rig: Rig) -> None:
        """Empty sets to a node in another process, until it has found our publishers."""
        for index in range(200):
            self.publish_keypoints(rig, index)
            self.spin_for(0.3)
            if self.people:
                return
        pytest.fail("no answer to 200 sets")

    def publish_infos(self, rig: Rig, skip=(), **fields) -> None:
        """camera_info of every camera, with some fields changed."""
        for name, entry in rig.cameras.items():
            if name not in skip:
                info = CameraInfo(width=SIZE_PX[0], height=SIZE_PX[1], distortion_model="plumb_bob")
                info.k = entry.K.reshape(-1).tolist()
                info.d = [0.0] * 5
                for field, value in fields.items():
                    setattr(info, field, value)
                self.publisher(CameraInfo, f"/{name}/camera_info").publish(info)

    def wait_for_subscribers(self, topics) -> None:
        """Until the node under test listens to these topics of ours."""
        self.spin_until(lambda: all(self.tester.count_subscribers(t) for t in topics))

    def close(self) -> None:
        for node in self.nodes:
            if isinstance(node, PoseNode):
                node.close()
            node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)
        self._domain_lock.close()


@pytest.fixture
def world(monkeypatch):
    """A ROS domain of this test's own, on this machine only."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    world = World()
    yield world
    world.close()


@pytest.fixture
def rig_and_file(tmp_path):
    """Four cameras and the path of their rig file."""
    rig = ring_of_cameras()
    path = tmp_path / "rig.yaml"
    rig.save(path)
    return rig, str(path)


@pytest.fixture(scope="session")
def untrained_weights(tmp_path_factory) -> str:
    """A small network that knows nothing, for tests in which nobody is to be found."""
    torch.manual_seed(0)
    config = MVSSMConfig(d_model=16, n_layers=2, survivors=(8,))
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, config, MVSSM(config).state_dict(), {"trained": "not at all"})
    return str(path)


@pytest.fixture(scope="session")
def trained_weights() -> str:
    """The weights that ship with the package."""
    if not SHIPPED.is_file():
        pytest.skip(f"{SHIPPED.name} is not there yet: train it with 'mvssm train'")
    return str(SHIPPED)


class PictureFrame:
    """In the place of the 2D detector: keeps the images it is shown, and sees nobody."""

    skeleton = "panoptic15"

    def __init__(self, **options) -> None:
        self.seen: list[np.ndarray] = []

    def detect(self, image_rgb: np.ndarray) -> np.ndarray:
        self.seen.append(image_rgb)
        return np.zeros((0, 15, 3), np.float32)


@pytest.fixture
def no_detector(monkeypatch) -> PictureFrame:
    """pose_node works on images without MediaPipe; what it has read is in ``seen``."""
    frame = PictureFrame()
    monkeypatch.setattr("mvssm_ros.frontends.mediapipe.MediaPipeDetector", lambda **options: frame)
    return frame
