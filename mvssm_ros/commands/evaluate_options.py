"""The options of `mvssm evaluate`, and to which of its measurements each belongs."""

from __future__ import annotations

import argparse

from mvssm_ros.commands.numbers import expect
from mvssm_ros.data_sets.panoptic import DEFAULT_ARRANGEMENT
from mvssm_ros.errors import UserError
from mvssm_ros.learning import plots

METHODS = ("mvssm", "triangulate", "oracle")
# default views and scenes
WORLDS = {"keypoints": ("2,3,5,8", 200), "rendered": ("5", 50), "film": ("4", 50)}
DATA_SETS = ("panoptic", "human36m", "shelf", "campus", "own")
RANDOM = "random"

# What each measurement reads of the options that not all of them do.
_SYNTHETIC = ("method", "views", "rigs", "panoptic_calibration", "scenes", "seed")
_COMMON = ("score_threshold", "plots")
_READS = {
    "--world keypoints": _SYNTHETIC + _COMMON,
    "--world rendered": _SYNTHETIC + _COMMON,
    "--world film": ("method", "scenes", *_COMMON),
    "--data-set panoptic": ("root", "arrangement", "sequences", "frames", *_COMMON),
    **{f"--data-set {name}": ("root", "frames", *_COMMON) for name in DATA_SETS[1:]},
    "--tracking": ("people", "seconds", "start_from_tracks", "seed"),
    "--covariance": ("views", "scenes", "seed"),
    "--covariance-fit": ("views", "scenes", "seed"),
}
_DEFAULTS = {
    "method": "all",
    "rigs": RANDOM,
    "seed": 0,
    "arrangement": DEFAULT_ARRANGEMENT,
    "people": "2,4,6,10",
    "seconds": 60.0,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", help="weights of the network (default: those shipped)")
    parser.add_argument(
        "--world",
        choices=tuple(WORLDS),
        help="held-out scenes of 2D keypoints (default); for RGB weights: rendered images, or the "
        "demo's film, beside the keypoints network's people in it",
    )
    _add_data_set_arguments(parser)
    parser.add_argument(
        "--method",
        help=f"one or several of {', '.join(METHODS)}, separated by commas, or all (default): "
        "the network, the classical chain, triangulation with the true association",
    )
    parser.add_argument(
        "--views", help="numbers of views of random rigs (default: 2,3,5,8; rendered: 5)"
    )
    parser.add_argument(
        "--rigs",
        help="random and/or Panoptic's CMU0..CMU4, CMU0ex2..CMU0ex7, separated by commas "
        f"(default: {RANDOM})",
    )
    parser.add_argument(
        "--panoptic-calibration",
        metavar="FILE",
        help="calibration_<sequence>.json of CMU Panoptic, for the CMU rigs",
    )
    parser.add_argument("--scenes", type=int, help="scenes a rig (default: 200; rendered: 50)")
    parser.add_argument("--seed", type=int, help="of the scenes (default: 0)")
    parser.add_argument(
        "--score-threshold",
        type=float,
        help="report people above this score (default: the weights say)",
    )
    parser.add_argument(
        "--tracking",
        action="store_true",
        help="instead: follow the people of synthetic crowds, five views at 10 Hz",
    )
    parser.add_argument(
        "--people",
        help=f"in each crowd, with --tracking (default: {_DEFAULTS['people']})",
    )
    parser.add_argument(
        "--seconds", type=float, help="of each crowd, with --tracking (default: 60)"
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
    parser.add_argument(
        "--plots",
        metavar="FOLDER",
        help=f"write {plots.JOINTS_FILE}, {plots.CAMERAS_FILE}, {plots.RIGS_FILE} there (needs matplotlib)",
    )


def _add_data_set_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-set",
        choices=DATA_SETS,
        help="instead: images of its test split, beside published figures",
    )
    parser.add_argument("--root", help="folder of the data set")
    parser.add_argument(
        "--arrangement",
        help="with --data-set panoptic: cameras CMU0..CMU4, CMU0ex2..CMU0ex7, one or several "
        f"separated by commas (default: {_DEFAULTS['arrangement']})",
    )
    parser.add_argument(
        "--sequences", help="with --data-set panoptic: these, separated by commas (default: all)"
    )
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="with --data-set: N frames, evenly spread (default: all)",
    )


def complete(args: argparse.Namespace) -> None:
    """Fill in the defaults of the options that were left out.

    Raises:
        UserError: options that do not go together, or a number that cannot be.
    """
    kind = _measurement(args)
    reads = _READS[kind]
    for name in sorted({name for names in _READS.values() for name in names} - set(reads)):
        value = getattr(args, name)
        if value is not None and value is not False:
            fitting = [other for other, names in _READS.items() if name in names]
            raise UserError(
                f"--{name.replace('_', '-')} does not go with {kind}: leave it out, or measure with"
                f" {', '.join(fitting)}"
            )
    if "root" in reads and not args.root:
        raise UserError(f"{kind} needs --root: the folder of the data set")
    args.world = args.world or "keypoints"
    views, scenes = WORLDS[args.world]
    for name, value in {**_DEFAULTS, "views": views, "scenes": scenes}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    expect(args, scenes=(1, None), frames=(1, None), seed=(0, None))
    if args.score_threshold is not None and not 0 <= args.score_threshold <= 1:
        raise UserError(f"--score-threshold is {args.score_threshold:g}: expected 0 to 1")


def _measurement(args: argparse.Namespace) -> str:
    """The key of `_READS` for what was asked. Raises UserError where that is more than one."""
    asked = [
        f"--{name.replace('_', '-')} {value}"
        for name in ("data_set", "world")
        if (value := getattr(args, name))
    ]
    asked += ["--tracking"] * args.tracking
    asked += ["--covariance-fit"] if args.covariance_fit else ["--covariance"] * args.covariance
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)}: give one of them")
    return asked[0] if asked else "--world keypoints"
