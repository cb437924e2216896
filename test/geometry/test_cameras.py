"""Projection and its inverse, against OpenCV's implementation of the same models."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from distorted_cameras import MODELS, make_cameras

from mvssm_ros.geometry.cameras import Cameras, in_view, project, undistort


@pytest.mark.parametrize("model", MODELS)
def test_projection_agrees_with_opencv(model):
    cameras = make_cameras(MODELS[model])
    points = torch.tensor(np.random.default_rng(1).uniform(-1.2, 1.2, size=(50, 3)))
    pixels, depth = project(cameras, points)
    for i in range(cameras.n_views):
        rvec = cv2.Rodrigues(cameras.R[i].numpy())[0]
        expected, _ = cv2.projectPoints(
            points.numpy(),
            rvec,
            cameras.t[i].numpy(),
            cameras.K[i].numpy(),
            cameras.distortion[i].numpy(),
        )
        np.testing.assert_allclose(pixels[i].numpy(), expected[:, 0], atol=1e-8)
    assert (depth > 0).all()


def test_fisheye_projection_agrees_with_opencv():
    cameras = make_cameras([-0.02, 0.01, -0.004, 0.0008], fisheye=True)
    points = torch.tensor(np.random.default_rng(1).uniform(-1.5, 1.5, size=(50, 3)))
    pixels, _ = project(cameras, points)
    for i in range(cameras.n_views):
        rvec = cv2.Rodrigues(cameras.R[i].numpy())[0]
        expected, _ = cv2.fisheye.projectPoints(
            points.numpy()[:, None],
            rvec,
            cameras.t[i].numpy(),
            cameras.K[i].numpy(),
            cameras.distortion[i, :4].numpy(),
        )
        np.testing.assert_allclose(pixels[i].numpy(), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize(("model", "fisheye"), [*((m, False) for m in MODELS), ("plumb_bob", True)])
def test_undistort_inverts_projection(model, fisheye):
    cameras = make_cameras(MODELS[model][:4] if fisheye else MODELS[model], fisheye)
    points = torch.tensor(np.random.default_rng(2).uniform(-1.5, 1.5, size=(200, 3)))
    pixels, depth = project(cameras, points)
    ray = undistort(cameras, pixels)
    camera_frame = points.unsqueeze(0) @ cameras.R.transpose(-1, -2) + cameras.t.unsqueeze(1)
    seen = in_view(cameras, pixels, depth)
    assert seen.sum() > 100
    expected = camera_frame[..., :2] / camera_frame[..., 2:]
    torch.testing.assert_close(ray[seen], expected[seen], atol=1e-7, rtol=0)


@pytest.mark.parametrize("fisheye", [False, True])
def test_undistort_gradient_is_exact(fisheye):
    cameras = make_cameras(MODELS["plumb_bob"][:4], fisheye, n=1)
    pixels = torch.tensor(
        [[[500.0, 300.0], [900.0, 600.0]]], dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda p: undistort(cameras, p), (pixels,), atol=1e-8)


def test_projection_gradient():
    cameras = make_cameras(MODELS["plumb_bob"], n=2)
    points = torch.tensor(
        [[0.3, -0.2, 0.5], [0.9, 0.4, 0.1]], dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda p: project(cameras, p)[0], (points,))


def test_a_point_far_outside_the_field_of_view_does_not_fold_back_into_the_image():
    cameras = make_cameras([-0.35, 0.08, 0, 0, 0], n=1)
    eye, zero = torch.eye(3, dtype=torch.float64)[None], torch.zeros(1, 3, dtype=torch.float64)
    cameras = replace(cameras, R=eye, t=zero)
    points = torch.tensor([[x, 0.0, 1.0] for x in np.linspace(1.5, 60, 200)])
    pixels, depth = project(cameras, points)
    assert not in_view(cameras, pixels, depth).any()
    assert (torch.diff(pixels[0, :, 0]) >= 0).all()


def test_points_behind_the_camera_are_not_in_view():
    cameras = make_cameras([], n=1)
    behind = (cameras.centers_m[0] * 2).unsqueeze(0)
    pixels, depth = project(cameras, behind)
    assert not in_view(cameras, pixels, depth).any()


def test_affine_scales_pixels():
    cameras = make_cameras(MODELS["plumb_bob"])
    points = torch.tensor(np.random.default_rng(1).uniform(-1, 1, size=(20, 3)))
    scale = torch.tensor([0.5, 0.75, 2.0], dtype=torch.float64)
    offset = torch.tensor([[3.0, -1.0]] * 3, dtype=torch.float64)
    pixels, _ = project(cameras, points)
    moved, _ = project(cameras.affine(scale, offset), points)
    torch.testing.assert_close(moved, pixels * scale[:, None, None] + offset[:, None])


def test_select_and_stack():
    cameras = make_cameras([], n=3)
    assert cameras.select([2, 0]).t[0, 0] == cameras.t[2, 0]
    assert cameras.select(torch.tensor([True, False, True])).n_views == 2
    assert Cameras.stack([cameras, cameras]).K.shape == (2, 3, 3, 3)
    assert Cameras.stack([cameras, cameras]).select([1]).K.shape == (2, 1, 3, 3)
