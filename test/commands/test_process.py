"""`mvssm process`: a bag in, a bag of people out, the same bytes every time."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from people_passing import joints_m, ring_rig
from recorded_rigs import START_NS, camera_infos, header, keypoints_of_walkers, write_bag
from sensor_msgs.msg import CompressedImage

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.bags.writer import STORAGES
from mvssm_ros.cli import main
from mvssm_ros.demo_data import FPS, demo_rig, find_demo, read_frames
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.msg import Keypoints2DArray, PersonArray

pytest.importorskip("rosbags")


def mvssm(*words, code=0):
    """The command in a process of its own; its output, once it has ended as expected."""
    done = subprocess.run(
        [sys.executable, "-m", "mvssm_ros.cli", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def rig_file(tmp_path):
    path = tmp_path / "rig.yaml"
    ring_rig().save(path)
    return path


def answers(path):
    with BagReader(path) as bag:
        return [
            (time_ns, bag.deserialize(topic, data))
            for topic, time_ns, data in bag.messages(["/people"])
        ]


def ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def everything(path):
    """All bytes of a bag."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("storage", STORAGES)
def test_every_set_is_answered_and_twice_gives_the_same_bytes(tmp_path, rig_file, storage):
    bag = write_bag(tmp_path / "recorded", keypoints_of_walkers(ring_rig()), storage)
    outs = [tmp_path / run / "people" for run in ("first", "second")]
    for out in outs:
        said = mvssm("process", bag, "--rig", rig_file, "--out", out, "--storage", storage)
        assert "20 answers from 20 sets of 80 images, 2 people" in said
    assert everything(outs[0]) == everything(outs[1])
    found = [message for _, message in answers(outs[0])]
    assert [ns(m) for m in found[:-1]] == [START_NS + int(f * 1e9 / 30 * 4) // 4 for f in range(20)]
    for frame in range(5, 20):
        truth = [joints_m(np.array([frame / 30]), person)[0] for person in range(2)]
        assert {p.id for p in found[frame].people} == {"p0001", "p0002"}
        for person in found[frame].people:
            joints = np.array([(j.position.x, j.position.y, j.position.z) for j in person.joints])
            error_m = min(np.linalg.norm(joints - t, axis=-1).mean() for t in truth)
            assert error_m < 0.1
    assert {p.track_state for p in found[-1].people} == {3}  # lost: the bag is over
    with BagReader(outs[0]) as bag:
        ((_, _, data),) = bag.messages(["/skeleton_info"])
        assert bag.deserialize("/skeleton_info", data).name == "panoptic15"


def test_sets_are_made_in_the_time_of_the_bag(tmp_path, rig_file):
    """A camera that ends is waited for until the deadline, by the bag's clock."""
    messages = [
        m for m in keypoints_of_walkers(ring_rig(), 10)
        if not (m[0] == "/cam4/keypoints" and m[1] > START_NS + 200_000_000)
    ]  # fmt: skip
    bag = write_bag(tmp_path / "recorded.mcap", messages)
    out = tmp_path / "people.mcap"
    said = mvssm("process", bag, "--rig", rig_file, "--out", out, "--param", "sync.deadline:=0.05")
    assert "10 answers from 10 sets" in said
    assert out.is_file()
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []
    waits_s = {m.cameras_used: m.latency.nanosec * 1e-9 for _, m in answers(out)[:-1]}
    assert waits_s[0b1111] < 0.03
    assert 0.05 < waits_s[0b0111] < 0.09
    times = [time_ns for time_ns, _ in answers(out)]
    assert times == sorted(times)


def test_cameras_that_were_recorded_late_are_waited_for(tmp_path, rig_file):
    late = [
        (topic, time_ns + (400_000_000 if topic == "/cam4/keypoints" else 0), *rest)
        for topic, time_ns, *rest in keypoints_of_walkers(ring_rig(), 10)
    ]
    bag = write_bag(tmp_path / "recorded.mcap", sorted(late, key=lambda message: message[1]))
    out = tmp_path / "people.mcap"
    said = mvssm("process", bag, "--rig", rig_file, "--out", out)
    assert "10 answers from 10 sets" in said
    assert {m.cameras_used for _, m in answers(out)[:-1]} == {0b1111}


def test_intrinsics_come_from_camera_info_and_parameters_apply(tmp_path, rig_file):
    rig = ring_rig()
    nothing = {"size_px": None, "K": None, "distortion": None}
    bare = {n: replace(e, **nothing) for n, e in rig.cameras.items()}
    replace(rig, cameras=bare).save(rig_file)
    late = START_NS + 300_000_000  # after the first images
    recorded = [*keypoints_of_walkers(rig, 12, 1), *camera_infos(rig, late)]
    out = tmp_path / "people"
    words = ["--rig", rig_file, "--out", out, "--param", "publish.skeleton:=coco17"]
    said = mvssm("process", write_bag(tmp_path / "bag", recorded), *words)
    assert "12 answers from 12 sets" in said
    assert {m.skeleton for _, m in answers(out)} == {"coco17"}
    assert {len(p.joints) for _, m in answers(out) for p in m.people} == {17}


def test_sets_are_skipped_and_lone_images_told(tmp_path, rig_file):
    messages = list(keypoints_of_walkers(ring_rig()))
    lone = next(m for m in messages if m[0] == "/cam1/keypoints")[2]
    lone.header = header(START_NS + 15_000_000)  # between two sets
    bag, out = write_bag(tmp_path / "bag", messages), tmp_path / "people"
    said = mvssm("process", bag, "--rig", rig_file, "--out", out, "--set-rate", 10)
    assert "7 answers from 20 sets of 80 images" in said
    assert "sets skipped: 13; dropped, out_of_slop: 1" in said
    stamps_ms = [round((ns(m) - START_NS) / 1e6) for _, m in answers(out)[:-1]]
    assert stamps_ms == [0, 100, 200, 300, 400, 500, 600]


def test_it_is_as_slow_as_asked(tmp_path, rig_file):
    bag = write_bag(tmp_path / "bag", keypoints_of_walkers(ring_rig(), 30, 1))
    out = tmp_path / "people"
    said = mvssm("process", bag, "--rig", rig_file, "--out", out, "--rate", "0.2")
    recorded_s, took_s = (float(said.split(" s ")[0].split()[-1]), float(said.split()[-2]))
    assert took_s >= recorded_s / 0.2  # never faster; how much slower is the machine's affair


def broken(tmp_path, name):
    """A bag that is none, of one kind or another."""
    path = tmp_path / "broken"
    keypoints = list(keypoints_of_walkers(ring_rig(), 3))
    if name == "absent":
        return path
    if name == "empty folder":
        path.mkdir()
    elif name == "text":
        path.write_text("no bag")
    elif name == "ROS 1":
        path = path.with_suffix(".bag")
        path.write_bytes(b"#ROSBAG V2.0\n")
    elif name in ("cut", "scrambled"):
        write_bag(path.with_suffix(".mcap"), keypoints)
        path = path.with_suffix(".mcap")
        data = path.read_bytes()
        path.write_bytes(data[:2000] if name == "cut" else data[:60] + data[500:])
    elif name == "other topics":
        write_bag(path, [("/people", START_NS, PersonArray())])
    elif name == "other types":
        write_bag(path, [(topic, t, PersonArray()) for topic, t, _ in keypoints])
    elif name == "no messages":
        write_bag(path, [])
    elif name == "bytes":
        writer_of_bytes(path)
    return path


def refused(capsys, out, bag, rig_file, *words) -> str:
    """The one line with which the command refuses; it leaves nothing behind."""
    given = ["process", bag, "--rig", rig_file, "--out", out, *words]
    assert main([str(word) for word in given]) == 2
    error = capsys.readouterr().err
    (told,) = [line for line in error.splitlines() if line.startswith("mvssm: error: ")]
    assert not out.exists()
    assert not list(out.parent.glob("*.part"))
    return told


def writer_of_bytes(path: Path) -> None:
    from mvssm_ros.bags.writer import BagWriter
    from mvssm_ros.nodes import qos

    writer = BagWriter(path)
    for name in ring_rig().cameras:
        connection = writer.connection(
            f"/{name}/keypoints", "mvssm_ros/msg/Keypoints2DArray", qos.answer_qos()
        )
        writer.write(connection, START_NS, b"\x00\x01\x00\x00\xff\xff\xff")
    writer.close()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absent", "there is no such bag"),
        ("empty folder", "no metadata.yaml in this folder"),
        ("text", "expected a bag's folder, or an .mcap or .db3 file"),
        ("ROS 1", "is of ROS 1; convert it"),
        ("cut", "cannot be read"),
        ("scrambled", "cannot be read"),
        ("other topics", "expected /cam1/keypoints, /cam2/keypoints, /cam3/keypoints,"
         " /cam4/keypoints; found /people (mvssm_ros/msg/PersonArray)"),
        ("other types", "topic '/cam1/keypoints' has mvssm_ros/msg/PersonArray, expected"
         " mvssm_ros/msg/Keypoints2DArray"),
        ("no messages", "found none"),
        ("bytes", "a message on '/cam1/keypoints' is broken"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_bag_is_said_in_a_line(tmp_path, rig_file, capsys, name, expected):
    bag = broken(tmp_path, name)
    assert expected in refused(capsys, tmp_path / "people", bag, rig_file)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--rate", "fast"], "--rate fast: expected 'max' or a number above 0"),
        (["--set-rate", "0"], "--set-rate 0.0: expected a number above 0"),
        (["--param", "sync.slip:=1.0"], "there is no parameter 'sync.slip'"),
        (["--param", "sync.slop:=wide"], "sync.slop"),
        (["--storage", "sqlite3"], "its name says mcap, the storage is to be sqlite3"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_in_a_line(
    tmp_path, rig_file, capsys, words, expected
):
    bag = write_bag(tmp_path / "bag", [("/cam1/keypoints", START_NS, Keypoints2DArray())] + [
        (f"/cam{i}/keypoints", START_NS, Keypoints2DArray()) for i in (2, 3, 4)
    ])  # fmt: skip
    assert expected in refused(capsys, tmp_path / "people.mcap", bag, rig_file, *words)


def test_a_mistake_ends_the_process_with_a_line(tmp_path, rig_file):
    said = mvssm("process", tmp_path / "bag", "--rig", rig_file, "--out", tmp_path / "a", code=2)
    assert said == f"mvssm: error: bag {tmp_path / 'bag'}: there is no such bag\n"


def test_images_of_a_real_film_go_through_the_detector(tmp_path):
    pytest.importorskip("Pose2Sim", reason="the demo's videos are in the wheel of pose2sim")
    try:
        MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))
    rig, films = demo_rig("single"), find_demo("single").videos
    messages = []
    for name, path in films.items():
        for frame, image in enumerate(islice(read_frames(path), 0, 16, 4)):
            stamp_ns = START_NS + round(4 * frame / FPS * 1e9)
            encoded = cv2.imencode(".jpg", image[..., ::-1])[1]
            message = CompressedImage(header=header(stamp_ns), format="bgr8; jpeg compressed bgr8")
            message.data = encoded.tobytes()
            topic = f"{rig.cameras[name].image_topic}/compressed"
            messages.append((topic, stamp_ns + 5_000_000, message))
    rig_file, bag = tmp_path / "rig.yaml", write_bag(tmp_path / "bag", messages)
    rig.save(rig_file)
    outs = [tmp_path / run / "people" for run in ("first", "second")]
    for out in outs:
        said = mvssm("process", bag, "--rig", rig_file, "--out", out)
        assert "4 answers from 4 sets of 16 images, 1 people" in said
    assert everything(outs[0]) == everything(outs[1])
    assert {p.id for _, m in answers(outs[0]) for p in m.people} == {"p0001"}
