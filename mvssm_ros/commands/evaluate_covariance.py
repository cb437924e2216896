"""`mvssm evaluate --covariance`: how honest the covariances are, before and after calibration."""

from __future__ import annotations

import argparse
from typing import Any

from tqdm import tqdm

from mvssm_ros.learning import uncertainty
from mvssm_ros.uncertainty import SHIPPED

FIT_SEED = 100  # the scenes that constants are fitted to; never those that they are measured on


def report(args: argparse.Namespace, views: list[int]) -> tuple[str, dict]:
    """The table as Markdown, and all figures; with --covariance-fit the model fitted, too."""
    from mvssm_ros.predictor import Predictor  # slow to import

    predictor = Predictor.from_pretrained(args.weights, device=args.device, covariance_model=None)

    def errors(n_views: int, seed: int) -> uncertainty.Errors:
        from mvssm_ros.learning.held_out import held_out_scenes

        scenes = held_out_scenes(args.scenes, n_views, seed)
        return uncertainty.errors_of(predictor, tqdm(scenes, desc=f"{n_views} views", leave=False))

    lines: list[str] = []
    figures: dict[str, Any] = {}
    model = SHIPPED
    if args.covariance_fit:
        parts = [errors(n, args.seed + FIT_SEED) for n in views]
        model = uncertainty.fit(uncertainty.concatenate(parts))
        figures["fitted"] = str(model)
        lines += [f"Fitted to scenes of seed {args.seed + FIT_SEED}: {model}", ""]
    rows = []
    for n in views:
        found = errors(n, args.seed)
        honest = model.honest(found.covariance_m2, found.joint_confidence, found.n_views)
        rows += uncertainty.rows(found, found.covariance_m2, f"{n} views, as the network gives it")
        rows += uncertainty.rows(found, honest, f"{n} views, calibrated")
    figures["rows"] = rows
    lines += [
        f"Held-out synthetic scenes, {args.scenes} a rig, seed {args.seed}; "
        f"weights: {args.weights or 'shipped'}.",
        "",
        uncertainty.markdown_table(rows),
    ]
    return "\n".join(lines), figures
