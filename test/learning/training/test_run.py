"""Runs at a small scale: interrupted in every way they go on, bit for bit; what is wrong is told."""

import json
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import training_runs as runs
from training_runs import EXPERIMENT, changed

pytest.importorskip("lightning")

from mvssm_ros.errors import UserError
from mvssm_ros.learning.training.checkpoints import BEST, LAST, check_resumable, read_checkpoint
from mvssm_ros.learning.training.module import OWN
from mvssm_ros.learning.training.run import export, train
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import load_network, read_weights, save_weights


def averaged(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / LAST)[OWN]["average"]


def assert_same(a: Path, b: Path) -> None:
    """Weights, their averages and the optimiser's moments, to the bit."""
    left, right = read_checkpoint(a / LAST), read_checkpoint(b / LAST)
    for one, other in (
        (left["state_dict"], right["state_dict"]),
        (left[OWN]["average"], right[OWN]["average"]),
    ):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    for one, other in zip(
        left["optimizer_states"][0]["state"].values(),
        right["optimizer_states"][0]["state"].values(),
        strict=True,
    ):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert left[OWN]["progress"]["step"] == right[OWN]["progress"]["step"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = train(EXPERIMENT, folder, device="cpu")
    assert (outcome.step, outcome.finished, outcome.signal) == (6, True, 0)
    return folder


def test_a_run_leaves_a_checkpoint_a_log_and_one_for_tensorboard(whole):
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "error_mm", "seconds", "skipped", "joints_3d/1"} <= set(lines[0])
    assert list((whole / "tensorboard").glob("events*"))
    assert not list(whole.glob("*.tmp"))


def test_killed_between_checkpoints_it_goes_on_and_gets_the_very_same_weights(tmp_path, whole):
    script = Path(runs.__file__)
    killed = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert read_checkpoint(tmp_path / LAST)[OWN]["progress"]["step"] == 2  # step 3 is lost
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "lo')  # power went while a line was written
    (tmp_path / f"{LAST}.tmp").write_bytes(b"half a checkpoint")
    train(EXPERIMENT, tmp_path, device="cpu")
    assert_same(tmp_path, whole)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("task", [runs.SignalledTask, runs.InterruptedTask])
def test_a_signal_saves_and_stops_with_one_line(tmp_path, whole, capsys, task):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    outcome = train(EXPERIMENT, tmp_path, device="cpu", task=task(EXPERIMENT))
    assert (outcome.step, outcome.finished, outcome.signal) == (4, False, task.number)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert capsys.readouterr().out.splitlines() == [
        f"training small: 6 steps, in {tmp_path}",
        "stopped at step 4 of 6, saved: the same command goes on from there",
    ]
    assert train(EXPERIMENT, tmp_path, device="cpu").finished
    assert_same(tmp_path, whole)


def test_a_run_that_is_refused_leaves_no_folder(tmp_path):
    folder = tmp_path / "run"
    experiment = replace(
        EXPERIMENT, training=replace(EXPERIMENT.training, start_from="nowhere.safetensors")
    )
    with pytest.raises(UserError, match=r"start_from.*nowhere\.safetensors does not exist: give a"):
        train(experiment, folder, device="cpu")
    assert not folder.exists()


def test_worker_processes_make_the_same_batches(tmp_path, whole):
    train(changed("data", workers=1), tmp_path, device="cpu")
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("size", [100_000, 1000])
def test_a_full_disk_is_one_error_and_leaves_the_checkpoint_before(tmp_path, whole, size):
    task = runs.FullDiskTask(EXPERIMENT)
    task.bytes = size  # room for the logs alone, or not even for these
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(UserError, match=r"cannot be written \(File too large\).*untouched"):
            train(EXPERIMENT, tmp_path, device="cpu", task=task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_checkpoint(tmp_path / LAST)[OWN]["progress"]["step"] == 2
    assert not list(tmp_path.glob("*.tmp"))
    train(EXPERIMENT, tmp_path, device="cpu")
    assert_same(tmp_path, whole)


def test_a_step_without_a_finite_gradient_is_left_out_and_counted(tmp_path):
    train(EXPERIMENT, tmp_path, device="cpu", task=runs.NotFiniteTask(EXPERIMENT))
    assert read_checkpoint(tmp_path / LAST)[OWN]["progress"]["skipped"] == 1
    assert all(torch.isfinite(value).all() for value in averaged(tmp_path).values())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["skipped"] for line in lines] == [0, 0, 1, 0, 0, 0]
    assert lines[2]["loss"] is None


