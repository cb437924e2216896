import torch

from mvssm_ros.frontends.keypoints import STRIDES, canvas_scale, canvas_size, draw_pyramid
from mvssm_ros.network.projective_attention import anchor_features

CANVAS = (960, 544)


def drawn(*people):
    """One scene, one view: each person a list of (joint, x, y, confidence)."""
    keypoints = torch.zeros(1, 1, max(1, len(people)), 15, 3, dtype=torch.float64)
    for p, joints in enumerate(people):
        for j, x, y, c in joints:
            keypoints[0, 0, p, j] = torch.tensor([x, y, c])
    return draw_pyramid(keypoints, CANVAS)


def at(pyramid, joint, x, y):
    """What joint's token sees at a place: [levels, 6]."""
    anchors = torch.zeros(1, 1, 1, 15, 2, dtype=torch.float64)
    anchors[..., joint, :] = torch.tensor([x, y])
    return anchor_features(anchors, pyramid)[0, 0, 0, joint]


def test_shapes():
    pyramid = drawn([(5, 100, 100, 1)])
    assert [tuple(x.shape) for x in pyramid.levels] == [
        (1, 1, 15, 3, 544 // s, 960 // s) for s in STRIDES
    ]


def test_the_shift_points_at_the_keypoint():
    pyramid = drawn([(5, 403.3, 211.7, 0.9)])
    for dx, dy in [(0, 0), (6, -9), (-11.5, 4)]:
        seen = at(pyramid, 5, 403.3 + dx, 211.7 + dy)
        for level, stride in enumerate(STRIDES):
            shift = seen[level, 1:3] / seen[level, 0]
            expected = torch.tensor([-dx, -dy], dtype=torch.float64) / stride
            torch.testing.assert_close(shift, expected, atol=0.05, rtol=0)


def test_a_joint_is_seen_on_its_own_map_and_on_its_mirrors():
    pyramid = drawn([(5, 400, 200, 0.9)])  # left wrist
    assert at(pyramid, 5, 400, 200)[0, 0] > 0.9
    assert at(pyramid, 5, 400, 200)[0, 3] == 0
    assert at(pyramid, 11, 400, 200)[0, 0] == 0  # right wrist: nothing of its own,
    assert at(pyramid, 11, 400, 200)[0, 3] > 0.9  # but its mirror is here
    assert at(pyramid, 4, 400, 200).abs().max() == 0


def test_missing_joints_draw_nothing():
    assert all(x.abs().max() == 0 for x in drawn([(5, 400, 200, 0.0)]).levels)


def test_two_people_on_one_map():
    pyramid = drawn([(0, 200, 200, 0.9)], [(0, 600, 300, 0.4)])
    assert at(pyramid, 0, 200, 200)[0, 0] > at(pyramid, 0, 600, 300)[0, 0] > 0.9
    between = at(pyramid, 0, 225, 205)[0]
    assert between[1] < 0  # towards the nearer one


def test_off_canvas_keypoints_are_harmless():
    pyramid = drawn([(0, -5000, 1e6, 0.9)])
    assert all(torch.isfinite(x).all() for x in pyramid.levels)


def test_canvas_holds_portrait_and_landscape():
    size = torch.tensor([[1920.0, 1080.0], [1088.0, 1920.0]])
    assert canvas_scale(size).tolist() == [0.5, 0.5]
    assert canvas_size(size) == (960, 960)
    assert canvas_size(size[:1]) == (960, 544)
