"""`mvssm train`: the keypoints network on the synthetic world, on the cores at hand."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from mvssm_ros.errors import UserError
from mvssm_ros.learning.trainer import CHECKPOINT, TrainingConfig, export, train
from mvssm_ros.network.config import ABLATIONS, MVSSMConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = TrainingConfig()
    parser.add_argument(
        "--out",
        default="runs/keypoints",
        help="folder of the run; goes on from its checkpoint if there is one (default: %(default)s)",
    )
    parser.add_argument("--steps", type=int, default=default.steps, help="default: %(default)s")
    parser.add_argument(
        "--learning-rate", type=float, default=default.learning_rate, help="default: %(default)s"
    )
    parser.add_argument(
        "--start-from", default="", metavar="FILE", help="begin with these weights, not at random"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="default: %(default)s")
    parser.add_argument(
        "--processes",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="processes, one core each; part of what decides the outcome (default: %(default)s)",
    )
    parser.add_argument(
        "--view-budget",
        type=int,
        default=default.view_budget,
        help="views a process and step (default: %(default)s)",
    )
    parser.add_argument(
        "--save-every", type=int, default=200, metavar="STEPS", help="default: %(default)s"
    )
    parser.add_argument(
        "--ablation", choices=ABLATIONS, default="full", help="default: %(default)s"
    )
    parser.add_argument(
        "--export", metavar="FILE", help="write the weights there when done (safetensors)"
    )


def run(args: argparse.Namespace) -> int:
    for name in ("steps", "processes", "view_budget", "save_every"):
        if getattr(args, name) < 1:
            raise UserError(
                f"--{name.replace('_', '-')} is {getattr(args, name)}: expected at least 1"
            )
    if not 0 < args.learning_rate < 1:
        raise UserError(f"--learning-rate is {args.learning_rate:g}: expected above 0, below 1")
    config = replace(
        TrainingConfig(),
        steps=args.steps,
        seed=args.seed,
        view_budget=args.view_budget,
        learning_rate=args.learning_rate,
        start_from=args.start_from,
    )
    network = replace(MVSSMConfig(), ablation=args.ablation)
    folder = Path(args.out)
    train(network, config, folder, args.processes, args.save_every)
    print(f"trained: {folder / CHECKPOINT}, log in {folder / 'log.jsonl'}")
    if args.export:
        export(folder, Path(args.export))
        print(f"weights: {args.export}")
    return 0
