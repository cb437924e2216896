"""`mvssm evaluate`: the network, the classical chain and the oracle on the same held-out scenes."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch
from tqdm import tqdm

from mvssm_ros.commands.output import write_text
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning.evaluation import (
    Method,
    Scene,
    answer_oracle,
    classical_method,
    evaluate,
    markdown_table,
    network_method,
    scenes_of,
)
from mvssm_ros.learning.panoptic_rigs import SPACE, arrangement_nodes, load_panoptic_rig
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig

METHODS = ("mvssm", "triangulate", "oracle")
RANDOM = "random"
_BATCH = 25  # scenes made at once; another number makes other scenes of the same seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", help="weights of the network (default: those shipped)")
    parser.add_argument(
        "--method",
        default="all",
        help=f"one or several of {', '.join(METHODS)}, separated by commas, or all (default): "
        "the network, the classical chain, triangulation with the true association",
    )
    parser.add_argument(
        "--views", default="2,3,5,8", help="numbers of views of random rigs (default: %(default)s)"
    )
    parser.add_argument(
        "--rigs",
        default=RANDOM,
        help="random and/or Panoptic's CMU0..CMU4, CMU0ex2..CMU0ex7, separated by commas "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--panoptic-calibration",
        metavar="FILE",
        help="calibration_<sequence>.json of CMU Panoptic, for the CMU rigs",
    )
    parser.add_argument("--scenes", type=int, default=200, help="scenes a rig (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes (default: 0)")
    parser.add_argument(
        "--score-threshold", type=float, help="report people above this score (default: the node's)"
    )
    parser.add_argument(
        "--tracking",
        action="store_true",
        help="instead: follow the people of synthetic crowds, five views at 10 Hz",
    )
    parser.add_argument(
        "--people", default="2,4,6,10", help="in each crowd, with --tracking (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of each crowd, with --tracking (default: 60)"
    )
    parser.add_argument(
        "--start-from-tracks",
        action="store_true",
        help="with --tracking: also let the network look where the tracker expects people",
    )
    parser.add_argument(
        "--covariance",
        action="store_true",
        help="instead: errors against what the network's and the calibrated covariances say",
    )
    parser.add_argument(
        "--covariance-fit",
        action="store_true",
        help="the same with constants fitted anew, to other scenes",
    )
    parser.add_argument("--device", default="cpu", help="for the network (default: cpu)")
    parser.add_argument("--json", metavar="FILE", help="write settings and figures as JSON")
    parser.add_argument("--markdown", metavar="FILE", help="write the table as Markdown")


def run(args: argparse.Namespace) -> int:
    if args.scenes < 1:
        raise UserError(f"--scenes is {args.scenes}: expected at least 1")
    if args.score_threshold is not None and not 0 <= args.score_threshold <= 1:
        raise UserError(f"--score-threshold is {args.score_threshold:g}: expected 0 to 1")
    torch.set_num_threads(1)  # tensors are small: a second thread only waits for the first
    if args.tracking or args.covariance or args.covariance_fit:
        return _run_other(args)
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
            figures = evaluate(method, scenes, bar)
            rows.append({"rigs": name, "views": n_views, "method": method_name, **figures})

    report = _report(rows, args)
    print(report)
    if args.markdown:
        write_text(Path(args.markdown), report + "\n")
    if args.json:
        write_text(
            Path(args.json), json.dumps(_settings(args, names) | {"rows": _plain(rows)}, indent=1)
        )
    return 0


def _run_other(args: argparse.Namespace) -> int:
    """--tracking or --covariance in place of AP on single scenes."""
    from mvssm_ros.commands import evaluate_covariance, evaluate_tracking

    if args.tracking:
        text, figures = evaluate_tracking.report(args, _numbers("--people", args.people, 1))
    else:
        text, figures = evaluate_covariance.report(args, _view_numbers(args.views))
    print(text)
    if args.markdown:
        write_text(Path(args.markdown), text + "\n")
    if args.json:
        plain = {k: _plain(v) if isinstance(v, list) else v for k, v in figures.items()}
        write_text(Path(args.json), json.dumps(plain, indent=1))
    return 0


def held_out_scenes(
    n_scenes: int, n_views: int, seed: int, arrangement: Cameras | None = None
) -> list[Scene]:
    """Scenes of the held-out synthetic world; the same arguments give the same scenes."""
    world = SyntheticWorld(WorldConfig.held_out(), seed)
    scenes: list[Scene] = []
    bar = tqdm(total=n_scenes, desc=f"making scenes, {n_views} views", leave=False)
    while len(scenes) < n_scenes:
        space = None if arrangement is None else SPACE
        scenes += scenes_of(world.batch(_BATCH, n_views, arrangement, space))
        bar.update(min(len(scenes), n_scenes) - bar.n)
    bar.close()
    return scenes[:n_scenes]


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
    return rigs


def _view_numbers(text: str) -> list[int]:
    numbers = _numbers("--views", text, 0)
    if min(numbers) < 2:
        raise UserError(f"--views '{text}': 3D needs at least 2 views")
    return numbers


def _numbers(option: str, text: str, least: int) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option} '{text}': expected whole numbers, as in 2,3,5,8") from None
    if min(numbers) < least:
        raise UserError(f"{option} '{text}': expected at least {least}")
    return numbers


def _methods(names: tuple[str, ...], args: argparse.Namespace) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for name in names:
        if name == "oracle":
            methods[name] = answer_oracle
        elif name == "triangulate":
            methods[name] = classical_method()
        else:
            from mvssm_ros.predictor import Predictor  # slow to import, not always needed

            options = {"device": args.device}
            if args.score_threshold is not None:
                options["score_threshold"] = args.score_threshold
            methods[name] = network_method(Predictor.from_pretrained(args.weights, **options))
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


def _plain(rows: list[dict]) -> list[dict]:
    """NaN, which JSON has not, as null."""
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in rows
    ]
