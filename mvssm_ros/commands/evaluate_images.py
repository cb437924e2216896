"""`mvssm evaluate --world rendered` (or film): a network on images, rendered or the demo's real ones."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning import metrics
from mvssm_ros.learning.evaluation import markdown_table
from mvssm_ros.learning.plots import joint_errors

if TYPE_CHECKING:
    from mvssm_ros.predictor import Predictor

METHOD = "mvssm"
_EMPTY = "–"  # a cell of `markdown_table` without a figure


def report(
    args: argparse.Namespace, rigs: list[tuple[str, int, Cameras | None]]
) -> tuple[str, dict, list[dict]]:
    """The table as Markdown, settings and figures, and the rows.

    rigs: (name, number of views, cameras or None for random ones).
    """
    from mvssm_ros.learning.image_evaluation import matches_of, rendered_sets

    if args.method not in ("all", METHOD):
        raise UserError(
            f"--method {args.method}: with --world {args.world} there is {METHOD} alone"
        )
    predictor = load(args)
    if predictor.frontend == "keypoints":
        raise UserError(
            f"--world {args.world} needs RGB weights, and {args.weights or 'those shipped'} are for "
            "keypoints: give --weights with a backbone, or --world keypoints"
        )
    if args.world == "film":
        return _film_report(args, predictor)
    rows = []
    for name, n_views, arrangement in rigs:
        sets = rendered_sets(args.scenes, n_views, args.seed, arrangement)
        bar = tqdm(sets, desc=f"{name}, {n_views} views", leave=False)
        rows.append(row(name, n_views, *matches_of(predictor, sets, bar)))
    text = (
        f"Held-out rendered scenes, {args.scenes} a rig, seed {args.seed}; "
        f"weights: {args.weights} ({predictor.frontend}).\n\n"
        + without_empty_columns(markdown_table(rows))
    )
    settings = {
        "world": "rendered",
        "scenes": args.scenes,
        "seed": args.seed,
        "weights": args.weights,
        "frontend": predictor.frontend,
        "score_threshold": args.score_threshold,
    }
    return text, settings | {"rows": rows}, rows


def _film_report(args: argparse.Namespace, predictor: Predictor) -> tuple[str, dict, list[dict]]:
    from mvssm_ros.learning.film import film_sets
    from mvssm_ros.learning.image_evaluation import matches_of

    sets = film_sets(args.scenes)
    bar = tqdm(sets, desc="film", leave=False)
    rows = [row("film", 4, *matches_of(predictor, sets, bar))]
    text = (
        f"The demo's film, {len(sets)} sets of 4 views; weights: {args.weights} "
        f"({predictor.frontend}). Distances are to the keypoints network's people; there is no ground "
        "truth.\n\n" + without_empty_columns(markdown_table(rows))
    )
    settings = {"world": "film", "weights": args.weights, "frontend": predictor.frontend}
    return text, settings | {"rows": rows}, rows


def load(args: argparse.Namespace) -> Predictor:
    """The network that the arguments ask for."""
    from mvssm_ros.predictor import Predictor  # slow to import

    options: dict[str, Any] = {"device": args.device}
    if args.score_threshold is not None:
        options["score_threshold"] = args.score_threshold
    return Predictor.from_pretrained(args.weights, **options)


def row(rig: str, n_views: int, matches: metrics.Matches, times_s: list[float]) -> dict[str, Any]:
    """One row of a table, with the errors joint by joint."""
    return {
        "rigs": rig,
        "views": n_views,
        "method": METHOD,
        **metrics.summary(matches),
        "ms_per_set": 1000.0 * float(np.median(times_s)),
        "joints": joint_errors(matches),
    }


def without_empty_columns(table: str) -> str:
    """A Markdown table less the columns that have no figure in any row."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    head, _, *body = lines
    kept = [c for c in range(len(head)) if any(cells[c] != _EMPTY for cells in body)]
    shown = [[cells[c] for c in kept] for cells in (head, ["---"] * len(head), *body)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in shown)
