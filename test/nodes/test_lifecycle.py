"""Transitions in any order, while keypoints arrive: refused where illegal, and nothing is left."""

import gc
import os
import random
import threading
import weakref
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from .conftest import ERROR

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ILLEGAL = TransitionCallbackReturn.ERROR

TRANSITIONS = {  # name: (from, to)
    "configure": ("unconfigured", "inactive"),
    "activate": ("inactive", "active"),
    "deactivate": ("active", "inactive"),
    "cleanup": ("inactive", "unconfigured"),
}
CLEANUPS = 40
GROWTH_MIB = 20.0  # of the memory between cleanups 11 to 20 and the last ten, on average; the
# networks that lie between would be 60, and memory comes in steps where other tests ran before
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass
class Held:
    """What a process and its node hold, as numbers."""

    threads: int
    files: int
    publishers: int
    subscriptions: int
    services: int
    clients: int
    timers: int
    waitables: int
    managed: int  # what the lifecycle hands its transitions on to
    parameters: int
    cuda_bytes: int

    @classmethod
    def by(cls, node) -> "Held":
        entities = ("publishers", "subscriptions", "services", "clients", "timers", "waitables")
        return cls(
            threads=len(os.listdir("/proc/self/task")),
            files=len(os.listdir("/proc/self/fd")),
            managed=len(node._managed_entities),
            parameters=len(node._parameters),
            cuda_bytes=torch.cuda.memory_allocated() if DEVICE == "cuda" else 0,
            **{kind: len(list(getattr(node, kind))) for kind in entities},
        )


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


class Driver:
    """Takes the node through transitions and checks what becomes of each."""

    def __init__(self, world, rig, node) -> None:
        self.world, self.rig, self.node = world, rig, node
        self.sent = 0
        self.counts: Counter = Counter()
        self._made: list[weakref.ref] = []  # networks, and what runs while the node is active

    @property
    def state(self) -> str:
        return self.node._state_machine.current_state[1]

    @property
    def left_over(self) -> int:
        """Networks and pipelines that were made and are still there."""
        return sum(made() is not None for made in self._made)

    def step(self, name: str) -> None:
        """One transition, legal or not, while keypoints come."""
        before = self.state
        starts, ends = TRANSITIONS[name]
        self.send()
        returned = getattr(self.node, f"trigger_{name}")()
        self.send()
        if before == starts:
            assert returned == SUCCESS, f"{name} while {before}"
            assert self.state == ends
            self.counts[name] += 1
        else:
            assert returned == ILLEGAL, f"{name} while {before}"
            assert self.state == before
            self.counts["refused"] += 1
        if self.state == ends == "inactive" and name == "configure":
            self._made.append(weakref.ref(self.node._configured.inference.predictor.network))
        if self.state == ends == "active":
            self._made.append(weakref.ref(self.node._pipeline))

    def fail_to_configure(self, name: str, bad, good, reason: str) -> None:
        """A parameter that cannot be: FAILURE with the reason; then it is put right."""
        self.world.logs.clear()
        self.node.set_parameters([Parameter(name, value=bad)])
        assert self.node.trigger_configure() == FAILURE
        assert self.state == "unconfigured"
        self.world.spin_until(lambda: self.world.said(reason, level=ERROR))
        self.node.set_parameters([Parameter(name, value=good)])
        self.counts["failed"] += 1

    def send(self) -> None:
        """One set of keypoints, and a little time for the executor."""
        self.world.publish_keypoints(self.rig, self.sent)
        self.sent += 1
        for _ in range(10):
            self.world.executor.spin_once(timeout_sec=0.0)

    def send_until_answered(self) -> None:
        before = len(self.world.answers)

        def answered() -> bool:
            self.send()
            return len(self.world.answers) > before

        self.world.spin_until(answered)
        self.counts["answered"] += 1


