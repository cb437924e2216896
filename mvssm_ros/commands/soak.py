"""`mvssm soak`: pose_node for an hour while faults come and go, and what became of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvssm_ros.commands.output import make_room
from mvssm_ros.errors import UserError
from mvssm_ros.soak.faults import KINDS
from mvssm_ros.soak.figures import figures
from mvssm_ros.soak.plot import plot_soak
from mvssm_ros.soak.record import write_samples
from mvssm_ros.soak.report import report
from mvssm_ros.soak.stage import Settings, soak

_MADE = ("report.md", "plot.png", "samples.csv", "rig.yaml", "log")
_MAX_CAMERAS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="how long (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of faults, people and noise")
    parser.add_argument(
        "--out", default="out/soak", help="folder for the report (default %(default)s)"
    )
    parser.add_argument("--cameras", type=int, default=4, help="how many (default %(default)s)")
    parser.add_argument("--rate", type=float, default=5.0, metavar="HZ",
                        help="of every camera (default %(default)s)")  # fmt: skip
    parser.add_argument("--noise", type=float, default=0.5, metavar="0..1",
                        help="severity of the 2D detector's errors (default %(default)s)")  # fmt: skip
    parser.add_argument("--faults", default=",".join(KINDS), metavar="KINDS",
                        help="kinds of faults, by commas (default: %(default)s)")  # fmt: skip
    parser.add_argument("--weights", default="", metavar="FILE",
                        help="weights of the keypoints front-end (default: the package's)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """0: nothing grew, nothing died, nothing was wrong. 1: see the report."""
    settings = _settings(args)
    out = Path(args.out)
    make_room(out, _MADE)
    record = soak(settings, out)
    if not record.samples:
        raise UserError("soak: ended before anything was measured")
    numbers = figures(record)
    page = report(record, numbers)
    (out / "report.md").write_text(page, encoding="utf-8")
    write_samples(record.samples, out / "samples.csv")
    plot_soak(record, numbers, out / "plot.png")
    print(f"\n{page}\nall of it is in {out}/")
    return 0 if numbers.good else 1


def _settings(args: argparse.Namespace) -> Settings:
    kinds = tuple(kind.strip() for kind in args.faults.split(","))
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise UserError(f"--faults names {', '.join(unknown)}: expected some of {', '.join(KINDS)}")
    if not 0 < args.minutes < 1e5:
        raise UserError(f"--minutes is {args.minutes:g}, expected a number above 0")
    if not 2 <= args.cameras <= _MAX_CAMERAS:
        raise UserError(f"--cameras is {args.cameras}, expected 2 to {_MAX_CAMERAS}")
    if not 0 < args.rate <= 100:
        raise UserError(f"--rate is {args.rate:g}, expected images a second above 0, at most 100")
    if not 0 <= args.noise <= 1:
        raise UserError(f"--noise is {args.noise:g}, expected 0 to 1")
    return Settings(
        minutes=args.minutes,
        seed=args.seed,
        kinds=kinds,
        n_cameras=args.cameras,
        rate_hz=args.rate,
        severity=args.noise,
        weights=args.weights and str(Path(args.weights).resolve()),
    )
