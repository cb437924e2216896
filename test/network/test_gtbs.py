import pytest
import torch

from mvssm_ros.network.gtbs import SS2D, TREE_ORDER, FeatureLevelGTBS, KeypointLevelGTBS


def randomise(module, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return module.double().eval()


OPTIONS = [
    {"d_state": 1},
    {"d_state": 4, "gated": True, "expansion": 2.0},
    {"directions": 4, "expansion": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_ss2d_is_zero_at_initialisation(options):
    assert (SS2D(16, **options)(torch.randn(2, 5, 3, 16)) == 0).all()


@pytest.mark.parametrize("options", OPTIONS)
def test_every_token_hears_of_every_other(options):
    ss2d = randomise(SS2D(16, **options))
    x = torch.randn(1, 6, 4, 16, dtype=torch.float64, requires_grad=True)
    for place in ((0, 0), (5, 3), (2, 1)):
        (grad,) = torch.autograd.grad(ss2d(x)[0, place[0], place[1]].sum(), x)
        assert (grad.abs().sum(-1) > 0).all()


def test_two_directions_are_mirror_images_when_they_share_their_parameters():
    ss2d = SS2D(8)
    randomise(ss2d)
    with torch.no_grad():
        for p in (ss2d.x_proj, ss2d.dt_weight, ss2d.dt_bias, ss2d.A_log, ss2d.D):
            p[1] = p[0]
        ss2d.conv.weight.copy_(ss2d.conv.weight + ss2d.conv.weight.flip(2, 3))  # symmetric kernel
    x = torch.randn(2, 5, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(ss2d(x.flip(1, 2)).flip(1, 2), ss2d(x))


def test_feature_level_scans_each_view_on_its_own():
    gtbs = randomise(FeatureLevelGTBS(8, 15, 3, serial=False, tree_order=True))
    grid = torch.randn(2, 4, 3, 15, 3, 8, dtype=torch.float64)
    out = gtbs(grid)
    assert out.shape == grid.shape
    torch.testing.assert_close(gtbs(grid[:, [2, 0]]), out[:, [2, 0]])


def test_serial_scan_carries_from_view_to_view():
    gtbs = randomise(FeatureLevelGTBS(8, 15, 3, serial=True, tree_order=False))
    grid = torch.randn(1, 3, 2, 15, 3, 8, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(gtbs(grid)[0, 0, 1].sum(), grid)
    assert (grad[0, :, 1].abs().sum((-1, -2, -3)) > 0).all()  # all views of candidate 1
    assert (grad[0, :, 0] == 0).all()  # candidates do not meet


def test_tree_order_is_a_permutation_and_is_undone():
    assert sorted(TREE_ORDER) == list(range(15))
    plain = randomise(KeypointLevelGTBS(8, 15, tree_order=False))
    tree = KeypointLevelGTBS(8, 15, tree_order=True).double()
    tree.load_state_dict(plain.state_dict())
    tokens = torch.randn(2, 3, 15, 8, dtype=torch.float64)
    geometry = torch.randn(2, 3, 15, 3, dtype=torch.float64)
    order = torch.tensor(TREE_ORDER)
    expected = plain(tokens[:, :, order], geometry[:, :, order])
    torch.testing.assert_close(tree(tokens, geometry)[:, :, order], expected)
    assert not torch.allclose(tree(tokens, geometry), plain(tokens, geometry))
