"""Bad input on the real middleware: one clear line that names the thing, the rest goes on."""

import array
import pickle
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from safetensors.torch import save_file
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.msg import CameraStatus
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import save_weights
from mvssm_ros.rig.rig_file import CameraEntry, Rig

from .conftest import ERROR, SIZE_PX, stamp, standing_person, without_intrinsics

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
WIDTH, HEIGHT = SIZE_PX
BAD = "cam1"


def activate(world, topics, **parameters):
    node = world.pose_node(**parameters)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers(topics)
    return node


def said_once(world, *parts):
    """The line with these parts; it must have been logged exactly once, as one line."""
    world.spin_until(lambda: world.said(*parts))
    (line,) = world.said(*parts)
    assert "\n" not in line
    return line


# --- camera_info ---


@pytest.fixture
def bare_rig(rig_and_file, tmp_path):
    """A rig file without intrinsics, and the rig as it really is."""
    rig, _ = rig_and_file
    path = tmp_path / "bare.yaml"
    without_intrinsics(rig).save(path)
    return rig, str(path)


def check_the_others_see_her(world, rig, sets):
    """Sets of keypoints of one person: she is found where she is, without the bad camera."""
    for index in sets:
        answered = len(world.answers)
        world.publish_keypoints(rig, index, [standing_person()])
        world.spin_until(lambda before=answered: len(world.answers) > before)
    for message in world.answers[-2:]:
        assert message.cameras_used == 0b1101
        (person,) = message.people
        found = np.array([[j.position.x, j.position.y, j.position.z] for j in person.joints])
        assert np.linalg.norm(found - standing_person(), axis=1).mean() < 0.15
        assert not any(j.view_mask & 0b0010 for j in person.joints)


def start_with_infos(world, rig, path, weights, **bad_info):
    """Active node; camera_info of all cameras, the bad one's changed (None: not sent)."""
    topics = [f"/{n}/{t}" for n in rig.cameras for t in ("keypoints", "camera_info")]
    activate(world, topics, rig_file=path, input="keypoints", model__weights=weights)
    world.publish_infos(rig, skip=[BAD])
    if bad_info:
        only = Rig(rig.reference_frame, rig.space, {BAD: rig.cameras[BAD]})
        world.publish_infos(only, **bad_info)
    world.spin_for(0.5)


def test_k_all_zero(world, bare_rig, trained_weights):
    rig, path = bare_rig
    start_with_infos(world, rig, path, trained_weights, k=[0.0] * 9)
    check_the_others_see_her(world, rig, range(3))
    line = said_once(world, f"camera '{BAD}', topic '/{BAD}/camera_info'", "all zero")
    assert "calibrate" in line
    for index in range(3, 100):  # rig_status comes once a second, and a silent camera is STALE
        world.publish_keypoints(rig, index, [standing_person()])
        world.spin_for(0.05)
        if world.status and world.status[-1].cameras[1].state == CameraStatus.NO_CALIBRATION:
            return
    pytest.fail(f"the camera's state was never NO_CALIBRATION: {world.status[-1].cameras[1]}")


def test_camera_info_missing(world, bare_rig, trained_weights):
    rig, path = bare_rig
    start_with_infos(world, rig, path, trained_weights)
    check_the_others_see_her(world, rig, range(2))
    for index in range(2, 60):  # it might have been on its way: told after two seconds
        world.publish_keypoints(rig, index, [standing_person()])
        world.spin_for(0.1)
        if world.said("no camera_info on"):
            break
    line = said_once(world, f"no camera_info on '/{BAD}/camera_info'")
    assert f"camera '{BAD}'" in line
    assert "intrinsics_px in the rig file" in line


def test_camera_info_of_another_size_than_the_image(world, bare_rig, trained_weights):
    rig, path = bare_rig
    start_with_infos(world, rig, path, trained_weights, width=1280, height=960)
    check_the_others_see_her(world, rig, range(3))
    line = said_once(world, f"camera '{BAD}'", "the image is 640 x 480", "1280 x 960")
    assert "calibrate at the resolution you publish" in line


def test_camera_info_that_comes_late_ends_the_problem(world, bare_rig, untrained_weights):
    rig, path = bare_rig
    start_with_infos(world, rig, path, untrained_weights, k=[0.0] * 9)
    world.spin_until(lambda: world.said("all zero"))
    world.publish_infos(rig)
    world.spin_for(0.5)
    world.publish_keypoints(rig, 0)
    world.spin_until(lambda: world.people)
    assert world.people[-1].cameras_used == 0b1111


