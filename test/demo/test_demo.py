"""`mvssm demo` as a user runs it: real processes, real middleware, real video."""

import os
import re
import shutil
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvssm_ros.commands import demo as command
from mvssm_ros.commands.output import make_room
from mvssm_ros.demo.overlay import film_frames
from mvssm_ros.demo.pictures import VideoWriter
from mvssm_ros.demo.recording import read_recording
from mvssm_ros.demo_data import find_demo
from mvssm_ros.errors import UserError
from mvssm_ros.network.weights import SHIPPED
from mvssm_ros.rig.rig_file import load_rig
from mvssm_ros.share import share_dir

SETS = 4


def find_or_skip():
    try:
        demo = find_demo("single")
        import mvssm_ros.frontends.mediapipe as mediapipe

        mediapipe.MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))
    if not Path(SHIPPED).is_file():
        pytest.skip(f"no weights at {SHIPPED}")
    return demo


def run_demo(out, *arguments, **environment):
    code = "import sys; from mvssm_ros.cli import main; sys.exit(main())"
    unset = ("ROS_DOMAIN_ID", "FASTDDS_DEFAULT_PROFILES_FILE")
    inherited = {key: value for key, value in os.environ.items() if key not in unset}
    return subprocess.run(
        [sys.executable, "-c", code, "demo", "--out", str(out), *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )


def nodes_of(out):
    """Processes that work for the demo in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command_line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if f"{out}/log/" in command_line:
                found.append(command_line)
    return found


def error_lines(result):
    return [line for line in result.stderr.splitlines() if line.startswith("mvssm: error: ")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run of a few sets that all tests look at."""
    find_or_skip()
    out = tmp_path_factory.mktemp("demo") / "out"
    result = run_demo(out, "--sets", str(SETS), "--time-limit", "800")
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return out, result


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_set_is_answered_with_the_man(finished):
    out, _ = finished
    recording = read_recording(out / "bag", out / "frames.json")
    assert sorted(recording.sent.values()) == [0, 25, 50, 75]
    assert [answer.frame for answer in recording.answers] == [0, 25, 50, 75]
    for answer in recording.answers:
        assert answer.cameras == ("cam01", "cam02", "cam03", "cam04")
        assert answer.cameras_used == 0b1111
        assert answer.seen
        hips_m = np.array([person.joints_m[2] for person in answer.seen])
        assert (np.abs(hips_m[:, 2] - 0.9) < 0.4).any()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_summary_says_what_the_bag_holds(finished):
    out, result = finished
    page = (out / "summary.md").read_text("utf-8")
    assert page in result.stdout
    recording = read_recording(out / "bag", out / "frames.json")
    people = [person.id for answer in recording.answers for person in answer.seen]
    assert f"sets of images in: {SETS}" in page
    assert f"sets answered: {len(recording.answers)}," in page
    assert f"people out: {len(people)} " in page
    for person_id in set(people):
        assert f"| {person_id} | {people.count(person_id)} |" in page
    for stage in ("detect", "network", "publish", "total"):
        p50, p95 = re.search(rf"\| {stage} \| ([\d.]+) \| ([\d.]+) \|", page).groups()
        assert 0 < float(p50) <= float(p95)
    for camera, error_px in recording.reprojection_px.items():
        assert 0 < error_px < 30
        assert f"| {camera} | {error_px:.1f} | 10.0 |" in page
    assert recording.counts["sets_processed"] == SETS


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pictures_show_all_views(finished):
    out, _ = finished
    capture = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == SETS
    stills = sorted(out.glob("overlay_*.png"))
    assert [still.stem for still in stills] == [f"overlay_{f:03d}" for f in (0, 25, 50, 75)]
    pictures = [*stills, out / "plot.png", out / "skeletons.jpg"]
    for picture in pictures:
        image = cv2.imread(str(picture))
        assert image is not None, picture
        assert image.shape[1] > 1000
        assert image.std() > 5  # something is on it
    for name in ("overlay.mp4", "plot.png", "skeletons.jpg", "bag/", "log/"):
        assert f"`{name}`" in (out / "summary.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_left_running(finished):
    out, _ = finished
    assert nodes_of(out) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_man_is_where_the_pseudo_ground_truth_has_him(finished, shared_data):
    _, result = finished
    assert f"the man is found in {SETS} of {SETS} sets" in result.stdout
    median_mm = float(re.search(r"median ([\d.]+) mm", result.stdout)[1])
    assert median_mm < 50


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_shipped_calibration_gives_a_skeleton_and_a_warning_at_a_fixed_rate(tmp_path):
    """Two in one run. At this rate sets are overtaken, which must be counted.

    On a busy machine one frame may be counted twice: images that came too late for their set.
    """
    find_or_skip()
    out = tmp_path / "out"
    result = run_demo(out, "--rig", "shipped", "--rate", "20", "--time-limit", "800")
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    warning = next(line for line in result.stdout.splitlines() if line.startswith("WARNING"))
    assert "cam03" in warning
    recording = read_recording(out / "bag", out / "frames.json")
    assert len(recording.sent) == 100
    assert len(recording.answers) == recording.counts["sets_processed"]
    unanswered = len(recording.sent) - len(recording.answers)
    counted = sum(v for k, v in recording.counts.items() if k.startswith("sets_dropped"))
    counted += recording.counts["sets_failed"]
    assert bool(counted) or not unanswered
    assert f"sets without an answer: {unanswered}" in result.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_film_with_nobody_in_it(tmp_path):
    """The wheel's place is taken by a package with the same calibration and black videos."""
    demo = find_or_skip()
    fake = tmp_path / "packages" / "Pose2Sim"
    (fake / "Demo_SinglePerson" / "videos").mkdir(parents=True)
    (fake / "Demo_SinglePerson" / "calibration").mkdir()
    (fake / "__init__.py").touch()
    shutil.copy(demo.calibration, fake / "Demo_SinglePerson" / "calibration")
    _, images = next(film_frames(demo.videos, {0}))
    for name, image in zip(demo.videos, images):
        with VideoWriter(fake / "Demo_SinglePerson" / "videos" / f"{name}.mp4", 60.0) as video:
            for _ in range(3):
                video.add(np.zeros_like(image))
    out = tmp_path / "out"
    path = os.pathsep.join([str(tmp_path / "packages"), os.environ.get("PYTHONPATH", "")])
    result = run_demo(out, "--time-limit", "800", PYTHONPATH=path)
    assert result.returncode == 2, f"{result.stdout}\n{result.stderr}"
    (line,) = error_lines(result)
    assert "no skeleton came out of 3 sets" in line
    assert nodes_of(out) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_wrong_weights_are_one_clear_line(tmp_path):
    find_or_skip()
    weights = tmp_path / "none.safetensors"
    out = tmp_path / "out"
    result = run_demo(out, "--weights", str(weights), "--time-limit", "800")
    assert result.returncode == 2
    (line,) = error_lines(result)
    assert "pose_node cannot be configured" in line
    assert str(weights) in line
    assert nodes_of(out) == []


@pytest.mark.slow
def test_time_limit_is_kept(tmp_path):
    find_or_skip()
    out = tmp_path / "out"
    result = run_demo(out, "--time-limit", "0.5")
    assert result.returncode == 2
    (line,) = error_lines(result)
    assert "time limit of 0.5 s" in line
    assert nodes_of(out) == []


def arguments(**changed):
    values = {
        "source": "film",
        "scenario": None,
        "seed": None,
        "out": "out",
        "rate": None,
        "rig": "corrected",
        "sets": 100,
        "weights": "",
        "time_limit": 10.0,
    }
    return types.SimpleNamespace(**{**values, **changed})


def test_missing_wheel_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "Pose2Sim", None)  # as if it were not installed
    with pytest.raises(UserError, match="pip install --no-deps pose2sim") as error:
        command.run(arguments(out=str(tmp_path / "out")))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"sets": 0}, "--sets is 0"),
        ({"sets": 101}, "--sets is 101"),
        ({"scenario": "walk"}, "--scenario is for simulated people: add --source sim"),
        ({"seed": 0}, "--seed is for simulated people: add --source sim"),
        ({"rate": 0.0}, "--rate is 0"),
        ({"rate": float("nan")}, "--rate is nan"),
        ({"time_limit": -1.0}, "--time-limit is -1"),
        ({"rig": "/no/such/rig.yaml"}, "/no/such/rig.yaml"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, changed, expected):
    if "rig" in changed:
        find_or_skip()
    with pytest.raises(UserError, match=re.escape(expected)):
        command.run(arguments(out=str(tmp_path / "out"), **changed))
    assert not (tmp_path / "out").exists()


def test_a_rig_of_other_cameras_is_refused(tmp_path):
    find_or_skip()
    rig = load_rig(share_dir() / "config" / "rigs" / "pose2sim_single.yaml")
    names = dict(zip(rig.cameras, ("left", *list(rig.cameras)[1:])))
    cameras = {names[n]: replace(e, name=names[n]) for n, e in rig.cameras.items()}
    replace(rig, cameras=cameras).save(tmp_path / "rig.yaml")
    with pytest.raises(UserError, match="has the cameras left; the demo's videos are of cam01"):
        command.run(arguments(out=str(tmp_path / "out"), rig=str(tmp_path / "rig.yaml")))


def test_an_earlier_run_is_replaced_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    (out / "bag").mkdir(parents=True)
    (out / "overlay_017.png").touch()
    (out / "mine.txt").write_text("keep", encoding="utf-8")
    make_room(out, command._MADE)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_out_must_not_be_a_file(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="is a file, expected a folder"):
        make_room(tmp_path / "out", command._MADE)
