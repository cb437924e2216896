"""The demo's videos and rigs, from the installed Pose2Sim wheel."""

import importlib.util
import sys

import cv2
import numpy as np
import pytest
import torch

from mvssm_ros import demo_data
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.rig.importers import import_qca
from mvssm_ros.rig.rig_file import load_rig
from mvssm_ros.share import share_dir

CAMERAS = ["cam01", "cam02", "cam03", "cam04"]
RIGS = {
    "pose2sim_single.yaml": ("single", True),
    "pose2sim_single_shipped.yaml": ("single", False),
    "pose2sim_multi.yaml": ("multi", True),
}


@pytest.fixture(params=["single", "multi"])
def demo(request):
    try:
        return demo_data.find_demo(request.param)
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def single():
    try:
        return demo_data.find_demo("single")
    except UserError as error:
        pytest.skip(str(error))


def test_videos_fit_the_rig(demo, monkeypatch):
    monkeypatch.delitem(sys.modules, "Pose2Sim", raising=False)  # whoever imported it, not we
    rig = demo_data.demo_rig(demo.people)
    assert list(demo.videos) == list(rig.cameras) == CAMERAS
    for name, video in demo.videos.items():
        image = next(demo_data.read_frames(video))
        assert image.dtype == np.uint8
        assert (image.shape[1], image.shape[0]) == rig.cameras[name].size_px
    assert "Pose2Sim" not in sys.modules


def test_all_100_frames_are_read_and_are_rgb(single):
    video = single.videos["cam04"]
    assert sum(1 for _ in demo_data.read_frames(video)) == 100
    image = next(demo_data.read_frames(video))
    mat = image[1350:1700, 30:150].reshape(-1, 3).mean(axis=0)  # a blue mat on the floor
    assert mat[2] > 1.2 * mat[0]


@pytest.mark.parametrize("name", RIGS)
def test_the_rig_files_are_what_the_code_makes(name):
    people, corrected = RIGS[name]
    try:
        expected = demo_data.demo_rig(people, corrected)
    except UserError as error:
        pytest.skip(str(error))
    rig = load_rig(share_dir() / "config" / "rigs" / name)
    assert rig.space == expected.space
    assert list(rig.cameras) == CAMERAS
    assert rig.warnings() == []
    for entry, other in zip(rig.cameras.values(), expected.cameras.values(), strict=True):
        assert (entry.image_topic, entry.frame_id) == (other.image_topic, other.frame_id)
        assert entry.size_px == other.size_px
        for key in ("K", "distortion", "R", "t_m"):
            np.testing.assert_allclose(getattr(entry, key), getattr(other, key), rtol=1e-12)


def test_writing_the_rigs_gives_the_same_files(single, tmp_path):
    for path in demo_data.write_demo_rigs(tmp_path):
        assert path.read_text() == (share_dir() / "config" / "rigs" / path.name).read_text()


def test_the_shipped_rig_is_the_calibration_scaled_to_the_videos(single):
    """cam03 and cam04 as imported; cam01 and cam02 scaled about the middle of the height."""
    imported = import_qca(single.calibration)
    rig = load_rig(share_dir() / "config" / "rigs" / "pose2sim_single_shipped.yaml")
    for name in ("cam03", "cam04"):
        np.testing.assert_allclose(rig.cameras[name].K, imported.cameras[name].K)
    for name in ("cam01", "cam02"):
        given, scaled = imported.cameras[name].K, rig.cameras[name].K
        assert scaled[0, 2] * 1088 / 1080 == pytest.approx(given[0, 2])
        assert (scaled[1, 2] - 960) * 1088 / 1080 + 960 == pytest.approx(given[1, 2])
        assert scaled[0, 0] * 1088 / 1080 == pytest.approx(given[0, 0])
    for name in CAMERAS:
        np.testing.assert_allclose(rig.cameras[name].R, imported.cameras[name].R, atol=1e-12)
        np.testing.assert_allclose(rig.cameras[name].t_m, imported.cameras[name].t_m)


def test_the_rigs_agree_with_the_pseudo_ground_truth(single, shared_data):
    """Its K, R, t were found and converted by other code."""
    with np.load(shared_data / "pose2sim_single" / "pseudo_ground_truth.npz") as truth:
        joints = torch.from_numpy(truth["joints3d"].reshape(-1, 3).astype(np.float64))
        seen = truth["kpts2d"].transpose(1, 0, 2, 3).reshape(4, -1, 3)
        K = truth["K"]
    cameras = demo_data.demo_rig("single").to_cameras(dtype=torch.float64)
    np.testing.assert_allclose(cameras.K, K, atol=0.1)
    pixels, depth = project(cameras, joints)
    assert in_view(cameras, pixels, depth).double().mean() > 0.95
    good, shipped = (
        _median_errors(demo_data.demo_rig("single", corrected), joints, seen)
        for corrected in (True, False)
    )
    assert (good < 9).all()  # px of 1920
    assert shipped[0] > 2 * good[0]
    assert shipped[2] > 1.3 * good[2]


def _median_errors(rig, joints, seen):
    pixels, _ = project(rig.to_cameras(dtype=torch.float64), joints)
    distance = np.linalg.norm(pixels.numpy() - seen[..., :2], axis=-1)
    return np.array([np.median(d[s[:, 2] > 0.3]) for d, s in zip(distance, seen, strict=True)])


@pytest.mark.parametrize("name", CAMERAS)
def test_multi_is_the_single_film_moved_as_written(single, name):
    """A strip of the background, moved by the rigs' maps, looks the same in both videos."""
    first = next(demo_data.read_frames(single.videos[name]))
    second = next(demo_data.read_frames(demo_data.find_demo("multi").videos[name]))
    to_single, to_multi = (demo_data.demo_rig(p).cameras[name].K for p in ("single", "multi"))
    move = (to_multi @ np.linalg.inv(to_single))[:2]
    moved = cv2.warpAffine(first, move, (second.shape[1], second.shape[0]))
    a, b = (
        cv2.GaussianBlur(image[60:400, 200:900].mean(axis=2, dtype=np.float32), (0, 0), 2)
        for image in (moved, second)
    )
    (dx, dy), response = cv2.phaseCorrelate(
        a, b, cv2.createHanningWindow(a.shape[::-1], cv2.CV_32F)
    )
    assert response > 0.3
    assert np.hypot(dx, dy) < 1.0


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps pose2sim==0\.10\.49"):
        demo_data.find_demo()


def test_a_wheel_without_videos_is_named(monkeypatch, tmp_path):
    (tmp_path / "__init__.py").write_text("")
    spec = importlib.util.spec_from_file_location(
        "Pose2Sim", tmp_path / "__init__.py", submodule_search_locations=[str(tmp_path)]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match=r"lacks .*cam01\.mp4"):
        demo_data.find_demo()


def test_unknown_demo():
    with pytest.raises(UserError, match="unknown choice 'crowd', expected single or multi"):
        demo_data.find_demo("crowd")


def test_what_is_no_video_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        next(demo_data.read_frames(tmp_path / "none.mp4"))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    with pytest.raises(UserError, match="cannot be decoded"):
        next(demo_data.read_frames(broken))
