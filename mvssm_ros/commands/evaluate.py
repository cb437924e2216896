"""`mvssm evaluate`: the network, the classical chain and the oracle on the same held-out scenes.

Also networks on images, of rendered scenes (`evaluate_images`) and of data sets (`evaluate_data_set`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mvssm_ros.commands import evaluate_options
from mvssm_ros.commands.evaluate_options import METHODS, RANDOM, add_arguments
from mvssm_ros.commands.output import check_writable, write_text
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning import plots
from mvssm_ros.learning.evaluation import (
    Method,
    answer_oracle,
    classical_method,
    markdown_table,
    network_method,
)
from mvssm_ros.learning.held_out import held_out_scenes, measure, plain
from mvssm_ros.learning.panoptic_rigs import arrangement_nodes, load_panoptic_rig
from mvssm_ros.rig.rig_file import MAX_CAMERAS

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    evaluate_options.complete(args)
    check_writable(args.json, args.markdown, args.plots and Path(args.plots) / plots.JOINTS_FILE)
    if args.plots:
        plots.require_matplotlib()
    torch.set_num_threads(1)  # tensors are small: a second thread only waits for the first
    if args.tracking or args.covariance or args.covariance_fit:
        return _run_other(args)
    if args.data_set:
        from mvssm_ros.commands import evaluate_data_set

        report, figures, rows = evaluate_data_set.report(args)
        title = f"{args.data_set}, test split"
    elif args.world != "keypoints":
        from mvssm_ros.commands import evaluate_images

        rigs = [] if args.world == "film" else _rigs(args)
        report, figures, rows = evaluate_images.report(args, rigs)
        title = "the demo's film" if args.world == "film" else "held-out rendered scenes"
    else:
        report, figures, rows = _keypoints_report(args)
        title = "held-out synthetic scenes"
    _write(args, report, figures)
    if args.plots:
        for path in plots.save_plots(rows, args.plots, title):
            print(f"plot: {path}")
    return 0


def _write(args: argparse.Namespace, report: str, figures: dict) -> None:
    print(report)
    if args.markdown:
        write_text(Path(args.markdown), report + "\n")
        print(f"table: {args.markdown}")
    if args.json:
        write_text(Path(args.json), json.dumps(plain(figures), indent=1))
        print(f"figures: {args.json}")


def _keypoints_report(args: argparse.Namespace) -> tuple[str, dict, list[dict]]:
    """The table as Markdown, settings and figures, and the rows."""
    names = METHODS if args.method == "all" else tuple(args.method.split(","))
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise UserError(f"--method '{unknown[0]}' is unknown: expected {', '.join(METHODS)} or all")
    rigs = _rigs(args)
    methods = _methods(names, args)
    rows = []
    for name, n_views, arrangement in rigs:
        scenes = held_out_scenes(args.scenes, n_views, args.seed, arrangement)
        for method_name, method in methods.items():
            bar = tqdm(scenes, desc=f"{name}, {n_views} views, {method_name}", leave=False)
            figures = measure(method, scenes, bar)
            rows.append({"rigs": name, "views": n_views, "method": method_name, **figures})
    return _report(rows, args), _settings(args, names) | {"rows": rows}, rows


def _run_other(args: argparse.Namespace) -> int:
    """--tracking or --covariance in place of AP on single scenes."""
    from mvssm_ros.commands import evaluate_covariance, evaluate_tracking

    if args.tracking:
        text, figures = evaluate_tracking.report(args, _people_numbers(args.people))
    else:
        text, figures = evaluate_covariance.report(args, _view_numbers(args.views))
    _write(args, text, figures)
    return 0


def _rigs(args: argparse.Namespace) -> list[tuple[str, int, Cameras | None]]:
    """(name, number of views, cameras or None for random ones) of every rig asked for."""
    rigs: list[tuple[str, int, Cameras | None]] = []
    for name in args.rigs.split(","):
        if name == RANDOM:
            rigs += [(RANDOM, views, None) for views in _view_numbers(args.views)]
            continue
        nodes = arrangement_nodes(name)
        if not args.panoptic_calibration:
            raise UserError(
                f"--rigs {name} needs --panoptic-calibration: the path of Panoptic's "
                "calibration_<sequence>.json"
            )
        rigs.append((name, len(nodes), load_panoptic_rig(args.panoptic_calibration, name)))
    if args.panoptic_calibration and all(cameras is None for _, _, cameras in rigs):
        raise UserError("--panoptic-calibration: is for --rigs CMU0 and the like; leave it out")
    return rigs


def _view_numbers(text: str) -> list[int]:
    numbers = _numbers("--views", text)
    if min(numbers) < 2 or max(numbers) > MAX_CAMERAS:
        raise UserError(f"--views '{text}': expected at least 2 views, at most {MAX_CAMERAS}")
    return numbers


def _people_numbers(text: str) -> list[int]:
    numbers = _numbers("--people", text)
    if min(numbers) < 1:
        raise UserError(f"--people '{text}': expected at least 1")
    return numbers


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option} '{text}': expected whole numbers, as in 2,3,5,8") from None


def _methods(names: tuple[str, ...], args: argparse.Namespace) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for name in names:
        if name == "oracle":
            methods[name] = answer_oracle
        elif name == "triangulate":
            methods[name] = classical_method()
        else:
            from mvssm_ros.predictor import Predictor  # slow to import, not always needed

            options: dict[str, Any] = {"device": args.device}
            if args.score_threshold is not None:
                options["score_threshold"] = args.score_threshold
            predictor = Predictor.from_pretrained(args.weights, **options)
            if predictor.frontend != "keypoints":
                raise UserError(
                    f"--weights {args.weights}: are for images (front-end '{predictor.frontend}'): "
                    "add --world rendered or --data-set, or give keypoints weights"
                )
            methods[name] = network_method(predictor)
    return methods


def _report(rows: list[dict], args: argparse.Namespace) -> str:
    lines = [
        f"Held-out synthetic scenes, {args.scenes} a rig, seed {args.seed}; "
        f"weights: {args.weights or 'shipped'}.",
        "",
        markdown_table(rows),
    ]
    random = {(r["views"], r["method"]): r["AP50"] for r in rows if r["rigs"] == RANDOM}
    costs = [
        f"- {r['rigs']}, {r['method']}: AP50 {r['AP50'] - random[key]:+.1f} "
        f"against random rigs of {r['views']} views"
        for r in rows
        if r["rigs"] != RANDOM and (key := (r["views"], r["method"])) in random
    ]
    return "\n".join(lines + [""] * bool(costs) + costs)


def _settings(args: argparse.Namespace, methods: tuple[str, ...]) -> dict:
    return {
        "scenes": args.scenes,
        "seed": args.seed,
        "methods": list(methods),
        "weights": args.weights or "shipped",
        "score_threshold": args.score_threshold,
        "world": "held_out",
    }
