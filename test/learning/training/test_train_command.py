"""`mvssm train`, run as the command line runs it."""

import subprocess
import sys

import pytest
import training_runs
import yaml

from mvssm_ros import cli
from mvssm_ros.network.weights import read_weights

pytest.importorskip("lightning")


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    settings = training_runs.EXPERIMENT.settings()
    network = {
        key: settings["network"][key]
        for key in ("d_model", "n_layers", "survivors", "grid_from_layer")
    }
    path.write_text(yaml.safe_dump(settings | {"network": network}))
    return path


def mvssm(*words: object) -> int:
    return cli.main([str(word) for word in words])


def test_from_a_file_to_weights_in_a_folder_of_its_name(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "w.safetensors"
    options = ("--steps", 2, "--seed", 3, "--ablation", "no_mamba", "--processes", 1)
    more = ("--set", "training.learning_rate=1e-3", "--device", "cpu", "--export", out)
    assert mvssm("train", small, *options, *more) == 0
    assert (tmp_path / "runs" / "small" / "last.ckpt").is_file()
    weights = read_weights(out)
    training = weights.provenance["training"]["training"]
    assert (training["steps"], training["seed"], training["learning_rate"]) == (2, 3, 1e-3)
    assert weights.config.ablation == "no_mamba"
    assert "trained: runs/small/last.ckpt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "there is none of this name; known are keypoints,"),
        (["keypoints", "--set", "steps=3"], "--set steps=3: expected SECTION.KEY=VALUE"),
        (["keypoints", "--set", "training.steps=a"], "training.steps: expected a number"),
        (["keypoints", "--steps", "0"], "training.steps: expected 1 to 1e+09, got 0"),
        (["keypoints", "--processes", "0"], "--processes is 0: expected at least 1"),
        (
            ["keypoints", "--processes", "9999", "--device", "cpu", "--out", "OUT"],
            "--processes 9999: expected at most",
        ),
        (["keypoints", "--export", "w.pt"], "expected a name that ends in .safetensors"),
        (["keypoints", "--calibration", "f.json"], "is for the cameras of data.arrangement"),
        (
            ["own", "--set", "validation.every=0"],
            "validation.every: 0 is no validation, and validation.patience (3) counts them",
        ),
        (["keypoints", "--data", "there"], "keypoints makes its own scenes (data.kind: keypoints)"),
        (
            ["keypoints", "--export", "/dev/null/w.safetensors"],
            "cannot write /dev/null/w.safetensors",
        ),
        (["keypoints_cmu0", "--out", "OUT"], "CMU0 needs data.calibration (--calibration)"),
        (["own", "--out", "OUT"], "too few to begin with; give weights (--start-from FILE)"),
        (["rgb_small", "--out", "OUT", "--set", "data.crop_px=96"], "is for heatmaps alone"),
        (
            ["own", "--out", "OUT", "--start-from", "shipped", "--set", "data.reuse=2"],
            "data.reuse: 2 is for rendered pictures (data.kind: rendered)",
        ),
        (
            ["rgb_small_heatmaps", "--out", "OUT", "--set", "data.crop_px=100"],
            "data.crop_px: expected a multiple of 32, got 100",
        ),
    ],
)
def test_mistakes_are_one_line(words, told, tmp_path, capsys):
    words = [str(tmp_path / "run") if word == "OUT" else word for word in words]
    assert mvssm("train", *words) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_without_lightning_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert mvssm("train", "keypoints", "--out", tmp_path) == 2
    said = capsys.readouterr().err
    assert (
        "training needs lightning, which is not installed: pip install 'mvssm_ros[train]'" in said
    )
    assert said.count("\n") == 1


def test_only_training_imports_lightning():
    code = (
        "import sys, pkgutil, mvssm_ros.learning, mvssm_ros.predictor, mvssm_ros.commands.train\n"
        "import mvssm_ros.learning.training.keypoints_task, mvssm_ros.commands.evaluate\n"
        "assert 'lightning' not in sys.modules and 'tensorboard' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_torchrun_trains_like_our_own_processes(small, tmp_path):
    from mvssm_ros.learning.training.checkpoints import LAST, read_checkpoint

    common = ["train", str(small), "--steps", "2", "--device", "cpu"]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert mvssm(*common, "--processes", "2", "--out", ours) == 0
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    command = [*torchrun, "-m", "mvssm_ros.cli", *common, "--out", str(theirs)]
    weights = tmp_path / "w.safetensors"
    subprocess.run([*command, "--export", str(weights)], check=True, capture_output=True)
    left, right = (read_checkpoint(folder / LAST)["state_dict"] for folder in (ours, theirs))
    assert all((left[key] == right[key]).all() for key in left)
    assert read_weights(weights).provenance["world"] == 2
