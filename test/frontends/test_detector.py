"""What every 2D detector must give and take."""

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.detector import MAX_PEOPLE, Detector, check_image, check_keypoints


class Nobody:
    skeleton = "coco17"

    def detect(self, image_rgb):
        return np.zeros((0, 17, 3), np.float32)


def test_the_protocol_asks_for_skeleton_and_detect():
    assert isinstance(Nobody(), Detector)
    assert not isinstance(object(), Detector)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ([[1, 2, 3]], "got list"),
        (np.zeros((4, 4, 3), np.float32), "expected uint8, got float32"),
        (np.zeros((4, 4, 3), np.uint16), "expected uint8, got uint16"),
        (np.zeros((4, 4), np.uint8), r"\[H, W, 3\] \(RGB\), got \[4, 4\]"),
        (np.zeros((4, 4, 4), np.uint8), r"got \[4, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
    ],
)
def test_what_is_no_rgb_image_is_refused(image, words):
    with pytest.raises(UserError, match=f"image: .*{words}"):
        check_image(image)


def test_an_rgb_image_passes():
    check_image(np.zeros((1, 1, 3), np.uint8))


def test_keypoints_that_are_not_finite_or_not_seen_are_missing():
    given = np.array([[[1, 2, 0.5], [np.nan, 2, 0.5], [3, 4, -1], [5, 6, np.inf], [7, 8, 1.00001]]])
    kept = given.copy()
    checked = check_keypoints(given, 5, "camera a")
    assert checked.dtype == np.float32
    np.testing.assert_allclose(
        checked[0], [[1, 2, 0.5], [0, 0, 0], [0, 0, 0], [0, 0, 0], [7, 8, 1]]
    )
    np.testing.assert_array_equal(given, kept)  # the caller's array stays as it was


def test_nobody_has_the_right_shape():
    assert check_keypoints(np.zeros((0,)), 17, "camera a").shape == (0, 17, 3)


@pytest.mark.parametrize(
    ("keypoints", "words"),
    [
        (np.zeros((1, 16, 3)), r"\[people, 17, 3\] .* got \[1, 16, 3\]"),
        (np.zeros((17, 3)), r"got \[17, 3\]"),
        (np.full((1, 17, 3), 85.0), "confidence is 85, expected 0..1; divide percents by 100"),
    ],
)
def test_wrong_keypoints_are_refused_and_the_source_named(keypoints, words):
    with pytest.raises(UserError, match=f"topic /cam1/keypoints: .*{words}"):
        check_keypoints(keypoints, 17, "topic /cam1/keypoints")


def test_a_detector_that_finds_crowds_is_refused():
    people = np.full((MAX_PEOPLE + 1, 17, 3), 0.5, np.float32)
    assert len(check_keypoints(people[1:], 17, "camera a")) == MAX_PEOPLE
    with pytest.raises(UserError, match="camera a: 65 people in one image, expected up to 64"):
        check_keypoints(people, 17, "camera a")
