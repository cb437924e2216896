"""Six cameras of one rig, each with a transport and an encoding of its own, see the same picture."""

import array
import threading

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.nodes.inference import Inference
from mvssm_ros.predictor import Predictor
from mvssm_ros.rig.image_set import ImageSet

from .conftest import SIZE_PX, ring_of_cameras, stamp
from .test_pose_node import SUCCESS

WIDTH, HEIGHT = SIZE_PX
ENCODINGS = ["bgr8", "mono8", "jpeg", "png", "bayer_rggb8", "yuv422_yuy2"]
COMPRESSED = ("jpeg", "png")


def picture() -> np.ndarray:
    """[H, W, 3] uint8 RGB: smooth and grey-blue, so that every encoding can carry most of it."""
    x = np.linspace(0, 1, WIDTH)[None, :]
    y = np.linspace(0, 1, HEIGHT)[:, None]
    grey = 60 + 120 * x * y + 30 * np.sin(6 * x)
    return np.stack([grey, grey + 10 * y, grey + 25 * x], -1).astype(np.uint8)


def bayer(rgb) -> np.ndarray:
    mosaic = np.empty((HEIGHT, WIDTH), np.uint8)
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[0::2, 1::2] = rgb[0::2, 1::2, 1]
    mosaic[1::2, 0::2] = rgb[1::2, 0::2, 1]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return mosaic