@pytest.mark.slow
def test_two_processes_have_the_same_weights_stop_together_and_go_on(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    watched = runs.WatchedTask(EXPERIMENT, tmp_path)
    train(EXPERIMENT, tmp_path / "whole", 2, device="cpu", task=watched)
    seen = [(tmp_path / f"weights-{rank}.txt").read_text().splitlines() for rank in (0, 1)]
    assert len(seen[0]) == 6
    assert seen[0] == seen[1]

    told = train(
        EXPERIMENT, tmp_path / "parts", 2, device="cpu", task=runs.SecondIsSignalled(EXPERIMENT)
    )
    assert (told.step, told.finished) == (4, False)
    train(EXPERIMENT, tmp_path / "parts", 2, device="cpu")
    assert_same(tmp_path / "whole", tmp_path / "parts")
    with pytest.raises(UserError, match="trained by 2 processes, got 1"):
        train(EXPERIMENT, tmp_path / "parts", device="cpu")


@pytest.mark.slow
def test_what_goes_wrong_in_a_spawned_process_is_one_error(tmp_path):
    with pytest.raises(UserError, match=r"last\.ckpt cannot be written \(File too large\)"):
        train(EXPERIMENT, tmp_path, 2, device="cpu", task=runs.FullDiskTask(EXPERIMENT))
    assert read_checkpoint(tmp_path / LAST)[OWN]["progress"]["step"] == 2
    with pytest.raises(UserError, match=r"a training process ended.*goes on from"):
        train(EXPERIMENT, tmp_path, 2, device="cpu", task=runs.KilledTask(EXPERIMENT))


def test_the_best_is_kept_and_patience_stops(tmp_path, capsys):
    experiment = changed("validation", every=1, patience=2)
    task = runs.ScriptedTask(experiment, [10.0, 30.0, 20.0, 25.0])
    outcome = train(experiment, tmp_path, device="cpu", task=task)
    assert (outcome.step, outcome.finished) == (3, True)
    assert read_checkpoint(tmp_path / BEST)[OWN]["progress"]["step"] == 1
    assert read_checkpoint(tmp_path / LAST)[OWN]["progress"]["step"] == 3
    told = capsys.readouterr().out
    assert "step 0: AP25 10.0, mAP 1.0, recall500 2.0, MPJPE_mm 3.0" in told
    assert "stopped early at step 3: the best AP25 is 30.0, 2 validations ago" in told
    assert train(experiment, tmp_path, device="cpu").finished
    assert "until it stopped early" in capsys.readouterr().out
    export(tmp_path, tmp_path / "best.safetensors")
    assert read_weights(tmp_path / "best.safetensors").provenance["step"] == 1
    export(tmp_path, tmp_path / "last.safetensors", best=False)
    assert read_weights(tmp_path / "last.safetensors").provenance["step"] == 3


def test_of_two_with_equal_ap25_the_nearer_one_is_the_best(tmp_path):
    experiment = changed("validation", every=1, patience=2)
    task = runs.ScriptedTask(experiment, [100.0] * 5, [9.0, 9.0, 7.0, 8.0, 7.0])
    assert train(experiment, tmp_path, device="cpu", task=task).step == 4
    assert read_checkpoint(tmp_path / BEST)[OWN]["progress"]["step"] == 2


def test_validation_changes_nothing_of_the_training(tmp_path, whole):
    train(changed("validation", every=4), tmp_path, device="cpu")
    assert all(
        torch.equal(value, averaged(whole)[key]) for key, value in averaged(tmp_path).items()
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    validated = [line["step"] for line in lines if "validation/AP25" in line]
    assert validated == [0, 4, 6]


def test_bfloat16_trains(tmp_path):
    train(changed("training", precision="bf16-mixed", steps=2), tmp_path, device="cpu")
    assert all(torch.isfinite(value).all() for value in averaged(tmp_path).values())


def test_resuming_with_other_settings_is_refused_and_a_finished_run_is_told(whole, capsys):
    with pytest.raises(UserError, match=r"other settings \(training.learning_rate differ\)"):
        train(changed("training", learning_rate=1.0), whole, device="cpu")
    train(changed("training", save_every=3), whole, device="cpu")
    assert "already trained to its 6 steps" in capsys.readouterr().out
    with pytest.raises(UserError, match="trained by 1 processes, got 2"):
        train(EXPERIMENT, whole, 2, device="cpu")


def test_a_checkpoint_from_before_a_setting_existed_counts_as_its_default(tmp_path, whole):
    saved = read_checkpoint(whole / LAST)
    del saved[OWN]["settings"]["training"]["optimizer"]
    torch.save(saved, tmp_path / LAST)
    settings = EXPERIMENT.settings()
    assert check_resumable(tmp_path / LAST, settings, 1)["progress"]["step"] == 6
    settings["training"]["optimizer"] = "muon"
    with pytest.raises(UserError, match=r"\(training.optimizer differ\)"):
        check_resumable(tmp_path / LAST, settings, 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_mistakes_are_told_before_anything_starts(tmp_path, processes):
    (tmp_path / "text.safetensors").write_text("hello")
    start = changed("training", start_from=str(tmp_path / "text.safetensors"))
    with pytest.raises(UserError, match=r"text\.safetensors"):
        train(start, tmp_path / "a", processes, device="cpu")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / LAST).write_text("hello")
    with pytest.raises(UserError, match="no checkpoint of a training"):
        train(EXPERIMENT, tmp_path / "b", processes, device="cpu")
    with pytest.raises(UserError, match="cannot be made"):
        train(EXPERIMENT, tmp_path / "text.safetensors" / "c", processes, device="cpu")
    half = changed("training", precision="16-mixed")
    with pytest.raises(UserError, match="16-mixed needs CUDA"):
        train(half, tmp_path / "d", processes, device="cpu")


def test_export_writes_the_averaged_weights_and_where_they_come_from(tmp_path, whole):
    export(whole, tmp_path / "w.safetensors")
    weights = read_weights(tmp_path / "w.safetensors")
    assert weights.config == EXPERIMENT.network
    assert weights.provenance["step"] == 6
    assert weights.provenance["training"] == EXPERIMENT.settings()
    model = load_network(weights)
    assert all(torch.equal(v, averaged(whole)[k]) for k, v in model.state_dict().items())


def test_export_without_a_run(tmp_path):
    with pytest.raises(UserError, match="does not exist: train there first"):
        export(tmp_path, tmp_path / "w.safetensors")


def test_paths_of_the_user_are_in_no_checkpoint_and_no_weights(tmp_path):
    weights = tmp_path / "secret-place" / "w.safetensors"
    save_weights(weights, EXPERIMENT.network, MVSSM(EXPERIMENT.network).state_dict(), {})
    start = changed("training", start_from=str(weights), steps=1)
    start = replace(start, data=replace(start.data, root=str(weights.parent)))
    train(start, tmp_path / "run", device="cpu")
    export(tmp_path / "run", tmp_path / "out.safetensors")
    assert b"secret-place" not in (tmp_path / "run" / LAST).read_bytes()
    assert b"secret-place" not in (tmp_path / "out.safetensors").read_bytes()
    assert read_weights(tmp_path / "out.safetensors").provenance["started_from"]["file"] == (
        "w.safetensors"
    )
    weights.unlink()  # to go on, or to ask again, needs them no more
    assert train(start, tmp_path / "run", device="cpu").finished
