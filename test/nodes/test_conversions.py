"""Camera messages to arrays: encodings against known pixels, bad messages by their error."""

import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Keypoints2D, Keypoints2DArray
from mvssm_ros.nodes.conversions import (
    check_size,
    compressed_to_rgb,
    image_to_rgb,
    info_to_intrinsics,
    keypoints_to_panoptic15,
)

WHERE = ("cam01", "/cam01/image_raw")


def picture(height=6, width=8):
    """Every pixel and channel different from its neighbours."""
    return (np.arange(height * width * 3).reshape(height, width, 3) * 5 % 251).astype(np.uint8)


def image_msg(pixels, encoding, padding=0):
    """An Image message whose rows are followed by ``padding`` bytes of rubbish."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 255, np.uint8)], axis=1)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.tobytes())
    return message


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "from_rgb"),
    [
        ("rgb8", lambda rgb: rgb),
        ("bgr8", lambda rgb: rgb[..., ::-1]),
        ("8UC3", lambda rgb: rgb[..., ::-1]),
        ("rgba8", lambda rgb: np.dstack([rgb, np.zeros_like(rgb[..., :1])])),
        ("bgra8", lambda rgb: np.dstack([rgb[..., ::-1], np.zeros_like(rgb[..., :1])])),
        ("8UC4", lambda rgb: np.dstack([rgb[..., ::-1], np.zeros_like(rgb[..., :1])])),
    ],
)
def test_colour_encodings_give_the_same_rgb(encoding, from_rgb, padding):
    rgb = picture()
    message = image_msg(np.ascontiguousarray(from_rgb(rgb)), encoding, padding)
    read = image_to_rgb(message, *WHERE)
    assert read.dtype == np.uint8
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, rgb)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_becomes_three_equal_channels(encoding):
    grey = picture()[..., :1]
    np.testing.assert_array_equal(
        image_to_rgb(image_msg(grey, encoding, padding=3), *WHERE), np.repeat(grey, 3, axis=2)
    )


@pytest.mark.parametrize(
    ("encoding", "mosaic"),
    [("rggb", "rggb"), ("bggr", "bggr"), ("gbrg", "gbrg"), ("grbg", "grbg")],
)
def test_bayer_patterns_of_one_colour_give_that_colour(encoding, mosaic):
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array([colour[c] for c in mosaic], np.uint8).reshape(2, 2)
    message = image_msg(np.tile(tile, (4, 4))[..., None], f"bayer_{encoding}8")
    read = image_to_rgb(message, *WHERE)
    np.testing.assert_array_equal(read[2:-2, 2:-2].reshape(-1, 3), [[200, 120, 40]] * 16)


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
def test_yuv_of_one_colour_gives_that_colour(encoding, order):
    value = {"y": 81, "u": 90, "v": 240}  # pure red in BT.601, limited range
    tile = np.array([value[c] for c in order], np.uint8).reshape(2, 2)
    message = image_msg(np.tile(tile, (4, 3, 1)), encoding)
    np.testing.assert_allclose(image_to_rgb(message, *WHERE)[0, 0], [255, 0, 0], atol=3)


def test_rgb_is_not_copied():
    message = image_msg(picture(), "rgb8")
    read = image_to_rgb(message, *WHERE)
    message.data[0] = 77
    assert read[0, 0, 0] == 77


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoding": "16UC1"}, "encoding '16UC1' is not an 8-bit picture"),
        ({"encoding": "mono16"}, "encoding 'mono16' is not an 8-bit picture"),
        ({"encoding": "32FC1"}, "encoding '32FC1' is not an 8-bit picture"),
        ({"encoding": "sepia"}, "encoding 'sepia'"),
        ({"encoding": ""}, "encoding ''"),
        ({"width": 0}, "empty image"),
        ({"step": 23}, "step is 23 bytes, expected at least 24"),
        ({"height": 7}, r"data has 144 bytes, expected step x height = 24 x 7 = 168"),
        ({"data": array.array("B")}, "data has 0 bytes"),
        ({"encoding": "yuyv", "width": 7}, "7 x 6 cannot be 'yuyv' .yuv needs an even width"),
        ({"encoding": "bgr8\n"}, r"encoding 'bgr8\\n'"),
    ],
)
def test_a_bad_image_is_refused_by_name(change, said):
    message = image_msg(picture(), "rgb8")
    for field, value in change.items():
        setattr(message, field, value)
    with pytest.raises(UserError, match=f"camera 'cam01', topic '/cam01/image_raw': .*{said}") as e:
        image_to_rgb(message, *WHERE)
    assert "\n" not in str(e.value)


def compressed_msg(rgb, suffix=".jpg", cut=None, image_format="jpeg"):
    data = cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
    message = CompressedImage(format=image_format)
    message.data = array.array("B", data[:cut])
    return message


def test_png_is_exact_and_jpeg_is_close():
    smooth = cv2.resize(picture(), (80, 60), interpolation=cv2.INTER_CUBIC)
    png = compressed_to_rgb(compressed_msg(smooth, ".png", image_format="png"), *WHERE)
    np.testing.assert_array_equal(png, smooth)
    jpeg = compressed_to_rgb(compressed_msg(smooth), *WHERE)
    assert np.abs(jpeg.astype(int) - smooth).mean() < 8


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.999, 0.7, 0.3, 0.05])
def test_a_truncated_image_is_refused(suffix, share):
    whole = compressed_msg(cv2.resize(picture(), (160, 120)), suffix)
    whole.data = whole.data[: int(len(whole.data) * share) - 1]
    with pytest.raises(UserError, match=r"camera 'cam01'.*(cut short at|neither JPEG nor PNG)"):
        compressed_to_rgb(whole, *WHERE)


def with_thumbnail(jpeg, thumbnail):
    """A JPEG with an APP1 segment that holds another, whole, JPEG."""
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    return jpeg[:2] + segment + jpeg[2:]


def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_the_image():
    small, large = (
        bytes(compressed_msg(cv2.resize(picture(), size)).data) for size in ((16, 12), (160, 120))
    )
    whole = with_thumbnail(large, small)
    message = CompressedImage(format="jpeg", data=array.array("B", whole))
    assert compressed_to_rgb(message, *WHERE).shape == (120, 160, 3)
    message.data = array.array("B", whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cut short"):
        compressed_to_rgb(message, *WHERE)


def test_the_exif_orientation_is_ignored():
    exif = (
        b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01"  # TIFF header, one entry:
        b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"  # orientation = 6, turned by 90 degrees
        b"\0\0\0\0"
    )
    turned = with_thumbnail(bytes(compressed_msg(cv2.resize(picture(), (32, 16))).data), exif)
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (32, 16, 3)
    message = CompressedImage(format="jpeg", data=array.array("B", turned))
    assert compressed_to_rgb(message, *WHERE).shape == (16, 32, 3)


@pytest.mark.parametrize(
    ("data", "image_format", "said"),
    [
        (b"", "jpeg", "0 bytes is neither JPEG nor PNG"),
        (b"GIF89a" + b"\0" * 50, "gif", "format 'gif' with 56 bytes is neither JPEG nor PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20 + b"IEND\0\0\0\0", "png", "cannot be decoded"),
        (b"\0", "16UC1; compressedDepth png", "not an 8-bit picture"),
    ],
)
def test_other_compressed_data_is_refused_by_name(data, image_format, said):
    message = CompressedImage(format=image_format, data=array.array("B", data))
    with pytest.raises(UserError, match=f"camera 'cam01', topic .*{said}"):
        compressed_to_rgb(message, *WHERE)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_size_that_nobody_would_decode_is_refused_before_it_is_allocated(suffix, monkeypatch):
    message = compressed_msg(picture(), suffix)
    data = bytearray(message.data)
    at, digits = (data.index(b"\xff\xc0") + 5, 2) if suffix == ".jpg" else (16, 4)
    for side in range(2):
        data[at + side * digits : at + (side + 1) * digits] = (30_000).to_bytes(digits, "big")
    message.data = array.array("B", data)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(UserError, match=r"says it is 30000 x 30000, expected up to 100,000,000"):
        compressed_to_rgb(message, *WHERE)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_of_another_size_than_the_calibrations_is_not_decoded(suffix, monkeypatch):
    message = compressed_msg(picture(), suffix)
    assert compressed_to_rgb(message, *WHERE, expected_px=(8, 6)).shape == (6, 8, 3)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(UserError, match="the image is 8 x 6, the calibration is for 6 x 8"):
        compressed_to_rgb(message, *WHERE, expected_px=(6, 8))


def info_msg(**fields):
    message = CameraInfo(width=640, height=480, distortion_model="plumb_bob")
    message.k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
    message.d = [0.1, -0.2, 0.001, 0.002, 0.05]
    for field, value in fields.items():
        setattr(message, field, value)
    return message


def test_camera_info_gives_the_intrinsics():
    read = info_to_intrinsics(info_msg(), *WHERE)
    np.testing.assert_array_equal(read.K, [[500, 0, 320], [0, 510, 240], [0, 0, 1]])
    assert read.distortion_model == "plumb_bob"
    np.testing.assert_array_equal(read.distortion, [0.1, -0.2, 0.001, 0.002, 0.05])
    assert read.size_px == (640, 480)


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ("plumb_bob", [0.1, 0.2, 0.0, 0.0], [0.1, 0.2, 0.0, 0.0, 0.0]),
        ("rational_polynomial", [0.1] * 8, [0.1] * 8),
        ("equidistant", [0.1] * 4, [0.1] * 4),
        ("", [], [0.0] * 5),
        ("plumb_bob", [0.0] * 5, [0.0] * 5),
    ],
)
def test_distortion_models(model, given, expected):
    read = info_to_intrinsics(info_msg(distortion_model=model, d=given), *WHERE)
    np.testing.assert_array_equal(read.distortion, expected)


def test_region_of_interest_and_binning_move_pixels_as_the_camera_does():
    K = info_to_intrinsics(info_msg(), *WHERE).K
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=400, height=400)
    read = info_to_intrinsics(info_msg(roi=roi, binning_x=2, binning_y=4), *WHERE)
    assert read.size_px == (200, 100)
    ray = np.array([0.1, -0.05, 1.0])
    full = (K @ ray)[:2]
    # Binned by f, pixel n covers the pixels f n .. f n + f - 1: its centre is their mean.
    expected = (full - [100, 40] - [0.5, 1.5]) / [2, 4]
    np.testing.assert_allclose((read.K @ ray)[:2], expected)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"k": [0.0] * 9}, "the camera matrix is all zero, so the camera is uncalibrated"),
        ({"k": [500.0, 0, 320.0, 0, 0.0, 240.0, 0, 0, 1.0]}, "focal lengths must be above 0"),
        ({"k": [500.0, 0, 320.0, 0, 500.0, 240.0, 0, 0, 0.0]}, "the camera matrix must be"),
        (
            {"k": [float("nan"), 0, 320.0, 0, 500.0, 240.0, 0, 0, 1.0]},
            "not a finite number",
        ),
        ({"width": 0}, "image size 0 x 480"),
        ({"distortion_model": "magic"}, "unknown distortion model 'magic'"),
        ({"d": [0.1] * 8}, "plumb_bob has 4 or 5 coefficients .*, got 8"),
        ({"d": [float("inf")] * 5}, "a distortion coefficient is not a finite number"),
        ({"height": 2**32 - 1}, "expected sides up to 32768"),
        ({"binning_x": 641}, "binning 641 x 1 leaves nothing of 640 x 480"),
        (
            {"roi": RegionOfInterest(x_offset=600, y_offset=0, width=41, height=40)},
            "region of interest ends at 641, 40, outside the image of 640 x 480",
        ),
    ],
)
def test_bad_camera_info_is_refused_by_name(fields, said):
    with pytest.raises(UserError, match=f"camera 'cam01', topic '/cam01/image_raw': .*{said}"):
        info_to_intrinsics(info_msg(**fields), *WHERE)


def keypoints_msg(skeleton="coco17", count=17, confidence=0.5):
    person = Keypoints2D(
        x=[float(i) for i in range(count)],
        y=[float(10 * i) for i in range(count)],
        confidence=[confidence] * count,
    )
    return Keypoints2DArray(skeleton=skeleton, people=[person, person])


def test_keypoints_are_mapped_to_our_skeleton():
    read = keypoints_to_panoptic15(keypoints_msg(), *WHERE)
    assert read.shape == (2, 15, 3)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read[0, 1], [0, 0, 0.5])  # nose
    np.testing.assert_allclose(read[0, 0], [5.5, 55, 0.5])  # neck: between the shoulders
    np.testing.assert_allclose(read[1, 8], [15, 150, 0.5])  # left ankle


def test_nobody_is_an_empty_array():
    read = keypoints_to_panoptic15(Keypoints2DArray(skeleton="panoptic15"), *WHERE)
    assert read.shape == (0, 15, 3)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (keypoints_msg(skeleton="openpose25"), "unknown skeleton 'openpose25'"),
        (keypoints_msg(count=16), "have 16, 16 and 16 elements, expected 17"),
        (keypoints_msg(confidence=50.0), "confidence is 50, expected 0..1"),
    ],
)
def test_bad_keypoints_are_refused_by_name(message, said):
    with pytest.raises(UserError, match=f"camera 'cam01', topic '/cam01/image_raw': .*{said}"):
        keypoints_to_panoptic15(message, *WHERE)


def test_another_size_than_the_calibrations_is_refused():
    check_size((640, 480), (640, 480), "camera 'cam01'")
    with pytest.raises(UserError, match="image is 320 x 240, the calibration is for 640 x 480"):
        check_size((320, 240), (640, 480), "camera 'cam01'")


@pytest.mark.parametrize("hidden", [b"\xff\x01", b"\xff\xd0", b"\xff\x00", b"\xff\xd8"])
def test_a_size_cannot_be_hidden_behind_markers_without_length(hidden, monkeypatch):
    """A decoder passes over them by two bytes; whoever takes what follows for their length reads a
    harmless size further on, and has the decoder allocate what the first one says."""
    good = bytes(compressed_msg(picture()).data)
    frame = good.index(b"\xff\xc0")
    size = frame + 5
    vast = good[frame:size] + (30_000).to_bytes(2, "big") * 2 + good[size + 4 : frame + 19]
    padding = bytes(0xFFC0 - len(vast))  # where the length 0xFFC0 leads to: the good frame header
    comment = b"\xff\xfe" + (len(padding) + 2).to_bytes(2, "big") + padding[4:]
    data = good[:frame] + hidden + vast + comment + good[frame:]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    message = CompressedImage(format="jpeg", data=array.array("B", data))
    with pytest.raises(UserError, match=r"says it is 30000 x 30000|cut short"):
        compressed_to_rgb(message, *WHERE)


def test_more_people_than_anybody_sees_are_refused_before_they_are_copied():
    """The network pairs the people of every two views: memory grows with the square."""
    message = keypoints_msg()
    message.people = message.people[:1] * 64
    assert len(keypoints_to_panoptic15(message, *WHERE)) == 64
    message.people = message.people[:1] * 65
    with pytest.raises(UserError, match=r"camera 'cam01'.*65 people in one image, expected up to"):
        keypoints_to_panoptic15(message, *WHERE)
