"""The token grid, summed, is plain projective attention: against loops written from the formula."""

import pytest
import torch

from mvssm_ros.network.projective_attention import ProjectiveAttention, anchor_features
from mvssm_ros.network.pyramid import FeaturePyramid, sample

B, T, M, J, D = 2, 3, 4, 5, 16
STRIDES = (8, 16)


def bilinear(maps, x_px, y_px, stride):
    """One sample of maps [C, H, W] at a network pixel, by hand; zeros outside."""
    cx, cy = (x_px + 0.5) / stride - 0.5, (y_px + 0.5) / stride - 0.5
    out = torch.zeros(maps.shape[0], dtype=maps.dtype)
    x0, y0 = int(torch.floor(cx)), int(torch.floor(cy))
    for y in (y0, y0 + 1):
        for x in (x0, x0 + 1):
            if 0 <= x < maps.shape[2] and 0 <= y < maps.shape[1]:
                out = out + (1 - abs(cx - x)) * (1 - abs(cy - y)) * maps[:, y, x]
    return out


def setup(per_joint, heads, points=3, channels=6):
    torch.manual_seed(0)
    attention = ProjectiveAttention(
        D,
        2 * channels if per_joint else channels,
        n_heads=heads,
        n_levels=2,
        n_points=points,
        per_joint=per_joint,
    ).double()
    with torch.no_grad():
        for p in attention.parameters():
            p.add_(0.3 * torch.randn_like(p))
    joints = (J,) if per_joint else ()
    levels = tuple(torch.randn(B, T, *joints, channels, 64 // s, 96 // s).double() for s in STRIDES)
    mirror = torch.tensor([0, 2, 1, 4, 3]) if per_joint else None
    pyramid = FeaturePyramid(levels, STRIDES, mirror)
    query = torch.randn(B, T, M, J, D).double()
    anchors = (torch.rand(B, T, M, J, 2) * torch.tensor([130.0, 90.0]) - 15).double()
    return attention, query, anchors, pyramid


@pytest.mark.parametrize(("per_joint", "heads"), [(False, 4), (False, 1), (True, 1)])
def test_reduced_grid_is_plain_attention(per_joint, heads):
    attention, query, anchors, pyramid = setup(per_joint, heads)
    grid = attention(query, anchors, pyramid)
    assert grid.shape == (B, T, M, J, 3, D)
    out = attention.reduce(grid)
    offsets = attention.sampling_offsets(query).view(B, T, M, J, heads, 2, 3, 2)
    weights = attention.attention_weights(query).view(B, T, M, J, heads, 6).softmax(-1)
    weights = weights.view(B, T, M, J, heads, 2, 3)
    for b, t, m, j in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 2, 3), (1, 0, 1, 2)]:
        heads_out = []
        for h in range(heads):
            per_level = []
            for level, stride in enumerate(STRIDES):
                maps = pyramid.levels[level][b, t]
                if per_joint:
                    maps = torch.cat([maps[j], maps[pyramid.mirror[j]]])
                else:
                    value = torch.einsum("dc,chw->dhw", attention.value_proj.weight, maps)
                    value = value + attention.value_proj.bias[:, None, None]
                    maps = value[h * D // heads : (h + 1) * D // heads]
                total = 0
                for p in range(3):
                    place = anchors[b, t, m, j] + offsets[b, t, m, j, h, level, p] * stride
                    total = total + weights[b, t, m, j, h, level, p] * bilinear(
                        maps, *place, stride
                    )
                per_level.append(total)
            if per_joint:
                heads_out.append(attention.value_proj.weight @ torch.cat(per_level))
            else:
                heads_out.append(sum(per_level))
        expected = attention.output_proj(torch.cat(heads_out))
        torch.testing.assert_close(out[b, t, m, j], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("per_joint", [False, True])
def test_summing_points_early_changes_nothing(per_joint):
    attention, query, anchors, pyramid = setup(per_joint, 1)
    full = attention(query, anchors, pyramid)
    early = attention(query, anchors, pyramid, keep_points=False)
    torch.testing.assert_close(early, full.sum(-2, keepdim=True))


def test_samples_know_where_cells_are():
    x = torch.arange(12.0).view(1, 1, 1, 12).expand(1, 1, 8, 12).contiguous()
    place = torch.tensor([[[[8 * 5 + 3.5, 20.0]]]])  # the centre of cell 5
    assert sample(x, place, 8).item() == pytest.approx(5.0, abs=1e-5)


def test_anchor_features_show_own_and_mirror_maps():
    _, _, anchors, pyramid = setup(True, 1)
    out = anchor_features(anchors, pyramid)
    assert out.shape == (B, T, M, J, 2, 12)
    x, y = anchors[1, 2, 0, 3]
    torch.testing.assert_close(
        out[1, 2, 0, 3, 1, :6], bilinear(pyramid.levels[1][1, 2, 3], x, y, 16)
    )
    torch.testing.assert_close(
        out[1, 2, 0, 3, 1, 6:], bilinear(pyramid.levels[1][1, 2, 4], x, y, 16)
    )
