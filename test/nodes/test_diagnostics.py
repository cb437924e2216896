"""rig_status and /diagnostics as others read them, over the real middleware."""

import math
import re

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from mvssm_ros.msg import CameraStatus, RigStatus
from mvssm_ros.nodes.diagnostics import PipelineCounts

from .conftest import INFO, ring_of_cameras, standing_person
from .test_pose_node import call, send_sets, start

CAMERA_KEYS = (
    "state rate_hz age_s offset_ms drift_ppm received dropped_late dropped_out_of_slop dropped_bad"
    " reprojection_px"
).split()


@pytest.fixture
def heard(world):
    arrays: list[DiagnosticArray] = []
    world.hear(DiagnosticArray, "/diagnostics", arrays)
    return arrays


@pytest.fixture
def room(world, rig_and_file, trained_weights):
    rig, path = rig_and_file
    start(world, rig, path, trained_weights)
    return world, rig


def values(status) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


def keep_sending(world, rig, condition, people_m=(), cameras=None) -> None:
    """A set every 50 ms, stamped now, until the condition holds."""
    for _ in range(1200):
        header = Header(stamp=world.tester.get_clock().now().to_msg())
        world.publish_keypoints(rig, 0, people_m, cameras=cameras, header=header)
        world.spin_for(0.05)
        if condition():
            return
    pytest.fail(f"never; last status: {world.status[-1:]}")


def newest(world, condition):
    """Whether the latest rig_status meets the condition."""
    return lambda: bool(world.status) and condition(world.status[-1])


def test_all_is_well(room, heard):
    world, rig = room
    people = [standing_person(-0.8, 0.0), standing_person(0.9, 0.2)]
    # a rate is not told before two sets have been answered
    told = newest(world, lambda s: "sets a second" in s.summary and "2 people" in s.summary)
    keep_sending(world, rig, told, people)
    status = world.status[-1]
    assert re.fullmatch(
        r"All 4 cameras are used, \d+\.\d sets a second, 2 people are seen\.", status.summary
    )
    assert status.level == RigStatus.OK
    stamp = status.header.stamp
    world.spin_until(lambda: any(a.header.stamp == stamp for a in heard))
    (array,) = [a for a in heard if a.header.stamp == stamp]
    pipeline, *cameras = array.status
    assert [s.name for s in array.status] == [
        "mvssm: pipeline",
        *(f"mvssm: camera {name}" for name in rig.cameras),
    ]
    assert pipeline.level == DiagnosticStatus.OK
    assert pipeline.message == status.summary
    assert pipeline.hardware_id == "mvssm"
    found = {key: float(value) for key, value in values(pipeline).items()}
    assert found["people"] == 2
    assert found["cameras_used"] == 4
    assert found["qos_problems"] == 0
    assert found["sets_hz"] > 0
    for stage in ("read", "network", "publish", "total", "latency"):
        assert 0 < found[f"{stage}_p50_ms"] <= found[f"{stage}_p95_ms"]
    for camera, name in zip(cameras, rig.cameras):
        assert camera.level == DiagnosticStatus.OK
        assert camera.hardware_id == name
        assert camera.message == "images arrive and are used"
        told = values(camera)
        assert list(told) == CAMERA_KEYS
        assert told.pop("state") == "OK"
        assert float(told["rate_hz"]) > 0
        assert 0 < float(told["age_s"]) < 60
        assert int(told["received"]) > 0
        assert not math.isnan(float(told["reprojection_px"]))


def test_what_became_of_the_sets(world, rig_and_file, untrained_weights, heard):
    rig, path = rig_and_file
    start(world, rig, path, untrained_weights)
    send_sets(world, rig, range(4))
    send_sets(world, rig, range(4, 6), cameras=["cam0", "cam1"])
    world.spin_until(lambda: heard and values(heard[-1].status[0])["sets_partial"] == "2")
    found = values(heard[-1].status[0])
    assert found["sets_processed"] == "6"
    assert found["sets_complete"] == "4"


def test_silent_cameras_are_stale_and_told_together(room, heard):
    world, rig = room
    keep_sending(world, rig, newest(world, lambda s: s.level == RigStatus.OK))
    keep_sending(
        world,
        rig,
        newest(world, lambda s: "nothing more comes" in s.summary and s.level == RigStatus.WARN),
        cameras=["cam0", "cam3"],
    )
    status = world.status[-1]
    assert status.summary.startswith("2 of 4 cameras are used, ")
    assert status.summary.endswith(
        " nobody is seen. cam1 and cam2: nothing more comes on '/cam1/keypoints' and"
        " '/cam2/keypoints'; check the camera and its cable."
    )
    assert [c.state for c in status.cameras] == [
        CameraStatus.OK,
        CameraStatus.STALE,
        CameraStatus.STALE,
        CameraStatus.OK,
    ]
    silent = heard[-1].status[2]
    assert silent.level == DiagnosticStatus.STALE
    assert "nothing more comes on '/cam1/keypoints'" in silent.message
    keep_sending(world, rig, newest(world, lambda s: s.level == RigStatus.OK))
    world.spin_until(lambda: len(world.said("silent problem is over", level=INFO)) == 2)


