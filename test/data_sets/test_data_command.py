"""`mvssm data check`: what it prints, its exit status, and that bad data is never a traceback."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest

from mvssm_ros.cli import main
from mvssm_ros.data_sets.check import guess_kind
from mvssm_ros.errors import UserError


def checked(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["data", "check", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def shelf(trees, path):
    path.mkdir(parents=True, exist_ok=True)
    return trees.make_shelf(path, [[trees.shelf_standing_m] * 601])


def test_all_that_can_be_used_is_0(tmp_path, trees, capsys):
    two = [trees.body(), trees.body((100, 0))]
    trees.make_panoptic(tmp_path, frames={n: two if n else [two[0]] for n in range(7)})
    trees.make_panoptic(tmp_path, "160906_ian5", frames={1: [], 2: two})
    status, out, err = checked(capsys, tmp_path, "--interval", 1)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{tmp_path}: panoptic, cameras of CMU0; images decoded: some"
    assert lines[1].split() == ["sequence", "frames", "cameras", "people"]
    assert lines[2].split() == ["160906_band1", "7", "5", "1-2"]
    assert lines[3].split() == ["160906_ian5", "1", "5", "2"]
    assert "1 nobody in the ground truth (no fault); first: " in lines[4]
    assert lines[5] == "frames that can be used: 8"
    assert lines[6].startswith("not here, of the papers' train split: 160422_ultimatum1")
    assert "160906_band1" not in lines[6]
    assert "160906_band3" not in lines[6]
    status, out, _ = checked(capsys, tmp_path)  # the papers' intervals
    assert [line.split()[1] for line in out.splitlines()[2:4]] == ["3", "0"]
    assert status == 1  # of the test sequence only the frame with nobody is left


def test_faults_are_counted_with_the_first_file_and_1(tmp_path, trees, tear, capsys):
    path = trees.make_panoptic(tmp_path, frames={n: [trees.body()] for n in range(10)})
    nan = trees.body()
    nan["joints19"][0] = float("nan")
    trees.make_panoptic(tmp_path, "160906_pizza1", frames={1: [nan], 2: [trees.body()]})
    trees.make_panoptic(tmp_path, "hand_picked", cameras=trees.calibration([3, 6, 12, 13]))
    for number in (3, 4):
        tear(path / "hdImgs" / "00_23" / f"00_23_{number:08d}.jpg")
    (path / "hdImgs" / "00_06" / "00_06_00000008.jpg").unlink()
    status, out, err = checked(capsys, tmp_path, "--interval", 1)
    assert (status, err) == (1, "")
    assert f"2 image torn; first: {path}/hdImgs/00_23/00_23_00000003.jpg" in out
    assert f"1 image missing; first: {path}/hdImgs/00_06/00_06_00000008.jpg" in out
    assert "1 NaN in the ground truth; first: " in out
    assert "lacks the HD cameras [23] that CMU0 needs" in out
    assert "frames that can be used: 8; left out for faults: 4" in out
    assert "sequences that cannot be opened: 1 of 3" in out
    chosen = ("--sequences", "hand_picked", "--arrangement", "CMU0ex4")
    status, out, _ = checked(capsys, tmp_path, *chosen)
    assert status == 0
    assert "1        4        1" in out
    assert "not here" not in out


def test_a_split_misses_its_sequences(tmp_path, trees, capsys):
    trees.make_panoptic(tmp_path, "160906_pizza1")
    status, out, err = checked(capsys, tmp_path, "--split", "test")
    assert (status, err) == (1, "")
    assert "160906_ian5: does not exist" in out
    assert "sequences that cannot be opened: 3 of 4" in out


def test_how_well_images_are_looked_at(tmp_path, trees, tear, capsys):
    path = trees.make_panoptic(tmp_path, frames={n: [trees.body()] for n in range(3)})
    small = path / "hdImgs" / "00_03" / "00_03_00000000.jpg"
    small.write_bytes(trees.picture((640, 360)))
    for images, status in (("none", 0), ("some", 1), ("all", 1)):
        code, out, _ = checked(capsys, tmp_path, "--images", images)
        assert code == status
        assert ("1 image of another size" in out) == (status == 1)
    shutil.rmtree(path / "hdImgs")
    assert checked(capsys, tmp_path, "--images", "none")[0] == 0
    assert checked(capsys, tmp_path)[0] == 1


def test_shelf_and_human36m(tmp_path, trees, capsys):
    shelf(trees, tmp_path / "a")
    status, out, _ = checked(capsys, tmp_path / "a")
    assert status == 0
    assert out.splitlines()[0] == f"{tmp_path / 'a'}: shelf; images decoded: some"
    assert out.splitlines()[2].split() == ["shelf", "301", "5", "1"]
    shutil.rmtree(tmp_path / "a" / "Camera2")
    status, out, _ = checked(capsys, tmp_path / "a", "--kind", "shelf")
    assert status == 1
    assert "301 image missing; first: " in out
    (tmp_path / "b").mkdir()
    poses = np.random.default_rng(0).uniform(0, 900, (3, 96))
    trees.make_human36m(tmp_path / "b", poses, numbers=(1, 2, 3))
    status, out, _ = checked(capsys, tmp_path / "b", "--interval", 1)
    assert status == 0
    assert out.splitlines()[2].split() == ["S1", "Directions", "1", "3", "4", "1"]


def test_a_wrong_root_or_option_is_one_line_and_2(tmp_path, trees, capsys):
    path = trees.make_panoptic(tmp_path / "data")
    for arguments, message in (
        ((tmp_path / "none",), "does not exist, expected a folder with panoptic: <sequence>"),
        ((tmp_path,), "holds none that is known; expected panoptic: <sequence>/calibration_"),
        ((path,), "this is one sequence: name the folder above it"),
        ((path / "calibration_160906_band1.json",), "is a file, expected a folder"),
        ((path.parent, "--kind", "coco"), "--kind coco: expected one of panoptic, campus, shelf"),
        ((path.parent, "--kind", "shelf"), "is no shelf data set; expected calibration_shelf.json"),
        ((path.parent, "--images", "few"), "--images few: expected one of all, some, none"),
        ((path.parent, "--arrangement", "CMU5"), "unknown Panoptic arrangement 'CMU5'"),
        ((path.parent, "--split", "val"), "--split val: expected train or test"),
        ((path.parent, "--interval", "0"), "--interval 0: expected 1 or more"),
    ):
        status, out, err = checked(capsys, *arguments)
        assert (status, out) == (2, "")
        assert err.startswith("mvssm: error: ")
        assert err.count("\n") == 1
        assert message in err
    shelf(trees, path.parent)
    with pytest.raises(UserError, match="could be panoptic or shelf; name one with --kind"):
        guess_kind(path.parent)
    assert checked(capsys, path.parent, "--kind", "shelf")[0] == 0


@pytest.mark.parametrize(
    "words",
    [("--split", "test"), ("--sequences", "a"), ("--arrangement", "CMU0"), ("--interval", "2")],
)
def test_options_of_other_data_sets_are_refused(tmp_path, trees, capsys, words):
    root = trees.make_shelf(tmp_path, [[trees.shelf_standing_m] * 601], ())
    status, _, err = checked(capsys, root, *words)
    assert status == 2
    assert f"{words[0]} does not go with shelf" in err


@pytest.mark.parametrize("number", ["1" + 400 * "0", "1" + 5000 * "0", "1e999", "[" * 100_000])
def test_numbers_beyond_all_measure(tmp_path, trees, capsys, number):
    path = trees.make_panoptic(tmp_path / "p", nodes=())
    shelf_ = trees.make_shelf(tmp_path, [[trees.shelf_standing_m] * 601], ())
    (tmp_path / "h").mkdir()
    trees.make_human36m(tmp_path / "h", np.full((3, 96), 500.0), numbers=())
    for file, old, kind in (
        (path / "calibration_160906_band1.json", "1000.0", "panoptic"),
        (path / trees.poses / "body3DScene_00000100.json", "-160.0", "panoptic"),
        (shelf_ / "calibration_shelf.json", "516.0", "shelf"),
        (tmp_path / "h" / "camera-parameters.json", "1145.0", "human36m"),
    ):
        good = file.read_text()
        assert old in good
        file.write_text(good.replace(old, number))
        root = {"panoptic": path.parent, "shelf": shelf_, "human36m": tmp_path / "h"}[kind]
        assert checked(capsys, root, "--kind", kind, "--images", "none")[::2] == (1, "")
        file.write_text(good)
        assert checked(capsys, root, "--kind", kind, "--images", "none")[0] == 0


def damaged(data: bytes, random_: random.Random) -> bytes:
    """Some bytes changed, left out or doubled, or cut off."""
    out = bytearray(data)
    for _ in range(random_.randint(1, 5)):
        at = random_.randrange(len(out))
        how = random_.randrange(4)
        if how == 0:
            out[at] = random_.randrange(256)
        elif how == 1:
            del out[at : at + random_.randint(1, 20)]
        elif how == 2:
            out[at:at] = out[at : at + random_.randint(1, 20)]
        elif random_.random() < 0.3:
            del out[max(at, 1) :]
        if not out:
            return b""
    return bytes(out)


def test_damaged_files_are_no_traceback(tmp_path, trees, capsys):
    """Each file of each data set, damaged in many ways: a table or one line, status 0, 1 or 2."""
    picked = random.Random(0)
    trees.make_panoptic(tmp_path / "p", frames={1: [trees.body()], 4: [trees.body()]}, nodes=())
    (tmp_path / "h").mkdir()
    trees.make_human36m(tmp_path / "h", np.full((3, 96), 500.0), numbers=())
    root = tmp_path / "s"
    root.mkdir()
    trees.make_shelf(root, [[trees.shelf_standing_m] * 20, [trees.absent] * 20], ())
    seen = set()
    for name, kind in (("p", "panoptic"), ("s", "shelf"), ("h", "human36m")):
        files = [f for f in (tmp_path / name).rglob("*") if f.suffix in (".json", ".mat")]
        for file in sorted(files):
            good = file.read_bytes()
            for _ in range(25):
                file.write_bytes(damaged(good, picked))
                arguments = ("--kind", kind, "--images", "none", "--whole")
                status, _, err = checked(capsys, tmp_path / name, *arguments)
                assert status in (0, 1, 2)
                assert err.count("\n") == (status == 2)
                seen.add((file.suffix, status))
            file.write_bytes(good)
    assert {(".json", 1), (".mat", 1)} <= seen
