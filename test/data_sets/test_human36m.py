"""Human3.6M in the layout that the reader documents: joints, units, cameras, mistakes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.io import savemat

from mvssm_ros.data_sets import open_human36m
from mvssm_ros.data_sets.human36m import CAMERAS
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.geometry.skeletons import PANOPTIC15

# Where the joints of PANOPTIC15 are among Human3.6M's 32.
OF_32 = {
    "mid_hip": 0, "right_hip": 1, "right_knee": 2, "right_ankle": 3, "left_hip": 6, "left_knee": 7,
    "left_ankle": 8, "neck": 13, "nose": 14, "left_shoulder": 17, "left_elbow": 18, "left_wrist": 19,
    "right_shoulder": 25, "right_elbow": 26, "right_wrist": 27,
}  # fmt: skip


def poses_mm(n_frames: int) -> np.ndarray:
    """[n, 96]: every joint somewhere else, near the middle."""
    joints = np.random.default_rng(0).uniform(-500, 500, (n_frames, 32, 3)) + np.array([0, 0, 900])
    return joints.reshape(n_frames, 96)


@pytest.mark.parametrize("as_cell", [True, False])
def test_a_person_in_metres(tmp_path, trees, as_cell):
    poses = poses_mm(11)
    root = trees.make_human36m(tmp_path, poses, numbers=(1, 6, 11), as_cell=as_cell)
    (sequence,) = open_human36m(root, "train", images="all")
    assert sequence.name == "S1 Directions 1"
    assert sequence.camera_names == tuple(CAMERAS)
    assert sequence.skipped == {}
    names = [f"S1 Directions 1/{n:06d}" for n in (1, 6, 11)]  # every fifth, counted from 1
    assert [f.name for f in sequence.frames] == names
    frame = sequence.frames[1]
    pictures = tmp_path / "S1" / "Images" / "Directions 1.58860488"
    assert frame.image_paths[2] == pictures / "img_000006.jpg"
    assert frame.joints_m.shape == (1, 15, 3)
    for joint, index in OF_32.items():
        expected = poses[5].reshape(32, 3)[index] / 1000
        np.testing.assert_allclose(frame.joints_m[0, PANOPTIC15.index(joint)], expected, atol=1e-6)


def test_cameras_are_in_metres(tmp_path, trees):
    root = trees.make_human36m(tmp_path, poses_mm(1))
    (sequence,) = open_human36m(root, "train")
    content = json.loads((root / "camera-parameters.json").read_text())
    points_mm = poses_mm(1).reshape(32, 3)
    pixels, depth = project(sequence.cameras, torch.from_numpy(points_mm / 1000).float())
    assert in_view(sequence.cameras, pixels, depth).all()
    for view, name in enumerate(CAMERAS):
        outer, inner = content["extrinsics"]["S1"][name], content["intrinsics"][name]
        X = np.array(outer["R"]) @ points_mm.T + np.array(outer["t"])
        x, y = X[0] / X[2], X[1] / X[2]
        k1, k2, p1, p2, k3 = inner["distortion"]
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        expected = (np.array(inner["calibration_matrix"]) @ [u, v, np.ones_like(u)])[:2].T
        np.testing.assert_allclose(pixels[view].numpy(), expected, atol=0.01)


def test_splits_by_subject_and_counted_skips(tmp_path, trees, tear):
    train, test = poses_mm(6), poses_mm(130)
    train[5, 40] = np.nan  # a joint that is used
    test[64] *= 100
    root = trees.make_human36m(tmp_path, train, numbers=(1, 6))
    trees.make_human36m(tmp_path, test, "S9", "Posing", numbers=(1, 65, 129))
    tear(root / "S9" / "Images" / "Posing.54138969" / "img_000001.jpg")
    (first,) = open_human36m(root, "train")
    assert first.skipped == {"NaN in the ground truth": 1}
    assert len(first.frames) == 1
    (second,) = open_human36m(root, "test")
    assert second.name == "S9 Posing"
    assert second.skipped == {"image torn": 1, "people outside the space": 1}
    assert [f.name for f in second.frames] == ["S9 Posing/000129"]
    assert len(open_human36m(root, "test", interval=1, images="none")[0].frames) == 129


def test_mistakes_are_named(tmp_path, trees):
    root = trees.make_human36m(tmp_path, poses_mm(2))
    with pytest.raises(UserError, match=r"unknown split 'val' of Human3\.6M"):
        open_human36m(root, "val")
    with pytest.raises(UserError, match="interval 0"):
        open_human36m(root, "train", interval=0)
    with pytest.raises(UserError, match=r"no poses of S9, S11; camera-parameters\.json and S1/"):
        open_human36m(root, "test")
    file = root / "S1" / "MyPoseFeatures" / "D3_Positions" / "Directions 1.cdf.mat"
    for data, message in (
        (
            np.zeros((4, 51)),
            r"Directions 1\.cdf\.mat: data: expected \[frames, 96\], got \[4, 51\]",
        ),
        ("text", "ground truth broken"),
    ):
        savemat(str(file), {"data": data}, appendmat=False)
        with pytest.raises(UserError, match=message):
            open_human36m(root, "train")


def test_a_calibration_that_is_none(tmp_path, trees):
    root = trees.make_human36m(tmp_path, poses_mm(1))
    path = root / "camera-parameters.json"
    good = json.loads(path.read_text())
    del good["extrinsics"]["S1"]["60457274"]
    short = json.loads(path.read_text())
    short["intrinsics"]["54138969"]["distortion"] = [0, 0]
    for content, message in (
        (json.dumps(good), "lacks '60457274' for S1"),
        (json.dumps(short), "54138969: distortion: expected 5 finite numbers"),
        ("[]", "lacks"),
        ("{", "is not JSON"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=message):
            open_human36m(root, "train")