def test_when_no_camera_is_usable_nothing_is_answered_and_it_is_told(
    world, bare_rig, untrained_weights
):
    rig, path = bare_rig
    start_with_infos(world, rig, path, untrained_weights, k=[0.0] * 9)
    world.publish_infos(rig, k=[0.0] * 9)
    world.spin_for(0.5)
    world.publish_keypoints(rig, 0, [standing_person()])
    said_once(world, "too few cameras of a set can be used")
    assert world.people == []


# --- images ---


@pytest.fixture(scope="session")
def detector():
    """Skips where the built-in detector is not installed."""
    try:
        MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))


def grey_image(index) -> Image:
    message = Image(height=HEIGHT, width=WIDTH, encoding="mono8", step=WIDTH)
    message.data = array.array("B", bytes(WIDTH * HEIGHT))
    message.header.stamp = stamp(index)
    return message


def jpeg_image(index) -> CompressedImage:
    data = cv2.imencode(".jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()
    message = CompressedImage(format="jpeg", data=array.array("B", data))
    message.header.stamp = stamp(index)
    return message


def check_the_others_go_on(world, rig, make_image, message_type, spoil):
    """Images of an empty room; the bad camera's are spoilt. Answers come, without that camera."""
    index = 0
    while len(world.people) < 3:
        assert index < 40, f"no answers; logged: {[log.msg for log in world.logs]}"
        for name in rig.cameras:
            message = make_image(index)
            if name == BAD:
                spoil(message)
            suffix = "" if message_type is Image else "/compressed"
            world.publisher(message_type, f"/{name}/image_raw{suffix}").publish(message)
        world.spin_for(0.3)
        index += 1
    for message in world.people:
        assert not message.cameras_used & 0b0010
        assert list(message.people) == []
    world.spin_until(
        lambda: world.status and world.status[-1].cameras[1].state == CameraStatus.BAD_IMAGE
    )
    assert world.status[-1].cameras[1].dropped_bad > 0


def cut(message, share=0.5):
    message.data = message.data[: int(len(message.data) * share)]


@pytest.mark.usefixtures("detector")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: setattr(m, "encoding", "sepia"), "encoding 'sepia'"),
        (lambda m: setattr(m, "encoding", "mono16"), "encoding 'mono16' is not an 8-bit picture"),
        (cut, "the image is cut short"),
        (lambda m: setattr(m, "height", HEIGHT // 2), "the image is 640 x 240"),
    ],
    ids=["unknown encoding", "16 bit", "data too short", "another size than the rig file's"],
)
def test_bad_raw_images(world, rig_and_file, untrained_weights, spoil, said):
    rig, path = rig_and_file
    topics = [f"/{name}/image_raw" for name in rig.cameras]
    activate(world, topics, rig_file=path, model__weights=untrained_weights)
    check_the_others_go_on(world, rig, grey_image, Image, spoil)
    said_once(world, f"camera '{BAD}', topic '/{BAD}/image_raw'", said)


