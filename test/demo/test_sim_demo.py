"""`mvssm demo --source sim` and `mvssm sim` as a user runs them."""

import cv2
import pytest
import rclpy

from mvssm_ros.cli import main
from mvssm_ros.demo.recording import read_recording
from mvssm_ros.demo.truth import against_truth
from mvssm_ros.network.weights import SHIPPED
from mvssm_ros.rig.rig_file import load_rig
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator

from ..nodes.conftest import free_domain
from .test_demo import error_lines, nodes_of, run_demo

SETS = 12
IMAGE_SETS = 6  # each costs three seconds


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run of a few sets that all tests look at."""
    if not SHIPPED.is_file():
        pytest.skip(f"no weights at {SHIPPED}")
    out = tmp_path_factory.mktemp("sim") / "out"
    arguments = ("--source", "sim", "--scenario", "table", "--seed", "2", "--sets", str(SETS))
    result = run_demo(out, *arguments, "--time-limit", "300")
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return out, result


@pytest.mark.slow
def test_every_set_is_answered_with_both_people_where_they_are(finished):
    out, result = finished
    recording = read_recording(out / "bag", out / "frames.json")
    assert sorted(recording.sent.values()) == list(range(SETS))
    assert [answer.frame for answer in recording.answers] == list(range(SETS))
    truth = against_truth(recording.answers, Simulator(load_scenario("table"), 2))
    assert [len(person.sets) for person in truth.people] == [SETS, SETS]
    assert [person.switches for person in truth.people] == [0, 0]
    assert truth.mean_mm < 40
    assert f"mean joint error: {truth.mean_mm:.1f} mm" in result.stdout
    assert nodes_of(out) == []


@pytest.mark.slow
def test_images_through_the_shipped_network_on_images(tmp_path):
    out = tmp_path / "out"
    result = run_demo(
        out, "--source", "sim", "--scenario", "crossing", "--frontend", "resnet_small",
        "--sets", str(IMAGE_SETS), "--time-limit", "300",
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    recording = read_recording(out / "bag", out / "frames.json")
    assert [answer.frame for answer in recording.answers] == list(range(IMAGE_SETS))
    truth = against_truth(recording.answers, Simulator(load_scenario("crossing"), 0))
    assert [len(person.sets) for person in truth.people] == [IMAGE_SETS, IMAGE_SETS]
    assert truth.strangers == {}
    assert truth.mean_mm < 60
    assert "Reprojection error" not in result.stdout  # there is no 2D detector
    assert "rendered images, of the kind that the network was trained on" in result.stdout


@pytest.mark.slow
def test_pictures_and_summary_are_there(finished):
    out, result = finished
    page = (out / "summary.md").read_text("utf-8")
    assert page in result.stdout
    assert page.startswith("# mvssm demo: simulated scenario table, seed 2")
    capture = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == SETS
    pictures = [*out.glob("overlay_*.png"), out / "plot.png"]
    assert len(pictures) == 6
    for picture in pictures:
        image = cv2.imread(str(picture))
        assert image.shape[1] > 1000
        assert image.std() > 5
    assert list(load_rig(out / "rig.yaml").cameras) == [f"cam{i}" for i in range(1, 6)]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--scenario", "sleep"), ["scenario 'sleep'", "crossing, sit, table, walk"]),
        (("--seed", "-3"), ["--seed is -3"]),
        (("--sets", "0"), ["--sets is 0"]),
        (("--rate", "500"), ["--rate is 500", "120"]),
        (("--rig", "corrected"), ["--rig is for the film"]),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, arguments, parts):
    assert main(["demo", "--source", "sim", "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mvssm: error: ")
    assert error.count("\n") == 1
    assert all(part in error for part in parts)
    assert not (tmp_path / "out").exists()


def test_the_rig_file_of_a_scenario(tmp_path, capsys):
    path = tmp_path / "new" / "rig.yaml"
    assert main(["sim", "--scenario", "sit", "--write-rig", str(path)]) == 0
    rig, expected = load_rig(path), load_scenario("sit").rig
    assert list(rig.cameras) == list(expected.cameras)
    assert rig.space == expected.space
    shown = capsys.readouterr().out
    assert f"mvssm run {path} --input keypoints" in shown
    assert "mvssm sim --scenario sit" in shown
    assert main(["rig", "check", str(path)]) == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--scenario", "sleep"), ["scenario 'sleep'"]),
        (("--rate", "-1"), ["--rate is -1"]),
        (("--duration", "nan"), ["--duration is nan"]),
        (("--write-rig", "/proc/nowhere/rig.yaml"), ["cannot write /proc/nowhere/rig.yaml"]),
    ],
)
def test_mistakes_of_mvssm_sim_are_one_line(capsys, arguments, parts):
    assert main(["sim", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mvssm: error: ")
    assert error.count("\n") == 1
    assert all(part in error for part in parts)


def test_wrong_weights_are_one_clear_line(tmp_path):
    out = tmp_path / "out"
    weights = tmp_path / "none.safetensors"
    result = run_demo(out, "--source", "sim", "--weights", str(weights), "--time-limit", "100")
    assert result.returncode == 2
    (line,) = error_lines(result)
    assert "pose_node cannot be configured" in line
    assert str(weights) in line
    assert nodes_of(out) == []


@pytest.mark.slow
def test_a_domain_with_a_pose_node_in_it_is_not_taken(tmp_path):
    domain, lock = free_domain()
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    other = rclpy.create_node("mvssm", context=context)
    try:
        result = run_demo(tmp_path / "out", "--source", "sim", ROS_DOMAIN_ID=str(domain))
    finally:
        other.destroy_node()
        rclpy.shutdown(context=context)
        lock.close()
    assert result.returncode == 2
    (line,) = error_lines(result)
    assert f"a node 'mvssm' runs already in ROS domain {domain}" in line
    assert "Traceback" not in result.stderr
    assert nodes_of(tmp_path / "out") == []
