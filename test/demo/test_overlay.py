"""Skeletons lie where the cameras see the joints; videos can be read back."""

import cv2
import numpy as np
import pytest
import torch

from mvssm_ros.demo.overlay import OverlayPainter, color_of, film_frames
from mvssm_ros.demo.pictures import VideoWriter, read_picture, save_picture, stack
from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.geometry.skeletons import SKELETONS


@pytest.fixture
def cameras():
    """Two cameras of 600 x 800 px, 4 m away at +x and at -x, 1 m high, level, z up."""
    R = torch.tensor(
        [
            [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]],
            [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]],
        ]
    )
    centers = torch.tensor([[4.0, 0.0, 1.0], [-4.0, 0.0, 1.0]])
    return Cameras(
        K=torch.tensor([[900.0, 0, 299.5], [0, 900.0, 399.5], [0, 0, 1]]).repeat(2, 1, 1),
        distortion=torch.zeros(2, 8),
        fisheye=torch.zeros(2, dtype=torch.bool),
        R=R,
        t=-(R @ centers.unsqueeze(-1)).squeeze(-1),
        size_px=torch.tensor([[600.0, 800.0], [600.0, 800.0]]),
    )


def is_near(picture, x, y, color):
    """Whether a pixel around (x, y) has about this colour."""
    patch = picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].astype(int)
    return bool((np.abs(patch - color).max(-1) < 40).any())


def test_joints_are_drawn_where_the_camera_sees_them(cameras, person, answer):
    someone = person("p0003", at=(0.2, 0.4))
    pixels, _ = project(cameras, torch.tensor(someone.joints_m, dtype=torch.float32))
    picture = OverlayPainter(cameras, ["left", "right"], height_px=800).paint(
        None, answer(0, someone), "frame 0"
    )
    for view, offset_px in ((0, 0), (1, 606)):
        for (x, y), name in zip(pixels[view].numpy(), SKELETONS["panoptic15"].joints):
            shade = 0.55 if name.startswith("right_") else 1.0  # the right side is darker
            color = shade * np.array(color_of("p0003"))
            assert is_near(picture, x + offset_px, y, color), name


def test_images_are_scaled_with_their_skeletons(cameras, person, answer):
    images = [np.full((800, 600, 3), shade, np.uint8) for shade in (90, 200)]
    picture = OverlayPainter(cameras, ["left", "right"], height_px=400).paint(
        images, answer(0, person()), ""
    )
    assert (picture[200, 280] == 90).all()
    assert (picture[200, 330] == 200).all()
    pixels, _ = project(cameras, torch.tensor(person().joints_m, dtype=torch.float32))
    x, y = pixels[0, 2].numpy() / 2
    assert is_near(picture, x, y, color_of("p0001"))


def test_who_is_not_seen_is_not_drawn(cameras, person, answer):
    painter = OverlayPainter(cameras, ["left", "right"])
    images = [np.zeros((800, 600, 3), np.uint8)] * 2
    empty = painter.paint(images, answer(0), "")
    behind_both = np.full((15, 3), np.nan)
    for nobody in (person(state=2), person(joints_m=behind_both)):
        assert (painter.paint(images, answer(0, nobody), "") == empty).all()


def test_behind_a_camera_is_not_in_its_view(cameras, person, answer):
    painter = OverlayPainter(cameras, ["left", "right"], height_px=800)
    images = [np.zeros((800, 600, 3), np.uint8)] * 2
    empty = painter.paint(images, answer(0), "")
    drawn = painter.paint(images, answer(0, person(at=(6.0, 0.0))), "")  # behind the first
    assert (drawn[:, :600] == empty[:, :600]).all()
    assert (drawn[:, 606:] != empty[:, 606:]).any()


def test_colours_differ_and_stay():
    assert len({color_of(f"p{n:04d}") for n in range(1, 30)}) == 29
    assert color_of("p0007") == color_of("p0007")


def test_video_and_pictures_can_be_read_back(tmp_path):
    shades = [20, 120, 220]
    with VideoWriter(tmp_path / "v.mp4", 20.0) as video:
        for shade in shades:
            picture = np.full((64, 96, 3), shade, np.uint8)
            picture[..., 2] = 0  # no blue: a swap of channels would show
            video.add(picture)
    capture = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    frames = [capture.read()[1] for _ in shades]
    assert not capture.read()[0]
    for frame, shade in zip(frames, shades):
        assert np.abs(frame.astype(int).mean((0, 1)) - (0, shade, shade)).max() < 12
    save_picture(tmp_path / "p.png", picture)
    assert (read_picture(tmp_path / "p.png") == picture).all()


def test_stack_keeps_both_shapes():
    upper, lower = np.full((10, 80, 3), 3, np.uint8), np.full((50, 80, 3), 9, np.uint8)
    picture = stack(upper, lower, 40)
    assert picture.shape == (5 + 25, 40, 3)
    assert (picture[:5] == 3).all()
    assert (picture[5:] == 9).all()


def test_plain_picture_ends_below_the_people(cameras, person, answer):
    picture = OverlayPainter(cameras, ["left", "right"], height_px=800).paint(
        None, answer(0, person()), ""
    )
    pixels, _ = project(cameras, torch.tensor(person().joints_m, dtype=torch.float32))
    lowest = float(pixels[..., 1].max())
    assert lowest + 30 < picture.shape[0] < lowest + 90


def test_film_frames_of_all_cameras_together(tmp_path):
    videos = {}
    for name, base in (("a", 0), ("b", 100)):
        videos[name] = tmp_path / f"{name}.mp4"
        with VideoWriter(videos[name], 20.0) as video:
            for k in range(6):
                video.add(np.full((64, 64, 3), base + 10 * k, np.uint8))
    found = list(film_frames(videos, {1, 4}))
    assert [frame for frame, _ in found] == [1, 4]
    for frame, (a, b) in found:
        assert abs(a.mean() - 10 * frame) < 5
        assert abs(b.mean() - 100 - 10 * frame) < 5


def test_views_in_rows_and_a_picture_that_fills_the_last_one(cameras, person, answer):
    three = Cameras.stack([cameras.select([0]), cameras.select([1]), cameras.select([0])])
    flat = Cameras(**{name: value.squeeze(1) for name, value in vars(three).items()
                      if name in Cameras.__dataclass_fields__})  # fmt: skip
    painter = OverlayPainter(flat, list("abc"), height_px=400, columns=2)
    images = [np.full((800, 600, 3), 90, np.uint8)] * 3
    more = np.full((400, painter.free_px, 3), 200, np.uint8)
    picture = painter.paint(images, answer(0, person()), "", [more])
    assert picture.shape[1] == 606
    assert (picture[100, 280] == 90).all()
    assert (picture[500, 280] == 90).all()
    assert (picture[500, 310:606] == 200).all()  # to the right edge of the second row
    assert (picture[806:, 310] != 200).all()
