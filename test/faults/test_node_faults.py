"""The node's own troubles: inference that raises, memory, slowness, names, nonsense parameters."""

import time

import pytest
import torch
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from mvssm_ros.errors import UserError
from mvssm_ros.msg import RigStatus

from ..nodes.conftest import ERROR, ring_of_cameras
from .conftest import SUCCESS, WRONG_M, SimulatedRig, Trial, record_refusal

ALL = 0b1111
FAILURE = TransitionCallbackReturn.FAILURE


def fail_with(trial, error, times):
    """The predictor raises `error` in its next calls."""
    predictor = trial.node._configured.inference.predictor
    real, calls = predictor.predict_keypoints, []

    def broken(*args):
        calls.append(1)
        if len(calls) <= times:
            raise error
        return real(*args)

    predictor.predict_keypoints = broken


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("inference raises", RuntimeError("a bug")),
        ("out of device memory", torch.OutOfMemoryError("CUDA out of memory")),
        ("inference refuses its input", UserError("nothing to be done")),
    ],
)
def test_inference_fails(trial, name, error):
    fail_with(trial, error, times=5)
    answers = trial.inject({}, 4.0)
    (logged,) = trial.world.wait_for_words(str(error), level=ERROR)
    told = logged.splitlines()[0]
    assert str(error) in told
    assert ("Traceback" in logged) == (not isinstance(error, UserError))
    worst = max(trial.world.status, key=lambda status: status.level)
    assert worst.level == RigStatus.ERROR
    assert f"{told[0].upper()}{told[1:]}" in worst.summary
    assert "Traceback" not in worst.summary
    assert trial.worst_m(answers) < WRONG_M
    trial.record(name, answers, trial.mend())
    assert trial.world.status[-1].sets_failed >= 5


def test_slow_inference(trial):
    """Each set takes three periods: whole sets are dropped, the newest is taken."""
    predictor = trial.node._configured.inference.predictor
    real = predictor.predict_keypoints

    def slow(*args):
        time.sleep(0.6)
        return real(*args)

    predictor.predict_keypoints = slow
    answers = trial.inject({}, 8.0)
    assert 6 <= len(answers) <= 14
    assert trial.worst_m(answers) < WRONG_M
    assert {a.cameras_used for a in answers} == {ALL}
    trial.world.spin_until(lambda: trial.world.status[-1].sets_dropped_overwritten > 3)
    summaries = [s.summary for s in trial.world.status]
    assert any("nference is too slow for the cameras" in s for s in summaries), summaries
    predictor.predict_keypoints = real
    trial.record("inference slower than the cameras", answers, trial.mend())


def test_parameters_of_nonsense_while_running(trial):
    nonsense = {
        "tracking.gate": -1.0,
        "tracking.coast": float("nan"),
        "model.score_threshold": 7.0,
        "publish.marker_width": float("inf"),
        "sync.slop": 0.5,
        "rig_file": "/nowhere.yaml",
    }
    refusals = []
    for name, value in nonsense.items():
        (result,) = trial.node.set_parameters([Parameter(name, value=value)])
        assert not result.successful, name
        assert name in result.reason
        refusals.append(result.reason)
    answers = trial.inject({}, 2.0)
    assert trial.worst_m(answers) < WRONG_M
    refused = f"each is refused with its reason, e.g. {refusals[-1]}"
    trial.record("parameters set to nonsense while running", answers, trial.mend(), refused)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("thirty cameras", [f"cam{i}" for i in range(30)]),
        ("a name of 200 letters", ["c" * 200, "cam1", "cam2"]),
    ],
)
def test_many_and_long_names(world, untrained_weights, tmp_path, name, names):
    ring = ring_of_cameras(len(names))
    cameras = {}
    for new, entry in zip(names, ring.cameras.values()):
        cameras[new] = type(entry)(**{
            **entry.__dict__,
            "name": new,
            "image_topic": f"/{new}/image_raw",
            "info_topic": f"/{new}/camera_info",
            "frame_id": f"{new}_optical_frame",
        })  # fmt: skip
    rig = type(ring)(ring.reference_frame, ring.space, cameras)
    path = tmp_path / "rig.yaml"
    rig.save(path)
    node = world.pose_node(
        rig_file=str(path), input="keypoints", model__weights=untrained_weights, sync__slop=0.03
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{each}/keypoints" for each in names])
    simulated = SimulatedRig(world, rig)
    trial = Trial(simulated, node)
    trial.healthy(60.0)
    assert list(world.answers[-1].cameras) == names
    trial.record(name, world.answers[-5:], None)
    simulated.stop()


@pytest.mark.parametrize(
    ("fault", "name", "said"),
    [
        ("a name with letters beyond ASCII", "kamera_süd", "letters, digits and '_'"),
        ("a name with a blank", "south camera", "letters, digits and '_'"),
        ("a name of 300 letters", "c" * 300, "topic length"),
    ],
)
def test_names_that_ros_cannot_have(world, untrained_weights, tmp_path, fault, name, said):
    """Topics and parameters are named after the cameras: said when the rig is read."""
    ring = ring_of_cameras(2)
    path = tmp_path / "rig.yaml"
    ring.save(path)
    path.write_text(path.read_text("utf-8").replace("cam1", name), "utf-8")
    node = world.pose_node(rig_file=str(path), input="keypoints", model__weights=untrained_weights)
    assert node.trigger_configure() == FAILURE
    world.spin_until(lambda: world.said(name, said, level=ERROR))
    (line,) = world.said(level=ERROR)
    assert "\n" not in line
    short = line.replace(str(tmp_path), "").replace("c" * 300, "ccc…")
    record_refusal(fault, short)


def test_a_topic_of_a_parameter_that_ros_cannot_have(world, rig_and_file, untrained_weights):
    _, path = rig_and_file
    node = world.pose_node(
        rig_file=path,
        input="keypoints",
        model__weights=untrained_weights,
        cameras__cam1__keypoints_topic="/kamera süd",
    )
    assert node.trigger_configure() == FAILURE
    world.spin_until(lambda: world.said("camera 'cam1'", "kamera süd", level=ERROR))
    (line,) = world.said(level=ERROR)
    assert "\n" not in line