@pytest.fixture
def driver(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    parameters = {"rig_file": path, "input": "keypoints", "model__device": DEVICE}
    return Driver(world, rig, world.pose_node(model__weights=untrained_weights, **parameters))


def test_transitions_in_any_order_leave_nothing_behind(
    driver, rig_and_file, untrained_weights, tmp_path
):
    _, path = rig_and_file
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(Path(untrained_weights).read_bytes()[:1000])
    mistakes = [  # parameter, a value that cannot be, the right one, what is said
        ("rig_file", "/nowhere/rig.yaml", path, "/nowhere/rig.yaml"),
        ("model.weights", str(damaged), untrained_weights, "damaged.safetensors"),
        ("sync.min_cameras", 5, 2, "sync.min_cameras"),
        ("model.device", "cuda:99", DEVICE, "cuda:99"),
        ("cameras.cam1.transport", "pigeon", "", "pigeon"),
    ]
    for name in TRANSITIONS:  # declares the parameters that come with cameras and topics
        driver.step(name)
    choose = random.Random(0)
    at_first = Held.by(driver.node)
    memory_mib = []
    while len(memory_mib) < CLEANUPS:
        before = driver.state
        if before == "unconfigured" and choose.random() < 0.2:
            driver.fail_to_configure(*choose.choice(mistakes))
        if before == "active" and choose.random() < 0.3:
            driver.send_until_answered()
        driver.step(choose.choice(list(TRANSITIONS)))
        if before == "inactive" and driver.state == "unconfigured":
            assert Held.by(driver.node) == at_first
            memory_mib.append(resident_mib())
    gc.collect()
    assert driver.left_over == 0
    assert np.mean(memory_mib[-10:]) - np.mean(memory_mib[10:20]) < GROWTH_MIB, memory_mib
    legal = sum(driver.counts[name] for name in TRANSITIONS)
    assert legal > 100, driver.counts
    assert min(driver.counts[kind] for kind in ("refused", "failed", "answered")) > 0, driver.counts
    driver.step("configure")
    driver.step("activate")
    driver.send_until_answered()


@pytest.mark.parametrize("path_there", [[], ["configure"], ["configure", "activate"]])
def test_shutdown_from_every_state_frees_everything(driver, path_there):
    before = Held.by(driver.node)
    for name in path_there:
        driver.step(name)
    if driver.state == "active":
        driver.send_until_answered()
    assert driver.node.trigger_shutdown() == SUCCESS
    assert driver.state == "finalized"
    driver.world.spin_for(
        0.1
    )  # rclpy's executor holds callbacks that it has found ready until then
    gc.collect()
    assert driver.left_over == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "inference"]
    after = Held.by(driver.node)
    for kind in ("publishers", "subscriptions", "services", "timers", "managed"):
        assert getattr(after, kind) == getattr(before, kind), kind
    for name in TRANSITIONS:
        assert getattr(driver.node, f"trigger_{name}")() == ILLEGAL


@pytest.mark.parametrize(
    "endpoint", ["/markers.publisher", "/feeds/scan.publisher", "/cam2/keypoints.subscription"]
)
def test_a_configuration_that_fails_is_undone(world, rig_and_file, untrained_weights, endpoint):
    """A QoS that does not exist, in the parameter file, for the second endpoint of several."""
    rig, path = rig_and_file
    wrong = {f"qos_overrides.{endpoint}.reliability": "sometimes"}
    node = world.pose_node(
        rig_file=path, input="keypoints", model__weights=untrained_weights, **wrong
    )
    driver = Driver(world, rig, node)
    held = []
    for _ in range(3):
        world.logs.clear()
        assert node.trigger_configure() == FAILURE
        assert driver.state == "unconfigured"
        held.append(Held.by(node))
        world.spin_until(lambda: world.said("sometimes", level=ERROR))
        (line,) = world.said(level=ERROR)
        assert endpoint.split(".")[0] in line
        assert "\n" not in line
    assert held[2] == held[0]
    assert not [thread for thread in threading.enumerate() if thread.name == "inference"]
