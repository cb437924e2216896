"""3D labels: files of another system, and what is between two of its stamps."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
from people_passing import joints_m

from mvssm_ros.data_sets.frames import NOBODY
from mvssm_ros.data_sets.label_files import read_label_file
from mvssm_ros.data_sets.label_topic import _moment
from mvssm_ros.data_sets.labels import (
    COMES_OR_GOES,
    NO_LABEL,
    UNSURE,
    LabelledMoment,
    People3D,
)
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import PANOPTIC15

MS = 1_000_000
BODIES = np.stack([joints_m(np.array([0.0]), person)[0] for person in (0, 1)])
CSV = "stamp_ns,person,track_state,joint,joint_state,x_m,y_m,z_m,sigma_m,confidence\n"


def people(*moments, tolerance_ms=50):
    made = [
        LabelledMoment(ms * MS, tuple(ids), BODIES[: len(ids)] + np.array([ms / 1000, 0, 0]))
        for ms, ids in moments
    ]
    return People3D(made, tolerance_ms * MS, "test")


def test_between_two_labels_on_a_straight_line():
    labels = people((100, "ab"), (0, "ab"))
    for ms in (0, 30, 100):
        joints, fault = labels.at(ms * MS)
        assert fault == ""
        np.testing.assert_allclose(joints, BODIES + np.array([ms / 1000, 0, 0]), atol=1e-12)
    assert labels.span_ns == (0, 100 * MS)


def test_names_say_who_is_who_and_without_them_the_place_does():
    first = LabelledMoment(0, ("a", "b"), BODIES)
    for ids in (("b", "a"), ("", "")):
        second = LabelledMoment(40 * MS, ids, BODIES[::-1])
        joints, fault = People3D([first, second], 50 * MS, "test").at(20 * MS)
        assert fault == ""
        np.testing.assert_allclose(joints, BODIES, atol=1e-12)
    far = LabelledMoment(40 * MS, ("", ""), BODIES + np.array([2.0, 0, 0]))
    assert People3D([first, far], 50 * MS, "test").at(20 * MS)[1] == COMES_OR_GOES


@pytest.mark.parametrize(
    ("ms", "fault"),
    [
        (-30, NO_LABEL),
        (-1, ""),  # so near that there need be none before it
        (50, COMES_OR_GOES),
        (99, ""),
        (150, ""),
        (230, ""),  # 30 ms and 70 ms
        (480, NO_LABEL),  # between labels 400 ms apart
        (302, ""),
        (750, NOBODY),
        (1000, NO_LABEL),
    ],
)
def test_what_there_is_at_which_time(ms, fault):
    moments = [(0, "a"), (100, "ab"), (200, "ab"), (300, "ab"), (700, ""), (800, "")]
    assert people(*moments).at(ms * MS)[1] == fault


def test_moments_that_cannot_be_used():
    unsure = LabelledMoment(40 * MS, ("a", "b"), BODIES, UNSURE)
    labels = People3D([LabelledMoment(0, ("a", "b"), BODIES), unsure], 50 * MS, "test")
    assert labels.at(20 * MS)[1] == UNSURE
    assert labels.at(40 * MS)[1] == UNSURE
    assert labels.at(1 * MS)[1] == ""
    with pytest.raises(UserError, match="test: has no labels"):
        People3D([], 1, "test")


def message(**people):
    """A PersonArray as it comes from a bag; of each person (track_state, joint_state, variance)."""
    stamp = SimpleNamespace(sec=1, nanosec=5)
    made = []
    for name, (track_state, joint_state, variance) in people.items():
        covariance = np.diag([variance] * 3).ravel()
        joints = [
            SimpleNamespace(
                position=SimpleNamespace(x=x, y=y, z=z),
                state=joint_state,
                position_covariance=covariance,
            )
            for x, y, z in BODIES[0]
        ]
        made.append(SimpleNamespace(id=name, track_state=track_state, joints=joints))
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="map"),
        skeleton="panoptic15",
        cameras=["cam1", "cam2"],
        cameras_used=3,
        people=made,
    )


@pytest.mark.parametrize(
    ("person", "n", "fault"),
    [
        ((1, 1, -1.0), 1, ""),  # confirmed, observed
        ((1, 2, 0.0), 1, ""),  # predicted, but exact: the truth of a simulation
        ((1, 2, 0.03**2), 1, ""),
        ((1, 2, 0.2**2), 0, UNSURE),  # predicted, not known to 5 cm
        ((1, 2, -1.0), 0, UNSURE),
        ((1, 0, 0.0), 0, UNSURE),  # missing
        ((0, 1, 0.0), 1, UNSURE),  # tentative
        ((2, 1, 0.0), 1, UNSURE),  # coasting
        ((3, 1, 0.0), 0, ""),  # lost
    ],
)
def test_what_counts_of_a_tracker(person, n, fault):
    moment = _moment(message(p0001=person), "test")
    assert (len(moment.ids), moment.fault, moment.stamp_ns) == (n, fault, 1_000_000_005)


def test_a_csv_with_states(tmp_path):
    rows = [f"5,a,confirmed,{n},observed,1,2,3,0.01,1.0" for n in PANOPTIC15.joints[3:]]
    rows[0] = rows[0].replace("observed,1", "predicted,1").replace("0.01", "0.3")
    rows.append("5,b,lost,neck,observed,1,2,3,0.01,1.0")
    rows.append("9,a,coasting,neck,observed,1,2,3,0.01,1.0")
    (tmp_path / "a.csv").write_text(CSV + "\n".join(rows))
    first, second = read_label_file(tmp_path / "a.csv")
    assert (first.ids, first.fault, second.fault) == (("a",), "", UNSURE)
    known = np.isfinite(first.joints_m[0]).all(-1)
    assert [PANOPTIC15.joints[j] for j in np.flatnonzero(~known)] == [
        "neck",
        "nose",
        "left_shoulder",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no JSON", "line 1: is no JSON"),
        ("[]", 'line 1: expected {"stamp_ns": ..., "people": [...]}'),
        ('{"people": []}', "line 1: expected stamp_ns"),
        ('\n{"stamp_ns": 1.5, "people": []}', "line 2: a stamp cannot be 1.5"),
        ('{"stamp_ns": 1, "people": [[[0, 0, 0]]]}', "a person has 1 joints, expected 15"),
        ('{"stamp_ns": 1, "people": [{"joints_m": {"tail": [0, 0, 0]}}]}', "unknown joint 'tail'"),
        ('{"stamp_ns": 1, "people": [{"joints_m": {"neck": [0, 0]}}]}', "neck: expected [x, y, z]"),
        ('{"stamp_ns": 1, "skeleton": "lego", "people": []}', "unknown skeleton 'lego'"),
        ('{"stamp_ns": 1, "joints": [7], "people": []}', "joints: expected a list of names"),
        ('{"stamp_ns": 1, "people": [7]}', "expected joints_m of every person"),
        ("stamp_ns,person", "expected a heading with stamp_ns, person, joint, x_m, y_m, z_m"),
        (CSV + "x,a,,neck,,1,2,3,,", "line 2: a stamp cannot be 'x'"),
        (CSV + "1,a,,neck,,1,2,three,,", "line 2: expected numbers in x_m, y_m, z_m"),
        (CSV + "1,a,,tail,,1,2,3,,", "line 2: unknown joint 'tail'"),
        (CSV + "1,a,here,neck,,1,2,3,,", "line 2: track_state: expected tentative"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, text, expected):
    path = tmp_path / ("labels.csv" if text.startswith("stamp") else "labels.jsonl")
    path.write_text(text + "\n")
    with pytest.raises(UserError) as caught:
        read_label_file(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def outcome(path):
    """ "" where a file can be read, else the error."""
    try:
        read_label_file(path)
    except UserError as error:
        return str(error)
    return ""


def test_damaged_files_are_one_line(tmp_path):
    """Either they can be read, or there is one line."""
    picked, seen = random.Random(0), set()
    line = json.dumps({"stamp_ns": 5, "people": [{"id": "a", "joints_m": BODIES[0].tolist()}]})
    rows = [f"5,a,confirmed,{n},observed,1.0,2.0,3.0,0.01,1.0" for n in PANOPTIC15.joints]
    for suffix, text in {".jsonl": f"{line}\n{line}\n", ".csv": CSV + "\n".join(rows)}.items():
        path = tmp_path / f"labels{suffix}"
        for _ in range(200):
            bad = bytearray(text.encode())
            for _ in range(picked.randint(1, 3)):
                at = picked.randrange(len(bad))
                if picked.random() < 0.5:
                    bad[at] = picked.randrange(256)
                else:
                    del bad[at : at + picked.randint(1, 20)]
            path.write_bytes(bytes(bad))
            said = outcome(path)
            assert "\n" not in said
            seen.add((suffix, bool(said)))
    assert len(seen) == 4