def yuy2(rgb) -> np.ndarray:
    """Studio-swing YUV 4:2:2 (BT.601), one chroma pair for two pixels."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    luma = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    packed = np.empty((HEIGHT, WIDTH, 2), np.uint8)
    packed[..., 0] = luma.round()
    packed[:, 0::2, 1] = (0.5 * (u[:, 0::2] + u[:, 1::2])).round()
    packed[:, 1::2, 1] = (0.5 * (v[:, 0::2] + v[:, 1::2])).round()
    return packed


def message(encoding, rgb, index=0):
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    if encoding in COMPRESSED:
        data = cv2.imencode({"jpeg": ".jpg", "png": ".png"}[encoding], bgr)[1]
        made = CompressedImage(format=encoding, data=array.array("B", data.tobytes()))
    else:
        pixels = {
            "bgr8": lambda: bgr,
            "mono8": lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
            "mono16": lambda: np.zeros((HEIGHT, WIDTH), np.uint16),
            "bayer_rggb8": lambda: bayer(rgb),
            "yuv422_yuy2": lambda: yuy2(rgb),
        }[encoding]()
        made = Image(height=HEIGHT, width=WIDTH, encoding=encoding)
        made.step = pixels.nbytes // HEIGHT
        made.data = array.array("B", pixels.tobytes())
    made.header.stamp = stamp(index)
    return made


def topic(camera, encoding) -> str:
    return f"/{camera}/image_raw{'/compressed' if encoding in COMPRESSED else ''}"


def parameters(rig) -> dict:
    """Of a rig whose n-th camera has the n-th encoding."""
    given = {}
    for name, encoding in zip(rig.cameras, ENCODINGS):
        given[f"cameras__{name}__image_topic"] = topic(name, encoding)
        given[f"cameras__{name}__transport"] = "compressed" if encoding in COMPRESSED else "raw"
        given[f"qos_overrides.{topic(name, encoding)}.subscription.reliability"] = "reliable"
    return given


def check_near(encoding, found, expected):
    """Colours within a few grey levels; what mono8 has lost is not asked for."""
    if encoding == "mono8":
        expected = cv2.cvtColor(cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert found.shape == expected.shape
    apart = np.abs(found.astype(int) - expected)
    assert apart.mean() < 1.5, encoding
    assert np.percentile(apart, 99) <= 6, encoding
    if encoding in ("bgr8", "mono8", "png"):
        assert apart.max() == 0, encoding


def test_a_rig_with_a_transport_a_camera(world, no_detector, untrained_weights, tmp_path):
    rig = ring_of_cameras(len(ENCODINGS))
    rig.save(tmp_path / "rig.yaml")
    node = world.pose_node(
        rig_file=str(tmp_path / "rig.yaml"),
        model__weights=untrained_weights,
        sync__deadline=2.0,
        **parameters(rig),
    )
    assert node.trigger_configure() == SUCCESS
    no_detector.seen.clear()  # the black images of the warm-up
    assert node.trigger_activate() == SUCCESS
    topics = {name: topic(name, e) for name, e in zip(rig.cameras, ENCODINGS)}
    world.wait_for_subscribers(topics.values())
    for name, encoding in zip(rig.cameras, ENCODINGS):
        made = message(encoding, picture())
        world.publisher(type(made), topics[name]).publish(made)
    world.spin_until(lambda: world.answers)
    assert world.answers[0].cameras_used == 0b111111
    assert len(no_detector.seen) == len(ENCODINGS)
    for encoding, found in zip(ENCODINGS, no_detector.seen):
        check_near(encoding, found, picture())
    assert not world.said("camera 'cam", "image")


# --- reading on several threads, without a node ---


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, text):
        self.lines.append(text)

    info = error = warning


class Quiet:
    """What a CameraInput needs of a node when it only reads."""

    def __init__(self):
        self.log = Log()

    def get_logger(self):
        return self.log

    def resolve_topic_name(self, name):
        return name


def make_inference(no_detector, weights, cameras):
    rig = ring_of_cameras(cameras)
    quiet = Quiet()
    inputs = {
        name: CameraInput(quiet, entry, "", "images", None, "map", lambda *_: None)
        for name, entry in rig.cameras.items()
    }
    predictor = Predictor.from_pretrained(weights, detector=no_detector)
    return Inference(rig, inputs, predictor, "images", 2), inputs, quiet.log


def image_set(encodings) -> ImageSet:
    names = [f"cam{i}" for i in range(len(encodings))]
    rng = np.random.default_rng(0)
    shown = [np.roll(picture(), int(rng.integers(WIDTH)), axis=1) for _ in names]
    items = {n: message(e, rgb) for n, e, rgb in zip(names, encodings, shown)}
    return ImageSet(stamps_ns=dict.fromkeys(names, 1_700_000_000_000_000_000), items=items)


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)


@pytest.mark.usefixtures("four_cores")
def test_what_is_read_side_by_side_is_what_is_read_in_turn(no_detector, untrained_weights):
    encodings = ENCODINGS * 2
    inference, inputs, _ = make_inference(no_detector, untrained_weights, len(encodings))
    images = image_set(encodings)
    in_turn = [inputs[name].read(images.items[name], SIZE_PX) for name in images.items]
    solved = inference.solve(images)
    inference.close()
    assert list(solved.used.items) == list(images.items)
    assert len(no_detector.seen) == len(in_turn)
    for found, expected in zip(no_detector.seen, in_turn):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("four_cores")
def test_each_camera_has_its_own_error_and_the_others_go_on(no_detector, untrained_weights):
    encodings = ["jpeg", "mono16", "png", "jpeg"]
    inference, inputs, log = make_inference(no_detector, untrained_weights, 4)
    images = image_set(encodings)
    cut = images.items["cam3"]
    cut.data = cut.data[: len(cut.data) // 2]
    solved = inference.solve(images)
    inference.close()
    assert list(solved.used.items) == ["cam0", "cam2"]
    assert [inputs[name].bad for name in images.items] == [0, 1, 0, 1]
    assert "camera 'cam1'" in inputs["cam1"].problems.message
    assert "encoding 'mono16' is not an 8-bit picture" in inputs["cam1"].problems.message
    assert "cut short" in inputs["cam3"].problems.message
    assert len(log.lines) == 2


@pytest.mark.usefixtures("four_cores")
def test_an_error_that_is_no_cameras_own_reaches_the_caller(
    no_detector, untrained_weights, monkeypatch
):
    inference, inputs, _ = make_inference(no_detector, untrained_weights, 2)

    def broken(*_):
        raise MemoryError("no room for an image")

    monkeypatch.setattr(inputs["cam1"], "read", broken)
    with pytest.raises(MemoryError, match="no room"):
        inference.solve(image_set(["jpeg", "jpeg"]))
    inference.close()


@pytest.mark.usefixtures("four_cores")
def test_closing_leaves_no_thread(no_detector, untrained_weights):
    before = set(threading.enumerate())
    inference, _, _ = make_inference(no_detector, untrained_weights, 4)
    inference.solve(image_set(["jpeg"] * 4))
    readers = [t for t in set(threading.enumerate()) - before if t.name.startswith("read")]
    assert 1 <= len(readers) <= 4
    inference.close()
    assert not any(thread.is_alive() for thread in readers)
