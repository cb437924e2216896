"""What a network is made of: one dataclass, stored beside the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

# Inclusive: wider than any sensible network, narrow enough that a damaged file allocates nothing
# absurd. The skeleton's joints, and those of the kinematic tree, are fixed.
LIMITS: dict[str, tuple[float, float]] = {
    "d_model": (1, 4096),
    "n_joints": (15, 15),
    "n_layers": (1, 64),
    "n_heads": (1, 64),
    "n_points": (1, 256),
    "feature_channels": (1, 8192),
    "strides": (1, 256),
    "n_candidates": (0, 65536),
    "n_proposals": (0, 4096),
    "grid_pitch_m": (0.1, 10),
    "image_stride": (1, 2),
    "d_state": (1, 256),
    "feature_expansion": (0.01, 16),
    "keypoint_expansion": (0.01, 16),
    "grid_from_layer": (0, 64),
    "view_margin_px": (0, 10_000),
    "ffn_ratio": (1, 64),
    "survivors": (0, 65536),
    "score_epsilon": (0, 100),
    "neighbourhood_m": (0, 100),
    "score_threshold": (0, 1),
    "rounds": (1, 64),
}
_MOST_LEVELS = 8
ABLATIONS = ("full", "no_mamba", "no_gtbs_mamba", "cross_attention", "mean")


@dataclass(frozen=True)
class MVSSMConfig:
    """Sizes and switches of MV-SSM. The defaults are the keypoints preset.

    frontend         "keypoints" | "resnet50" | "resnet_small": where the feature pyramid comes from
    per_joint_maps   a token of joint j samples the maps of joint j and of its mirror (keypoints), else
                     shared maps
    feature_channels of a sample: those of the maps, twice with maps per joint
    strides          network px a cell of each level
    n_candidates     start poses where the number is fixed by the weights (0: the rig's grid decides)
    n_proposals      start poses from pairs of 2D people that join the grid (keypoints front-end)
    grid_pitch_m     of the rig's grid of start poses
    image_stride     network px a pixel of the images that the backbone reads
    start_pose       "t_pose" (paper) | "relaxed" (arms down: no heading preferred)
    d_state, gated, feature_expansion, keypoint_expansion, scan_directions: the SS2D blocks
    tree_order       scan joints along the kinematic tree instead of by index
    view_scan        "per_view" (any number and order of views) | "serial" (paper's Figure 1c)
    grid_from_layer  first layer (from 0) that scans the J x P grid
    fuse             views by "mean" of those in view | "mean_all" (divide by all T) | "mean_max"
    structural_prior weights are absolute and a joint is held to a predicted place where views are
                     few; off: softmax over views, the paper's triangulation
    anchor_projection  features at the anchor come through a linear map, and join the view's feature
    view_margin_px   a joint projected up to this far outside an image still counts as in view
    survivors        most candidates that live on after each layer but the last
    neighbourhood_m  candidates within this (RMS over joints) compete for one person; 0: by score alone
    score_threshold  people who score less are not reported, unless another threshold is asked for
    rounds           how often the decoder runs for an answer, from the second time on from what it has
                     found (ours; the paper's 1)
    mvgformer        compute as MVGFormer's checkpoints were trained to: offsets and weights of each
                     level from that level's anchor, their numbers read heads first; cells stretched
                     by w / (w - 1); a position embedding a candidate; a head of three linear maps;
                     rows of the triangulation weighted by the confidence but not scaled by depth
    ablation         the paper's switches: full | no_mamba (is MVGFormer) | no_gtbs_mamba (one sample
                     a head and level) | cross_attention (tokens ask the views) | mean (the views'
                     mean feature alone)
    """

    frontend: str = "keypoints"
    d_model: int = 96
    n_joints: int = 15
    n_layers: int = 4
    n_heads: int = 1
    n_points: int = 5
    feature_channels: int = 6
    per_joint_maps: bool = True
    strides: tuple[int, ...] = (8, 16, 32)
    n_candidates: int = 0
    n_proposals: int = 24
    grid_pitch_m: float = 1.0
    image_stride: int = 1
    start_pose: str = "relaxed"
    d_state: int = 1
    gated: bool = False
    feature_expansion: float = 0.5
    keypoint_expansion: float = 1.0
    scan_directions: int = 2
    tree_order: bool = True
    view_scan: str = "per_view"
    grid_from_layer: int = 2
    fuse: str = "mean_max"
    structural_prior: bool = True
    anchor_projection: bool = True
    view_margin_px: float = 48.0
    ffn_ratio: int = 4
    survivors: tuple[int, ...] = (32, 24, 16)
    score_epsilon: float = 0.02
    neighbourhood_m: float = 0.3
    score_threshold: float = 0.1
    rounds: int = 1
    mvgformer: bool = False
    ablation: str = "full"

    def __post_init__(self) -> None:
        """Raises ValueError that names the setting, what it may be, and what it is."""
        for field in fields(self):
            _check(field.name, getattr(self, field.name), field.default)
        if not 1 <= len(self.strides) <= _MOST_LEVELS:
            raise ValueError(f"strides needs 1 to {_MOST_LEVELS} numbers, got {len(self.strides)}")
        if self.scan_directions not in (2, 4):
            raise ValueError(f"scan_directions must be 2 or 4, got {self.scan_directions}")
        if self.ablation not in ABLATIONS:
            raise ValueError(f"ablation must be one of {ABLATIONS}, got {self.ablation!r}")
        if self.view_scan not in ("per_view", "serial"):
            raise ValueError(f"view_scan must be per_view or serial, got {self.view_scan!r}")
        if self.fuse not in ("mean", "mean_all", "mean_max"):
            raise ValueError(f"fuse must be mean, mean_all or mean_max, got {self.fuse!r}")
        if self.start_pose not in ("t_pose", "relaxed"):
            raise ValueError(f"start_pose must be t_pose or relaxed, got {self.start_pose!r}")
        if len(self.survivors) != self.n_layers - 1:
            raise ValueError(
                f"survivors needs {self.n_layers - 1} numbers (one a layer but the last), "
                f"got {self.survivors}"
            )
        if self.rounds > 1 and self.n_candidates:
            raise ValueError(
                f"rounds must be 1 where n_candidates is fixed ({self.n_candidates}), got {self.rounds}"
            )

    @property
    def n_levels(self) -> int:
        return len(self.strides)


def _check(name: str, value: Any, default: Any) -> None:
    """That a setting has the type of its default, and is within its limits."""
    if isinstance(default, tuple):
        if not isinstance(value, tuple):
            raise ValueError(f"{name} must be a list of whole numbers, got {value!r:.40}")
        for item in value:
            _check(name, item, 1)
        return
    wanted = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
        raise ValueError(f"{name} must be like {default!r}, got {value!r:.40}")
    low, high = LIMITS.get(name, (-math.inf, math.inf))
    if isinstance(value, int | float) and not low <= value <= high:  # also when it is NaN
        raise ValueError(f"{name} must be in {low:g}..{high:g}, got {value!r:.40}")


def paper_rgb(frontend: str = "resnet50", **changes: Any) -> MVSSMConfig:
    """The paper's network on RGB features: 8 heads x 3 levels x 8 points, 1024 T-poses.

    "resnet50" has 256 channels; "resnet_small" 64, and as many in the network.
    """
    channels = 64 if frontend == "resnet_small" else 256
    settings: dict[str, Any] = {
        "frontend": frontend,
        "d_model": channels,
        "n_heads": 8,
        "n_points": 8,
        "feature_channels": channels,
        "per_joint_maps": False,
        "strides": (4, 8, 16),
        "n_candidates": 1024,
        "n_proposals": 0,
        "start_pose": "t_pose",
        "d_state": 16,
        "gated": True,
        "feature_expansion": 2.0,
        "keypoint_expansion": 2.0,
        "tree_order": False,
        "fuse": "mean",
        "structural_prior": False,
        "anchor_projection": False,
        "view_margin_px": 0.0,
        "score_epsilon": 0.1,
        "neighbourhood_m": 0.0,
        "survivors": (100, 60, 40),
    }
    return MVSSMConfig(**(settings | changes))


def small_rgb(**changes: Any) -> MVSSMConfig:
    """The small network on images, for a CPU: heatmaps of a small backbone, read by the keypoints
    network; start poses closer together in place of proposals, and several rounds."""
    settings: dict[str, Any] = {
        "frontend": "resnet_small",
        "n_proposals": 0,
        "grid_pitch_m": 0.5,
        "survivors": (40, 24, 16),
        "score_threshold": 0.2,
        "rounds": 4,
    }
    return MVSSMConfig(**(settings | changes))
