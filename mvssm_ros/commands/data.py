"""`mvssm data`: data sets on disk, looked at before anything is trained or measured on them; or made."""

from __future__ import annotations

import argparse

from mvssm_ros.commands import data_from_bag, data_render
from mvssm_ros.data_sets.check import (
    DECODED,
    KINDS,
    Options,
    check,
    heading,
    is_usable,
    resolve,
    summary,
    table_lines,
)
from mvssm_ros.data_sets.panoptic import DEFAULT_ARRANGEMENT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    look = actions.add_parser(
        "check",
        help="say what is missing, what is corrupt, and how many frames there are",
        description="Says of each sequence how many frames can be used, and for each kind of trouble"
        " how many cannot, with the first file. Exit status: 0 if all can be used (frames with nobody"
        " in them are no fault), 1 if something is missing or corrupt, 2 if this is no data set.",
    )
    look.add_argument("root", metavar="ROOT", help="the folder of the data set")
    look.add_argument("--kind", help=f"{', '.join(KINDS)} (default: as what lies there)")
    look.add_argument(
        "--arrangement",
        help=f"Panoptic's cameras, CMU0 to CMU4 or CMU0exK (default: {DEFAULT_ARRANGEMENT})",
    )
    look.add_argument("--images", default="some",
                      help=f"{', '.join(DECODED)}: which images to decode (default: %(default)s); "
                      "unless none, of every image it is seen that it is there and whole")  # fmt: skip
    look.add_argument(
        "--split", help="Panoptic, Human3.6M, own: train or test (default: what is there)"
    )
    look.add_argument("--sequences", nargs="+", default=(), metavar="NAME",
                      help="Panoptic: these sequences only")  # fmt: skip
    look.add_argument("--interval", type=int, metavar="N",
                      help="every N-th frame (default: as in the papers; own: all)")  # fmt: skip
    look.add_argument("--whole", action="store_true",
                      help="Campus, Shelf: all frames, not only those that are evaluated")  # fmt: skip
    data_from_bag.add_arguments(actions)
    data_render.add_arguments(actions)


def run(args: argparse.Namespace) -> int:
    actions = {"check": _check, "from-bag": data_from_bag.run, "render": data_render.run}
    return actions[args.action](args)


def _check(args: argparse.Namespace) -> int:
    options = Options(
        args.kind, args.arrangement, args.images, args.split, tuple(args.sequences), args.interval,
        args.whole,
    )  # fmt: skip
    kind, openers = resolve(args.root, options)
    cameras = f", cameras of {options.panoptic_cameras}" if kind == "panoptic" else ""
    print(f"{args.root}: {kind}{cameras}; images decoded: {options.images}")
    width = max(len(name) for name, _ in [*openers, ("sequence", None)])
    print(heading(width))
    rows = []
    for row in check(openers):
        rows.append(row)
        print(*table_lines(row, width), sep="\n", flush=True)
    print(*summary(rows, kind, options), sep="\n")
    return 0 if is_usable(rows) else 1
