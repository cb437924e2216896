"""The classical chain on rooms whose people are known."""

import numpy as np
import pytest
import torch

from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.learning.classical import triangulate_people
from mvssm_ros.learning.classical_fill import STANDING_M

CENTER_M, SIZE_M = np.zeros(2), np.full(2, 6.0)


def ring(n_views: int) -> Cameras:
    """Cameras on a circle of 5 m at various heights, looking at the middle of the room; [T]."""
    angle = torch.arange(n_views, dtype=torch.float64) * 2.4
    height = 1.5 + 1.2 * (torch.arange(n_views) % 3).double()
    centre = torch.stack([5 * angle.cos(), 5 * angle.sin(), height], -1)
    forward = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64) - centre
    forward = forward / forward.norm(dim=-1, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand_as(forward)
    right = torch.linalg.cross(forward, up)
    right = right / right.norm(dim=-1, keepdim=True)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
    K = torch.tensor([[800.0, 0, 640], [0, 800, 360], [0, 0, 1]], dtype=torch.float64)
    t = -(R @ centre[..., None])[..., 0]
    return Cameras.pinhole(
        K.expand(n_views, 3, 3), R, t, torch.tensor([1280.0, 720]).expand(n_views, 2)
    )


def standing(x_m: float, y_m: float, yaw: float, height: float = 1.0) -> np.ndarray:
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return height * (STANDING_M @ turn.T + [0, 0, 0.92]) + [x_m, y_m, 0]


def detect(
    cameras: Cameras, people: np.ndarray, noise_px: float = 0.0, seed: int = 0
) -> list[np.ndarray]:
    """Everybody in every view, in another order in each, with Gaussian noise."""
    rng = np.random.default_rng(seed)
    n = len(people)
    pixels, _ = project(cameras, torch.as_tensor(people).reshape(-1, 3))
    pixels = pixels.reshape(cameras.n_views, n, 15, 2).numpy()
    views = []
    for view in pixels:
        noisy = view + noise_px * rng.standard_normal(view.shape)
        confidence = rng.uniform(0.6, 1.0, (n, 15, 1))
        views.append(np.concatenate([noisy, confidence], -1)[rng.permutation(n)].astype(np.float32))
    return views


PEOPLE = np.stack(
    [standing(0, 0, 0.3), standing(1.5, -1, 2.0, 1.05), standing(-1.4, 0.8, 4.0, 0.9)]
)


def by_nearest(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[G] mean joint distance of each true person to the nearest one found, metres."""
    return np.linalg.norm(found[None] - truth[:, None], axis=-1).mean(-1).min(1)


@pytest.mark.parametrize("n_views", [3, 5, 8])
def test_exact_poses_give_exactly_the_people(n_views):
    cameras = ring(n_views)
    out = triangulate_people(cameras, detect(cameras, PEOPLE), CENTER_M, SIZE_M)
    assert len(out.joints_m) == 3
    assert out.observed.all()
    assert (out.detection >= 0).all()
    assert (by_nearest(out.joints_m, PEOPLE) < 0.002).all()


def test_noise_is_averaged_over_views():
    few, many = [], []
    for seed in range(6):
        for n_views, errors in ((3, few), (8, many)):
            cameras = ring(n_views)
            out = triangulate_people(cameras, detect(cameras, PEOPLE, 3.0, seed), CENTER_M, SIZE_M)
            assert len(out.joints_m) == 3
            errors.append(by_nearest(out.joints_m, PEOPLE).mean())
    assert np.mean(many) < np.mean(few) < 0.05


def test_one_wrong_view_of_five_is_rejected():
    cameras = ring(5)
    views = detect(cameras, PEOPLE[:1])
    views[2] = views[2][:, PANOPTIC15.mirror]  # left and right swapped
    out = triangulate_people(cameras, views, CENTER_M, SIZE_M)
    assert len(out.joints_m) == 1
    assert by_nearest(out.joints_m, PEOPLE[:1])[0] < 0.01


def test_a_pose_of_nobody_makes_no_person():
    cameras = ring(5)
    views = detect(cameras, PEOPLE)
    ghost = views[1][:1] + np.array([170, -90, 0], np.float32)
    views[1] = np.concatenate([views[1], ghost])
    out = triangulate_people(cameras, views, CENTER_M, SIZE_M)
    assert len(out.joints_m) == 3
    assert (by_nearest(out.joints_m, PEOPLE) < 0.01).all()


def test_missing_joints_are_filled_and_said_to_be():
    cameras = ring(4)
    views = detect(cameras, PEOPLE[:1])
    knee, ankle, wrist = 7, 8, 5
    for view in views:
        view[:, [knee, ankle], 2] = 0
    for view in views[1:]:
        view[:, wrist, 2] = 0
    out = triangulate_people(cameras, views, CENTER_M, SIZE_M)
    assert len(out.joints_m) == 1
    assert not out.observed[0, [knee, ankle, wrist]].any()
    assert out.observed[0].sum() == 12
    error = np.linalg.norm(out.joints_m[0] - PEOPLE[0], axis=-1)
    assert error[[knee, ankle, wrist]].max() < 0.05  # she stands, so the standing body fits


def test_people_outside_the_space_are_not_reported():
    cameras = ring(4)
    views = detect(cameras, np.stack([PEOPLE[0], standing(2.6, 2.6, 0.0)]))
    out = triangulate_people(cameras, views, CENTER_M, np.full(2, 3.0))
    assert len(out.joints_m) == 1
    assert by_nearest(out.joints_m, PEOPLE[:1])[0] < 0.01


@pytest.mark.parametrize("empty", [[0, 1, 2], [1, 2], []])
def test_views_without_people(empty):
    cameras = ring(3)
    views = detect(cameras, PEOPLE[:1])
    for view in empty:
        views[view] = np.zeros((0, 15, 3), np.float32)
    out = triangulate_people(cameras, views, CENTER_M, SIZE_M)
    assert len(out.joints_m) == (1 if len(empty) < 2 else 0)
    assert out.joints_m.shape[1:] == (15, 3)
    assert out.detection.shape[1] == 3


def test_rotating_and_moving_the_world_about_the_vertical_changes_nothing_else():
    cameras = ring(4)
    views = detect(cameras, PEOPLE, 2.0)
    c, s = np.cos(0.7), np.sin(0.7)
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    move = torch.tensor([3.0, -2.0, 0.0], dtype=torch.float64)
    R = cameras.R @ turn.T
    moved = Cameras.pinhole(cameras.K, R, cameras.t - (R @ move[:, None])[..., 0], cameras.size_px)
    roomy = np.full(2, 30.0)
    here = triangulate_people(cameras, views, CENTER_M, roomy)
    there = triangulate_people(moved, views, move.numpy()[:2], roomy)
    expected = here.joints_m @ turn.numpy().T + move.numpy()
    np.testing.assert_allclose(there.joints_m, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_nonsense_gives_whole_skeletons_or_none(seed):
    rng = np.random.default_rng(seed)
    cameras = ring(4)
    real = detect(cameras, PEOPLE, 5.0, seed)
    views = []
    for view in real:
        rubbish = rng.uniform(0, 1, (6, 15, 3)) * [1280, 720, 1]
        rubbish[rng.random((6, 15)) < 0.4, 2] = 0
        views.append(np.concatenate([rubbish, view[: rng.integers(0, 4)]]).astype(np.float32))
    out = triangulate_people(cameras, views, CENTER_M, SIZE_M)
    assert np.isfinite(out.joints_m).all()
    assert np.isfinite(out.score).all()
    assert ((out.detection >= 0).sum(-1) >= 2).all()
    for t in range(4):  # a 2D pose belongs to one person
        used = out.detection[out.detection[:, t] >= 0, t]
        assert len(set(used.tolist())) == len(used)
