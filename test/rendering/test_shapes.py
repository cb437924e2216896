"""Where rays meet the solids, against what can be worked out by hand and by marching."""

import math

import torch

from mvssm_ros.rendering.shapes import (
    Boxes,
    RoundCones,
    box_surface,
    cone_surface,
    joined,
    meet_boxes,
    meet_cones,
    no_boxes,
    no_cones,
)


def cones(start, end, r0, r1):
    index = torch.zeros(len(start), dtype=torch.long)
    return RoundCones(*(torch.tensor(x) for x in (start, end, r0, r1)), index, index, index)


def distance(points, cone):
    """Signed distance [N] to one round cone, by brute force over the balls it is made of."""
    s = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    a, b = cone.start_m[0].double(), cone.end_m[0].double()
    balls = a + s * (b - a)
    radii = (cone.start_r_m[0] + s * (cone.end_r_m[0] - cone.start_r_m[0])).double()
    return ((points.double()[:, None] - balls).norm(dim=-1) - radii.T).min(-1).values


def test_a_ray_at_a_ball_stops_a_radius_before_its_centre():
    ball = cones([[0.0, 0.0, 5.0]], [[0.0, 0.0, 5.0]], [0.5], [0.5])
    rays = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]])
    t = meet_cones(torch.zeros(1, 3), rays, ball)
    assert math.isclose(t[0, 0], 4.5, abs_tol=1e-5)
    assert torch.isinf(t[0, 1:]).all()  # beside it, and away from it


def test_a_ray_across_a_limb_meets_it_at_its_radius_there():
    limb = cones([[3.0, 0.0, 0.0]], [[3.0, 0.0, 2.0]], [0.2], [0.1])
    t = meet_cones(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[[1.0, 0.0, 0.0]]]), limb)
    assert 2.84 < t[0, 0] < 2.86


def test_rays_from_everywhere_end_on_the_surface_or_miss_it():
    torch.manual_seed(0)
    for r0, r1, length in ((0.2, 0.1, 1.0), (0.05, 0.3, 0.4), (0.3, 0.05, 0.1), (0.1, 0.1, 0.0)):
        cone = cones([[0.0, 0.0, 0.0]], [[0.0, length, 0.0]], [r0], [r1])
        eyes = torch.nn.functional.normalize(torch.randn(300, 3), dim=-1) * 4
        rays = torch.nn.functional.normalize(0.3 * torch.randn(300, 3) - eyes, dim=-1)
        many = RoundCones(*(x.expand(300, *x.shape[1:]) for x in vars(cone).values()))
        t = meet_cones(eyes, rays[:, None], many)[:, 0]
        met = ~torch.isinf(t)
        assert 5 < met.sum() < 290
        assert distance(eyes[met] + t[met, None] * rays[met], cone).abs().max() < 2e-3
        # those who miss come nowhere nearer than the surface
        steps = torch.linspace(0, 8, 161)
        along = eyes[~met][:, None] + steps[:, None] * rays[~met][:, None]
        assert distance(along.flatten(0, 1)[::3], cone).min() > -2e-3


def test_normals_point_out_of_a_round_cone():
    cone = cones([[0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]], [0.2], [0.1])
    points = torch.tensor([[0.15, 0.0, 0.5], [0.0, 0.0, 1.1], [0.0, -0.2, -0.02]])
    many = RoundCones(*(x.expand(3, *x.shape[1:]) for x in vars(cone).values()))
    normal, along, around = cone_surface(many, points)
    assert normal[0, 0] > 0.98
    assert normal[1, 2] > 0.999
    assert (normal.norm(dim=-1) - 1).abs().max() < 1e-5
    assert 0.45 < along[0] < 0.55
    assert along[1] == 1
    assert torch.isfinite(around).all()


def test_a_turned_box_is_met_at_its_side_and_its_corner():
    box = Boxes(
        torch.tensor([[4.0, 0.0, 0.5], [4.0, 0.0, 0.5]]),
        torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]),
        torch.tensor([0.0, math.pi / 4]),
        torch.zeros(2, dtype=torch.long),
        torch.zeros(2, dtype=torch.long),
    )
    eye = torch.tensor([[0.0, 0.0, 0.5]]).expand(2, 3)
    ray = torch.tensor([[[1.0, 0.0, 0.0]]]).expand(2, 1, 3)
    t = meet_boxes(eye, ray, box)[:, 0]
    assert math.isclose(t[0], 3.5, abs_tol=1e-4)
    assert math.isclose(t[1], 4 - math.sqrt(0.5), abs_tol=1e-4)
    normal, u, v = box_surface(box, eye + t[:, None] * ray[:, 0] - torch.tensor([0.0, 0.01, 0.0]))
    assert torch.allclose(normal[0], torch.tensor([-1.0, 0, 0]), atol=1e-6)
    assert torch.allclose(normal[1], torch.tensor([-0.7071, -0.7071, 0]), atol=1e-3)
    assert (u.abs() < 0.51).all()
    assert (v.abs() < 0.51).all()


def test_lists_of_solids_are_joined():
    one = cones([[0.0, 0.0, 5.0]], [[0.0, 0.0, 5.0]], [0.5], [0.5])
    assert len(joined([no_cones(), one, one]).scene) == 2
    assert len(no_boxes().scene) == 0
