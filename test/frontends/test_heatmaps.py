"""The maps made of heatmaps are those that would have been drawn of the keypoints."""

import pytest
import torch

from mvssm_ros.frontends.heatmaps import FLOOR, draw_heatmaps, heatmap_pyramid
from mvssm_ros.frontends.keypoints import draw_pyramid

CANVAS = (480, 320)


def keypoints(*places, confidence=1.0):
    """All 15 joints of one person each at (x, y), px, of one scene and view."""
    out = torch.zeros(1, 1, len(places), 15, 3)
    for g, (x, y) in enumerate(places):
        out[0, 0, g, :, :2] = torch.tensor([x, y]) + 3.0 * torch.arange(15)[:, None]
        out[0, 0, g, :, 2] = confidence
    return out


def test_a_heatmap_peaks_where_the_keypoint_is():
    found = draw_heatmaps(keypoints((203.5, 99.5)), CANVAS, 8)[0, 0, 0]
    assert found.shape == (40, 60)
    y, x = divmod(int(found.argmax()), 60)
    assert (8 * x + 3.5, 8 * y + 3.5) == (203.5, 99.5)
    assert found.max() == 1


def test_missing_keypoints_draw_nothing_and_nobody_draws_zeros():
    assert draw_heatmaps(keypoints((200.0, 100.0), confidence=0.0), CANVAS, 8).max() == 0
    assert draw_heatmaps(keypoints(), CANVAS, 8).shape == (1, 1, 15, 40, 60)


# of images of half the size, and of whole ones
@pytest.mark.parametrize(("cell", "most"), [(8, 3), (4, 4)])
def test_mass_and_shift_are_those_that_keypoints_are_drawn_with(cell, most):
    points = keypoints((200.0, 100.0), (380.0, 210.0))
    found = heatmap_pyramid(draw_heatmaps(points, CANVAS, cell), cell)
    drawn = draw_pyramid(points, CANVAS)
    assert found.strides == drawn.strides
    for ours, theirs, limit in zip(found.levels, drawn.levels, (0.12, 0.12, 0.25)):
        assert ours.shape == theirs.shape
        near = theirs[:, :, :, :1] > 0.6
        assert ((ours - theirs).abs() * near).max() < most * limit  # cells
        assert ((ours - theirs).abs() * near).sum() / near.sum() / 3 < limit


def test_the_shift_points_at_the_keypoint_from_around_it():
    found = heatmap_pyramid(draw_heatmaps(keypoints((200.0, 100.0)), CANVAS, 8), 8).levels[0][
        0, 0, 0
    ]
    centre = (torch.tensor([200.0, 100.0]) + 0.5) / 8 - 0.5  # cells
    for x, y in ((24, 12), (25, 13), (26, 11), (23, 12)):
        assert abs(x + float(found[1, y, x]) - centre[0]) < 0.35
        assert abs(y + float(found[2, y, x]) - centre[1]) < 0.35


def test_faint_noise_is_not_seen():
    noise = FLOOR * torch.rand(1, 1, 15, 40, 60, generator=torch.Generator().manual_seed(0))
    assert all(level.abs().max() == 0 for level in heatmap_pyramid(noise, 8).levels)


def test_gradients_reach_the_heatmaps():
    heat = draw_heatmaps(keypoints((200.0, 100.0)), CANVAS, 8).requires_grad_()
    sum(level.square().sum() for level in heatmap_pyramid(heat, 8).levels).backward()
    assert torch.isfinite(heat.grad).all()
    assert heat.grad.abs().sum() > 0
