"""`mvssm export`: people of a bag as CSV, TRC and BVH, read back by readers of the test's own."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from geometry_msgs.msg import Point
from people_passing import joints_m
from recorded_rigs import START_NS, header, write_bag
from scipy.spatial.transform import Rotation

from mvssm_ros.cli import main
from mvssm_ros.geometry.output_skeletons import Joints, OutputSkeleton
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.msg import Joint, Person, PersonArray

pytest.importorskip("rosbags")

PERIOD_NS = 50_000_000
FRAMES = 40
GAP = range(10, 20)  # frames in which p0001 has no left wrist
AWAY = range(25, 27)  # frames in which p0001 is not there at all
LEFT_WRIST = PANOPTIC15.index("left_wrist")


def walkers():
    """[2, F, 15, 3] m."""
    seconds = np.arange(FRAMES) * PERIOD_NS * 1e-9
    return np.stack([joints_m(seconds, person) for person in range(2)])


def person_msg(person_id, joints, output, state=Person.CONFIRMED):
    n = len(joints)
    found = output.apply(
        Joints(
            joints,
            np.zeros((n, 3)),
            np.tile(1e-4 * np.eye(3), (n, 1, 1)),
            np.full(n, 0.9),
            np.isfinite(joints).all(-1),
            np.full(n, 3, np.uint64),
        )
    )
    message = Person(id=person_id, track_state=state)
    for j, position in enumerate(found.joints_m):
        joint = Joint(position=Point(x=position[0], y=position[1], z=position[2]))
        if np.isfinite(position).all():
            joint.state = Joint.OBSERVED if found.observed[j] else Joint.PREDICTED
            joint.confidence = float(found.confidence[j])
            joint.position_covariance = found.covariance_m2[j].ravel()
        else:
            joint.position_covariance[0] = -1.0
        message.joints.append(joint)
    return message


def recorded(path, skeleton="panoptic15"):
    """Two people who walk for two seconds, one with gaps, and one who was never confirmed."""
    output = OutputSkeleton(skeleton)
    messages = []
    for frame, (first, second) in enumerate(zip(*walkers())):
        stamp_ns = START_NS + frame * PERIOD_NS
        first = first.copy()
        if frame in GAP:
            first[LEFT_WRIST] = np.nan
        message = PersonArray(header=header(stamp_ns, "map"), skeleton=skeleton, cameras=["a", "b"])
        if frame not in AWAY:
            message.people.append(person_msg("p0001", first, output))
        message.people.append(person_msg("p0002", second, output))
        message.people.append(person_msg("p0003", second, output, Person.TENTATIVE))
        if frame == FRAMES - 1:
            message.people.append(person_msg("p0004", second, output, Person.LOST))
        messages.append(("/people", stamp_ns + 10_000_000, message))
    return write_bag(path, messages)


@pytest.fixture
def bag(tmp_path):
    return recorded(tmp_path / "bag")


def mvssm(*words):
    done = subprocess.run(
        [sys.executable, "-m", "mvssm_ros.cli", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_csv_has_every_joint_of_everybody_and_leaves_gaps(bag, tmp_path):
    out = tmp_path / "people.csv"
    said = mvssm("export", bag, "--format", "csv", "--out", out)
    assert "of p0001, p0002" in said
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == (2 * FRAMES - len(AWAY)) * 15
    truth = walkers()
    for row in rows:
        frame = (int(row["stamp_ns"]) - START_NS) // PERIOD_NS
        person = int(row["person"][-1]) - 1
        joint = PANOPTIC15.index(row["joint"])
        assert row["track_state"] == "confirmed"
        if person == 0 and frame in GAP and joint == LEFT_WRIST:
            assert (row["joint_state"], row["x_m"], row["sigma_m"]) == ("missing", "", "")
            continue
        assert row["joint_state"] == "observed"
        position = [float(row[axis]) for axis in ("x_m", "y_m", "z_m")]
        np.testing.assert_allclose(position, truth[person, frame, joint], atol=1e-6)
        assert float(row["sigma_m"]) == pytest.approx(0.01)


def read_trc(path):
    """First line, description, markers, times [F] s, positions [F, M, 3] (NaN where empty)."""
    lines = path.read_text().split("\n")
    about = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    markers = lines[3].split("\t")[2::3][: int(about["NumMarkers"])]
    assert lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"]
    assert lines[4].split("\t")[-1] == f"Z{len(markers)}"
    assert lines[5] == ""
    rows = [line.split("\t") for line in lines[6:] if line]
    assert [int(row[0]) for row in rows] == list(range(1, int(about["NumFrames"]) + 1))
    values = np.array([[float(v or "nan") for v in row[2:]] for row in rows])
    times = np.array([float(row[1]) for row in rows])
    return lines[0], about, markers, times, values.reshape(len(rows), len(markers), 3)


@pytest.mark.parametrize(("units", "per_m"), [("m", 1.0), ("mm", 1000.0)])
def test_trc_has_y_up_even_times_and_its_units(bag, tmp_path, units, per_m):
    out = tmp_path / "people.trc"
    said = mvssm("export", bag, "--format", "trc", "--out", out, "--units", units)
    assert "people_p0001.trc: p0001, 38 sets in 1.95 s" in said
    truth = walkers()
    for person in range(2):
        path = tmp_path / f"people_p000{person + 1}.trc"
        first, about, markers, times, found = read_trc(path)
        assert first == f"PathFileType\t4\t(X/Y/Z)\t{path.name}"
        assert about["Units"] == units
        assert float(about["DataRate"]) == 20.0
        assert tuple(markers) == PANOPTIC15.joints
        np.testing.assert_allclose(times, np.arange(FRAMES) / 20, atol=1e-6)
        expected = truth[person][..., [0, 2, 1]] * [1, 1, -1]
        there = np.ones((FRAMES, 15), bool)
        if person == 0:
            there[GAP, LEFT_WRIST] = False  # half a second: left open
            there[AWAY] = False
            assert np.isnan(found[GAP, LEFT_WRIST]).all()
            filled = (expected[24] * 2 + expected[27]) / 3  # 0.15 s: interpolated
            np.testing.assert_allclose(found[25], per_m * filled, atol=per_m * 1e-5)
        np.testing.assert_allclose(found[there], per_m * expected[there], atol=per_m * 1e-6)


def read_bvh(path):
    """Frame time and joints: by name [F, 3], from a parser and forward kinematics of its own."""
    words = path.read_text().split()
    motion = words.index("MOTION")
    nodes, stack, i, channel = [], [], 1, 0
    while i < motion:
        word = words[i]
        if word in ("ROOT", "JOINT", "End"):
            name = f"end of {nodes[stack[-1]]['name']}" if word == "End" else words[i + 1]
            parent = stack[-1] if stack else None
            nodes.append({"name": name, "parent": parent, "channels": [], "start": channel})
            i += 2
        elif word == "{":
            stack.append(len(nodes) - 1)
            i += 1
        elif word == "}":
            stack.pop()
            i += 1
        elif word == "OFFSET":
            nodes[-1]["offset"] = np.array(words[i + 1 : i + 4], float)
            i += 4
        else:
            assert word == "CHANNELS"
            n = int(words[i + 1])
            nodes[-1]["channels"] = words[i + 2 : i + 2 + n]
            nodes[-1]["start"], channel = channel, channel + n
            i += 2 + n
    assert words[motion + 1] == "Frames:"
    n_frames, period_s = int(words[motion + 2]), float(words[motion + 5])
    values = np.array(words[motion + 6 :], float).reshape(n_frames, channel)
    places, turns = [], []
    for node in nodes:
        offset = np.tile(node["offset"], (n_frames, 1))
        turn = np.tile(np.eye(3), (n_frames, 1, 1))
        for k, name in enumerate(node["channels"]):
            v = values[:, node["start"] + k]
            if name.endswith("position"):
                offset[:, "XYZ".index(name[0])] += v
            else:
                turn = turn @ Rotation.from_euler(name[0], v[:, None], degrees=True).as_matrix()
        if node["parent"] is not None:
            above, R = places[node["parent"]], turns[node["parent"]]
            offset = above + np.einsum("fij,fj->fi", R, offset)
            turn = R @ turn
        places.append(offset)
        turns.append(turn)
    return period_s, {node["name"]: place for node, place in zip(nodes, places)}


BONES = {  # child: parent
    "neck": "mid_hip",
    "nose": "neck",
    **{f"{s}_shoulder": "neck" for s in ("left", "right")},
    **{f"{s}_elbow": f"{s}_shoulder" for s in ("left", "right")},
    **{f"{s}_wrist": f"{s}_elbow" for s in ("left", "right")},
    **{f"{s}_hip": "mid_hip" for s in ("left", "right")},
    **{f"{s}_knee": f"{s}_hip" for s in ("left", "right")},
    **{f"{s}_ankle": f"{s}_knee" for s in ("left", "right")},
}


def with_steady_bones(joints, seen):
    """By name [F, 3]: the same directions, every bone as long as in the median of the frames seen."""
    at = {name: joints[:, PANOPTIC15.index(name)] for name in PANOPTIC15.joints}
    out = {"mid_hip": at["mid_hip"]}
    for child, parent in BONES.items():
        bone = at[child] - at[parent]
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        out[child] = out[parent] + np.median(length[seen]) * bone / length
    return out


def ends(name):
    """What the end of a limb is called in the file."""
    parent = f"neck_to_{name}" if name == "nose" else BONES[name]
    return f"end of {parent}"


def test_forward_kinematics_of_the_bvh_file_gives_the_joints_back(bag, tmp_path):
    out = tmp_path / "p2.bvh"
    mvssm("export", bag, "--format", "bvh", "--out", out, "--person", "p0002")
    period_s, found = read_bvh(out)
    assert period_s == pytest.approx(0.05)
    joints = walkers()[1][..., [0, 2, 1]] * [1, 1, -1]
    expected = with_steady_bones(joints, range(FRAMES))
    for name, places_m in expected.items():
        got_cm = found.get(name, found.get(ends(name) if name in BONES else ""))
        error_mm = np.linalg.norm(10 * got_cm - 1000 * places_m, axis=-1)
        assert error_mm.max() < 0.05, name
    # the walkers crouch, so their bones are not always as long: what steady bones cost
    raw_mm = [
        np.linalg.norm(10 * found[n] - 1000 * joints[:, PANOPTIC15.index(n)], axis=-1).max()
        for n in ("mid_hip", "left_hip", "neck")
    ]
    assert raw_mm[0] < 0.05
    assert max(raw_mm) < 150


def test_bvh_interpolates_over_gaps(bag, tmp_path):
    out = tmp_path / "people.bvh"
    said = mvssm("export", bag, "--format", "bvh", "--out", out)
    assert sorted(p.name for p in tmp_path.glob("*.bvh")) == [
        "people_p0001.bvh",
        "people_p0002.bvh",
    ]
    assert "p0003" not in said
    _, found = read_bvh(tmp_path / "people_p0001.bvh")
    wrist = found["end of left_elbow"]
    assert np.isfinite(wrist).all()
    assert np.linalg.norm(np.diff(wrist, axis=0), axis=-1).max() < 30  # cm in 50 ms: no jump


@pytest.mark.parametrize("skeleton", ["coco17", "blazepose33", "h36m17"])
def test_other_skeletons_are_exported(tmp_path, skeleton):
    bag = recorded(tmp_path / "bag", skeleton)
    joints = OutputSkeleton(skeleton).skeleton.joints
    for form in ("csv", "trc", "bvh"):
        out = tmp_path / f"people.{form}"
        words = ["export", bag, "--format", form, "--out", out, "--person", "p0002"]
        assert main([str(word) for word in words]) == 0
    assert read_trc(tmp_path / "people.trc")[2] == list(joints)
    text = (tmp_path / "people.csv").read_text()
    assert text.count("\n") == 1 + FRAMES * len(joints)
    assert ",predicted," in text
    _, found = read_bvh(tmp_path / "people.bvh")
    hip_cm = 100 * walkers()[1][:, PANOPTIC15.index("left_knee")][:, [0, 2, 1]] * [1, 1, -1]
    assert (
        np.linalg.norm(found["left_knee"] - hip_cm, axis=-1).max() < 15
    )  # steady bones, crouching


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--format", "csv", "--person", "p0009"], "nobody called 'p0009'; there are p0001, p0002"),
        (["--format", "csv", "--topic", "/men"], "no topic '/men' of mvssm_ros/msg/PersonArray in"
         " it; such topics in it: /people"),
        (["--format", "bvh", "--units", "mm"], "--units is for --format trc"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_said(bag, tmp_path, capsys, words, expected):
    out = tmp_path / "out"
    assert main(["export", str(bag), "--out", str(out), *words]) == 2
    assert expected in capsys.readouterr().err
    assert not out.exists()
