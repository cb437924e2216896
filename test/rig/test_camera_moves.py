"""A camera that is bumped is noticed from people who walk about, and the right one is named."""

import numpy as np
import pytest
import torch
from walking_people import disturbed, ring_rig, walk

from mvssm_ros.geometry.cameras import project
from mvssm_ros.geometry.triangulation import triangulate_twice
from mvssm_ros.rig.camera_moves import MoveWatch

FPS = 5.0
LEARN_S = 45.0
NAMES = ["cam1", "cam2", "cam3", "cam4"]
RIG = ring_rig(4)


@pytest.fixture(scope="module")
def seen():
    """What a noisy detector sees of two people in 80 s: [F, P, 15, T, 3], and where they are."""
    noisy = walk(RIG, 3, n_people=2, seconds=80.0, fps=FPS, in_order=True).keypoints
    rng = np.random.default_rng(0)
    cameras = RIG.to_cameras()
    F, T, P = noisy.shape[:3]
    pixels = torch.from_numpy(noisy[..., :2].transpose(1, 0, 2, 3, 4).reshape(T, -1, 2))
    weights = torch.from_numpy(noisy[..., 2].transpose(1, 0, 2, 3).reshape(T, -1))
    middle = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(F * P * 15, 3)
    points = triangulate_twice(cameras.to(torch.float64), pixels, weights, middle).points_m
    joints = points.numpy().reshape(F, P, 15, 3) + 0.01 * rng.normal(size=(F, P, 1, 3))
    return noisy.transpose(0, 2, 3, 1, 4), joints


def shown_by(other, seen, joints, camera):
    """The keypoints if the camera were where it is in the rig `other`."""
    points = torch.from_numpy(joints.reshape(-1, 3))
    here, there = (
        project(rig.to_cameras([camera]).to(torch.float64), points)[0][0].numpy()
        for rig in (RIG, other)
    )
    moved = seen.copy()
    t = NAMES.index(camera)
    moved[..., t, :2] += (there - here).reshape(*joints.shape[:3], 2)
    return moved


def bumped(camera, angle_deg=0.0, shift_m=0.0, seed=1):
    all_moved = disturbed(RIG, seed, angle_deg, shift_m)
    cameras = {**RIG.cameras, camera: all_moved.cameras[camera]}
    return type(RIG)(RIG.reference_frame, RIG.space, cameras)


def watch_over(watch, keypoints, joints, began_s=0.0, cameras=None):
    """Feed all sets; returns when which cameras first had moved, s."""
    cameras = cameras or RIG.to_cameras()
    when = {}
    for f, (px, joints_m) in enumerate(zip(keypoints, joints, strict=True)):
        watch.update(NAMES, cameras, joints_m, px, began_s + f / FPS)
        for name in watch.moved:
            when.setdefault(name, f / FPS)
    return when


@pytest.mark.parametrize(("angle_deg", "shift_m"), [(1.0, 0.0), (0.0, 0.025)])
def test_a_bumped_camera_is_named_and_comes_back(seen, angle_deg, shift_m):
    keypoints, joints = seen
    learn, end = int(LEARN_S * FPS), int(57.0 * FPS)
    watch = MoveWatch(NAMES)
    assert watch_over(watch, keypoints[:learn], joints[:learn]) == {}
    moved = shown_by(bumped("cam2", angle_deg, shift_m), keypoints, joints, "cam2")
    when = watch_over(watch, moved[learn:end], joints[learn:end], LEARN_S)
    assert when.keys() == {"cam2"}
    assert when["cam2"] <= 10.0
    assert watch.moved["cam2"].image_px > 1.2
    watch_over(watch, keypoints[end:], joints[end:], 57.0)
    assert watch.moved == {}


def test_nothing_moves_in_a_healthy_rig(seen):
    assert watch_over(MoveWatch(NAMES), *seen) == {}


def test_a_rig_that_is_a_little_wrong_is_not_one_that_moves(seen):
    wrong = disturbed(RIG, 5, 0.2, 0.01).to_cameras()
    assert watch_over(MoveWatch(NAMES), *seen, cameras=wrong) == {}


def test_a_new_calibration_is_believed(seen):
    keypoints, joints = seen
    learn, end = int(LEARN_S * FPS), int(57.0 * FPS)
    watch = MoveWatch(NAMES)
    watch_over(watch, keypoints[:learn], joints[:learn])
    moved = shown_by(bumped("cam2", 1.0), keypoints, joints, "cam2")
    watch_over(watch, moved[learn:end], joints[learn:end], LEARN_S)
    watch.calibrated_anew("cam3")
    assert watch.moved.keys() == {"cam2"}
    watch.calibrated_anew("cam2")
    assert watch.moved == {}
    assert (
        watch_over(watch, moved[end:], joints[end:], 57.0, bumped("cam2", 1.0).to_cameras()) == {}
    )


def test_two_cameras_cannot_be_watched(seen):
    keypoints, joints = seen
    cameras = RIG.to_cameras(NAMES[:2])
    watch = MoveWatch(NAMES[:2])
    keypoints = keypoints[..., :2, :].copy()
    keypoints[int(LEARN_S * FPS) :, ..., 1, 0] += 20.0
    for f in range(len(joints)):
        watch.update(NAMES[:2], cameras, joints[f], keypoints[f], f / FPS)
    assert watch.moved == {}


def test_an_empty_room_and_time_that_is_set_back(seen):
    keypoints, joints = seen
    watch = MoveWatch(NAMES)
    cameras = RIG.to_cameras()
    watch.update(NAMES, cameras, joints[0], keypoints[0], 100.0)
    watch.update(NAMES, cameras, joints[:0, 0], keypoints[:0, 0], 101.5)
    assert not watch.update(NAMES, cameras, joints[1], keypoints[1], 3.0)
    assert watch.moved == {}
