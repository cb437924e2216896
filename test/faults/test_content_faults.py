"""Messages whose content is wrong: size, encoding, data, calibration, the wrong camera."""

import array
from dataclasses import replace

import cv2
import numpy as np
import pytest
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.msg import CameraStatus

from ..nodes.conftest import SIZE_PX, without_intrinsics
from .conftest import SUCCESS, WRONG_M, SimulatedRig, Trial

BAD = "cam1"
WITHOUT_BAD, ALL = 0b1101, 0b1111
WIDTH, HEIGHT = SIZE_PX


def image(name, tick, stamp_ns) -> Image:
    """An empty room, a little brighter every time."""
    message = Image(height=HEIGHT, width=WIDTH, encoding="mono8", step=WIDTH)
    message.data = array.array("B", bytes([tick % 64]) * (WIDTH * HEIGHT))
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    return message


def jpeg(name, tick, stamp_ns) -> CompressedImage:
    picture = np.full((HEIGHT, WIDTH, 3), tick % 64, np.uint8)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    message = CompressedImage(format="jpeg", data=array.array("B", data))
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    return message


def image_trial(world, rig_and_file, weights, make, message_type, **parameters):
    try:
        MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))
    rig, path = rig_and_file
    node = world.pose_node(
        rig_file=path,
        model__weights=weights,
        model__tiles=False,
        sync__slop=0.03,
        **parameters,
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    suffix = "image_raw" if message_type is Image else "image_raw/compressed"
    world.wait_for_subscribers([f"/{name}/{suffix}" for name in rig.cameras])
    simulated = SimulatedRig(world, rig, make, message_type, suffix)
    made = Trial(simulated, node)
    made.healthy()
    return made


def spoil(**fields):
    """A fault that changes fields of the message."""

    def fault(tick, message):
        for name, value in fields.items():
            setattr(message, name, value(message) if callable(value) else value)
        return [(0.0, message)]

    return fault


RAW = {
    "wrong size mid-stream": (
        spoil(height=HEIGHT // 2, data=lambda m: m.data[: WIDTH * HEIGHT // 2]),
        "the image is 640 x 240",
    ),
    "wrong encoding mid-stream": (spoil(encoding="mono16"), "encoding 'mono16'"),
    "data shorter than the image": (spoil(data=lambda m: m.data[:1000]), "cut short"),
}


@pytest.mark.parametrize("name", list(RAW))
def test_raw_images(world, rig_and_file, untrained_weights, name):
    fault, said = RAW[name]
    trial = image_trial(world, rig_and_file, untrained_weights, image, Image)
    answers = trial.inject({BAD: fault})
    assert len(answers) >= 5
    assert {a.cameras_used for a in answers[2:]} == {WITHOUT_BAD}
    (line,) = world.wait_for_words(f"camera '{BAD}'", said)
    assert "\n" not in line
    trial.wait_for_state(BAD, CameraStatus.BAD_IMAGE)
    trial.record(name, answers, trial.mend())
    trial.simulated.stop()


def test_truncated_jpeg(world, rig_and_file, untrained_weights):
    trial = image_trial(
        world, rig_and_file, untrained_weights, jpeg, CompressedImage, transport="compressed"
    )
    answers = trial.inject({BAD: spoil(data=lambda m: m.data[: len(m.data) // 2])})
    assert {a.cameras_used for a in answers[2:]} == {WITHOUT_BAD}
    assert len(world.wait_for_words(f"camera '{BAD}'", "cut short")) == 1
    trial.record("truncated JPEG", answers, trial.mend())
    trial.simulated.stop()


def test_frozen_camera(trial):
    """A camera sends its last picture again and again, with new stamps."""
    held = []

    def freeze(tick, message):
        held.append(message.people)
        message.people = held[0]
        return [(0.0, message)]

    answers = trial.inject({BAD: freeze}, 8.0)
    assert trial.worst_m(answers) < WRONG_M
    trial.world.wait_for_words(f"camera '{BAD}'", "the same content again and again")
    trial.wait_for_state(BAD, CameraStatus.FROZEN)
    trial.record("frozen image", answers, trial.mend())


def test_two_cameras_swapped(trial):
    """The cables of two cameras change places."""
    simulated = trial.simulated

    def sees_as(camera):
        def fault(tick, message):
            stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
            return [(0.0, simulated.keypoints(camera, tick, stamp_ns))]

        return fault

    crossed_by = {"cam1": sees_as("cam2"), "cam2": sees_as("cam1")}
    answers = trial.inject_until(crossed_by, "do not see the same people")
    assert trial.worst_m(answers, certain=True) < WRONG_M
    assert len(answers[-1].people) == 1  # those who were known before tell which party is right
    (line,) = trial.world.wait_for_words("do not see the same people")
    assert "cameras cam0, cam3 / cam1, cam2" in line
    assert "only those of cam0, cam3" in line
    trial.world.wait_for_words("camera 'cam1'", "left out")
    trial.world.wait_for_words("camera 'cam2'", "left out")
    trial.record("two cameras swapped", answers, trial.mend())


# --- calibration that comes by camera_info ---


@pytest.fixture
def informed(world, rig_and_file, trained_weights, tmp_path):
    """As `trial`, intrinsics from camera_info; and a function that publishes it anew."""
    rig, _ = rig_and_file
    path = tmp_path / "bare.yaml"
    without_intrinsics(rig).save(path)
    node = world.pose_node(
        rig_file=str(path), input="keypoints", model__weights=trained_weights, sync__slop=0.03
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    topics = [f"/{n}/{t}" for n in rig.cameras for t in ("keypoints", "camera_info")]
    world.wait_for_subscribers(topics)
    world.publish_infos(rig)
    made = Trial(SimulatedRig(world, rig), node)
    made.healthy()
    yield made, rig
    made.simulated.stop()


def publish_info(world, rig, **fields):
    only = replace(rig, cameras={BAD: rig.cameras[BAD]})
    world.publish_infos(only, **fields)


def test_camera_info_with_k_of_zeros(informed):
    trial, rig = informed
    publish_info(trial.world, rig, k=[0.0] * 9)
    answers = trial.inject({})
    assert {a.cameras_used for a in answers[2:]} == {WITHOUT_BAD}
    assert trial.worst_m(answers) < WRONG_M
    assert len(trial.world.wait_for_words(f"camera '{BAD}'", "all zero")) == 1
    publish_info(trial.world, rig)
    trial.record("camera_info with K of zeros", answers, trial.mend())


def test_camera_info_changes(informed):
    """The camera is set to half the resolution; its images come to match."""
    trial, rig = informed
    K = rig.cameras[BAD].K.copy()
    K[:2] *= 0.5
    publish_info(trial.world, rig, width=WIDTH // 2, height=HEIGHT // 2, k=K.reshape(-1).tolist())

    def halve(tick, message):
        message.width, message.height = WIDTH // 2, HEIGHT // 2
        for person in message.people:
            person.x = [0.5 * v for v in person.x]
            person.y = [0.5 * v for v in person.y]
        return [(0.0, message)]

    answers = trial.inject({BAD: halve})
    assert trial.worst_m(answers) < WRONG_M
    assert answers[-1].cameras_used == ALL
    (line,) = trial.world.wait_for_words(f"camera '{BAD}'", "/camera_info' has changed")
    assert "fx 500.0 to 250.0 px" in line
    publish_info(trial.world, rig)
    trial.record("camera_info changes mid-stream", answers, trial.mend())


def test_camera_bumped(trial):
    """One camera is turned by two degrees."""
    simulated = trial.simulated
    entry = simulated.rig.cameras[BAD]
    angle = np.deg2rad(2.0)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    turned = replace(entry, R=turn @ entry.R, t_m=turn @ entry.t_m)
    bumped = replace(simulated.rig, cameras={**simulated.rig.cameras, BAD: turned})
    straight = simulated.rig

    def bump(tick, message):
        simulated.rig = bumped
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        message = simulated.keypoints(BAD, tick, stamp_ns)
        simulated.rig = straight
        return [(0.0, message)]

    answers = trial.inject({BAD: bump}, 10.0)
    assert trial.worst_m(answers) < WRONG_M
    trial.world.wait_for_words(f"camera '{BAD}'", "left out")
    trial.wait_for_state(BAD, CameraStatus.DISAGREES)
    assert answers[-1].people[0].joints[2].view_mask & 0b0010 == 0
    trial.record("camera turned by 2 degrees", answers, trial.mend())
