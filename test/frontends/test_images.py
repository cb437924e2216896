"""Letterboxing: where a raw pixel lands, what surrounds the image, and what is refused."""

import numpy as np
import pytest
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.images import CANVAS_PX, IMAGENET_MEAN, IMAGENET_STD, canvas_for, letterbox
from mvssm_ros.geometry.cameras import Cameras, in_view, project

SIZES = [(1920, 1080), (1088, 1920), (640, 480), (1000, 333), (960, 512)]


def blob(size_px: tuple[int, int], centre_px: tuple[float, float], sigma_px: float) -> np.ndarray:
    width, height = size_px
    x = np.exp(-0.5 * ((np.arange(width) - centre_px[0]) / sigma_px) ** 2)
    y = np.exp(-0.5 * ((np.arange(height) - centre_px[1]) / sigma_px) ** 2)
    return np.repeat((250 * y[:, None] * x).round().astype(np.uint8)[..., None], 3, axis=2)


def centroid_px(image: torch.Tensor) -> torch.Tensor:
    """Centre of mass (x, y) of a normalised [3, H, W] image, black counting as nothing."""
    mean, std = torch.tensor(IMAGENET_MEAN)[0], torch.tensor(IMAGENET_STD)[0]
    mass = (image[0].double() * std + mean).clamp(min=0)
    y, x = (torch.arange(n, dtype=torch.float64) for n in mass.shape)
    return torch.stack([(mass.sum(0) * x).sum(), (mass.sum(1) * y).sum()]) / mass.sum()


@pytest.mark.parametrize("canvas_px", [(480, 256), (192, 320)])
@pytest.mark.parametrize("size_px", SIZES)
def test_a_raw_pixel_lands_where_scale_and_offset_say(size_px, canvas_px):
    place = torch.tensor([0.31 * size_px[0], 0.62 * size_px[1]], dtype=torch.float64)
    boxed = letterbox([blob(size_px, tuple(place.tolist()), 0.02 * max(size_px))], canvas_px)
    expected = boxed.scale[0] * place + boxed.offset_px[0]
    assert (centroid_px(boxed.images[0]) - expected).abs().max() < 0.03
    width, height = canvas_px
    assert boxed.images.shape == (1, 3, height, width)
    assert boxed.images.is_contiguous(memory_format=torch.channels_last)


def test_the_image_fills_the_canvas_as_far_as_it_can_and_the_rest_is_black():
    white = np.full((480, 640, 3), 255, np.uint8)
    boxed = letterbox([white], (960, 512))
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    rgb = boxed.images[0] * std + mean
    filled = int(640 * 512 / 480)
    assert boxed.scale[0] == pytest.approx(512 / 480)
    torch.testing.assert_close(rgb[:, :, :filled], torch.ones(3, 512, filled))
    torch.testing.assert_close(rgb[:, :, filled:], torch.zeros(3, 512, 960 - filled))


def test_colours_are_normalised_channel_by_channel():
    red = np.zeros((512, 960, 3), np.uint8)
    red[..., 0] = 255
    pixel = letterbox([red]).images[0, :, 7, 9]
    expected = [(v - m) / s for v, m, s in zip((1, 0, 0), IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    torch.testing.assert_close(pixel, torch.tensor(expected))


def test_views_of_different_sizes_share_one_canvas():
    images = [np.zeros((h, w, 3), np.uint8) for w, h in SIZES]
    boxed = letterbox(images)
    assert boxed.images.shape == (len(SIZES), 3, CANVAS_PX[1], CANVAS_PX[0])
    for (w, h), scale in zip(SIZES, boxed.scale.tolist(), strict=True):
        assert scale == pytest.approx(min(CANVAS_PX[0] / w, CANVAS_PX[1] / h))


def test_the_canvas_stands_upright_only_when_every_image_does():
    assert canvas_for([(1088, 1920), (720, 1280)]) == (512, 960)
    assert canvas_for([(1088, 1920), (1280, 720)]) == (960, 512)


def test_cameras_moved_by_the_letterbox_see_the_same_points():
    K = torch.tensor([[[1400.0, 0, 950], [0, 1390, 560], [0, 0, 1]]])
    size = torch.tensor([[1920.0, 1080.0]])
    raw = Cameras.pinhole(K, torch.eye(3)[None], torch.zeros(1, 3), size)
    points = torch.rand(200, 3) * torch.tensor([6.0, 4.0, 3.0]) - torch.tensor([3.0, 2.0, -1.0])
    boxed = letterbox([np.zeros((1080, 1920, 3), np.uint8)])
    moved = raw.affine(boxed.scale, boxed.offset_px)
    (u_raw, depth), (u_net, _) = project(raw, points), project(moved, points)
    torch.testing.assert_close(
        u_net, u_raw * boxed.scale[0] + boxed.offset_px, rtol=1e-4, atol=1e-3
    )
    seen = in_view(raw, u_raw, depth)
    assert 20 < seen.sum() < 180
    assert torch.equal(seen, in_view(moved, u_net, depth))


def test_a_read_only_image_is_taken_and_left_as_it_is():
    image = blob((320, 200), (100, 100), 9)
    image.flags.writeable = False
    before = image.copy()
    assert torch.isfinite(letterbox([image]).images).all()
    assert (image == before).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 30), np.uint8),
        np.zeros((20, 30, 4), np.uint8),
        np.zeros((20, 30, 3), np.uint16),
        np.zeros((0, 30, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_refused_with_its_number_and_shape(image):
    with pytest.raises(UserError, match=r"image 1 is not uint8 RGB.*got uint"):
        letterbox([np.zeros((20, 30, 3), np.uint8), image])
