"""Published figures beside which ours are printed: all that this package quotes, in one place.

AP in per cent, MPJPE in mm, PCP3D in per cent. The figures of all methods are those that the MV-SSM
paper compares ("paper" below: Chharia et al., CVPR 2025, arXiv 2509.00649), rounded as there.
Whoever quotes them should know what they are: real images, ResNet-50 backbones, training on Panoptic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PAPER = "arXiv 2509.00649 (MV-SSM, CVPR 2025)"


@dataclass(frozen=True)
class Published:
    """One row of a published table.

    method: as tables name it; figures: by the names of `metrics.summary` or `pcp.pcp3d`;
    source: where the figures are from, and what the method is.
    """

    method: str
    figures: Mapping[str, float]
    source: str


_METHODS = {
    "VoxelPose": "Tu et al., ECCV 2020, arXiv 2004.06239",
    "MvP": "Zhang et al., NeurIPS 2021, arXiv 2111.04076",
    "MVGFormer": "Liao et al., CVPR 2024, arXiv 2311.10983",
    "MV-SSM (paper)": "Chharia et al., CVPR 2025, arXiv 2509.00649",
}


def _row(method: str, where: str, **figures: float) -> Published:
    return Published(method, figures, f"{PAPER}, {where}; method: {_METHODS[method]}")


_PANOPTIC = "comparison on CMU Panoptic, cameras CMU0"
_THREE = "comparison with three cameras, CMU0ex3, without fine-tuning"
_CAMPUS = "cross-data-set comparison: trained on Panoptic, tested on Campus without fine-tuning"
_ABLATION = "ablation on CMU Panoptic, cameras CMU0"

# By arrangement of Panoptic, or by data set.
COMPARISONS: dict[str, tuple[Published, ...]] = {
    "CMU0": (
        _row("VoxelPose", _PANOPTIC, AP25=84.0, MPJPE_mm=17.7),
        _row("MvP", _PANOPTIC, AP25=92.3, MPJPE_mm=15.8),
        _row("MVGFormer", _PANOPTIC, AP25=92.3, MPJPE_mm=16.0),
        _row("MV-SSM (paper)", _PANOPTIC, AP25=93.5, MPJPE_mm=15.7),
    ),
    "CMU0ex3": (
        _row("MvP", _THREE, AP25=12.3, mAP=57.1),
        _row("MVGFormer", _THREE, AP25=44.6, mAP=83.4),
        _row("MV-SSM (paper)", _THREE, AP25=55.4, mAP=90.3),
    ),
    "campus": (
        _row("MVGFormer", _CAMPUS, actor1=40.2, actor2=61.0, actor3=73.1),
        _row("MV-SSM (paper)", _CAMPUS, actor1=55.5, actor2=65.5, actor3=79.9),
    ),
}
_SAME = {"CMU0ex5": "CMU0"}  # the same cameras

# By the name of the switch, `network.config.ABLATIONS`.
ABLATION: dict[str, Published] = {
    "full": _row("MV-SSM (paper)", _ABLATION, AP25=93.5, MPJPE_mm=15.7),
    "no_mamba": _row("MV-SSM (paper)", f"{_ABLATION}: without Mamba", AP25=92.3, MPJPE_mm=16.0),
    "no_gtbs_mamba": _row(
        "MV-SSM (paper)", f"{_ABLATION}: without GTBS and Mamba", AP25=87.7, MPJPE_mm=18.6
    ),
    "cross_attention": _row(
        "MV-SSM (paper)", f"{_ABLATION}: cross-attention instead of PSS", AP25=90.4, MPJPE_mm=16.8
    ),
    "mean": _row("MV-SSM (paper)", f"{_ABLATION}: mean instead of PSS", AP25=36.2, MPJPE_mm=71.8),
}


def comparison(name: str) -> tuple[Published, ...]:
    """The published rows of an arrangement ("CMU0", ...) or data set ("campus"); empty: none known."""
    name = name.replace("(", "").replace(")", "")
    return COMPARISONS.get(_SAME.get(name, name), ())
