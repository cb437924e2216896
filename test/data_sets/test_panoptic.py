"""CMU Panoptic: what is read of a folder, what is left out, and the real people in real cameras."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mvssm_ros.data_sets import open_panoptic, read_image
from mvssm_ros.data_sets.panoptic import INTERVALS, OPTIONAL, SPLITS, open_sequence
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.learning.panoptic_rigs import ARRANGEMENTS, arrangement_nodes, load_panoptic_rig
from mvssm_ros.rig.importers import import_panoptic

BAND = ["160906_band1"]


def test_a_frame_in_metres_with_z_up(tmp_path, trees):
    lost = trees.body((50, 20))
    lost["joints19"][4 * 5 + 3] = 0.1  # left wrist: not more than 0.1
    lost["joints19"][4 * 8 : 4 * 9] = [0, 0, 0, -1]  # left ankle: as Panoptic marks it
    path = trees.make_panoptic(tmp_path, frames={168: [trees.body((-100, 30)), lost]})
    (sequence,) = open_panoptic(tmp_path, sequences=BAND)
    assert sequence.name == path.name
    assert sequence.camera_names == ("00_03", "00_06", "00_12", "00_13", "00_23")
    assert sequence.skipped == {}
    (frame,) = sequence.frames
    assert frame.name == "160906_band1/00000168"
    assert frame.image_paths[2] == path / "hdImgs" / "00_12" / "00_12_00000168.jpg"
    assert frame.joints_m.shape == (2, 15, 3)
    x, y, z = (trees.standing_cm + np.array([-100, 0, 30])).T / 100
    np.testing.assert_allclose(frame.joints_m[0], np.stack([x, z, -y], -1))
    assert np.flatnonzero(np.isnan(frame.joints_m[1]).any(-1)).tolist() == [5, 8]
    assert frame.n_people == 2
    assert read_image(frame.image_paths[0]).shape == (1080, 1920, 3)


def test_cameras_are_those_of_the_arrangement(tmp_path, trees):
    nodes = (3, 6, 12, 13, 23, 10)
    path = trees.make_panoptic(tmp_path, nodes=nodes)
    (sequence,) = open_panoptic(tmp_path, arrangement="CMU0ex6", sequences=BAND)
    assert sequence.camera_names == tuple(f"00_{n:02d}" for n in nodes)
    assert sequence.cameras.K.dtype == torch.float32
    rig = load_panoptic_rig(path / "calibration_160906_band1.json", "CMU0ex6")
    torch.testing.assert_close(sequence.cameras.R, rig.R)
    (few,) = open_panoptic(tmp_path, arrangement="CMU0ex3", sequences=BAND)
    assert few.cameras.n_views == len(few.frames[0].image_paths) == 3
    joints = torch.from_numpy(few.frames[0].joints_m[0]).float()
    assert in_view(few.cameras, *project(few.cameras, joints)).all()


def test_a_body_without_hips_is_nobody(tmp_path, trees):
    gone = trees.body()
    gone["joints19"][4 * 2 + 3] = 0.05
    trees.make_panoptic(tmp_path, frames={1: [gone], 2: [gone, trees.body((100, 0))]})
    (sequence,) = open_panoptic(tmp_path, sequences=BAND, interval=1)
    assert [(f.name[-1], f.n_people) for f in sequence.frames] == [("2", 1)]
    assert sequence.skipped == {"nobody in the ground truth": 1}


def test_intervals_count_files_of_poses(tmp_path, trees):
    frames = {number: [trees.body()] for number in (*range(100, 110), *range(500, 515))}
    for name in ("160906_band1", "160906_pizza1"):
        trees.make_panoptic(tmp_path, name, frames, nodes=(3, 6, 12))
    numbers = sorted(frames)
    for split, interval, expected in (
        ("train", None, numbers[::3]),
        ("test", None, numbers[::12]),
        ("test", 5, numbers[::5]),
    ):
        (sequence,) = open_panoptic(
            tmp_path, split, "CMU0ex3", interval, sequences=BAND, images="none"
        )
        assert [int(f.name.split("/")[1]) for f in sequence.frames] == expected


def test_splits_are_the_papers(tmp_path, trees):
    assert [len(SPLITS[s]) for s in ("train", "test")] == [10, 4]
    assert INTERVALS == {"train": 3, "test": 12}
    assert not set(SPLITS["train"]) & set(SPLITS["test"])
    for name in SPLITS["test"]:
        trees.make_panoptic(tmp_path, name, nodes=(3, 6, 12))
    found = open_panoptic(tmp_path, "test", "CMU0ex3")
    assert [s.name for s in found] == list(SPLITS["test"])
    with pytest.raises(UserError, match="lacks the sequences 160422_ultimatum1, 160224_"):
        open_panoptic(tmp_path, "train", "CMU0ex3")


def test_the_optional_sequence_is_used_where_it_is(tmp_path, trees):
    needed = [n for n in SPLITS["train"] if n not in OPTIONAL]
    for name in needed:
        trees.make_panoptic(tmp_path, name, nodes=())
    options = {"arrangement": "CMU0ex2", "images": "none"}
    assert [s.name for s in open_panoptic(tmp_path, **options)] == needed
    trees.make_panoptic(tmp_path, OPTIONAL[0], nodes=())
    assert [s.name for s in open_panoptic(tmp_path, **options)] == list(SPLITS["train"])


def test_frames_that_cannot_be_used_are_counted(tmp_path, trees, tear):
    nan = trees.body()
    nan["joints19"][7] = math.nan
    frames = {n: [trees.body()] for n in range(10)}
    frames |= {3: [], 4: [trees.body(), nan], 5: [trees.body((700, 0))], 8: [{"id": 1}]}
    path = trees.make_panoptic(tmp_path, frames=frames)
    pictures = path / "hdImgs"
    (pictures / "00_12" / "00_12_00000000.jpg").unlink()
    tear(pictures / "00_23" / "00_23_00000001.jpg")
    tear(pictures / "00_03" / "00_03_00000002.jpg")
    tear(path / trees.poses / "body3DScene_00000006.json")
    (path / trees.poses / "body3DScene_00000007.json").write_text("[1, 2]")
    (path / trees.poses / "notes.json").write_text("not a frame")
    (sequence,) = open_panoptic(tmp_path, sequences=BAND, interval=1)
    assert [int(f.name[-8:]) for f in sequence.frames] == [9]
    assert sequence.skipped == {
        "image missing": 1,
        "image torn": 2,
        "nobody in the ground truth": 1,
        "NaN in the ground truth": 1,
        "people outside the space": 1,
        "ground truth broken": 3,
    }
    assert sequence.examples["image torn"].endswith("00_23_00000001.jpg")
    assert sequence.examples["ground truth broken"].endswith("body3DScene_00000006.json")


@pytest.mark.parametrize(
    "joints", [[1, 2], "text", None, [[0.0] * 4] * 18, [10**400] * 76, [None] * 76]
)
def test_odd_bodies_are_no_traceback(tmp_path, trees, joints):
    trees.make_panoptic(tmp_path, frames={1: [{"id": 0, "joints19": joints}]}, nodes=())
    (sequence,) = open_panoptic(tmp_path, sequences=BAND, images="none")
    assert sum(sequence.skipped.values()) == 1
    assert not sequence.frames


def test_a_camera_that_is_missing_is_named(tmp_path, trees):
    lacking = trees.calibration([n for n in range(31) if n != 12])
    trees.make_panoptic(tmp_path, cameras=lacking)
    with pytest.raises(UserError, match=r"lacks the HD cameras \[12\] that CMU0 needs"):
        open_panoptic(tmp_path, sequences=BAND)


def test_a_calibration_that_is_none(tmp_path, trees):
    nan = trees.calibration()
    nan["cameras"][4]["t"] = [[math.nan]] * 3
    squeezed = trees.calibration()
    squeezed["cameras"][4]["R"] = [[1, 0, 0], [0, 1, 0], [0, 0, 0.5]]
    contents = ("{", "[]", "[" * 100_000, json.dumps(nan), json.dumps(squeezed))
    for i, content in enumerate(contents):
        trees.make_panoptic(tmp_path / str(i), cameras=content)
        with pytest.raises(UserError, match=r"calibration_160906_band1\.json"):
            open_panoptic(tmp_path / str(i), sequences=BAND)


def test_mistakes_are_named(tmp_path, trees):
    path = trees.make_panoptic(tmp_path)
    for options, message in (
        ({"split": "val"}, "unknown split 'val' of Panoptic: expected train or test"),
        ({"arrangement": "CMU7"}, "unknown Panoptic arrangement 'CMU7'"),
        ({"interval": 0}, "interval 0: expected 1 or more"),
        ({"sequences": ["a", "160906_band1"]}, "lacks the sequences a; expected"),
    ):
        with pytest.raises(UserError, match=message):
            open_panoptic(tmp_path, **options)
    with pytest.raises(UserError, match="does not exist, expected a folder with <sequence>"):
        open_panoptic(tmp_path / "nowhere")
    shutil.rmtree(path / trees.poses)
    with pytest.raises(UserError, match="expected a folder with files body3DScene_"):
        open_panoptic(tmp_path, sequences=BAND)
    (path / trees.poses).mkdir()
    with pytest.raises(UserError, match="expected files body3DScene_"):
        open_panoptic(tmp_path, sequences=BAND)


@pytest.fixture
def real(shared_data: Path) -> Path:
    path = shared_data / "panoptic" / "160906_band1"
    if not path.is_dir():
        pytest.skip(f"no Panoptic calibration and poses at {path}")
    return path


def pixels_of_panoptic(camera: dict, points_cm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Panoptic's own x = K (R X + t) with distortion, in centimetres with y down: pixels, depth."""
    X = np.array(camera["R"]) @ points_cm.T + np.array(camera["t"]).reshape(3, 1)
    x, y = X[0] / X[2], X[1] / X[2]
    k1, k2, p1, p2, k3 = camera["distCoef"]
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
            y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y,
            np.ones_like(x),
        ]
    )
    return (np.array(camera["K"]) @ bent)[:2].T, X[2]


