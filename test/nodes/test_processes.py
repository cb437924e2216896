"""The nodes as processes of their own: lifecycle by service, signals, exit codes."""

import os
import signal
import subprocess
import sys
import uuid

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from visualization_msgs.msg import Marker

RUN = "import sys; from mvssm_ros.nodes.{} import main; sys.exit(main())"


# A network that from its second set on (the first warms it up) is busy for ever, in C++ as a real one.
ENDLESS = """
import sys, torch
from mvssm_ros.nodes.{} import main
from mvssm_ros.predictor import Predictor

real, calls = Predictor.predict_keypoints, []

def endless(*args):
    calls.append(args)
    ones = torch.ones(1000, 1000)
    while len(calls) > 4:
        ones = (ones @ ones).clamp(0, 1)
    return real(*args)

Predictor.predict_keypoints = endless
sys.exit(main())
"""
SIGNALS = pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])


def start(world, module, code=RUN, **parameters):
    """A node's process in the test's ROS domain, and its name, which no other process has."""
    name = f"mvssm_{uuid.uuid4().hex[:8]}"
    arguments = [
        word
        for name, value in parameters.items()
        for word in ("-p", f"{name.replace('__', '.')}:={value}")
    ]
    command = [sys.executable, "-c", code.format(module)]
    process = subprocess.Popen(
        [*command, "--ros-args", "-r", f"__node:={name}", *arguments],
        env={**os.environ, "ROS_DOMAIN_ID": str(world.domain_id), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, name


def ask_for_state(world, name, transition):
    """The future of a request that is on its way."""
    client = world.tester.create_client(ChangeState, f"/{name}/change_state")
    world.spin_until(client.service_is_ready, timeout_s=110)
    request = ChangeState.Request()
    request.transition.id = transition
    return client.call_async(request)


def change_state(world, name, transition) -> bool:
    future = ask_for_state(world, name, transition)
    world.spin_until(future.done)
    return future.result().success


def said_good_bye(world, answers, drawings) -> bool:
    """An empty answer as the last one, and all markers deleted, after so many messages."""
    return (
        len(world.people) > answers
        and not world.people[-1].people
        and not world.people[-1].cameras_used
        and any(
            marker.action == Marker.DELETEALL
            for array in world.markers[drawings:]
            for marker in array.markers
        )
    )


def check_end(process) -> None:
    code = process.wait(timeout=500)
    output = process.stdout.read()
    assert code == 0, output
    assert "Traceback" not in output
    assert "rror" not in output


@SIGNALS
@pytest.mark.parametrize("code", [RUN, ENDLESS], ids=["working", "busy for ever"])
def test_a_signal_ends_the_node_cleanly_with_its_markers_deleted(
    world, rig_and_file, untrained_weights, signal_number, code
):
    rig, path = rig_and_file
    process, name = start(
        world, "pose_node", code, rig_file=path, input="keypoints", model__weights=untrained_weights
    )
    try:
        assert change_state(world, name, Transition.TRANSITION_CONFIGURE)
        assert change_state(world, name, Transition.TRANSITION_ACTIVATE)
        world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
        world.publish_until_answered(rig)
        for index in range(300, 310):  # some of them are in work when the signal comes
            world.publish_keypoints(rig, index)
            world.spin_for(0.05)
        answers, drawings = len(world.people), len(world.markers)
        process.send_signal(signal_number)
        world.spin_until(lambda: said_good_bye(world, answers, drawings))
        check_end(process)
        world.spin_for(0.2)
        assert said_good_bye(world, answers, drawings)
    finally:
        process.kill()
        process.wait()


@SIGNALS
@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.6])  # while it imports, loads, warms up
def test_a_signal_breaks_configuring_off(world, rig_and_file, signal_number, after_s):
    _, path = rig_and_file
    process, name = start(world, "pose_node", rig_file=path, input="keypoints")
    try:
        ask_for_state(world, name, Transition.TRANSITION_CONFIGURE)
        world.spin_for(after_s)
        process.send_signal(signal_number)
        check_end(process)
    finally:
        process.kill()
        process.wait()


@SIGNALS
def test_a_signal_ends_what_starts_by_itself(world, rig_and_file, untrained_weights, signal_number):
    """`mvssm run`: told to stop before, while or after it configures itself."""
    _, path = rig_and_file
    process, name = start(
        world, "autostart", rig_file=path, input="keypoints", model__weights=untrained_weights
    )
    try:
        world.spin_until(lambda: name in world.tester.get_node_names(), timeout_s=110)
        process.send_signal(signal_number)
        check_end(process)
    finally:
        process.kill()
        process.wait()


# Where the signal comes, Python drops exceptions: in the callback of a weak reference.
CALLBACK = """
import signal, sys, time, weakref
from mvssm_ros.errors import UserError
from mvssm_ros.nodes.spin import run_node, stoppable

class Thing:
    pass

def make_node():
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    with stoppable():
        del thing
        for _ in range(2000):
            time.sleep(0.01)
    raise UserError("not interrupted")

sys.exit(run_node(make_node))
"""


def test_a_signal_that_python_swallows_interrupts_nevertheless(world):
    process, _ = start(world, "spin", CALLBACK)
    try:
        output, _ = process.communicate(timeout=500)
    finally:
        process.kill()
    assert "not interrupted" not in output
    assert "Traceback" not in output
    assert process.returncode == 0


def test_a_failed_configuration_is_told_over_the_service_and_the_node_stays(world):
    process, name = start(world, "pose_node", rig_file="/nowhere.yaml")
    try:
        assert not change_state(world, name, Transition.TRANSITION_CONFIGURE)
        world.spin_until(lambda: world.said("/nowhere.yaml"))
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(timeout=500) == 0


@pytest.mark.parametrize(
    ("module", "parameters", "names"),
    [
        ("pose_node", {"sync__slop": "quick"}, ["sync.slop", "DOUBLE"]),
        ("pose_node", {"sync__slop": 99.0}, ["sync.slop"]),
        ("player_node", {"people": "crowd"}, ["people", "crowd"]),
        ("recorder_node", {}, ["bag"]),
        ("sim_rig_node", {"scenario": "sleep"}, ["scenario", "sleep", "crossing"]),
        ("sim_rig_node", {"seed": "lucky"}, ["seed", "INTEGER"]),
        ("refine_node", {}, ["rig_file", "camera_names"]),
        ("replay_node", {"bag": "/nowhere"}, ["bag /nowhere", "there is no such bag"]),
    ],
)
def test_a_wrong_parameter_ends_the_process_with_one_line(world, module, parameters, names):
    process, _ = start(world, module, **parameters)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 2
    (line,) = [line for line in output.splitlines() if line.startswith("mvssm: error: ")]
    assert "Traceback" not in output
    for name in names:
        assert name in line


@pytest.mark.parametrize(
    "module", ["keypoints_node", "refine_node", "recorder_node", "replay_node"]
)
def test_nodes_run_as_modules_where_there_is_no_ros2_command(world, module):
    """Each ends at once, because it lacks a parameter, and says so."""
    done = subprocess.run(
        [sys.executable, "-m", f"mvssm_ros.nodes.{module}"],
        env={**os.environ, "ROS_DOMAIN_ID": str(world.domain_id), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 2
    assert "mvssm: error: " in done.stderr
