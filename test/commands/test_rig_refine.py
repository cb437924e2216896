"""`mvssm rig refine` as a user meets it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from walking_people import disturbed, misplaced, ring_rig, walk

from mvssm_ros.cli import main
from mvssm_ros.rig.keypoint_sequence import KeypointSequence
from mvssm_ros.rig.rig_file import load_rig

RIGS = Path(__file__).resolve().parents[2] / "config" / "rigs"


@pytest.fixture
def recording(tmp_path):
    """A function that writes a rough rig and what its cameras see of people: paths of both."""

    def make(rough, sequence):
        rough.save(tmp_path / "rough.yaml")
        sequence.save(tmp_path / "people.npz")
        return str(tmp_path / "rough.yaml"), str(tmp_path / "people.npz")

    return make


def refine(*arguments):
    return main(["rig", "refine", *map(str, arguments)])


def held_out_px(out):
    return [float(v) for v in re.search(r"error ([\d.]+) -> ([\d.]+) px", out).groups()]


def test_a_rig_wrong_by_3_degrees_and_5_cm_comes_back(recording, tmp_path, capsys):
    truth = ring_rig(4)
    rough = disturbed(truth, seed=4)
    files = recording(rough, walk(truth, seed=3, n_people=3, seconds=5))
    new = tmp_path / "new.yaml"
    assert refine(*files, "--out", new) == 0
    out = capsys.readouterr().out
    before, after = held_out_px(out)
    assert before > 8
    assert after < 4
    refined = load_rig(new)
    deg, m = misplaced(refined, truth)
    assert deg.max() < 0.3
    assert m.max() < 0.01
    for name, entry in rough.cameras.items():
        found = refined.cameras[name]
        assert f"\n{name} " in out  # told of each camera
        assert found.image_topic == entry.image_topic
        assert np.array_equal(found.K, entry.K)
        assert np.array_equal(found.distortion, entry.distortion)
    assert "remain uncertain" not in out
    assert "as given (similarity" in out  # place, heading and size of the whole
    assert "Refined from people" in new.read_text()


def test_what_does_not_hold_for_the_held_out_half_is_not_written(recording, tmp_path, capsys):
    """The frames to learn from show another rig than the held-out ones."""
    truth = ring_rig(4)
    right, wrong = (
        walk(rig, seed=3, seconds=4, severity=0) for rig in (truth, disturbed(truth, 5))
    )
    n = len(right.stamps_ns)
    learnt = (np.arange(n) * 10 // n) % 2 == 0
    slots = max(right.keypoints.shape[2], wrong.keypoints.shape[2])
    both = [
        np.pad(k, [(0, 0), (0, 0), (0, slots - k.shape[2]), (0, 0), (0, 0)])
        for k in (wrong.keypoints, right.keypoints)
    ]
    mixed = replace(right, keypoints=np.where(learnt[:, None, None, None, None], *both))
    new = tmp_path / "new.yaml"
    assert refine(*recording(truth, mixed), "--out", new) == 1
    out = capsys.readouterr().out
    assert "not written" in out
    assert "no better" in out
    assert not new.exists()


def test_time_offsets_are_told_and_noted_in_the_file(recording, tmp_path, capsys):
    truth = ring_rig(3)
    late = {"cam1": 0.05, "cam2": -0.05, "cam3": 0.0}
    files = recording(disturbed(truth, 4), walk(truth, 3, seconds=5, late_s=late))
    assert refine(*files, "--out", tmp_path / "new.yaml", "--time-offsets") == 0
    note = re.search(
        r"# .*cam1 ([+-][\d.]+) ms, cam2 ([+-][\d.]+) ms", (tmp_path / "new.yaml").read_text()
    )
    assert [float(v) for v in note.groups()] == pytest.approx([50, -50], abs=12)
    assert re.search(r"cam1 .* [+-][\d.]+ ms", capsys.readouterr().out)
    assert load_rig(tmp_path / "new.yaml")


@pytest.mark.parametrize("options", [[], ["--principal-points"]])
def test_the_demos_shipped_calibration(shared_data, tmp_path, capsys, options):
    """Real detections of one man in four views, against a calibration off by 10 to 16 px."""
    with np.load(shared_data / "pose2sim_single" / "pseudo_ground_truth.npz") as data:
        stamps = (np.arange(100) * 1e9 / 60).astype(np.int64)
        names = tuple(data["camera_names"].tolist())
        KeypointSequence(names, stamps, data["kpts2d"][:, :, None]).save(tmp_path / "people.npz")
    shipped, new = RIGS / "pose2sim_single_shipped.yaml", tmp_path / "new.yaml"
    assert refine(shipped, tmp_path / "people.npz", "--out", new, *options) == 0
    out = capsys.readouterr().out
    before, after = held_out_px(out)
    assert before > 12
    assert after <= 9
    assert "cam01, cam02, cam03, cam04: remain uncertain" in out  # he runs in one place, for 2 s
    moved = {
        name: not np.array_equal(entry.K, load_rig(shipped).cameras[name].K)
        for name, entry in load_rig(new).cameras.items()
    }
    assert set(moved.values()) == {bool(options)}


def test_mistakes_are_one_line(recording, tmp_path, capsys):
    truth = ring_rig(3)
    sequence = walk(truth, 3, seconds=2, severity=0)
    rig, people = recording(truth, sequence)
    open_rig = tmp_path / "open.yaml"
    open_rig.write_text(yaml.safe_dump({"cameras": {"cam1": {}, "cam2": {}, "cam3": {}}}))
    others = tmp_path / "others.npz"
    replace(sequence, cameras=("cam1", "cam2", "door")).save(others)
    nobody = tmp_path / "nobody.npz"
    replace(sequence, keypoints=0 * sequence.keypoints).save(nobody)
    short = tmp_path / "short.npz"
    sequence.frames(np.arange(2)).save(short)
    new = tmp_path / "new.yaml"
    for arguments, expected in (
        ([rig, tmp_path / "none.npz", "--out", new], "does not exist"),
        ([rig, rig, "--out", new], "is no NumPy archive"),
        ([rig, tmp_path, "--out", new], "cannot be read"),
        ([rig, others, "--out", new], "camera door: is not in the rig"),
        ([rig, nobody, "--out", new], "no two cameras see enough"),
        ([rig, short, "--out", new], "hold 2 frames"),
        ([open_rig, people, "--out", new], "camera cam1: lacks its image size"),
        ([rig, people, "--out", tmp_path / "no" / "new.yaml"], "does not exist"),
        ([rig, people, "--out", new, "--rough-deg", "0"], "--rough-deg: expected above 0"),
        ([rig, people, "--out", new, "--rough-m", "nan"], "--rough-m: expected above 0"),
    ):
        assert refine(*arguments) == 2, arguments
        error = capsys.readouterr().err
        assert expected in error
        assert error.startswith("mvssm: error: ")
        assert error.count("\n") == 1
        assert not new.exists()
