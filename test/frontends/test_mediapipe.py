"""The built-in detector on real images: the demo's videos, read from the installed wheel."""

import importlib.util
import sys

import cv2
import numpy as np
import pytest
import torch

from mvssm_ros.demo_data import demo_rig, find_demo, read_frames
from mvssm_ros.errors import UserError
from mvssm_ros.frontends import blazepose_models
from mvssm_ros.frontends.detector import Detector
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.geometry.cameras import project, undistort
from mvssm_ros.geometry.skeletons import SKELETONS, skeleton_map

TO_OURS = skeleton_map("blazepose33", "panoptic15")


@pytest.fixture(scope="module")
def detector():
    try:
        return MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def frames():
    """The first image of each of the four cameras: one man on a treadmill."""
    try:
        videos = find_demo("single").videos.values()
    except UserError as error:
        pytest.skip(str(error))
    return [next(read_frames(video)) for video in videos]


@pytest.fixture(scope="module")
def men(detector, frames):
    """The man in each of the four images, [4, 33, 3]: the surest detection."""
    return np.stack([detector.detect(frame)[0] for frame in frames])


def median_px(a, b):
    return float(np.median(np.hypot(*(a[:, :2] - b[:, :2]).T)))


def test_it_is_a_detector(detector):
    assert isinstance(detector, Detector)
    assert detector.skeleton in SKELETONS
    assert "mediapipe" not in sys.modules  # only its files are used


def test_four_views_agree_on_one_man(men):
    """Triangulated from all four views, the joints fall back on what each view saw."""
    cameras = demo_rig("single").to_cameras(dtype=torch.float64)
    seen = torch.from_numpy(TO_OURS.apply(men)[..., :2].astype(np.float64))  # [4, 15, 2]
    rays = undistort(cameras, seen)
    rows = rays[..., None] * cameras.R[:, None, 2:] - cameras.R[:, None, :2]  # [4, 15, 2, 3]
    right = cameras.t[:, None, :2] - rays * cameras.t[:, None, 2:]  # [4, 15, 2]
    A = rows.permute(1, 0, 2, 3).reshape(15, 8, 3)
    joints = torch.linalg.lstsq(A, right.permute(1, 0, 2).reshape(15, 8, 1)).solution[..., 0]
    pixels, _ = project(cameras, joints)
    error = (pixels - seen).norm(dim=-1)
    assert (error.median(dim=1).values < 15).all()  # of 1920 px
    ankles = joints[[8, 14], 2]
    assert ((ankles > -0.1) & (ankles < 0.4)).all()  # on the deck of the treadmill
    assert 1.2 < joints[1, 2] < 1.8  # the nose
    assert 0.25 < (joints[3] - joints[9]).norm() < 0.5  # shoulder to shoulder


def test_it_agrees_with_detections_of_mediapipe_itself(shared_data, men):
    """Stored detections: MediaPipe's own pipeline, cleaned."""
    with np.load(shared_data / "pose2sim_single" / "pseudo_ground_truth.npz") as truth:
        stored = truth["kpts2d"][0]
    for man, other in zip(TO_OURS.apply(men), stored, strict=True):
        known = other[:, 2] > 0
        assert median_px(man[known], other[known]) < 20


def test_the_answer_depends_on_the_image_alone(detector, frames):
    first = detector.detect(frames[0])
    detector.detect(frames[2])
    np.testing.assert_array_equal(detector.detect(frames[0]), first)


def test_a_mirrored_image_swaps_left_and_right(detector, frames, men):
    mirrored = detector.detect(np.ascontiguousarray(frames[2][:, ::-1]))[0]
    mirrored[:, 0] = frames[2].shape[1] - 1 - mirrored[:, 0]
    ours, other = TO_OURS.apply(men[2]), TO_OURS.apply(mirrored)
    swapped = other[SKELETONS["panoptic15"].mirror]
    assert median_px(swapped, ours) < 30
    assert median_px(swapped, ours) < 0.5 * median_px(other, ours)


def test_two_people_side_by_side_are_two(detector, frames, men):
    wide = np.concatenate([frames[2], frames[3]], axis=1)
    people = detector.detect(wide)
    assert len(people) >= 2
    offset = (frames[2].shape[1], 0, 0)
    for man in (men[2], men[3] + offset):
        assert min(median_px(person, man) for person in people) < 30
    assert len(MediaPipeDetector(max_people=1).detect(wide)) == 1


def test_tiles_find_somebody_small_in_a_wide_image(detector, frames, men):
    """The man is 370 px high in 1920 x 1080: 43 px in the detector's view of the whole image."""
    small = cv2.resize(frames[3], None, fx=0.5625, fy=0.5625, interpolation=cv2.INTER_AREA)
    image = np.full((1080, 1920, 3), 127, np.uint8)
    image[:, 1200 : 1200 + small.shape[1]] = small
    people = detector.detect(image)
    assert len(people) >= 1
    assert min(median_px(p, men[3] * (0.5625, 0.5625, 1) + (1200, 0, 0)) for p in people) < 15


def test_joints_outside_the_image_are_not_seen(detector, frames):
    half = np.ascontiguousarray(frames[0][:900])
    height, width = half.shape[:2]
    people = detector.detect(half)
    assert len(people) >= 1
    outside = (people[..., 1] >= height - 0.5) | (people[..., 0] >= width - 0.5)
    outside |= (people[..., :2] <= -0.5).any(-1)
    assert outside.any()  # the legs are cut off
    assert (people[outside, 2] == 0).all()
    assert (people[..., 2] >= 0).all()
    assert (people[..., 2] <= 1).all()


@pytest.mark.parametrize("shape", [(480, 640), (1, 1), (3, 3000), (2000, 2), (224, 224)])
@pytest.mark.parametrize("grey", [0, 200])
def test_empty_images_of_any_shape_hold_nobody(detector, shape, grey):
    people = detector.detect(np.full((*shape, 3), grey, np.uint8))
    assert people.shape == (0, 33, 3)
    assert people.dtype == np.float32


def test_what_is_no_image_is_refused(detector):
    with pytest.raises(UserError, match="expected uint8"):
        detector.detect(np.zeros((10, 10, 3), np.float32))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_people": 0}, "max_people is 0, expected 1 or more"),
        ({"min_score": 1.0}, "min_score is 1.0, expected 0 < score < 1"),
        ({"n_threads": 0}, "n_threads is 0"),
    ],
)
def test_senseless_settings_are_refused(arguments, words):
    with pytest.raises(UserError, match=words):
        MediaPipeDetector(**arguments)


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps mediapipe==0\.10\.21"):
        MediaPipeDetector()


def test_a_wheel_without_models_is_said_to_be_of_the_wrong_version(monkeypatch, tmp_path):
    (tmp_path / "mediapipe").mkdir()
    (tmp_path / "mediapipe" / "__init__.py").write_text("raise RuntimeError('imported')")
    spec = importlib.util.spec_from_file_location(
        "mediapipe",
        tmp_path / "mediapipe" / "__init__.py",
        submodule_search_locations=[str(tmp_path / "mediapipe")],
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match=r"no longer carries them.*mediapipe==0\.10\.21"):
        MediaPipeDetector()


def test_without_the_runtime_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UserError, match="pip install ai-edge-litert"):
        blazepose_models.TfliteModel(tmp_path / "model.tflite", 1)


@pytest.mark.parametrize("content", [b"", b"not a model" * 100])
def test_a_corrupt_model_is_named(tmp_path, content):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "pose.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"pose\.tflite is no usable model.*--force-reinstall"):
        blazepose_models.TfliteModel(path, 1)
