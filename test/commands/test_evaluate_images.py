"""`mvssm evaluate` of networks on images: rendered scenes and data sets, and mistakes told in a line."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from network_scenes import keypoints_seen, people, ring_of_cameras

from mvssm_ros.cli import main
from mvssm_ros.commands import evaluate_data_set
from mvssm_ros.commands.evaluate_images import without_empty_columns
from mvssm_ros.data_sets import Frame, Sequence
from mvssm_ros.errors import UserError
from mvssm_ros.frontends import mediapipe
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.geometry.skeletons import PANOPTIC15, SHELF14
from mvssm_ros.network.config import small_rgb
from mvssm_ros.network.weights import save_weights

TRUTH_M = people(torch.float32).numpy().astype(np.float64)  # [2, 15, 3]


@pytest.fixture(scope="module")
def rgb_weights(tmp_path_factory):
    torch.manual_seed(0)
    config = small_rgb(d_model=16, n_layers=2, survivors=(8,))
    model = ImageNetwork(config)
    path = tmp_path_factory.mktemp("weights") / "rgb.safetensors"
    save_weights(path, config, model.network.state_dict(), {}, model.backbone.state_dict())
    return path


def recording(folder, name, truths_m, n_views=5):
    """Frames of grey images whose brightness is ten times the number of the view."""
    cameras = ring_of_cameras(n_views, torch.float32)
    paths = []
    for view in range(n_views):
        paths.append(folder / f"{name}{view}.png")
        cv2.imwrite(str(paths[-1]), np.full((540, 960, 3), 10 * view, np.uint8))
    frames = tuple(Frame(f"{name}/{f}", tuple(paths), t) for f, t in enumerate(truths_m))
    names = tuple(str(v) for v in range(n_views))
    return Sequence(name, cameras, names, frames, (0.0, 0.0), (4.0, 4.0), {"image torn": 3})


class Answers:
    """In place of a network: gives one answer after the other."""

    frontend = "resnet50"
    network = SimpleNamespace(config=SimpleNamespace(ablation="no_mamba"))

    def __init__(self, joints_m):
        self.joints_m = list(joints_m)

    def predict_images(self, cameras, images, space):
        assert len(images) == cameras.n_views
        assert space.size_m == (4.0, 4.0)
        joints = self.joints_m.pop(0)
        return SimpleNamespace(joints_m=joints, score=np.linspace(1, 0.5, len(joints)))


def evaluate(tmp_path, *words):
    out = tmp_path / "figures.json"
    assert main(["evaluate", "--root", str(tmp_path), "--json", str(out), *words]) == 0
    return json.loads(out.read_text())


def use(monkeypatch, predictor, **openers):
    monkeypatch.setattr(evaluate_data_set, "load", lambda args: predictor)
    for name, opened in openers.items():
        monkeypatch.setattr(evaluate_data_set, name, lambda *args, o=opened, **kwargs: o)


def test_panoptic_beside_the_published_figures(tmp_path, monkeypatch, capsys):
    opened = [recording(tmp_path, "a", [TRUTH_M, TRUTH_M[:1]])]
    off = np.array([0.0, 0.01, 0.0])
    # The first frame: both, 10 mm off; the second: the one there, 30 mm off.
    answers = Answers([TRUTH_M + off, TRUTH_M[:1] + 3 * off])
    use(monkeypatch, answers, open_panoptic=opened)
    figures = evaluate(tmp_path, "--data-set", "panoptic", "--markdown", str(tmp_path / "t.md"))
    (row,) = figures["rows"]
    assert row["MPJPE_mm"] == pytest.approx(50 / 3, abs=0.01)
    # scores 1, 1, 0.5; the second of them misses 25 mm: precisions 1 and 2/3 at the hits
    assert row["AP25"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert row["AP50"] == pytest.approx(100)
    assert row["frames"] == 2
    assert row["joints"]["nose"]["mean_mm"] == pytest.approx(50 / 3, abs=0.01)
    said = capsys.readouterr().out
    table, written = said.split("table: ")
    assert (tmp_path / "t.md").read_text().strip() == table.strip()
    assert written.split() == [f"{tmp_path}/t.md", "figures:", f"{tmp_path}/figures.json"]
    assert "2 frames (3 left out (image torn))" in said
    assert "| measure | VoxelPose | MvP | MVGFormer | MV-SSM (paper) | **ours** |" in said
    assert "| MPJPE mm | 17.7 | 15.8 | 16.0 | 15.7 | 16.7 |" in said
    assert "| AP50 | – | – | – | – | 100.0 |" in said
    assert "| no_mamba | 92.3 | 16.0 | 55.6 | 16.7 |" in said
    assert "| full | 93.5 | 15.7 | – | – |" in said


def test_so_many_frames_of_several_arrangements(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    opened = [recording(tmp_path, "a", [TRUTH_M] * 3), recording(tmp_path, "b", [TRUTH_M] * 4)]
    use(monkeypatch, Answers([TRUTH_M] * 6), open_panoptic=opened)
    words = ["--data-set", "panoptic", "--arrangement", "CMU0ex3,CMU2", "--frames", "3"]
    figures = evaluate(tmp_path, *words, "--plots", str(tmp_path / "plots"))
    assert [(row["rigs"], row["frames"], row["mAP"]) for row in figures["rows"]] == [
        ("CMU0ex3", 3, 100),
        ("CMU2", 3, 100),
    ]
    said = capsys.readouterr().out
    assert "| mAP | 57.1 | 83.4 | 90.3 | 100.0 |" in said
    assert "No published figures for CMU2" in said
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        *("error_by_joint.png", "by_cameras.png", "by_rig.png")
    }


def test_campus_by_actors(tmp_path, monkeypatch, capsys):
    standing = evaluate_data_set.as_shelf14(TRUTH_M[:1])[0]
    nobody = np.full((14, 3), np.nan)
    truths = [np.array([standing, nobody, standing + 1]), np.array([standing, nobody, nobody])]
    use(
        monkeypatch,
        Answers([TRUTH_M[:1], TRUTH_M[:0]]),
        open_campus=recording(tmp_path, "c", truths),
    )
    (row,) = evaluate(tmp_path, "--data-set", "campus")["rows"]
    # Actor 1 is right in one of two frames; actor 3 has a prediction 1.7 m away; nobody is actor 2.
    assert (row["actor1"], row["actor2"], row["actor3"], row["average"]) == (50, None, 0, 25)
    assert row["joints"]["nose"]["people"] == 1
    said = capsys.readouterr().out
    assert "| measure | MVGFormer | MV-SSM (paper) | **ours** |" in said
    assert "| PCP3D actor 1 | 40.2 | 55.5 | 50.0 |" in said
    assert "| PCP3D actor 2 | 61.0 | 65.5 | – |" in said


def test_a_joint_of_shelf14_is_the_one_of_the_same_name():
    joints = np.arange(45.0).reshape(1, 15, 3)
    mapped = evaluate_data_set.as_shelf14(joints)
    for j, name in enumerate(SHELF14.joints):
        np.testing.assert_array_equal(mapped[0, j], joints[0, PANOPTIC15.index(name)])
    assert evaluate_data_set.as_shelf14(joints[:0]).shape == (0, 14, 3)


def test_keypoints_weights_see_through_the_detector(tmp_path, monkeypatch, capsys):
    views = keypoints_seen(ring_of_cameras(5, torch.float32), people(torch.float32)).numpy()

    class Detector:
        skeleton = "panoptic15"

        def detect(self, image):
            return views[image[0, 0, 0] // 10]

    monkeypatch.setattr(mediapipe, "MediaPipeDetector", Detector)
    opened = [recording(tmp_path, "a", [TRUTH_M])]
    monkeypatch.setattr(evaluate_data_set, "open_panoptic", lambda *args, **kwargs: opened)
    (row,) = evaluate(tmp_path, "--data-set", "panoptic")["rows"]
    assert row["recall500"] == 100
    assert row["MPJPE_mm"] < 50
    assert "images through the 2D detector" in capsys.readouterr().out


def test_without_the_detector_keypoints_weights_say_so(tmp_path, monkeypatch, capsys):
    def absent():
        raise UserError("detector mediapipe: is not installed")

    monkeypatch.setattr(mediapipe, "MediaPipeDetector", absent)
    opened = [recording(tmp_path, "a", [TRUTH_M])]
    monkeypatch.setattr(evaluate_data_set, "open_panoptic", lambda *args, **kwargs: opened)
    assert main(["evaluate", "--data-set", "panoptic", "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "mvssm: error: detector mediapipe: is not installed\n"


def test_rendered_scenes(rgb_weights, tmp_path, capsys):
    out = tmp_path / "figures.json"
    words = ["--world", "rendered", "--weights", str(rgb_weights), "--scenes", "1", "--views", "2"]
    assert main(["evaluate", *words, "--json", str(out), "--score-threshold", "0"]) == 0
    figures = json.loads(out.read_text())
    assert figures["frontend"] == "resnet_small"
    (row,) = figures["rows"]
    assert (row["rigs"], row["views"], row["method"]) == ("random", 2, "mvssm")
    assert row["people"] >= 1
    assert set(row["joints"]) == set(PANOPTIC15.joints)
    said = capsys.readouterr().out
    assert "Held-out rendered scenes, 1 a rig" in said
    assert "oracle" not in said


def test_columns_without_figures_are_left_out():
    table = "| rigs | AP25 | ratio |\n| --- | --- | --- |\n| a | 1.0 | – |\n| b | – | – |"
    assert without_empty_columns(table) == "| rigs | AP25 |\n| --- | --- |\n| a | 1.0 |\n| b | – |"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--world", "rendered"], "needs RGB weights"),
        (["--world", "rendered", "--method", "oracle"], "there is mvssm alone"),
        (["--world", "rendered", "--weights", "no.safetensors"], "does not exist"),
        (["--world", "rendered", "--rigs", "CMU0"], "needs --panoptic-calibration"),
        (["--world", "rendered", "--tracking"], "--world rendered and --tracking: give one"),
        (["--world", "rendered", "--panoptic-calibration", "f.json"], "is for --rigs CMU0"),
        (["--json", "/tmp/one", "--markdown", "/tmp/one"], "it is named twice, for two things"),
        (["--data-set", "shelf"], "needs --root"),
        (["--root", "."], "or measure with --data-set panoptic, --data-set human36m"),
        (
            ["--data-set", "own", "--root", ".", "--views", "3"],
            "--views does not go with --data-set own",
        ),
        (
            ["--data-set", "campus", "--root", ".", "--arrangement", "CMU0"],
            "leave it out, or measure with --data-set panoptic\n",
        ),
        (["--world", "film", "--seed", "0"], "--seed does not go with --world film"),
        (["--world", "film", "--start-from-tracks"], "or measure with --tracking"),
        (["--data-set", "shelf", "--root", "no-folder"], "no-folder"),
        (["--data-set", "campus", "--root", ".", "--world", "rendered"], "give one of them"),
        (["--data-set", "panoptic", "--root", ".", "--frames", "0"], "--frames is 0"),
        (["--covariance", "--plots", "p"], "--plots does not go with --covariance"),
    ],
)
def test_mistakes_are_told_in_a_line(words, expected, capsys):
    assert main(["evaluate", *words]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_image_weights_with_keypoints_are_told_what_fits(rgb_weights, capsys):
    words = ["--method", "mvssm", "--scenes", "1", "--weights", str(rgb_weights)]
    assert main(["evaluate", *words]) == 2
    said = capsys.readouterr().err
    assert "are for images" in said
    assert "--world rendered" in said


def test_a_data_set_without_frames_is_told(tmp_path, monkeypatch, capsys):
    use(monkeypatch, Answers([]), open_shelf=recording(tmp_path, "s", []))
    assert main(["evaluate", "--data-set", "shelf", "--root", str(tmp_path)]) == 2
    assert "no frame can be used; 3 left out (image torn)" in capsys.readouterr().err
