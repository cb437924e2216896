"""`mvssm data from-bag`: a bag of a simulated rig becomes frames that show the people where they are."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded_rigs import START_NS, write_bag
from sensor_msgs.msg import CompressedImage
from simulated_bag import SETS, SimulatedBag, stamp_ns

from mvssm_ros.cli import main
from mvssm_ros.data_sets import open_own, read_image
from mvssm_ros.export.csv_file import csv_text
from mvssm_ros.export.tracks import read_tracks
from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.geometry.skeletons import COCO17, PANOPTIC15
from mvssm_ros.rig.keypoint_sequence import make_sequence

pytest.importorskip("rosbags")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    world = SimulatedBag(folder)
    world.bag = write_bag(folder / "bag", world.messages)
    world.rig_file = folder / "rig.yaml"
    world.rig.save(world.rig_file)
    return world


@pytest.fixture
def make(world, tmp_path, capsys):
    """The command; its exit status, output and errors."""

    def made(*words, bag=None, rig=None, out=None):
        given = ["data", "from-bag", bag or world.bag, "--rig", rig or world.rig_file]
        status = main([str(w) for w in (*given, "--out", out or tmp_path / "mine", *words)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    return made


def frames_of(root):
    """Frames of both splits by the stamp in people.jsonl, and the sequence."""
    lines = [json.loads(line) for line in (root / "people.jsonl").read_text().splitlines()]
    sequences = [open_own(root, split, images="all")[0] for split in ("train", "test")]
    assert [s.skipped for s in sequences] == [{}, {}]
    frames = [frame for s in sequences for frame in s.frames]
    assert len(frames) == len(lines)
    by_number = {int(frame.name.split("/")[1]): frame for frame in frames}
    return {line["stamp_ns"]: by_number[n] for n, line in enumerate(lines, 1)}, sequences[0]


def errors_m(world, root):
    """Of every known joint, to the person who is nearest; and how many joints there are."""
    found = []
    for stamp, frame in frames_of(root)[0].items():
        apart = np.linalg.norm(frame.joints_m[:, None] - world.truth_m(stamp)[None], axis=-1)
        nearest = np.nanmedian(apart, -1).argmin(1)
        assert len(set(nearest.tolist())) == len(nearest)
        found.append(apart[np.arange(len(nearest)), nearest].ravel())
    every = np.concatenate(found)
    return every[np.isfinite(every)], len(every)


def test_the_truth_of_a_simulated_rig(world, make, tmp_path):
    status, out, err = make("--people-topic", "/ground_truth")
    assert (status, err) == (0, "")
    root = tmp_path / "mine"
    assert out == f"{root}: 8 moments of 4 cameras, 16 people in them, from 8 sets of images\n"
    assert main(["data", "check", str(root), "--images", "all"]) == 0
    errors, count = errors_m(world, root)
    assert len(errors) == count == 8 * 2 * 15
    assert errors.max() < 0.001
    frames, sequence = frames_of(root)
    assert sequence.camera_names == tuple(world.names)
    recorded = next(m for t, _, m in world.messages if t == "/cam2/image_raw/compressed")
    first = frames[min(frames)].image_paths
    assert first[1].read_bytes() == bytes(recorded.data)  # a JPEG is kept as it is
    shown = 0
    for number, stamp in enumerate(sorted(frames)):
        points = torch.from_numpy(frames[stamp].joints_m.reshape(-1, 3)).float()
        pixels, depth = project(sequence.cameras, points)
        inside = in_view(sequence.cameras, pixels, depth)
        for view, path in enumerate(frames[stamp].image_paths):
            painted = world.renderer.paint(world.moments[number], view).astype(int)
            picture = read_image(path).astype(int)
            assert np.abs(picture - painted).mean() < 4
            empty = world.renderer.paint(nobody(world.moments[number]), view).astype(int)
            changed = np.abs(picture - empty).max(-1) > 12
            at = pixels[view][inside[view]].round().long().numpy().clip(0, (319, 239))
            assert changed[at[:, 1], at[:, 0]].mean() > 0.85
            shown += len(at)
    assert shown > 500


def nobody(moment):
    return replace(moment, joints_m=moment.joints_m[:0], velocities_m_s=moment.velocities_m_s[:0])


def test_a_file_of_another_system_between_its_stamps(world, make, tmp_path):
    """40 moments a second, none at that of an image, joints by name or in the order of COCO17."""
    lines = []
    for k in range(-1, 65):
        stamp = START_NS + round((k + 0.5) * 25e6)
        people = dict(zip(("anna", "ben"), world.truth_m(stamp)))
        if k % 2:
            people = dict(reversed(people.items()))
        given = [
            {"id": name, "joints_m": dict(zip(PANOPTIC15.joints, joints.tolist()))}
            for name, joints in people.items()
        ]
        lines.append(json.dumps({"stamp_s": stamp / 1e9, "people": given}))
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(lines))
    status, out, err = make("--people", labels)
    assert (status, err) == (0, "")
    assert "8 moments of 4 cameras, 16 people in them" in out
    errors, count = errors_m(world, tmp_path / "mine")
    assert len(errors) == count
    assert np.median(errors) < 0.002
    assert errors.max() < 0.02  # a foot that comes down between two stamps

    nowhere = [None] * COCO17.n_joints
    lines = []
    for k in range(-1, 65):
        stamp = START_NS + round((k + 0.5) * 25e6)
        given = []
        for joints in world.truth_m(stamp)[:: 1 if k % 2 else -1]:  # nameless, in any order
            row = list(nowhere)
            for j, name in enumerate(PANOPTIC15.joints):
                if name in COCO17.joints:
                    row[COCO17.index(name)] = joints[j].tolist()
            given.append(row)
        late = stamp + 3_000_000_000  # on another clock
        lines.append(json.dumps({"stamp_ns": late, "skeleton": "coco17", "people": given}))
    labels.write_text("\n".join(lines))
    status, _, err = make("--people", labels, out=tmp_path / "late")
    assert status == 2
    assert "8 no label near in time; the labels are from 1700000002." in err
    words = ("--people", labels, "--time-offset", "-3", "--every", "3")
    status, out, err = make(*words, out=tmp_path / "coco")
    assert (status, err) == (0, "")
    assert "3 moments of 4 cameras, 6 people in them, from 3 sets" in out
    errors, count = errors_m(world, tmp_path / "coco")
    assert len(errors) == count  # neck and mid_hip are the middles of shoulders and hips
    assert np.median(errors) < 0.002


def test_a_csv_of_mvssm_export(world, make, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(csv_text(read_tracks(world.bag, "/ground_truth")))
    status, _, err = make("--people", labels)
    assert (status, err) == (0, "")
    errors, _ = errors_m(world, tmp_path / "mine")
    assert len(errors) == 8 * 2 * 15
    assert errors.max() < 0.001


def test_2d_labels_are_triangulated(world, make, tmp_path):
    status, out, err = make("--keypoints-topics")
    assert (status, err) == (0, "")
    assert "8 moments of 4 cameras, 16 people in them" in out
    errors, count = errors_m(world, tmp_path / "mine")
    assert len(errors) > 0.9 * count
    assert np.median(errors) < 0.03
    assert np.percentile(errors, 95) < 0.06
    labels = tmp_path / "people.npz"
    stamps = np.array([stamp_ns(number) for number in range(SETS)])
    spoilt = world.keypoints.copy()
    spoilt[2, 0, :, 5, 0] += 60  # wrists of one view
    spoilt[6, 1:, 0] = spoilt[6, 0, 0] = 0  # one person in no view
    make_sequence(world.names, stamps, spoilt, "panoptic15", "test").save(labels)
    status, out, err = make("--keypoints", labels, "--tolerance", "0.01", out=tmp_path / "npz")
    assert (status, err) == (0, "")
    assert "8 moments of 4 cameras" in out or "7 moments of 4 cameras" in out
    errors, count = errors_m(world, tmp_path / "npz")
    assert np.median(errors) < 0.03
    assert np.percentile(errors, 95) < 0.08


def test_somebody_who_cannot_be_triangulated_spoils_the_moment(world, make, tmp_path):
    """Two views show her, elsewhere: the moment is not written as if she were not there."""
    labels = tmp_path / "people.npz"
    stamps = np.array([stamp_ns(number) for number in range(SETS)])
    spoilt = world.keypoints.copy()
    spoilt[3, 2:, 1] = 0
    spoilt[3, :2, 1, :, :2] = np.random.default_rng(1).uniform(0, 240, (2, 15, 2))
    spoilt[3, :2, 1, :, 2] = 1
    make_sequence(world.names, stamps, spoilt, "panoptic15", "test").save(labels)
    status, out, _ = make("--keypoints", labels)
    assert status == 0
    assert "7 moments" in out
    assert "1 somebody in two 2D views who could not be triangulated" in out


def test_images_that_are_torn_or_missing_are_left_out_and_counted(world, make, tmp_path):
    messages = [*world.messages]
    torn = [i for i, (t, _, _) in enumerate(messages) if t == "/cam3/image_raw/compressed"][2]
    gone = [i for i, (t, _, _) in enumerate(messages) if t == "/cam4/image_raw/compressed"][5]
    whole = messages[torn][2]
    half = CompressedImage(header=whole.header, format=whole.format)
    half.data = bytes(whole.data)[: len(whole.data) // 2]
    messages[torn] = (messages[torn][0], messages[torn][1], half)
    del messages[gone]
    bag = write_bag(tmp_path / "damaged.mcap", messages)
    status, out, err = make("--people-topic", "/ground_truth", bag=bag)
    assert (status, err) == (0, "")
    assert "6 moments of 4 cameras, 12 people in them, from 8 sets of images" in out
    assert "sets left out: 2" in out
    assert "      1 without an image of cam4\n" in out
    assert "      1 with an image that cannot be used; first: camera 'cam3', topic" in out
    assert main(["data", "check", str(tmp_path / "mine"), "--images", "all"]) == 0


def test_a_camera_that_is_not_in_the_bag(world, make, tmp_path):
    messages = [m for m in world.messages if not m[0].startswith("/cam2/image")]
    bag = write_bag(tmp_path / "three.mcap", messages)
    words = ("--people-topic", "/ground_truth")
    status, _, err = make(*words, bag=bag)
    assert status == 2
    assert "has no images of camera cam2 (topic /cam2/image_raw); topics with images in it:" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "mine").exists()
    status, out, _ = make(*words, "--cameras", "cam1", "cam3", "cam4", bag=bag)
    assert status == 0
    assert "8 moments of 3 cameras" in out
    assert frames_of(tmp_path / "mine")[1].camera_names == ("cam1", "cam3", "cam4")


def test_intrinsics_from_camera_info(world, make, tmp_path):
    nothing = {"size_px": None, "K": None, "distortion": None}
    bare = {name: replace(entry, **nothing) for name, entry in world.rig.cameras.items()}
    rig_file = tmp_path / "bare.yaml"
    replace(world.rig, cameras=bare).save(rig_file)
    assert make("--people-topic", "/ground_truth", rig=rig_file)[0] == 0
    assert len(frames_of(tmp_path / "mine")[0]) == SETS
    messages = [m for m in world.messages if m[0] != "/cam1/camera_info"]
    bag = write_bag(tmp_path / "no_info.mcap", messages)
    words = ("--people-topic", "/ground_truth", "--overwrite")
    status, _, err = make(*words, rig=rig_file, bag=bag)
    assert status == 2
    assert "camera cam1: its intrinsics are neither in the rig file nor on /cam1/camera_info" in err
    assert len(frames_of(tmp_path / "mine")[0]) == SETS  # the old one is still there


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "expected one of --people, --people-topic, --keypoints, --keypoints-topics, got none"),
        (("--people", "a", "--keypoints-topics"), "got --people and --keypoints-topics"),
        (("--people-topic", "/truth"), "topic '/truth' is not in it, expected one of mvssm_ros/msg"
         "/PersonArray; such topics in it: /ground_truth"),
        (("--people-topic", "/cam1/image_raw"), "topic '/cam1/image_raw' has sensor_msgs/msg/Image"),
        (("--people", "none.jsonl"), "labels none.jsonl: there is no such file"),
        (("--people", "none.trc"), "expected a file .jsonl or .csv"),
        (("--people", "none.csv", "--skeleton", "lego"), "unknown skeleton 'lego'"),
        (("--keypoints", "none.npz"), "keypoints none.npz: does not exist"),
        (("--people-topic", "/ground_truth", "--every", "0"), "--every 0: expected 1 or more"),
        (("--people-topic", "/ground_truth", "--slop", "nan"), "--slop nan: expected seconds"),
        (("--people-topic", "/ground_truth", "--cameras", "cam9", "cam1"), "--cameras cam9: the rig"),
        (("--people-topic", "/ground_truth", "--cameras", "cam1"), "expected two or more"),
        (("--people-topic", "/ground_truth", "--time-offset", "9"), "8 no label near in time"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_arguments_is_one_line(make, tmp_path, words, expected):
    status, out, err = make(*words)
    assert (status, out) == (2, "")
    assert expected in err
    assert err.startswith("mvssm: error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "mine").exists()


def test_millimetres_are_told(world, make, tmp_path):
    lines = []
    for number in range(SETS):
        people = (1000 * world.moments[number].joints_m).tolist()
        lines.append(json.dumps({"stamp_ns": stamp_ns(number), "people": people}))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    status, _, err = make("--people", tmp_path / "labels.jsonl")
    assert status == 2
    assert "8 people outside the space, as if not in metres; first: the middle of its people" in err
    assert "lengths must be metres in the frame 'map', z up" in err


def test_y_up_is_doubted(world, make, tmp_path, capsys):
    lines = []
    for number in range(SETS):
        x, y, z = np.moveaxis(world.moments[number].joints_m, -1, 0)
        people = np.stack([x, z, -y], -1)
        people[..., 2] -= people[..., 2].min()  # on the floor
        lines.append(json.dumps({"stamp_ns": stamp_ns(number), "people": people.tolist()}))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    status, out, _ = make("--people", tmp_path / "labels.jsonl")
    assert status == 0
    assert "people have the neck no higher than the hips: is z up in the labels?" in out
    main(["data", "check", str(tmp_path / "mine")])
    assert "is z up in the labels?" in capsys.readouterr().out


def test_what_lies_there_is_left_alone(make, tmp_path):
    words = ("--people-topic", "/ground_truth")
    out = tmp_path / "mine"
    out.mkdir()  # an empty folder is fine
    assert make(*words)[0] == 0
    before = (out / "people.jsonl").read_bytes()
    status, _, err = make(*words)
    assert status == 2
    assert "is there already; give another folder, or --overwrite" in err
    (out / "notes.txt").write_text("mine")
    status, _, _ = make(*words, "--every", "4", "--overwrite")
    assert status == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "people.jsonl").read_bytes() != before
    assert len(list((out / "images" / "cam1").iterdir())) == 2
    other = tmp_path / "other"
    other.mkdir()
    (other / "images").mkdir()
    status, _, err = make(*words, "--overwrite", out=other)
    assert status == 2
    assert "the folder holds something else (images)" in err
    file = tmp_path / "file"
    file.write_text("")
    assert "is a file, expected a folder" in make(*words, out=file)[2]


def test_a_full_disk_is_one_line_and_leaves_nothing(make, tmp_path, monkeypatch):
    words = ("--people-topic", "/ground_truth")
    assert make(*words)[0] == 0
    before = (tmp_path / "mine" / "people.jsonl").read_bytes()
    write, written = Path.write_bytes, []

    def full(path, data):
        written.append(path)
        if len(written) > 9:
            raise OSError(28, os.strerror(28))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    status, _, err = make(*words, out=tmp_path / "new")
    assert status == 2
    assert (
        err == f"mvssm: error: data set {tmp_path / 'new'}: cannot be written: {os.strerror(28)}\n"
    )
    assert not (tmp_path / "new").exists()
    assert make(*words, "--overwrite")[0] == 2
    assert (tmp_path / "mine" / "people.jsonl").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == [
        "images",
        "people.jsonl",
        "rig.yaml",
    ]


def test_a_broken_bag_is_one_line(world, make, tmp_path):
    status, _, err = make("--people-topic", "/ground_truth", bag=tmp_path / "none")
    assert status == 2
    assert "there is no such bag" in err
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(next(world.bag.glob("*.mcap")).read_bytes()[:5000])
    status, _, err = make("--people-topic", "/ground_truth", bag=cut)
    assert status == 2
    assert "cannot be read" in err
    assert err.count("\n") == 1
