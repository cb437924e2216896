"""The oracle on scenes whose answer is known."""

import torch

from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.learning.oracle import triangulate_true_people

START_M = torch.tensor([[0.0, 0.0, 1.0]])


def ring(n_views: int, radius_m: float = 4.0) -> Cameras:
    """Cameras on a circle, 2 m high, looking at the middle of the room; [1, T]."""
    angle = torch.linspace(0, 1.6 * torch.pi, n_views, dtype=torch.float64)
    centre = torch.stack([radius_m * angle.cos(), radius_m * angle.sin(), 2 + 0 * angle], -1)
    forward = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64) - centre
    forward = forward / forward.norm(dim=-1, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand_as(forward)
    right = torch.linalg.cross(forward, up)
    right = right / right.norm(dim=-1, keepdim=True)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
    K = torch.tensor([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]], dtype=torch.float64)
    K = K.expand(n_views, 3, 3)
    size = torch.tensor([1280.0, 720.0]).expand(n_views, 2)
    return Cameras.stack([Cameras.pinhole(K, R, -(R @ centre[..., None])[..., 0], size)])


def people(n: int) -> torch.Tensor:
    """[1, n, 15, 3] joints about the middle of the room."""
    generator = torch.Generator().manual_seed(n)
    joints = torch.rand(1, n, 15, 3, generator=generator, dtype=torch.float64)
    return joints * torch.tensor([1.0, 1.0, 1.7], dtype=torch.float64) - 0.5


def detections(cameras: Cameras, joints_m: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact detections in the order of the people: keypoints [1, T, G, 15, 3], identity."""
    _, G, J, _ = joints_m.shape
    pixels, _ = project(cameras, joints_m.reshape(1, G * J, 3))
    pixels = pixels.reshape(1, -1, G, J, 2)
    keypoints = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1)
    identity = torch.arange(G).expand(1, keypoints.shape[1], G).clone()
    return keypoints, identity


def test_exact_detections_give_the_exact_people_in_any_order():
    cameras, truth = ring(4), people(3)
    keypoints, _ = detections(cameras, truth)
    order = torch.tensor([[2, 0, 1], [0, 1, 2], [1, 0, 2], [2, 1, 0]])
    shuffled = torch.stack([keypoints[0, t, order[t]] for t in range(4)])[None]
    out = triangulate_true_people(cameras, shuffled, order[None], 3, START_M)
    assert out.valid.all()
    torch.testing.assert_close(out.joints_m, truth, atol=1e-4, rtol=0)


def test_a_joint_needs_two_views_and_a_person_with_none_is_not_found():
    cameras, truth = ring(3), people(2)
    keypoints, identity = detections(cameras, truth)
    keypoints[0, 1:, 0, 5, 2] = 0  # joint 5 of person 0 left in one view
    keypoints[0, 2:, 0, 6, 2] = 0  # joint 6 left in two
    identity[0, 1:, 1] = -1  # person 1 left in one view
    out = triangulate_true_people(cameras, keypoints, identity, 2, START_M)
    assert out.valid[0, 0].sum() == 14
    assert not out.valid[0, 0, 5]
    assert not out.valid[0, 1].any()
    assert out.joints_m[0, 1].isnan().all()
    torch.testing.assert_close(out.joints_m[0, 0, 6], truth[0, 0, 6], atol=1e-4, rtol=0)


def test_the_surer_of_two_detections_of_one_person_is_taken():
    cameras, truth = ring(3), people(1)
    keypoints, _ = detections(cameras, truth)
    wrong = keypoints.clone()
    wrong[..., 0] += 80
    wrong[..., 2] = 0.6
    both = torch.cat([wrong, keypoints], 2)
    out = triangulate_true_people(cameras, both, torch.zeros(1, 3, 2, dtype=torch.long), 1, START_M)
    torch.testing.assert_close(out.joints_m, truth, atol=1e-4, rtol=0)
    both[:, :, 1, :, 2] = 0.3  # now the wrong ones are the surer
    out = triangulate_true_people(cameras, both, torch.zeros(1, 3, 2, dtype=torch.long), 1, START_M)
    assert (out.joints_m - truth).norm(dim=-1).mean() > 0.05


def test_confidence_is_the_weight():
    cameras, truth = ring(5), people(1)
    keypoints, identity = detections(cameras, truth)
    keypoints[0, 0, 0, :, 0] += 30
    errors = []
    for confidence in (1.0, 0.3, 0.01):
        keypoints[0, 0, 0, :, 2] = confidence
        out = triangulate_true_people(cameras, keypoints, identity, 1, START_M)
        errors.append((out.joints_m - truth).norm(dim=-1).mean().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.1 * errors[0]


def test_it_minimises_the_weighted_reprojection_error():
    cameras, truth = ring(4), people(2)
    keypoints, identity = detections(cameras, truth)
    generator = torch.Generator().manual_seed(0)
    keypoints[..., :2] += 3 * torch.randn(keypoints[..., :2].shape, generator=generator)
    keypoints[..., 2] = 0.2 + 0.8 * torch.rand(keypoints.shape[:-1], generator=generator)
    out = triangulate_true_people(cameras, keypoints, identity, 2, START_M)

    def cost(points: torch.Tensor) -> torch.Tensor:
        pixels, _ = project(cameras, points.reshape(1, -1, 3))
        error = (pixels.reshape(1, 4, 2, 15, 2) - keypoints[..., :2]).square().sum(-1)
        return (keypoints[..., 2] * error).sum(1)

    best = cost(out.joints_m)
    # The solver scales rows by depth, which is the reprojection error to first order: a step of
    # 5 mm in any direction must not be better.
    for axis in range(3):
        for sign in (-1, 1):
            step = torch.zeros(3, dtype=torch.float64)
            step[axis] = sign * 0.005
            assert (cost(out.joints_m + step) > best).all()
