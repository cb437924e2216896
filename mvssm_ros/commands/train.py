"""`mvssm train`: an experiment, from its file to exported weights; interrupted, it goes on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from mvssm_ros.commands.numbers import expect
from mvssm_ros.commands.output import check_writable
from mvssm_ros.errors import UserError
from mvssm_ros.learning.training.experiment import find_experiment, read_experiment
from mvssm_ros.network.config import ABLATIONS
from mvssm_ros.rig.strict_yaml import parse_documents

DEVICES = ("auto", "cpu", "cuda")
# Option: key of the experiment that it sets
_SETS = {
    "steps": "training.steps",
    "seed": "training.seed",
    "start_from": "training.start_from",
    "save_every": "training.save_every",
    "ablation": "network.ablation",
    "calibration": "data.calibration",
    "data": "data.root",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment",
        nargs="?",
        default="keypoints",
        metavar="EXPERIMENT",
        help="a YAML file, or the name of one in config/train (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder of the run; goes on from its checkpoint if there is one (default: runs/NAME)",
    )
    parser.add_argument("--steps", type=int, help="instead of training.steps")
    parser.add_argument("--seed", type=int, help="instead of training.seed")
    parser.add_argument(
        "--processes",
        type=int,
        help="one core or one GPU each; part of what decides the outcome "
        "(default: 2 on a CPU, 1 on a GPU, torchrun's own under torchrun)",
    )
    parser.add_argument(
        "--start-from", metavar="FILE", help="begin with these weights, not at random"
    )
    parser.add_argument("--ablation", choices=ABLATIONS, help="the paper's, of the network")
    parser.add_argument("--save-every", type=int, metavar="STEPS", help="a checkpoint")
    parser.add_argument("--data", metavar="ROOT", help="folder of the data set")
    parser.add_argument(
        "--calibration", metavar="FILE", help="Panoptic's calibration, for data.arrangement"
    )
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="default: CUDA where there is a GPU"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any key of the experiment, as in --set training.learning_rate=1e-3; may be repeated",
    )
    parser.add_argument(
        "--export", metavar="FILE", help="write the weights there when done (safetensors)"
    )


def run(args: argparse.Namespace) -> int:
    overrides = overrides_of(args)
    experiment = read_experiment(args.experiment, overrides)
    expect(args, processes=(1, None))
    if args.export and not args.export.endswith(".safetensors"):
        raise UserError(f"--export {args.export}: expected a name that ends in .safetensors")
    if args.data and experiment.data.kind in ("keypoints", "rendered"):
        raise UserError(
            f"--data {args.data}: {args.experiment} makes its own scenes (data.kind: "
            f"{experiment.data.kind}) and reads no data set"
        )
    if args.calibration and not experiment.data.arrangement:
        raise UserError(
            f"--calibration {args.calibration}: is for the cameras of data.arrangement, and "
            f"{args.experiment} has none"
        )
    check_writable(args.export)
    folder = Path(args.out or Path("runs") / find_experiment(args.experiment).stem)
    require_lightning()
    from mvssm_ros.learning.training.run import export, train

    outcome = train(
        experiment, folder, args.processes or _default_processes(args.device), device=args.device
    )
    if not outcome.finished:
        return 128 + outcome.signal
    if int(os.environ.get("RANK", "0")) != 0:  # torchrun's first process does the rest
        return 0
    print(f"trained: {folder / 'last.ckpt'}, log in {folder / 'log.jsonl'}")
    if args.export:
        export(folder, args.export)
        print(f"weights: {args.export}")
    return 0


def overrides_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the options change of the experiment, by dotted key. Raises UserError."""
    overrides: dict[str, Any] = {}
    for text in args.set:
        key, equals, value = text.partition("=")
        if not equals or "." not in key:
            raise UserError(
                f"--set {text}: expected SECTION.KEY=VALUE, as in training.learning_rate=1e-3"
            )
        documents = parse_documents(value, f"--set {key}")
        overrides[key.strip()] = documents[0] if documents else None
    for option, key in _SETS.items():
        if getattr(args, option) is not None:
            overrides[key] = getattr(args, option)
    return overrides


def require_lightning() -> None:
    """Raises UserError where what training needs beyond the package is not installed."""
    try:
        import lightning  # noqa: F401
        import tensorboard  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"training needs {error.name}, which is not installed: pip install 'mvssm_ros[train]'"
        ) from None


def _default_processes(device: str) -> int:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return 1
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return 1
    return min(2, os.cpu_count() or 1)
