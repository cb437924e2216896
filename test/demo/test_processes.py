"""The nodes of the demo are real processes, told apart from their logs, and never left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mvssm_ros.demo.processes import Child, Children


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition, timeout_s=60.0):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def environment():
    return {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def test_a_node_that_refuses_says_why(tmp_path):
    with Children(tmp_path, environment()) as children:
        child = children.start("recorder_node", {"bag": ""})
        wait_until(lambda: child.exit_code is not None)
    assert child.exit_code == 2
    assert "parameter 'bag' is empty" in child.reason()
    assert "\n" not in child.reason()


def test_nobody_is_left_after_an_error(tmp_path):
    def fail_in_the_middle():
        with Children(tmp_path, environment()) as children:
            started.append(children.start("recorder_node", {"bag": str(tmp_path / "bag")}))
            wait_until(lambda: (tmp_path / "bag").exists())
            raise ZeroDivisionError

    started = []
    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    (child,) = started
    assert child.exit_code == 0  # it was asked, and finished its bag
    assert (tmp_path / "bag" / "metadata.yaml").is_file()


def test_nobody_outlives_a_killed_demo(tmp_path):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, pathlib, sys, time\n"
            "from mvssm_ros.demo.processes import Children\n"
            "folder = pathlib.Path(sys.argv[1])\n"
            "with Children(folder, os.environ) as children:\n"
            "    child = children.start('recorder_node', {'bag': str(folder / 'bag')})\n"
            "    print(child.process.pid, flush=True)\n"
            "    time.sleep(600)\n",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(lambda: not is_alive(pid))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_log_lines_by_level(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "[INFO] [1.5] [mvssm]: fine\n"
        "[WARN] [2.5] [mvssm]: camera 'a': odd\n"
        "noise\n"
        "[ERROR] [3.5] [mvssm]: broken\n"
        "mvssm: error: no such thing\n",
        encoding="utf-8",
    )
    ended = subprocess.Popen(["false"])
    ended.wait()
    child = Child("node", ended, log)
    assert child.said("WARN") == ["camera 'a': odd"]
    assert child.said("ERROR") == ["broken", "no such thing"]
    assert child.reason() == "no such thing"
    log.write_text("", encoding="utf-8")
    assert "exit code 1" in child.reason()
