"""A data set of one's own: what is read, how it is split, and that bad data is never a traceback."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from people_passing import joints_m, ring_rig

from mvssm_ros.cli import main
from mvssm_ros.data_sets import open_own
from mvssm_ros.data_sets.frames import (
    BROKEN,
    MISSING,
    NOBODY,
    NOT_FINITE,
    NOT_METRES,
    OUTSIDE,
    TORN,
)
from mvssm_ros.data_sets.own import REPEATED
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import project

CAMERAS = ("cam1", "cam2", "cam3")
START_NS = 1_700_000_000_000_000_000


def line_of(number, stamp_ns, people_m):
    return {
        "stamp_ns": stamp_ns,
        "images": {name: f"images/{name}/{number:06d}.jpg" for name in CAMERAS},
        "people": np.asarray(people_m).tolist(),
    }


def rig_of(floor_m=0.0):
    rig = ring_rig(3)
    return replace(rig, space=replace(rig.space, floor_m=floor_m))


@pytest.fixture
def lines():
    """Ten moments a tenth of a second apart, with two people."""
    return [
        line_of(n, START_NS + n * 100_000_000, [joints_m(np.array([n / 10]), p)[0] for p in (0, 1)])
        for n in range(10)
    ]


@pytest.fixture
def write(tmp_path, trees):
    """Writes a data set of some lines (JSON, or text as it is) and returns its folder."""

    def written(lines, rig=None):
        root = tmp_path / "mine"
        for name in CAMERAS:
            (root / "images" / name).mkdir(parents=True, exist_ok=True)
            for number in range(len(lines)):
                path = root / "images" / name / f"{number:06d}.jpg"
                path.write_bytes(trees.picture((1280, 960)))
        (rig or rig_of()).save(root / "rig.yaml")
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (root / "people.jsonl").write_text("\n".join(texts) + "\n")
        return root

    return written


def both(root, **options):
    return [open_own(root, split, **options)[0] for split in ("train", "test")]


def test_everything_is_read_and_the_last_fifth_is_the_test(write, lines):
    lines[3]["people"][0][5] = None
    shuffled = random.Random(0).sample(lines, len(lines))
    root = write(shuffled)
    train, test = both(root, images="all")
    assert (len(train.frames), len(test.frames)) == (8, 2)
    assert train.name == "mine"
    assert train.camera_names == CAMERAS
    assert train.space_size_m == (5.0, 5.0)
    assert train.skipped == test.skipped == {}
    for at, frame in enumerate([*train.frames, *test.frames]):  # by stamp, whatever their order
        assert frame.name == f"mine/{shuffled.index(lines[at]) + 1:06d}"
        assert [p.name for p in frame.image_paths] == 3 * [f"{at:06d}.jpg"]
        truth = np.array([joints_m(np.array([at / 10]), p)[0] for p in (0, 1)])
        if at == 3:
            truth[0, 5] = np.nan
        np.testing.assert_allclose(frame.joints_m, truth, atol=1e-9)
        assert frame.n_people == 2
    assert len(open_own(root, "train", interval=3)[0].frames) == 3


def test_heights_are_over_the_floor_and_the_pictures_stay(write, lines):
    """With the floor at -0.8 m the joints move up, and so do the cameras."""
    for line in lines:
        line["people"] = (np.array(line["people"]) - (0, 0, 0.8)).tolist()
    rig = ring_rig(3)
    up = np.array([0.0, 0.0, 0.8])
    cameras = {n: replace(e, t_m=e.t_m + e.R @ up) for n, e in rig.cameras.items()}
    low = replace(rig, cameras=cameras, space=replace(rig.space, floor_m=-0.8))
    (train, _) = both(write(lines, low))
    first = train.frames[0].joints_m
    np.testing.assert_allclose(first[0], joints_m(np.array([0.0]), 0)[0], atol=1e-9)
    points = torch.from_numpy(first.reshape(-1, 3)).float()
    given = torch.tensor(lines[0]["people"]).reshape(-1, 3).float()
    seen, expected = project(train.cameras, points)[0], project(low.to_cameras(), given)[0]
    torch.testing.assert_close(seen, expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0)), (2, (1, 1)), (4, (3, 1))])
def test_few_moments(write, lines, count, expected):
    assert tuple(len(s.frames) for s in both(write(lines[:count]))) == expected


def damage(line, how):
    """A line with something wrong, as text or JSON."""
    if how == "cut":
        return json.dumps(line)[:200]
    if how == "long":
        return json.dumps(line | {"more": "x" * 3_000_000})
    if how == "text":
        return "no JSON"
    if how == "deep":
        return "[" * 100_000
    if how == "NaN":
        line["people"][1][4][0] = float("nan")
    elif how == "inf":
        line["people"][1][4][0] = float("inf")
    elif how == "fourteen":
        line["people"][0].pop()
    elif how == "two numbers":
        line["people"][0][0] = [0.0, 1.0]
    elif how == "words":
        line["people"][0][0] = ["a", "b", "c"]
    elif how == "huge":
        line["people"][0][0] = [0.0, 1.0, 10**400]
    elif how == "null people":
        line["people"] = None
    elif how == "no stamp":
        del line["stamp_ns"]
    elif how == "half a stamp":
        line["stamp_ns"] = 1.5
    elif how == "outside the folder":
        line["images"]["cam1"] = "../../cam1.jpg"
    elif how == "nobody":
        line["people"] = []
    elif how == "all unknown":
        line["people"] = [[None] * 15]
    elif how == "far":
        line["people"][1] = (np.array(line["people"][1]) + np.array([30, 0, 0])).tolist()
    elif how == "millimetres":
        line["people"] = (np.array(line["people"]) * 1000).tolist()
    elif how == "camera":
        del line["images"]["cam2"]
    elif how == "other camera":
        line["images"]["cam7"] = line["images"].pop("cam2")
    elif how == "another's stamp":
        line["stamp_ns"] = START_NS
    elif how == "another's image":
        line["images"]["cam2"] = "images/cam2/000000.jpg"
    elif how == "an image twice":
        line["images"]["cam2"] = line["images"]["cam1"]
    return line


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        *((how, f"{BROKEN}: a line that is no JSON") for how in ("cut", "long", "text", "deep")),
        ("fourteen", f"{BROKEN}: a person without 15 joints"),
        *(
            (how, f"{BROKEN}: a joint that is not [x, y, z] or null")
            for how in ("two numbers", "words")
        ),
        ("huge", f"{BROKEN}: a joint that is not [x, y, z] or null"),
        ("no stamp", f"{BROKEN}: a line without stamp_ns, images, people"),
        ("half a stamp", f"{BROKEN}: stamp_ns is no whole number of nanoseconds"),
        (
            "outside the folder",
            f"{BROKEN}: images are not a path below the data set for each camera",
        ),
        ("null people", f"{BROKEN}: people is no list"),
        *((how, NOT_FINITE) for how in ("NaN", "inf")),
        *((how, NOBODY) for how in ("nobody", "all unknown")),
        ("far", OUTSIDE),
        ("millimetres", NOT_METRES),
        *((how, MISSING) for how in ("camera", "other camera")),
        *((how, REPEATED) for how in ("another's stamp", "another's image", "an image twice")),
    ],
)
def test_a_line_that_cannot_be_used_is_left_out_and_counted(write, lines, how, reason):
    lines[4] = damage(lines[4], how)
    root = write(lines)
    train, test = both(root, images="none")
    assert (len(train.frames), len(test.frames)) == (7, 2)
    assert train.skipped == {reason: 1}
    assert train.examples == {reason: str(root / "people.jsonl:5")}


def test_images_that_are_missing_or_torn_are_left_out(write, lines, tear):
    root = write(lines)
    tear(root / "images" / "cam2" / "000001.jpg")
    (root / "images" / "cam3" / "000009.jpg").unlink()
    train, test = both(root)
    assert train.skipped == {TORN: 1}
    assert test.skipped == {MISSING: 1}
    assert train.examples[TORN].endswith("cam2/000001.jpg")


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("people.jsonl: there is no such file", lambda root: (root / "people.jsonl").unlink()),
        ("people.jsonl: is empty", lambda root: (root / "people.jsonl").write_text("\n\n")),
        ("rig.yaml: there is no such file", lambda root: (root / "rig.yaml").unlink()),
        ("has no camera cam3, of which", lambda root: ring_rig(2).save(root / "rig.yaml")),
        ("has no image of camera cam4", lambda root: ring_rig(4).save(root / "rig.yaml")),
        ("camera cam1: lacks its image size", lambda root: without_intrinsics(root / "rig.yaml")),
    ],
)
def test_what_concerns_all_of_it_is_one_line(write, lines, message, change):
    root = write(lines)
    change(root)
    with pytest.raises(UserError) as caught:
        open_own(root)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_or_a_split_that_is_none(write, lines, tmp_path):
    with pytest.raises(UserError, match="unknown split 'val'"):
        open_own(write(lines), "val")
    with pytest.raises(UserError, match=r"does not exist, expected a folder with rig\.yaml"):
        open_own(tmp_path / "none")


def without_intrinsics(path):
    rig = rig_of()
    bare = replace(rig.cameras["cam1"], K=None, size_px=None, distortion=None)
    replace(rig, cameras=rig.cameras | {"cam1": bare}).save(path)


def test_the_command_knows_it(write, lines, capsys):
    lines[4] = damage(lines[4], "NaN")
    root = write(lines)
    assert main(["data", "check", str(root)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{root}: own; images decoded: some"
    assert said[2].split() == ["train", "7", "3", "2"]
    assert said[3] == f"      1 {NOT_FINITE}; first: {root}/people.jsonl:5"
    assert said[4].split() == ["test", "2", "3", "2"]
    assert said[5] == "frames that can be used: 9; left out for faults: 1"
    assert main(["data", "check", str(root), "--split", "test", "--kind", "own"]) == 0
    (root / "people.jsonl").unlink()
    assert main(["data", "check", str(root), "--kind", "own"]) == 2


def test_damaged_files_are_no_traceback(write, lines, capsys):
    picked = random.Random(0)
    root = write(lines)
    seen = set()
    for file in (root / "people.jsonl", root / "rig.yaml"):
        good = file.read_bytes()
        for _ in range(60):
            bad = bytearray(good)
            for _ in range(picked.randint(1, 4)):
                at = picked.randrange(len(bad))
                how = picked.randrange(3)
                if how == 0:
                    bad[at] = picked.randrange(256)
                elif how == 1:
                    del bad[at : at + picked.randint(1, 30)]
                else:
                    bad[at:at] = bad[at : at + picked.randint(1, 30)]
            file.write_bytes(bytes(bad))
            status = main(["data", "check", str(root), "--kind", "own", "--images", "none"])
            assert status in (0, 1, 2)
            assert capsys.readouterr().err.count("\n") == (status == 2)
            seen.add((file.name, status))
        file.write_bytes(good)
    assert {("people.jsonl", 1), ("rig.yaml", 1)} <= seen
