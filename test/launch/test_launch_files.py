"""All launch files: their syntax everywhere; their arguments, and starting them, with real launch."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.launching import SHARED_ARGUMENTS
from mvssm_ros.share import share_dir
from mvssm_ros.simulation.scenario_file import load_scenario

FOLDER = share_dir() / "launch"
NODE = {
    *SHARED_ARGUMENTS,
    *("input", "reference_frame", "weights", "device", "rviz", "autostart"),
}
ARGUMENTS = {
    "mvssm": NODE,
    "demo": NODE | {"source", "rate", "people", "loops", "scenario", "seed", "content", "duration"},
    "edge": NODE | {"role", "camera_names", "tiles", "respawn"},
    "record": {"bag", "rig_file", "storage", "stop_after_silence_s", "namespace", "log_level"},
    "replay": NODE | {"bag", "rate", "loop"},
}
WITHOUT_DEFAULT = {("edge", "role"), ("record", "bag"), ("replay", "bag")}
FILES = pytest.mark.parametrize("name", sorted(ARGUMENTS))


def path_of(name):
    return FOLDER / f"{name}.launch.py"


def test_these_are_all():
    assert {p.name for p in FOLDER.glob("*.py")} == {f"{name}.launch.py" for name in ARGUMENTS}


@FILES
def test_it_compiles_and_every_argument_is_described(name):
    tree = ast.parse(path_of(name).read_text("utf-8"))
    compile(tree, str(path_of(name)), "exec")
    assert ast.get_docstring(tree)
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    declared = [c for c in calls if getattr(c.func, "id", "") == "DeclareLaunchArgument"]
    own = [c for c in declared if isinstance(c.args[0], ast.Constant)]
    assert own
    for call in own:
        keywords = {k.arg: k.value for k in call.keywords}
        argument = ast.literal_eval(call.args[0])
        assert argument in ARGUMENTS[name]
        assert ast.literal_eval(keywords["description"]).endswith("."), argument
        assert ("default_value" in keywords) != ((name, argument) in WITHOUT_DEFAULT), argument


@FILES
def test_the_arguments_as_launch_sees_them(name):
    launch = pytest.importorskip("launch", reason="launch is not installed")
    pytest.importorskip("launch_ros", reason="launch_ros is not installed")
    source = launch.launch_description_sources.PythonLaunchDescriptionSource(str(path_of(name)))
    description = source.get_launch_description(launch.LaunchContext())
    arguments = {a.name: a for a in description.get_launch_arguments()}
    assert set(arguments) == ARGUMENTS[name]
    for argument in arguments.values():
        assert argument.description.endswith(".") or "Valid choices are" in argument.description
        assert (argument.default_value is None) == ((name, argument.name) in WITHOUT_DEFAULT)


# --- the real command ---


@pytest.fixture
def ros2():
    program = shutil.which("ros2")
    if program is None:
        pytest.skip("ros2 launch is not installed")
    return program


@FILES
def test_show_args(ros2, name):
    shown = subprocess.run(
        [ros2, "launch", str(path_of(name)), "--show-args"],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert shown.returncode == 0, shown.stderr
    assert set(re.findall(r"^    '(\w+)':", shown.stdout, re.MULTILINE)) == ARGUMENTS[name]
    assert "no description given" not in shown.stdout


@pytest.fixture
def launched(ros2, world, tmp_path):
    """Starts a launch file in the test's domain; gives the process and a function for its log."""
    started = []

    def start(name, *arguments):
        log = tmp_path / f"{name}{len(started)}.log"
        environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(world.domain_id),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        with log.open("w") as file:
            process = subprocess.Popen(
                [ros2, "launch", str(path_of(name)), *arguments, "sigterm_timeout:=60"],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process, lambda: log.read_text("utf-8")

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def film():
    """The demo's film and the detector."""
    from mvssm_ros.demo_data import find_demo
    from mvssm_ros.frontends.mediapipe import MediaPipeDetector

    try:
        find_demo()
        MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))


def test_the_film_is_played_from_beginning_to_end(launched, world, film, trained_weights):
    process, log = launched("demo", "source:=film", "rate:=4.0", f"weights:={trained_weights}")
    world.spin_until(lambda: process.poll() is not None, timeout_s=240)
    assert process.returncode == 0, log()
    assert "the film is over" in log()
    assert "Traceback" not in log()
    assert sum(len(message.people) > 0 for message in world.answers) >= 3
    assert world.answers[-1].cameras_used == 0b1111


def test_a_detector_for_some_cameras_and_the_fusion_elsewhere(
    launched, world, film, rig_and_file, untrained_weights
):
    rig, path = rig_and_file
    camera, camera_log = launched(
        "edge", "role:=camera", f"rig_file:={path}", "camera_names:=cam1,cam2"
    )
    fusion, fusion_log = launched(
        "edge", "role:=fusion", f"rig_file:={path}", f"weights:={untrained_weights}"
    )

    def listened_to(suffix):
        return {n for n in rig.cameras if world.tester.count_subscribers(f"/{n}/{suffix}")}

    world.spin_until(lambda: len(listened_to("keypoints")) == 4, timeout_s=200)
    world.spin_until(lambda: listened_to("image_raw"), timeout_s=100)
    assert listened_to("image_raw") == {"cam1", "cam2"}
    assert "keypoints_cam1_cam2" in world.tester.get_node_names()
    for process, log in ((camera, camera_log), (fusion, fusion_log)):
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 0, log()
        assert "Traceback" not in log()


def test_a_simulated_rig_is_recorded_and_played_again(launched, world, trained_weights, tmp_path):
    pytest.importorskip("rosbags")
    rig, bag = tmp_path / "rig.yaml", tmp_path / "bag"
    load_scenario("crossing").rig.save(rig)
    weights = f"weights:={trained_weights}"
    record, record_log = launched("record", f"rig_file:={rig}", f"bag:={bag}")
    world.spin_until(lambda: world.tester.count_subscribers("/people") == 2, timeout_s=120)
    demo, demo_log = launched("demo", "source:=sim", "duration:=20.0", weights)
    world.spin_until(lambda: demo.poll() is not None, timeout_s=120)
    assert demo.returncode == 0, demo_log()
    seen = sum(len(message.people) > 0 for message in world.answers)
    assert seen >= 10
    os.killpg(record.pid, signal.SIGINT)
    assert record.wait(timeout=60) == 0, record_log()

    world.people.clear()
    replay, replay_log = launched(
        "replay", f"bag:={bag}", f"rig_file:={rig}", "input:=keypoints", weights
    )
    world.spin_until(lambda: replay.poll() is not None, timeout_s=120)
    assert replay.returncode == 0, replay_log()
    again = sum(len(message.people) > 0 for message in world.answers)
    assert again >= 0.5 * seen, replay_log()
    for log in (record_log, demo_log, replay_log):
        assert "Traceback" not in log()
