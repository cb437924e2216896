"""Anchors, decoding, suppression, regions and crops of the BlazePose pipeline."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvssm_ros.frontends import blazepose_boxes as boxes

RELAXED = settings(deadline=None)


def test_anchors_are_the_centres_of_the_cells():
    anchors = boxes.detector_anchors()
    assert anchors.shape == (2254, 2)  # what the network puts out
    np.testing.assert_allclose(anchors[0], 4 / 224)
    np.testing.assert_allclose(anchors[0], anchors[1])  # two a cell at stride 8
    np.testing.assert_allclose(anchors[2], [12 / 224, 4 / 224])  # along x first
    np.testing.assert_allclose(anchors[28 * 28 * 2], 8 / 224)
    np.testing.assert_allclose(anchors[-1], 1 - 16 / 224)
    assert len(np.unique(anchors, axis=0)) == 28**2 + 14**2 + 7**2


@given(st.integers(1, 8000), st.integers(1, 8000), st.booleans())
@RELAXED
def test_windows_cover_the_image(width, height, tiles):
    windows = boxes.search_windows(width, height, tiles)
    assert windows[0] == (0, 0, width, height)
    side, length = sorted((width, height))
    assert (len(windows) > 1) == (tiles and length > 1.2 * side)
    assert len(windows) <= 5
    for x, y, w, h in windows[1:]:
        assert w == h or length > 3.4 * side
        assert min(w, h) == side
        assert 0 <= x <= width - w
        assert 0 <= y <= height - h
    if len(windows) > 1:
        starts = [max(x, y) for x, y, _, _ in windows[1:]]
        long = max(windows[1][2:])
        assert (starts[0], starts[-1]) == (0, length - long)
        assert max(np.diff(starts)) <= 0.8 * long + 1  # a fifth in common


def test_common_images_get_two_tiles():
    assert boxes.search_windows(1920, 1080, True)[1:] == [(0, 0, 1080, 1080), (840, 0, 1080, 1080)]
    assert len(boxes.search_windows(640, 480, True)) == 3
    assert len(boxes.search_windows(600, 600, True)) == 1
    assert boxes.search_windows(2, 3400, True)[1:3] == [(0, 0, 2, 1000), (0, 800, 2, 1000)]


numbers = st.floats(-300, 300, width=32)


@given(st.integers(0, 2253), st.lists(numbers, min_size=12, max_size=12))
@RELAXED
def test_decoding_places_box_and_points_relative_to_the_anchor(anchor, values):
    anchors = boxes.detector_anchors()
    raw, logits = np.zeros((2254, 12), np.float32), np.full(2254, -20, np.float32)
    raw[anchor], logits[anchor] = values, 0.0
    scores, found, points = boxes.decode_detections(raw, logits, anchors, 0.4)
    np.testing.assert_allclose(scores, [0.5])
    x, y = origin = anchors[anchor] * 224
    dx, dy, w, h = values[:4]
    expected = np.array([x + dx - w / 2, y + dy - h / 2, x + dx + w / 2, y + dy + h / 2]) / 224
    np.testing.assert_allclose(found[0], expected, atol=1e-9)
    np.testing.assert_allclose(points[0] * 224, np.reshape(values[4:], (4, 2)) + origin, atol=1e-9)


def test_nothing_above_the_threshold_gives_nothing():
    raw, logits = np.zeros((2254, 12), np.float32), np.full(2254, -5, np.float32)
    decoded = boxes.decode_detections(raw, logits, boxes.detector_anchors(), 0.5)
    scores, points = boxes.blend_overlapping(*decoded, 0.3)
    assert scores.shape == (0,)
    assert points.shape == (0, 4, 2)


@st.composite
def box(draw):
    x, y = draw(st.floats(0, 10)), draw(st.floats(0, 10))
    return np.array([x, y, x + draw(st.floats(0.1, 5)), y + draw(st.floats(0.1, 5))])


@given(box(), box())
@RELAXED
def test_iou_is_symmetric_and_one_for_itself(a, b):
    iou = boxes.box_iou(a, np.stack([a, b]))
    assert iou[0] == pytest.approx(1)
    assert 0 <= iou[1] <= 1
    assert boxes.box_iou(b, a[None])[0] == pytest.approx(iou[1])


def test_iou_of_a_known_overlap_and_of_no_area():
    assert boxes.box_iou(np.array([0.0, 0, 2, 2]), np.array([[1.0, 1, 3, 3]]))[0] == 1 / 7
    assert boxes.box_iou(np.zeros(4), np.zeros((1, 4)))[0] == 0


def test_overlapping_boxes_are_averaged_by_score_and_others_kept():
    found = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30], [1, 0, 11, 10], [5, 5, 5, 5]])
    points = np.arange(4.0)[:, None, None] + np.zeros((4, 4, 2))
    scores, blended = boxes.blend_overlapping(np.array([0.6, 0.9, 0.2, 0.1]), found, points, 0.3)
    np.testing.assert_allclose(scores, [0.9, 0.6, 0.1])
    np.testing.assert_allclose(blended[:, 0, 0], [1.0, (0 * 0.6 + 2 * 0.2) / 0.8, 3.0])


def test_regions_without_a_size_are_none():
    here = np.array([5.0, 5.0])
    assert boxes.region_from_points(here, here) is None
    assert boxes.region_from_points(here, np.array([np.nan, 0])) is None
    assert boxes.region_from_points(here, np.array([np.inf, 0])) is None


@given(st.floats(-500, 500), st.floats(-500, 500), st.floats(2, 900), st.floats(-np.pi, np.pi))
@RELAXED
def test_the_crop_is_upright_and_holds_the_circle(x, y, radius, angle):
    hips = np.array([x, y])
    head = hips + radius * np.array([np.cos(angle), np.sin(angle)])
    region = boxes.region_from_points(hips, head)
    to_image = boxes.crop_to_image(region, 256)
    to_crop = np.linalg.inv(np.vstack([to_image, [0, 0, 1]]))
    u, v, _ = to_crop @ [*hips, 1]
    assert (u, v) == pytest.approx((127.5, 127.5), abs=1e-6)
    u, v, _ = to_crop @ [*head, 1]
    assert (u, v) == pytest.approx((127.5, 127.5 - 128 / 1.25), abs=1e-6)  # straight above
    linear = to_image[:, :2]
    per_pixel = region.size_px / 256
    np.testing.assert_allclose(linear.T @ linear / per_pixel**2, np.eye(2), atol=1e-9)
    assert np.linalg.det(linear) > 0  # not mirrored


def test_a_crop_shows_the_person_the_right_way_up():
    """A body that lies to the right: its head's mark comes out at the top of the crop."""
    image = np.zeros((200, 300, 3), np.uint8)
    cv2.circle(image, (240, 100), 6, (255, 255, 255), -1)
    region = boxes.region_from_points(np.array([140.0, 100.0]), np.array([240.0, 100.0]))
    crop = cv2.warpAffine(
        image, boxes.crop_to_image(region, 250), (250, 250), flags=cv2.WARP_INVERSE_MAP
    )
    rows, columns = np.nonzero(crop[..., 0] > 128)
    assert columns.mean() == pytest.approx(124.5, abs=1)
    assert rows.mean() == pytest.approx(24.5, abs=1)