def real_people_cm(real: Path) -> dict[str, np.ndarray]:
    """[G, 15, 4] of each file, as it is."""
    return {
        path.stem[-8:]: np.array(
            [b["joints19"] for b in json.loads(path.read_text())["bodies"]]
        ).reshape(-1, 19, 4)[:, :15]
        for path in sorted((real / "hdPose3d_stage1_coco19").glob("*.json"))
    }


@pytest.mark.parametrize("arrangement", [*ARRANGEMENTS, "CMU0ex7"])
def test_the_real_people_are_where_panoptic_puts_them(real, arrangement):
    entries = json.loads((real / "calibration_160906_band1.json").read_text())["cameras"]
    hd = {c["node"]: c for c in entries if c["type"] == "hd"}
    sequence = open_sequence(real, arrangement, images="none")
    assert len(sequence.frames) == 2
    people = real_people_cm(real)
    worst = 0.0
    for frame in sequence.frames:
        original = people[frame.name[-8:]]
        known = np.isfinite(frame.joints_m).all(-1)
        np.testing.assert_array_equal(known, original[..., 3] > 0.1)
        points = torch.from_numpy(frame.joints_m[known])
        for cameras in (sequence.cameras, sequence.cameras.to(torch.float64)):
            pixels, depth = project(cameras, points.to(cameras.K))
            seen = in_view(cameras, pixels, depth).numpy()
            for view, node in enumerate(arrangement_nodes(arrangement)):
                expected, depth_cm = pixels_of_panoptic(hd[node], original[known][:, :3])
                off = np.linalg.norm(pixels[view].numpy() - expected, axis=-1)
                worst = max(worst, off[seen[view]].max())
                np.testing.assert_allclose(depth[view] * 100, depth_cm, atol=0.01)
    print(f"{arrangement}: at most {worst:.5f} px off Panoptic's own projection")
    assert worst < 0.01


