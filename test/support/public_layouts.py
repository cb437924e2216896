"""Names and shapes of every tensor in the public checkpoints, written out from their model code."""

import torch
from torch import Tensor

from mvssm_ros.frontends.resnet import RESNET50, PoseResNet

Shapes = dict[str, tuple[int, ...]]
D = 256


def linear(name: str, n_out: int, n_in: int) -> Shapes:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def mlp(name: str, n_out: int) -> Shapes:
    return linear(f"{name}.0", D, D) | linear(f"{name}.1", D, D) | linear(f"{name}.2", n_out, D)


def mvp_layer(name: str, n_points: int, rays: int) -> Shapes:
    """What MvP and MVGFormer both have in a decoder layer."""
    return (
        linear(f"{name}.proj_attn.sampling_offsets", 8 * n_points * 2, D)
        | linear(f"{name}.proj_attn.attention_weights", 8 * n_points, D)
        | linear(f"{name}.proj_attn.rayconv", D, D + rays)
        | linear(f"{name}.proj_attn.output_proj", D, D)
        | {f"{name}.norm{i}.{p}": (D,) for i in (1, 2, 3) for p in ("weight", "bias")}
        | {
            f"{name}.self_attn.in_proj_weight": (3 * D, D),
            f"{name}.self_attn.in_proj_bias": (3 * D,),
        }
        | linear(f"{name}.self_attn.out_proj", D, D)
        | linear(f"{name}.linear1", 4 * D, D)
        | linear(f"{name}.linear2", D, 4 * D)
    )


def mvgformer_layout(n_layers: int = 4, n_instances: int = 1024) -> Shapes:
    """Every name and shape of MVGFormer's published model (q1024), but for its backbone."""
    shapes: Shapes = {"level_embed": (3, D), "criterion.empty_weight": (3,)}
    shapes |= {"joint_embedding.weight": (15, 2 * D)}
    shapes |= {"instance_embedding.weight": (n_instances, 2 * D)}
    shapes |= linear("reference_points", 3, D)
    for i in range(n_layers):
        name = f"decoder.layers.{i}"
        shapes |= mvp_layer(name, n_points=8, rays=0)
        shapes |= linear(f"{name}.feature_update_mlp", D, D)
        shapes |= mlp(f"{name}.pose_embed.MLP.layers", 3)
        shapes |= linear(f"{name}.class_embed", 2, D)
        for prefix in ("", "decoder."):
            shapes |= mlp(f"{prefix}pose_embed.{i}.layers", 2)
            shapes |= linear(f"{prefix}class_embed.{i}", 2, D)
    return shapes


MVGFORMER_USES = (
    "proj_attn.", "feature_update_mlp.", "norm2.", "norm3.", "linear1.", "linear2.",
    "layers.0.pose_embed.", "layers.1.pose_embed.", "layers.2.pose_embed.", "layers.3.pose_embed.",
    "layers.0.class_embed.", "layers.1.class_embed.", "layers.2.class_embed.",
    "layers.3.class_embed.", "joint_embedding.", "instance_embedding.",
)  # fmt: skip


def mvp_layout() -> Shapes:
    """Every name and shape of MvP's published model (best_model_config), but for its backbone."""
    shapes: Shapes = {"view_embed": (5, D), "level_embed": (3, D), "criterion.empty_weight": (3,)}
    shapes |= {"joint_embedding.weight": (15, 2 * D), "instance_embedding.weight": (10, 2 * D)}
    shapes |= linear("reference_points", 3, D) | linear("reference_feats", D, 3 * 5 * D)
    for i in range(6):
        shapes |= mvp_layer(f"decoder.layers.{i}", n_points=4, rays=3)
        shapes |= linear(f"decoder.layers.{i}.fuse_view_projction", D, 5 * D)
        shapes |= linear(f"class_embed.{i}", 2, D)
        for prefix in ("", "decoder."):
            shapes |= mlp(f"{prefix}pose_embed.{i}.layers", 3)
    return shapes


def bare_resnet50() -> PoseResNet:
    """One without numbers, which are slow to draw."""
    with torch.device("meta"):
        return PoseResNet(RESNET50).to_empty(device="cpu")


def backbone_layout(n_heatmaps: int = 15) -> Shapes:
    """PoseResNet-50's names and shapes (test_resnet checks them against a list of their own)."""
    shapes = {k: tuple(v.shape) for k, v in bare_resnet50().state_dict().items()}
    heads = {"final_layer.weight": (n_heatmaps, D, 1, 1), "final_layer.bias": (n_heatmaps,)}
    return shapes | heads


def blank(shapes: Shapes, prefix: str = "") -> dict[str, Tensor]:
    """Tensors of these shapes that take no room on the disk."""
    return {f"{prefix}{k}": torch.zeros(()).expand(shape) for k, shape in shapes.items()}
