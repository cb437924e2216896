"""mvssm.launch.py with the real `ros2 launch`, where it is installed."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mvssm_ros.share import share_dir

LAUNCH_FILE = share_dir() / "launch" / "mvssm.launch.py"


def test_nothing_in_the_package_imports_launch():
    package = Path(sys.modules["mvssm_ros"].__file__).parent
    for path in package.rglob("*.py"):
        assert not re.search(
            r"^\s*(import|from) launch\b", path.read_text("utf-8"), re.MULTILINE
        ), path


@pytest.fixture
def ros2():
    program = shutil.which("ros2")
    if program is None:
        pytest.skip("ros2 launch is not installed")
    return program


def launch(ros2, domain_id, log, *arguments):
    return subprocess.Popen(
        [ros2, "launch", str(LAUNCH_FILE), *arguments],
        env={
            **os.environ,
            "ROS_DOMAIN_ID": str(domain_id),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_it_brings_the_node_up_and_down(ros2, world, rig_and_file, untrained_weights, tmp_path):
    rig, path = rig_and_file
    text = (share_dir() / "config" / "mvssm.yaml").read_text("utf-8")
    parameters = tmp_path / "params.yaml"
    parameters.write_text(text.replace("input: images ", "input: keypoints "), "utf-8")
    log_path = tmp_path / "log.txt"
    with log_path.open("w") as log:
        process = launch(
            ros2,
            world.domain_id,
            log,
            f"rig_file:={path}",
            f"params_file:={parameters}",
            f"weights:={untrained_weights}",
            "reference_frame:=odom",
            "sigterm_timeout:=60",  # of launch itself: how long after SIGINT it sends SIGTERM
        )
        try:
            topics = [f"/{name}/keypoints" for name in rig.cameras]
            world.spin_until(
                lambda: all(world.tester.count_subscribers(t) for t in topics), timeout_s=120
            )
            world.publish_until_answered(rig)
            assert world.people[0].header.frame_id == "odom"
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    output = log_path.read_text()
    assert "process has finished cleanly" in output
    assert "Traceback" not in output


def test_a_failed_configuration_is_told(ros2, world, tmp_path):
    log_path = tmp_path / "log.txt"
    with log_path.open("w") as log:
        process = launch(ros2, world.domain_id, log, "rig_file:=/nowhere.yaml", "namespace:=robot1")
        try:
            world.spin_until(
                lambda: "mvssm could not be configured" in log_path.read_text(), timeout_s=120
            )
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)
    output = log_path.read_text()
    assert "/nowhere.yaml" in output
    assert "ros2 lifecycle set /robot1/mvssm configure" in output