@given(st.floats(10, 53), st.floats(10, 53), st.floats(-9, 9), st.floats(-9, 9))
@RELAXED
def test_landmarks_move_to_the_heatmap_peak(column, row, off_x, off_y):
    y, x = np.mgrid[:64, :64]
    peak = np.exp(-((x - column) ** 2 + (y - row) ** 2) / 2)
    peak = np.maximum(peak, 1e-30)
    logits = np.log(peak / (1 - 0.999 * peak))[..., None].astype(np.float32) + 3
    at = np.array([[4 * column + off_x, 4 * row + off_y]])
    moved = boxes.refine_by_heatmaps(at, logits, 256)
    target = np.array([4 * column, 4 * row])
    assert np.abs(moved - target).max() <= max(0.9 * np.abs(at - target).max(), 3.0)


def test_landmarks_without_a_peak_stay():
    points = np.array([[100.0, 100.0], [-30.0, 50.0], [np.nan, 4.0], [np.inf, 4.0], [255.9, 255.9]])
    flat = np.full((64, 64, 5), -3.0, np.float32)
    np.testing.assert_array_equal(boxes.refine_by_heatmaps(points, flat, 256), points)
    high = np.full((64, 64, 5), 3.0, np.float32)
    moved = boxes.refine_by_heatmaps(points, high, 256)
    np.testing.assert_array_equal(moved[1:4], points[1:4])  # outside the map
    np.testing.assert_allclose(moved[4], 4 * 61.5)  # the mean of the cells 60 to 63
    np.testing.assert_allclose(moved[0], 100.0)


def test_same_person_is_judged_on_joints_that_both_see():
    person = np.random.default_rng(0).uniform(0, 400, (33, 3))
    person[:, 2] = 0.9
    near = person + np.array([10, 0, 0])
    assert boxes.same_person(person, near, 400.0, 0.06)
    assert not boxes.same_person(person, person + np.array([30, 0, 0]), 400.0, 0.06)
    hidden = near.copy()
    hidden[:20, :2] += 500
    assert not boxes.same_person(person, hidden, 400.0, 0.06)
    hidden[:20, 2] = 0.1
    assert boxes.same_person(person, hidden, 400.0, 0.06)
    hidden[:, 2] = 0.1  # nothing in common: all joints count
    assert not boxes.same_person(person, hidden, 400.0, 0.06)