@pytest.mark.usefixtures("detector")
def test_a_truncated_jpeg(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    topics = [f"/{name}/image_raw/compressed" for name in rig.cameras]
    activate(world, topics, rig_file=path, model__weights=untrained_weights, transport="compressed")
    check_the_others_go_on(world, rig, jpeg_image, CompressedImage, cut)
    said_once(world, f"camera '{BAD}', topic '/{BAD}/image_raw/compressed'", "cut short")


def test_images_without_a_stamp(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    topics = [f"/{name}/keypoints" for name in rig.cameras]
    activate(world, topics, rig_file=path, input="keypoints", model__weights=untrained_weights)
    for index in range(3):
        world.publish_keypoints(rig, index, cameras=[n for n in rig.cameras if n != BAD])
        world.publish_keypoints(rig, index, cameras=[BAD], header=Header())
        world.spin_until(lambda n=index: len(world.people) > n)
    line = said_once(world, f"camera '{BAD}'", "header.stamp is 0")
    assert "driver" in line


# --- what configure refuses ---


def refused(world, **parameters) -> str:
    """Configuring fails with exactly one error, of one line; the node can be mended and tried."""
    node = world.pose_node(**parameters)
    assert node.trigger_configure() == FAILURE
    world.spin_until(lambda: world.said(level=ERROR))
    (line,) = world.said(level=ERROR)
    assert "\n" not in line
    assert "Traceback" not in line
    return line


def spoilt_rig(path, pattern, replacement) -> str:
    text = Path(path).read_text("utf-8")
    spoilt = re.sub(pattern, replacement, text, count=1, flags=re.DOTALL)
    assert spoilt != text
    Path(path).write_text(spoilt, "utf-8")
    return path


@pytest.mark.parametrize(
    ("pattern", "replacement", "names"),
    [
        ("image_topic", "image_topik", ["cam0", "image_topik"]),
        (
            r"rotation:\n        - \[[^]]*\]",
            "rotation:\n        - [1.0, 1.0, 1.0]",
            ["cam0", "rotation"],
        ),
        (r"  cam1:.*", "", ["1 camera"]),
        ("cam0:.*", "cam0: [", ["rig.yaml"]),
    ],
    ids=["wrong key", "no rotation", "one camera", "no YAML"],
)
def test_a_wrong_rig_file(world, rig_and_file, untrained_weights, pattern, replacement, names):
    _, path = rig_and_file
    path = spoilt_rig(path, pattern, replacement)
    line = refused(world, rig_file=path, input="keypoints", model__weights=untrained_weights)
    assert path in line
    for name in names:
        assert name in line


def test_a_rig_file_in_millimetres(world, rig_and_file):
    rig, path = rig_and_file
    millimetres = {
        name: CameraEntry(**{**entry.__dict__, "t_m": 1000 * entry.t_m})
        for name, entry in rig.cameras.items()
    }
    Rig(rig.reference_frame, rig.space, millimetres).save(path)
    line = refused(world, rig_file=path)
    assert path in line
    assert "looks like millimetres" in line


def test_a_rig_file_that_is_not_there(world):
    assert "/nowhere/rig.yaml" in refused(world, rig_file="/nowhere/rig.yaml")


def test_neither_rig_file_nor_cameras(world):
    assert "'rig_file' nor 'camera_names'" in refused(world)


def test_a_camera_that_the_rig_file_does_not_know(world, rig_and_file):
    _, path = rig_and_file
    line = refused(world, rig_file=path, camera_names=["cam0", "cam9"])
    assert "cam9" in line
    assert "cam3" in line


def test_no_extrinsics_and_no_tf(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    line = refused(world, camera_names=["left", "right"], space__size=[4.0, 4.0])
    assert "tf2_ros" in line
    assert "rig file" in line


@pytest.mark.parametrize("kind", ["missing", "corrupt", "other architecture", "pickled", "foreign"])
def test_wrong_weights(world, rig_and_file, untrained_weights, tmp_path, kind):
    _, rig_path = rig_and_file
    path = tmp_path / ("weights.pth" if kind == "pickled" else "weights.safetensors")
    if kind == "corrupt":
        path.write_bytes(Path(untrained_weights).read_bytes()[:5000])
    elif kind == "other architecture":
        config = MVSSMConfig(d_model=16, n_layers=2, survivors=(8,))
        other = MVSSM(MVSSMConfig(d_model=32, n_layers=2, survivors=(8,)))
        save_weights(path, config, other.state_dict(), {})
    elif kind == "pickled":
        path.write_bytes(pickle.dumps({"state_dict": {}}))
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    line = refused(world, rig_file=rig_path, input="keypoints", model__weights=str(path))
    assert str(path) in line


def test_the_resnet_front_end_says_that_it_has_no_weights(world, rig_and_file):
    _, path = rig_and_file
    line = refused(world, rig_file=path, model__frontend="resnet50")
    assert "no weights ship for the front-end 'resnet50'" in line
    assert "mvssm weights import" in line
    assert "mvssm train" in line


def test_weights_of_another_front_end(world, rig_and_file, untrained_weights):
    _, path = rig_and_file
    line = refused(
        world, rig_file=path, model__frontend="resnet50", model__weights=untrained_weights
    )
    assert "front-end 'keypoints'" in line
    assert "resnet50" in line


def test_the_detector_is_not_installed(world, rig_and_file, untrained_weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    _, path = rig_and_file
    line = refused(world, rig_file=path, model__weights=untrained_weights)
    assert "pip install" in line


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"input": "video"}, ["'input'", "'video'", "images", "keypoints"]),
        ({"model__device": "gpu"}, ["'gpu'", "cuda"]),
        ({"sync__min_cameras": 5}, ["sync.min_cameras", "4"]),
        ({"space__size": [4.0]}, ["space.size", "two numbers"]),
    ],
)
def test_parameters_that_cannot_be(world, rig_and_file, untrained_weights, parameters, names):
    _, path = rig_and_file
    given = {"input": "keypoints", "model__weights": untrained_weights, "rig_file": path}
    line = refused(world, **(given | parameters))
    for name in names:
        assert name in line


def test_a_refused_node_can_be_mended_and_configured(world, rig_and_file, untrained_weights):
    _, path = rig_and_file
    node = world.pose_node(
        rig_file="/nowhere.yaml", input="keypoints", model__weights=untrained_weights
    )
    assert node.trigger_configure() == FAILURE
    node.set_parameters([Parameter("rig_file", value=path)])
    assert node.trigger_configure() == SUCCESS
