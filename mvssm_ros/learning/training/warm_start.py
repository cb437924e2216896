"""Begin with weights that exist: a network, a backbone, or both; Mamba's blocks may be new."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mvssm_ros.errors import UserError
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.weights import SHIPPED, Weights, load_state, read_weights

# Start poses and who lives on: chosen for inference, the weights are the same
_INFERENCE = {
    "survivors", "score_epsilon", "neighbourhood_m", "score_threshold", "rounds", "n_proposals",
    "grid_pitch_m",
}  # fmt: skip
# What shapes Mamba's blocks: of no weight where the file has none
_MAMBA = {
    "ablation", "d_state", "gated", "feature_expansion", "keypoint_expansion", "scan_directions",
    "tree_order", "view_scan", "grid_from_layer",
}  # fmt: skip
_MAMBA_TENSORS = ("query_proj", "feature_gtbs", "keypoint_gtbs")  # as `mvgformer_network`


def warm_start(model: nn.Module, config: MVSSMConfig, path: str | Path, frozen: bool) -> dict:
    """Load a weights file of ours into the model; returns where they came from, for the
    provenance, and which `parts` the file has.

    A network of the ablation `no_mamba` loads into `full`: the blocks that Mamba adds are fresh, and
    add nothing yet, as their output projections are zero. Parts that the file lacks stay fresh.

    Raises UserError: a setting differs (named), a tensor does not fit, nothing in the file is for this
    model, or `frozen` and the file has no backbone.
    """
    path = SHIPPED if str(path) == "shipped" else Path(path)
    if not path.is_file():
        raise UserError(
            f"training.start_from (--start-from): {path} does not exist: give a .safetensors file, "
            "'shipped', or nothing to begin with random weights"
        )
    weights = read_weights(path)
    network_state, backbone_state = weights.part("network"), weights.part("backbone")
    backbone: Any = getattr(model, "backbone", None)
    network: Any = model if backbone is None else model.network
    if not network_state and (backbone is None or not backbone_state):
        raise UserError(
            f"weights file {path} holds {'a backbone alone' if backbone_state else 'nothing'}: "
            "there is no place for it in this experiment's network"
        )
    if frozen and backbone is not None and not backbone_state:
        raise UserError(
            f"weights file {path} has no backbone, and training.backbone is frozen: give weights "
            "with one ('mvssm weights import'), or train it (training.backbone: trained)"
        )
    _check_config(weights, config, bool(network_state), backbone is not None)
    if network_state:
        load_state(network, _with_fresh_mamba(network, network_state, weights), weights.path)
    if backbone is not None and backbone_state:
        load_state(backbone, backbone_state, weights.path)
    return {
        "file": weights.path.name,
        "parts": [name for name in ("network", "backbone") if weights.part(name)],
        "sha256": hashlib.sha256(weights.path.read_bytes()).hexdigest(),
        "provenance": weights.provenance,
    }


def _check_config(weights: Weights, config: MVSSMConfig, network: bool, images: bool) -> None:
    theirs, ours = asdict(weights.config), asdict(config)
    if not network:
        compared = {"frontend"}
    else:
        compared = set(ours) - _INFERENCE
        if weights.config.ablation == "no_mamba" and config.ablation in ("full", "no_mamba"):
            compared -= _MAMBA
        if images and config.per_joint_maps:  # heatmaps are heatmaps, of images of any size,
            compared.remove("image_stride")
            if not weights.part("backbone"):  # and whoever draws them
                compared.remove("frontend")
    differ = sorted(key for key in compared if theirs[key] != ours[key])
    if differ:
        told = "; ".join(f"{key}: {theirs[key]!r}, here {ours[key]!r}" for key in differ)
        raise UserError(
            f"weights file {weights.path} is of another network ({told}): give these settings in the "
            "experiment's section 'network', or other weights"
        )


def _with_fresh_mamba(
    network: nn.Module, state: dict[str, Tensor], weights: Weights
) -> dict[str, Tensor]:
    """The file's tensors, and the model's own ones of blocks that the file's network has not."""
    if weights.config.ablation != "no_mamba":
        return state
    own = {
        key: value
        for key, value in network.state_dict().items()
        if key not in state and any(part in key for part in _MAMBA_TENSORS)
    }
    return state | own
