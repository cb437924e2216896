"""The sentence of rig_status, and its level."""

import pytest

from mvssm_ros.msg import CameraStatus, RigStatus
from mvssm_ros.nodes.rig_summary import CameraState, Output, level, summary

OK, STALE, WAITING = CameraStatus.OK, CameraStatus.STALE, CameraStatus.WAITING
WELL = Output(min_cameras=2, people=2, rate_hz=4.93)


def cameras(**texts):
    """Four cameras; those named are silent for the reason given."""
    return [
        CameraState(name, STALE if name in texts else OK, [texts[name]] if name in texts else [])
        for name in ("cam0", "cam1", "cam2", "cam3")
    ]


def silent(name):
    return f"camera '{name}': nothing more comes on '/{name}/image_raw'; check its cable"


@pytest.mark.parametrize(
    ("people", "told"),
    [(0, "nobody is seen"), (1, "1 person is seen"), (2, "2 people are seen")],
)
def test_all_is_well(people, told):
    output = Output(min_cameras=2, people=people, rate_hz=9.96)
    assert summary(cameras(), output) == f"All 4 cameras are used, 10.0 sets a second, {told}."
    assert level(cameras(), output) == RigStatus.OK


def test_one_camera_is_silent():
    states = cameras(cam1=silent("cam1"))
    assert summary(states, WELL) == (
        "3 of 4 cameras are used, 4.9 sets a second, 2 people are seen."
        " cam1: nothing more comes on '/cam1/image_raw'; check its cable."
    )
    assert level(states, WELL) == RigStatus.WARN


def test_two_with_the_same_trouble_are_told_together_and_another_one_apart():
    states = cameras(
        cam1=silent("cam1"), cam3=silent("cam3"), cam2="camera 'cam2', topic '/cam2/x': too dark"
    )
    assert summary(states, WELL) == (
        "No people can be seen: 1 of 4 cameras is used, 2 are needed."
        " cam1 and cam3: nothing more comes on '/cam1/image_raw' and '/cam3/image_raw';"
        " check its cable."
        " cam2: too dark."
    )
    assert level(states, WELL) == RigStatus.ERROR


def test_of_many_cameras_the_first_are_named():
    states = [CameraState(f"cam{i}", STALE, [silent(f"cam{i}")]) for i in range(30)]
    text = summary(states, WELL)
    assert "cam0, cam1, cam2 and 27 more: nothing more comes on" in text
    assert "'/cam0/image_raw', '/cam1/image_raw', '/cam2/image_raw' and 27 more;" in text


def test_before_the_first_image():
    states = [CameraState(name, WAITING) for name in ("left", "right")]
    assert summary(states, Output(min_cameras=2, people=None)) == (
        "No people can be seen: 0 of 2 cameras are used, 2 are needed."
        " left and right: nothing has come yet."
    )


def test_a_used_camera_with_a_problem_is_a_warning():
    states = cameras()
    states[2] = CameraState("cam2", OK, ["camera cam2: reprojection 9 px"])
    assert summary(states, WELL) == (
        "All 4 cameras are used, 4.9 sets a second, 2 people are seen. cam2: reprojection 9 px."
    )
    assert level(states, WELL) == RigStatus.WARN


def test_a_problem_of_the_pipeline_with_which_nothing_comes_out():
    output = Output(
        min_cameras=2,
        people=1,
        rate_hz=5.0,
        problems=["a set could not be processed: RuntimeError: a bug"],
        blocked=True,
    )
    assert summary(cameras(), output) == (
        "No people can be seen, though all 4 cameras are well."
        " A set could not be processed: RuntimeError: a bug."
    )
    assert level(cameras(), output) == RigStatus.ERROR


def test_a_problem_of_the_pipeline_with_which_people_come():
    output = Output(min_cameras=2, people=1, rate_hz=5.0, problems=["topic '/people': deaf\nears"])
    assert summary(cameras(), output).endswith("1 person is seen. Topic '/people': deaf ears.")
    assert level(cameras(), output) == RigStatus.WARN


def test_switched_off():
    output = Output(min_cameras=2, people=None, enabled=False)
    assert "Switched off" in summary(cameras(), output)
    assert level(cameras(), output) == RigStatus.WARN
