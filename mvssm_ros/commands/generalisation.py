"""`mvssm generalisation`: networks trained on one arrangement of cameras, measured on others."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from mvssm_ros.commands.numbers import expect
from mvssm_ros.commands.output import check_writable, write_text
from mvssm_ros.errors import UserError
from mvssm_ros.learning import generalisation as experiment
from mvssm_ros.learning import generalisation_table as table
from mvssm_ros.learning import plots
from mvssm_ros.learning.held_out import plain
from mvssm_ros.learning.published import ABLATION

_ALIASES = {"tree_order": "tree", "serial_scan": "serial"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        required=True,
        help="calibration_<sequence>.json of CMU Panoptic",
    )
    parser.add_argument("--campus", metavar="FILE", help="calibration_campus.json: test there too")
    parser.add_argument("--shelf", metavar="FILE", help="calibration_shelf.json: test there too")
    parser.add_argument(
        "--runs",
        default="runs/ablation",
        metavar="FOLDER",
        help="holds a folder VARIANT-SEED a network (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        default="0,1",
        help="of the trainings, separated by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--variants",
        default=",".join(experiment.VARIANTS),
        help="separated by commas (default: all, %(default)s)",
    )
    parser.add_argument(
        "--train",
        action="store_true",
        help=f"train those that are missing, one process each, about {experiment.CORE_SECONDS / 60:.0f} "
        "minutes of one core; the same command may run several times side by side",
    )
    parser.add_argument("--scenes", type=int, default=200, help="scenes a rig (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes (default: 0)")
    parser.add_argument("--json", metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--markdown", metavar="FILE", help="write the table as Markdown")
    parser.add_argument("--plots", metavar="FOLDER", help="write plots there (needs matplotlib)")


def run(args: argparse.Namespace) -> int:
    variants, seeds = _variants(args.variants), _seeds(args.seeds)
    expect(args, scenes=(1, None), seed=(0, None))
    check_writable(args.json, args.markdown, args.plots and Path(args.plots) / plots.JOINTS_FILE)
    if args.plots:
        plots.require_matplotlib()
    if args.train:
        from mvssm_ros.commands.train import require_lightning

        require_lightning()
    torch.set_num_threads(1)  # tensors are small: a second thread only waits for the first
    rigs = experiment.arrangements(args.calibration, args.campus, args.shelf)
    networks, missing = [], []
    for seed in seeds:
        for variant in variants:
            found = experiment.find_subject(args.runs, variant, seed)
            if found is None and args.train:
                print(f"training {variant}-{seed}", flush=True)
                stopped_by = experiment.train_variant(args.runs, variant, seed, args.calibration)
                if stopped_by:
                    return 128 + stopped_by
                if stopped_by is None:
                    print(f"{variant}-{seed} is being trained by another process: left to it")
                found = experiment.find_subject(args.runs, variant, seed)
            if found is None:
                missing.append(f"{variant}-{seed}")
            else:
                networks.append(found)
    if not networks:
        raise UserError(
            f"no weights in {args.runs}: expected {missing[0]}/{experiment.WEIGHTS} and the like; "
            "--train trains them"
        )
    evaluations = experiment.evaluate_all(
        [*networks, *experiment.references(args.runs)], rigs, args.scenes, args.seed
    )
    trained_on = next(rig for rig in rigs if rig.name == "CMU0")
    experiment.measure_costs(evaluations, trained_on, args.seed)
    rows = table.rows_of(evaluations, rigs)
    notes = [
        f"{one.name}: {', '.join(told)}, so not to be compared."
        for one in networks
        if (told := experiment.deviations(one))
    ]
    if missing:
        notes.append(f"Not trained yet: {', '.join(missing)} (--train trains them).")
    _write(args, rows, rigs, notes)
    return 0


def _write(
    args: argparse.Namespace,
    rows: list[table.Figures],
    rigs: list[experiment.Arrangement],
    notes: list[str],
) -> None:
    text = (
        f"Trained on CMU0 (experiment {experiment.EXPERIMENT}, {experiment.CORE_SECONDS} core-seconds "
        f"a network), tested without fine-tuning: held-out synthetic scenes, {args.scenes} a rig, seed "
        f"{args.seed}.\n\n{table.markdown(rows, rigs)}"
    )
    text = "\n\n".join([text, *notes])
    print(text)
    if args.markdown:
        write_text(Path(args.markdown), text + "\n")
    if args.json:
        content = {
            "scenes": args.scenes,
            "seed": args.seed,
            "core_seconds": experiment.CORE_SECONDS,
            "budgets": {name: v.steps for name, v in experiment.VARIANTS.items()},
            "notes": notes,
            "rows": rows,
            "paper": {name: {**p.figures, "source": p.source} for name, p in ABLATION.items()},
        }
        write_text(Path(args.json), json.dumps(plain(content), indent=1))
    if args.plots:
        title = "trained on CMU0, tested on held-out synthetic scenes"
        for path in plots.save_plots(table.plot_rows(rows, rigs), args.plots, title):
            print(f"plot: {path}")


def _variants(text: str) -> list[str]:
    names = [_ALIASES.get(name, name) for name in text.split(",")]
    for name in names:
        if name not in experiment.VARIANTS:
            known = ", ".join(experiment.VARIANTS)
            raise UserError(f"--variants '{name}' is unknown: expected {known}")
    return list(dict.fromkeys(names))


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = [-1]
    if min(seeds) < 0:
        raise UserError(f"--seeds '{text}': expected whole numbers from 0, as in 0,1")
    return list(dict.fromkeys(seeds))