def test_with_too_few_cameras_nobody_can_be_seen(room, heard):
    world, rig = room
    keep_sending(world, rig, newest(world, lambda s: s.level == RigStatus.OK))
    keep_sending(world, rig, newest(world, lambda s: s.level == RigStatus.ERROR), cameras=["cam0"])
    assert world.status[-1].summary.startswith(
        "No people can be seen: 1 of 4 cameras is used, 2 are needed."
    )
    world.spin_until(lambda: heard[-1].status[0].level == DiagnosticStatus.ERROR)


def test_a_camera_with_bad_data_is_an_error_of_its_own_and_a_warning_of_the_rig(room, heard):
    world, rig = room
    others = [name for name in rig.cameras if name != "cam1"]
    for index in range(600):
        world.publish_keypoints(rig, index, cameras=others)
        world.publish_keypoints(rig, index, cameras=["cam1"], skeleton="centaur")
        world.spin_for(0.05)
        if world.status and world.status[-1].level == RigStatus.WARN and heard:
            break
    status = world.status[-1]
    assert status.cameras[1].state == CameraStatus.BAD_IMAGE
    assert "3 of 4 cameras are used" in status.summary
    assert "cam1: unknown skeleton 'centaur'" in status.summary
    world.spin_until(lambda: heard[-1].status[2].level == DiagnosticStatus.ERROR)
    assert values(heard[-1].status[2])["state"] == "BAD_IMAGE"
    assert int(values(heard[-1].status[2])["dropped_bad"]) > 0


def test_a_camera_without_stamps_is_out_of_step_and_not_called_silent(room):
    world, rig = room
    others = [name for name in rig.cameras if name != "cam1"]
    for index in range(60):
        world.publish_keypoints(rig, index, cameras=others)
        world.publish_keypoints(rig, index, cameras=["cam1"], header=Header())
        world.spin_for(0.05)
    status = world.status[-1]
    assert status.cameras[1].state == CameraStatus.OUT_OF_STEP
    assert "cam1: header.stamp is 0" in status.summary
    assert not world.said("camera 'cam1'", "nothing more comes")


def test_stamps_that_never_meet_are_told(world, untrained_weights, tmp_path):
    """Two cameras, half a period apart: no set, although both are well."""
    rig = ring_of_cameras(2)
    rig.save(tmp_path / "rig.yaml")
    start(world, rig, str(tmp_path / "rig.yaml"), untrained_weights, sync__slop=0.005)
    for index in range(0, 400, 2):
        world.publish_keypoints(rig, index, cameras=["cam0"])
        world.publish_keypoints(rig, index + 1, cameras=["cam1"])
        world.spin_for(0.05)
        if world.status and world.status[-1].level == RigStatus.ERROR and world.said("stamps"):
            break
    world.spin_until(lambda: world.status[-1].summary.startswith("No people can be seen"))
    assert world.said("stamps do not fit") or world.said("images arrive, but no set comes out")
    assert world.answers == []


def test_switched_off_is_said(room):
    world, rig = room
    keep_sending(world, rig, newest(world, lambda s: s.level == RigStatus.OK))
    assert call(world, SetBool, "/mvssm/enable", SetBool.Request(data=False)).success
    world.spin_until(newest(world, lambda s: "Switched off" in s.summary))
    assert world.status[-1].level == RigStatus.WARN
    assert {c.state for c in world.status[-1].cameras} == {CameraStatus.WAITING}


def test_too_few_answers_of_too_many_sets_is_told():
    counts = PipelineCounts()
    for second in range(12):  # two answered and eight overwritten
        for half in (0.0, 0.5):
            counts.note_answer(1, True, second + half)
        counts.note_overwritten(8 * second, second + 0.6)
        told = counts.too_slow(second + 0.6)
        assert bool(told) == (second >= 5), second
    assert "2.0 of 10 sets a second" in told


def test_many_overwritten_sets_are_well_where_enough_are_answered():
    counts = PipelineCounts()
    for second in range(12):
        for part in range(5):
            counts.note_answer(1, True, second + part / 5)
        counts.note_overwritten(25 * second, second + 0.9)
        assert not counts.too_slow(second + 0.9)
