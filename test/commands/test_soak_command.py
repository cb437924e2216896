"""`mvssm soak` as a user runs it: the real node, the real middleware, half a minute."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
import types

import pytest

from mvssm_ros.commands import soak as command
from mvssm_ros.commands.output import make_room
from mvssm_ros.errors import UserError
from mvssm_ros.network.weights import SHIPPED
from mvssm_ros.soak.faults import KINDS

pytest.importorskip("rclpy", exc_type=ImportError)
pytest.importorskip("matplotlib")


def start_soak(out, *arguments):
    if not SHIPPED.is_file():
        pytest.skip(f"no weights at {SHIPPED}")
    code = "import sys; from mvssm_ros.cli import main; sys.exit(main())"
    environment = {key: value for key, value in os.environ.items() if key != "ROS_DOMAIN_ID"}
    return subprocess.Popen(
        [sys.executable, "-c", code, "soak", "--out", str(out), *arguments],
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_half_a_minute_is_reported(tmp_path):
    out = tmp_path / "out"
    process = start_soak(out, "--minutes", "0.5", "--seed", "1", "--faults", "silent,all paused")
    said, _ = process.communicate(timeout=480)
    assert process.returncode == 0, said
    page = (out / "report.md").read_text("utf-8")
    assert page in said
    assert "## PASSED" in page
    assert "| good | the node ran to the end |" in page
    assert re.search(r"\| (silent|all paused) \| \d", page)
    rows = list(csv.DictReader((out / "samples.csv").open()))
    assert len(rows) >= 10
    assert all(100 < float(row["memory_mib"]) < 4000 for row in rows)
    assert all(int(row["threads"]) > 1 and int(row["handles"]) > 3 for row in rows)
    assert sum(int(row["answers"]) for row in rows) > 3
    assert any(row["faults"] for row in rows)
    answers, people = map(int, re.search(r"(\d+) answers, .* (\d+) skeletons", page).groups())
    assert answers > 3
    assert people > 3
    assert (out / "plot.png").stat().st_size > 20_000


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_ctrl_c_ends_it_with_a_report(tmp_path):
    out = tmp_path / "out"
    process = start_soak(out, "--minutes", "60")
    try:
        for line in process.stdout:
            if "soaking for" in line:
                break
        time.sleep(4.0)  # some samples
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=500)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    page = (out / "report.md").read_text("utf-8")
    assert "ended by SIGINT" in page
    assert "| good | the node ran to the end |" in page


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_node_that_dies_is_told(tmp_path):
    out = tmp_path / "out"
    process = start_soak(out, "--minutes", "60")
    try:
        for line in process.stdout:
            if "soaking for" in line:
                break
        time.sleep(3.0)
        os.kill(node_of(out), signal.SIGKILL)
        said, _ = process.communicate(timeout=500)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, said
    assert "the node ended by itself" in (out / "report.md").read_text("utf-8")


def node_of(out):
    """The pid of the pose_node of this soak."""
    found = subprocess.run(
        ["pgrep", "-f", f"{out}/log/pose_node.yaml"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


def arguments(**changed):
    values = {
        "out": "out",
        "minutes": 1.0,
        "seed": 0,
        "cameras": 4,
        "rate": 5.0,
        "noise": 0.5,
        "faults": ",".join(KINDS),
        "weights": "",
    }
    return types.SimpleNamespace(**{**values, **changed})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"minutes": 0.0}, "--minutes is 0"),
        ({"minutes": float("nan")}, "--minutes is nan"),
        ({"cameras": 1}, "--cameras is 1"),
        ({"rate": 0.0}, "--rate is 0"),
        ({"noise": 2.0}, "--noise is 2"),
        ({"faults": "silent,flood"}, "--faults names flood"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, changed, expected):
    with pytest.raises(UserError, match=re.escape(expected)):
        command.run(arguments(out=str(tmp_path / "out"), **changed))
    assert not (tmp_path / "out").exists()


def test_an_earlier_run_is_replaced_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    (out / "log").mkdir(parents=True)
    (out / "report.md").touch()
    (out / "mine.txt").write_text("keep", encoding="utf-8")
    make_room(out, command._MADE)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
