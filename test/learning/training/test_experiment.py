"""Experiment files: those that ship, and one error for each mistake."""

import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.learning.training.experiment import Experiment, find_experiment, read_experiment
from mvssm_ros.network.config import paper_rgb, small_rgb
from mvssm_ros.share import share_dir

SHIPPED = sorted(path.stem for path in (share_dir() / "config" / "train").glob("*.yaml"))


def test_the_shipped_experiments_read():
    assert {"keypoints", "keypoints_cmu0", "panoptic_resnet50", "rgb_small"} <= set(SHIPPED)
    for name in SHIPPED:
        assert read_experiment(name).name == name
        assert find_experiment(name).parent.name == "train"


def test_the_keypoints_experiment_is_what_the_defaults_are():
    assert read_experiment("keypoints") == Experiment("keypoints")


def test_networks_come_from_presets():
    assert read_experiment("panoptic_resnet50").network == paper_rgb("resnet50")
    assert read_experiment("rgb_small").network == small_rgb()


def test_overrides_by_dotted_key():
    experiment = read_experiment(
        "keypoints",
        {"training.steps": 7, "network.view_scan": "serial", "loss.score": "1e-1"},
    )
    assert experiment.training.steps == 7
    assert experiment.network.view_scan == "serial"
    assert experiment.loss.score == 0.1


def test_paths_are_no_part_of_the_settings(tmp_path):
    paths = {"data.root": "/a", "data.calibration": "/b", "training.start_from": "/c/w.safetensors"}
    settings = read_experiment("keypoints", paths).settings()
    assert settings["training"]["start_from"] == "w.safetensors"
    assert not {"root", "calibration", "workers"} & set(settings["data"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training: {stepz: 3}", r"e\.yaml: training: unknown key 'stepz'; did you mean 'steps'"),
        ("trainig: {}", r"e\.yaml: unknown key 'trainig'; did you mean 'training'"),
        ("training: {steps: many}", r"e\.yaml: training\.steps: expected a number, got the text"),
        ("training: {steps: 1.5}", r"training\.steps: expected a whole number, got 1\.5"),
        ("training: {steps: 0}", r"e\.yaml: training\.steps: expected 1 to 1e\+09, got 0"),
        ("training: {steps: [1]}", r"training\.steps: expected a number, got a list of 1"),
        ("training: {learning_rate: .nan}", r"training\.learning_rate: expected a finite number"),
        ("training: {grid: [1]}", r"training\.grid: expected a list of 2, got a list of 1"),
        ("training: {survivors: [4]}", r"training\.survivors: expected 3 numbers.*got 1"),
        ("training: {precision: half}", r"training\.precision: expected 32-true.*got 'half'"),
        ("training: {later_rounds: 0.5}", r"training\.later_rounds: needs network\.rounds above 1"),
        ("training: {backbone: melted}", r"training\.backbone: expected trained, frozen, got"),
        ("training: {start_from: 3}", r"training\.start_from: expected text, got the number 3"),
        ("data: {kind: lidar}", r"data\.kind: expected keypoints.*got 'lidar'"),
        ("data: {kind: rendered}", r"data\.kind: 'rendered' does not go with network\.frontend"),
        ("data: {views: {3: 0.4}}", r"data\.views: expected shares that add up to 1, got 0\.4"),
        ("data: {views: {1: 1.0}}", r"data\.views: expected 2 to 64, got 1"),
        ("data: {views: [3]}", r"data\.views: expected a mapping, got a list of 1"),
        ("data: {arrangement: CMU9}", r"unknown Panoptic arrangement 'CMU9'"),
        ("data: {arrangement: CMU0}", r"data\.views: CMU0 has 5 cameras, expected \{5: 1\.0\}"),
        ("network: {preset: huge}", r"network\.preset: expected keypoints.*got 'huge'"),
        ("network: {d_model: 0}", r"network\.d_model must be in 1\.\.4096, got 0"),
        ("network: {gated: 1}", r"network\.gated: expected true or false, got the number 1"),
        ("network: {depth: 1}", r"network: unknown key 'depth'"),
        ("network: 3", r"network: expected a mapping"),
        ("loss: {clamp_m: -1}", r"loss\.clamp_m: expected 0\.001 to 100, got -1"),
        ("validation: {every: 0, patience: 1}", r"validation\.every: 0 is no validation"),
        ("validation: !!python/name:os.system {}", r"YAML tags \(!\.\.\.\) are not allowed"),
        ("data: {root: a, root: b}", r"'root' is given twice"),
        ("[]", r"expected keys and values at the top level"),
        ("", r"is empty"),
    ],
)  # fmt: skip
def test_each_mistake_gets_one_line(tmp_path, text, told):
    path = tmp_path / "e.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=told) as raised:
        read_experiment(path)
    assert "\n" not in str(raised.value)


def test_names_and_paths_that_do_not_exist(tmp_path):
    with pytest.raises(UserError, match=r"none of this name; known are keypoints, keypoints_cmu0"):
        read_experiment("keypoint")
    with pytest.raises(UserError, match=r"there is no such file"):
        read_experiment(tmp_path / "none.yaml")
    with pytest.raises(UserError, match=r"training\.steps\.x: 'steps' has no keys below it"):
        read_experiment("keypoints", {"training.steps.x": 1})