def test_the_real_people_in_all_31_cameras(real):
    """As people are: in the images of most cameras, heads up, of human size, on the floor."""
    rig = import_panoptic(real / "calibration_160906_band1.json")
    cameras = rig.to_cameras(dtype=torch.float64)
    assert cameras.n_views == 31
    sequence = open_sequence(real, images="none")
    shares, upright = [], []
    for frame in sequence.frames:
        assert frame.n_people == 3
        for person in frame.joints_m:
            points = torch.from_numpy(np.nan_to_num(person))
            pixels, depth = project(cameras, points)
            known = torch.from_numpy(np.isfinite(person).all(-1))
            seen = in_view(cameras, pixels, depth)[:, known]  # [31, K]
            shares.append(seen.float().mean(-1).numpy())
            nose = PANOPTIC15.index("nose")
            assert known[nose]
            for foot in ("left_ankle", "right_ankle"):
                ends = [nose, PANOPTIC15.index(foot)]
                if known[ends].all():
                    both = in_view(cameras, pixels, depth)[:, ends].all(-1)
                    upright.append((pixels[both, ends[1], 1] > pixels[both, ends[0], 1]).numpy())
    shares_ = np.array(shares)  # [people, cameras]
    print(f"joints in the image: {100 * shares_.mean():.1f} % over people and cameras")
    print(f"cameras with more than half of a person: {(shares_ > 0.5).sum(1).tolist()} of 31")
    below = np.concatenate(upright)
    print(f"ankle below nose: {below.sum()} of {len(below)} times both are in an image")
    assert (shares_ > 0.5).sum(1).min() >= 20
    assert len(below) > 31
    assert below.all()


