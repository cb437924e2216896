"""Public checkpoints read into our names: VoxelPose, MvP, MVGFormer, or their PoseResNet alone.

The backbone's names are the published ones, so it is taken as it is. MVGFormer's decoder is MV-SSM
without Mamba (the paper's own ablation), so its numbers map one to one onto ours; `DECODER_LAYER`
says how. Every key of a checkpoint is used, or known to be unused for a stated reason, or an error
that names it. Files are read with ``weights_only=True``: no code in them is run.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mvssm_ros.errors import UserError

from .config import MVSSMConfig, paper_rgb
from .mvssm import MVSSM
from .pss import OFFSET_PX

HEADS = 8  # of MVGFormer's attention; no shape in a checkpoint tells it
HEATMAPS = 15  # of our backbone's 2D head

# MVGFormer's names in one decoder layer, and ours
DECODER_LAYER = {
    "proj_attn.sampling_offsets": "attention.sampling_offsets",
    "proj_attn.attention_weights": "attention.attention_weights",
    "proj_attn.rayconv": "attention.value_proj",
    "proj_attn.output_proj": "attention.output_proj",
    "feature_update_mlp": "fuse",
    "norm2": "norm1",
    "linear1": "feed_forward.0",
    "linear2": "feed_forward.2",
    "norm3": "norm2",
    "pose_embed.MLP.layers.0": "view_head.0",
    "pose_embed.MLP.layers.1": "view_head.2",
    "pose_embed.MLP.layers.2": "view_head.4",
    "class_embed": "class_head",
}

_TRAINING = {r"criterion\.": "of the training loss"}
_MVGFORMER_UNUSED = {
    r"decoder\.layers\.\d+\.norm1\.": "MVGFormer builds it but never calls it",
    r"decoder\.layers\.\d+\.self_attn\.": "self-attention is off in MVGFormer's published setting",
    r"(decoder\.)?(pose|class)_embed\.\d+\.": "MVGFormer calls each layer's own heads instead",
    r"reference_(points|feats)\.": "start poses stand on a grid; nothing predicts them",
    r"(level|view)_embed$": "MVGFormer builds it but never calls it",
    **_TRAINING,
}
_MVP_DECODER = (
    r"decoder\.|(joint|instance|image|query)_embed|(pose|class)_embed\.\d+\.|"
    r"reference_(points|feats)\.|(level|view)_embed$"
)
_MVP_UNUSED = {_MVP_DECODER: "MvP's decoder differs; its backbone is taken", **_TRAINING}
_VOXELPOSE_UNUSED = {
    r"(root|pose)_net\.": "VoxelPose's 3D convolutions; MV-SSM has none",
}


@dataclass(frozen=True)
class Checkpoint:
    """A public checkpoint in our names.

    kind      "pose_resnet" | "voxelpose" | "mvp" | "mvgformer"
    backbone  parameters and buffers of a PoseResNet; empty if the file has none
    decoder   parameters of an `MVSSM` built from `config`; empty but for MVGFormer
    unused    the keys of the file that nothing of ours takes, each with the reason
    """

    path: Path
    kind: str
    backbone: dict[str, Tensor]
    decoder: dict[str, Tensor] = field(default_factory=dict)
    config: MVSSMConfig | None = None
    unused: dict[str, str] = field(default_factory=dict)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read and sort a public checkpoint.

    Raises UserError when the file is missing, corrupt, holds pickled code, is none of the known
    kinds, or has a key that nobody knows.
    """
    path = Path(path)
    state = _without_prefix(read_tensors(path), "module.")
    kind = _kind(path, state)
    if kind == "pose_resnet":
        state = {f"backbone.{k}": v for k, v in _without_prefix(state, "backbone.").items()}
    unused: dict[str, str] = {}
    backbone, decoder = {}, {}
    reasons = {"voxelpose": _VOXELPOSE_UNUSED, "mvp": _MVP_UNUSED, "mvgformer": _MVGFORMER_UNUSED}
    for key, value in state.items():
        name = key.removeprefix("backbone.")
        reason = _reason(key, reasons.get(kind, {}))
        if name != key and name.startswith("final_layer.") and len(value) != HEATMAPS:
            reason = f"a 2D heatmap head for {len(value)} joints, ours has {HEATMAPS}"
        if reason:
            unused[key] = reason
        elif name != key:
            backbone[name] = value
        elif kind == "mvgformer" and (mapped := _decoder_parameters(key, value)):
            decoder.update(mapped)
        else:
            raise UserError(
                f"{path.name}: unknown key {key!r} in what looks like a {kind} checkpoint"
            )
    config = _mvgformer_config(path, state) if decoder else None
    return Checkpoint(path, kind, backbone, decoder, config, unused)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch file: a state dict, or a training checkpoint with one inside."""
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            raise UserError(
                f"{path.name}: holds pickled objects other than tensors, which could run code, and "
                "is not loaded; give the file with the state_dict alone (VoxelPose, MvP and MVGFormer "
                "write one beside it: model_best.pth.tar or final_state.pth.tar)"
            ) from error
        raise UserError(f"{path.name}: corrupt or not a torch checkpoint") from error
    except (RuntimeError, EOFError, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path.name}: corrupt or not a torch checkpoint") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path.name}: holds no state dict (names and tensors)")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UserError(f"{path.name}: {key!r} is no tensor; expected a state dict")
    return dict(content)


def load_into(
    module: nn.Module, state: Mapping[str, Tensor], source: str, may_lack: tuple[str, ...] = ()
) -> None:
    """Copy `state` into `module`; raises UserError for the first key that does not fit in name or
    shape, or is missing.

    Names that hold one of `may_lack` may be missing and keep what `module` has, and so may the
    counters of batch normalisation, which old checkpoints do not have.
    """
    target = module.state_dict()
    for key, value in state.items():
        if key not in target:
            raise UserError(f"{source}: {key!r} has no place in {type(module).__name__}")
        if value.shape != target[key].shape:
            expected = list(target[key].shape)
            raise UserError(f"{source}: {key!r} has shape {list(value.shape)}, expected {expected}")
    optional = (*may_lack, "num_batches_tracked")
    for key in target:
        if key not in state and not any(part in key for part in optional):
            raise UserError(f"{source}: {key!r} is missing")
    module.load_state_dict(dict(state), strict=False)


def mvgformer_network(checkpoint: Checkpoint, ablation: str = "no_mamba") -> MVSSM:
    """The network that a decoder of MVGFormer's is.

    With ablation="full" the Mamba blocks are there too, fresh, and add nothing yet (their output
    projections are zero): the network computes the same and can be trained further.
    """
    if checkpoint.config is None:
        raise UserError(
            f"{checkpoint.path.name}: a {checkpoint.kind} checkpoint has no decoder for us"
        )
    network = MVSSM(replace(checkpoint.config, ablation=ablation))
    ours_alone = ("query_proj", "feature_gtbs", "keypoint_gtbs")
    load_into(network, checkpoint.decoder, checkpoint.path.name, may_lack=ours_alone)
    return network.eval()


def _without_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items()}


def _kind(path: Path, state: Mapping[str, Tensor]) -> str:
    if any(key.startswith(("root_net.", "pose_net.")) for key in state):
        return "voxelpose"
    if any(key.startswith("decoder.layers.") for key in state):
        own = "decoder.layers.0.feature_update_mlp.weight"  # what MVGFormer added to MvP's layer
        return "mvgformer" if own in state else "mvp"
    if any(key.removeprefix("backbone.").startswith("deconv_layers.") for key in state):
        return "pose_resnet"
    if "layer4.0.conv1.weight" in state:
        raise UserError(
            f"{path.name}: a ResNet without deconv_layers (ImageNet weights?); give a PoseResNet"
        )
    if any(key.startswith("model.decoder.") for key in state):
        raise UserError(
            f"{path.name}: a checkpoint of a training run of ours; write its weights with the command "
            "that trained it and --export FILE.safetensors"
        )
    raise UserError(
        f"{path.name}: no VoxelPose, MvP, MVGFormer or PoseResNet checkpoint; its first key is "
        f"{next(iter(state))!r}"
    )


def _reason(key: str, unused: Mapping[str, str]) -> str | None:
    return next((why for pattern, why in unused.items() if re.match(pattern, key)), None)


def _decoder_parameters(key: str, value: Tensor) -> dict[str, Tensor]:
    """One tensor of MVGFormer as the one or two of ours that it holds; empty if unknown."""
    if key in ("joint_embedding.weight", "instance_embedding.weight"):
        name = key.removesuffix("_embedding.weight")
        position, appearance = value.chunk(2, dim=1)  # [J or N, 2 D] -> [J or N, D] each
        return {f"decoder.{name}_position": position, f"decoder.{name}_embedding": appearance}
    match = re.fullmatch(r"(decoder\.layers\.\d+\.)(.+)\.(weight|bias)", key)
    if match is None or match[2] not in DECODER_LAYER:
        return {}
    ours = DECODER_LAYER[match[2]]
    if ours == "class_head":
        value = value[1:2]  # two logits, of which MVGFormer reads the second
    if ours == "view_head.4":
        value = torch.cat([value[:2] / OFFSET_PX, value[2:]])  # ours is not in pixels
    return {f"{match[1]}{ours}.{match[3]}": value}


def _mvgformer_config(path: Path, state: Mapping[str, Tensor]) -> MVSSMConfig:
    """The network that MVGFormer's decoder is, without Mamba."""
    n_layers = len({k.split(".")[2] for k in state if k.startswith("decoder.layers.")})
    needed = ["joint_embedding.weight", "instance_embedding.weight"]
    for layer in range(n_layers):
        prefix = f"decoder.layers.{layer}"
        needed += [f"{prefix}.{k}.{part}" for k in DECODER_LAYER for part in ("weight", "bias")]
    for key in needed:
        if key not in state:
            raise UserError(f"{path.name}: {key!r} is missing from this MVGFormer checkpoint")
    first = "decoder.layers.0.proj_attn."
    d_model = state["joint_embedding.weight"].shape[1] // 2
    channels = state[first + "rayconv.weight"].shape[1]
    if channels != d_model:
        raise UserError(
            f"{path.name}: {first + 'rayconv.weight'!r} takes {channels} numbers, expected "
            f"{d_model}: trained with camera rays, which MVGFormer's published setting has not"
        )
    n_candidates = len(state["instance_embedding.weight"])
    return paper_rgb(
        n_joints=len(state["joint_embedding.weight"]),
        n_layers=n_layers,
        d_model=d_model,
        feature_channels=channels,
        n_heads=HEADS,
        n_points=len(state[first + "attention_weights.bias"]) // HEADS,
        ffn_ratio=len(state["decoder.layers.0.linear1.bias"]) // d_model,
        n_candidates=n_candidates,
        survivors=(n_candidates,) * (n_layers - 1),  # MVGFormer drops by score alone
        fuse="mean_all",
        mvgformer=True,
        ablation="no_mamba",
    )
