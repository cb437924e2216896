"""Campus and Shelf: what is read of a folder, and the published 2D against the projected 3D."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from mvssm_ros.data_sets import open_campus, open_shelf
from mvssm_ros.data_sets.campus_shelf import CAMPUS, SHELF
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.learning.pcp import pcp3d

OPEN = {"campus": open_campus, "shelf": open_shelf}


def everywhere(person: np.ndarray, n_frames: int = 601) -> list[np.ndarray]:
    return [person] * n_frames


def test_evaluated_frames_are_the_papers(tmp_path, trees):
    assert CAMPUS.evaluated == (*range(350, 471), *range(650, 751))
    assert SHELF.evaluated == tuple(range(300, 601))
    person = trees.shelf_standing_m
    two = [everywhere(person), everywhere(person + np.array([1, 0, 0]))]
    two[1][400] = trees.absent
    sequence = open_shelf(trees.make_shelf(tmp_path, two))
    assert sequence.skipped == {}
    assert [f.name for f in sequence.frames] == [f"shelf/{n:06d}" for n in range(300, 601)]
    assert sequence.camera_names == ("Camera0", "Camera1", "Camera2", "Camera3", "Camera4")
    frame = sequence.frames[100]
    assert frame.image_paths[3] == tmp_path / "Camera3" / "img_000400.png"
    assert frame.joints_m.shape == (2, 14, 3)
    assert frame.n_people == 1
    assert np.isnan(frame.joints_m[1]).all()
    np.testing.assert_array_equal(frame.joints_m[0], person)
    truths = [
        (f.joints_m[np.isfinite(f.joints_m).all((1, 2))], f.joints_m) for f in sequence.frames
    ]
    assert pcp3d(truths)["average"] == 100  # the form that PCP3D needs
    pixels, depth = project(sequence.cameras, torch.from_numpy(person).float())
    assert in_view(sequence.cameras, pixels, depth).all()
    assert len(open_shelf(tmp_path, whole=True, images="none").frames) == 601


def test_frames_that_cannot_be_used_are_counted(tmp_path, trees, tear):
    person = trees.shelf_standing_m
    frames = everywhere(person, 601)
    nan = person.copy()
    nan[3, 1] = np.nan
    frames[300], frames[301], frames[302] = trees.absent, nan, person[:13]
    frames[303], frames[304] = person * 1000, np.zeros((0, 0))
    root = trees.make_shelf(tmp_path, [frames], range(300, 320))
    tear(root / "Camera4" / "img_000310.png")
    (root / "Camera0" / "img_000311.png").write_bytes(trees.picture((1032, 770), ".png"))
    sequence = open_shelf(root, images="all")
    assert len(sequence.frames) == 13
    assert sequence.skipped == {
        "nobody in the ground truth": 2,
        "NaN in the ground truth": 1,
        "ground truth broken": 1,
        "people outside the space, as if not in metres": 1,
        "image torn": 1,
        "image of another size": 1,
        "image missing": 281,
    }
    assert sequence.examples["image missing"].endswith("img_000320.png")


def test_images_may_be_jpg(tmp_path, trees):
    root = trees.make_shelf(tmp_path, [everywhere(trees.shelf_standing_m)], range(300, 302))
    for path in root.glob("Camera*/*.png"):
        path.with_suffix(".jpg").write_bytes(trees.picture((1032, 776)))
        path.unlink()
    sequence = open_shelf(root, images="all")
    assert len(sequence.frames) == 2
    assert sequence.frames[0].image_paths[0].suffix == ".jpg"


def test_campus_pictures(tmp_path, trees):
    content = trees.shelf_calibration(3, (360, 288), (3.0, 4.5))
    (tmp_path / "calibration_campus.json").write_text(
        json.dumps(dict(sorted(content.items(), reverse=True)))
    )
    person = trees.shelf_standing_m + np.array([3, 4.5, 0])
    trees.save_actors(tmp_path / "actorsGT.mat", [everywhere(person, 751)])
    for c in range(3):
        (tmp_path / f"Camera{c}").mkdir()
        path = tmp_path / f"Camera{c}" / f"campus4-c{c}-00700.png"
        path.write_bytes(trees.picture((360, 288), ".png"))
    sequence = open_campus(tmp_path, images="all")
    assert [f.name for f in sequence.frames] == ["campus/000700"]
    assert sequence.skipped == {"image missing": 221}
    for view, entry in enumerate(content[str(c)] for c in range(3)):  # by number, not as written
        center = sequence.cameras.centers_m[view].numpy()
        np.testing.assert_allclose(center, np.ravel(entry["T"]) / 1000, atol=1e-5)


def test_mistakes_are_named(tmp_path, trees):
    person = trees.shelf_standing_m
    root = trees.make_shelf(tmp_path, [everywhere(person, 500)], ())
    with pytest.raises(UserError, match=r"actorsGT\.mat: has 500 frames, expected more than 600"):
        open_shelf(root)
    assert len(open_shelf(root, whole=True, images="none").frames) == 500
    (root / "calibration_shelf.json").write_text(
        json.dumps(trees.shelf_calibration(4, (1032, 776)))
    )
    with pytest.raises(UserError, match="lacks the cameras 4 of shelf, which has 5, '0' to '4'"):
        open_shelf(root, whole=True)
    (root / "calibration_shelf.json").write_text("{")
    with pytest.raises(UserError, match=r"calibration_shelf\.json: is not JSON"):
        open_shelf(root, whole=True)
    with pytest.raises(UserError, match=r"calibration_campus\.json: there is no such file"):
        open_campus(root)


def test_a_ground_truth_that_is_none(tmp_path, trees, tear):
    person = trees.shelf_standing_m
    root = trees.make_shelf(tmp_path, [everywhere(person, 20)], ())
    truth = root / "actorsGT.mat"
    tear(truth)
    with pytest.raises(UserError, match=r"actorsGT\.mat: is broken, or no MATLAB file"):
        open_shelf(root, whole=True)
    truth.write_bytes(b"")
    with pytest.raises(UserError, match=r"actorsGT\.mat: is broken, or no MATLAB file"):
        open_shelf(root, whole=True)
    truth.write_bytes(b"MATLAB 7.3 MAT-file" + bytes(105) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(UserError, match=r"actorsGT\.mat: is broken, or no MATLAB file"):
        open_shelf(root, whole=True)
    savemat(truth, {"other": 1})
    with pytest.raises(UserError, match="has no variable 'actor3D'"):
        open_shelf(root, whole=True)
    savemat(truth, {"actor3D": np.zeros((14, 3))})
    with pytest.raises(UserError, match="expected a cell an actor"):
        open_shelf(root, whole=True)
    trees.save_actors(truth, [everywhere(person, 3), everywhere(person, 4)])
    with pytest.raises(UserError, match="the same number for all"):
        open_shelf(root, whole=True)
    truth.unlink()
    with pytest.raises(UserError, match=r"actorsGT\.mat: there is no such file"):
        open_shelf(root, whole=True)


# Shelf's 2D was made from its 3D. Campus' third camera too; in the other two people were clicked at
# whole pixels, of which the 3D is the compromise: 1 px of the 288 rows is 40 mm at 18 m.
LIMITS_PX = {"campus": {"median": 1.1, "max": 2.8}, "shelf": {"median": 0.04, "max": 0.05}}


@pytest.mark.parametrize("name", ["campus", "shelf"])
def test_published_2d_is_the_projected_3d(shared_data, name):
    root = shared_data / name
    if not root.is_dir():
        pytest.skip(f"no ground truth of {name} at {root}")
    sequence = OPEN[name](root, whole=True, images="none")
    published = loadmat(root / "actorsGT.mat")["actor2D"][0]
    assert len(sequence.frames) == 3
    n_compared = 0
    for view, camera in enumerate(sequence.camera_names):
        for actor in range(len(published)):
            off = []
            for f, frame in enumerate(sequence.frames):
                person = frame.joints_m[actor]
                if np.isfinite(person).all():
                    pixels, depth = project(sequence.cameras, torch.from_numpy(person).float())
                    assert (depth > 0).all()
                    two = np.asarray(published[actor][f, 0][0, view], np.float64)
                    off.append(np.linalg.norm(pixels[view].numpy() - two, axis=-1))
            if off:
                figures = {"median": float(np.median(off)), "max": float(np.max(off))}
                shown = ", ".join(f"{k} {v:.3f} px" for k, v in figures.items())
                print(f"{name} {camera} actor {actor + 1}: {shown}")
                assert all(figures[k] <= LIMITS_PX[name][k] for k in figures)
                n_compared += 1
    assert n_compared == {"campus": 3, "shelf": 10}[name]


def test_a_tree_of_the_real_files(shared_data: Path, tmp_path, trees):
    if not (shared_data / "shelf").is_dir():
        pytest.skip(f"no ground truth of shelf in {shared_data}")
    for name in ("actorsGT.mat", "calibration_shelf.json"):
        shutil.copy(shared_data / "shelf" / name, tmp_path / name)
    for c in range(5):
        (tmp_path / f"Camera{c}").mkdir()
        for number in range(3):
            path = tmp_path / f"Camera{c}" / f"img_{number:06d}.png"
            path.write_bytes(trees.picture((1032, 776), ".png"))
    sequence = open_shelf(tmp_path, whole=True, images="all")
    assert [f.n_people for f in sequence.frames] == [2, 2, 2]
    assert sequence.frames[0].joints_m.shape == (4, 14, 3)
    assert sequence.skipped == {}