def test_the_real_people_are_of_human_size(real):
    def length(person: np.ndarray, a: str, b: str) -> float:
        return float(np.linalg.norm(person[PANOPTIC15.index(a)] - person[PANOPTIC15.index(b)]))

    limits = {
        ("neck", "mid_hip"): (0.40, 0.65),
        ("neck", "nose"): (0.15, 0.35),
        ("left_shoulder", "right_shoulder"): (0.25, 0.45),
        ("right_hip", "right_knee"): (0.30, 0.50),
        ("right_knee", "right_ankle"): (0.30, 0.50),
        ("right_shoulder", "right_elbow"): (0.2, 0.4),
        ("right_elbow", "right_wrist"): (0.15, 0.35),
        ("left_hip", "left_knee"): (0.30, 0.50),
    }
    for frame in open_sequence(real, images="none").frames:
        assert np.nanmin(frame.joints_m[..., 2]) > -0.02
        for person in frame.joints_m:
            assert 0.8 < np.nanmax(person[:, 2]) < 1.9
            assert np.nanmin(person[:, 2]) < 0.25
            for joints, (least, most) in limits.items():
                assert math.isnan(length(person, *joints)) or least < length(person, *joints) < most
        hips = frame.joints_m[:, PANOPTIC15.index("mid_hip")]
        apart = np.linalg.norm(hips[:, None] - hips[None], axis=-1)[np.triu_indices(3, 1)]
        assert apart.min() > 0.4


def test_a_tree_of_the_real_files(real, tmp_path, trees, tear):
    shutil.copytree(real, tmp_path / real.name)
    for node in (3, 6, 12, 13, 23):
        camera = f"00_{node:02d}"
        folder = tmp_path / real.name / "hdImgs" / camera
        folder.mkdir(parents=True)
        for number in (168, 169):
            (folder / f"{camera}_{number:08d}.jpg").write_bytes(trees.picture((1920, 1080)))
    (sequence,) = open_panoptic(tmp_path, sequences=BAND, interval=1, images="all")
    assert [f.n_people for f in sequence.frames] == [3, 3]
    (sequence,) = open_panoptic(tmp_path, sequences=BAND, images="all")
    assert [f.name for f in sequence.frames] == ["160906_band1/00000168"]
    tear(folder / f"{camera}_00000169.jpg")
    (sequence,) = open_panoptic(tmp_path, sequences=BAND, interval=1)
    assert sequence.skipped == {"image torn": 1}
