"""`mvssm export`: recorded people as CSV, TRC (OpenSim) or BVH."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvssm_ros.commands.output import write_text
from mvssm_ros.errors import UserError
from mvssm_ros.export.bvh_file import bvh_text
from mvssm_ros.export.csv_file import csv_text
from mvssm_ros.export.tracks import Track, read_tracks
from mvssm_ros.export.trc_file import UNITS, trc_text

_FORMATS = ("csv", "trc", "bvh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", help="a bag with people: of mvssm record, process or demo")
    parser.add_argument("--format", choices=_FORMATS, required=True)
    parser.add_argument(
        "--out", required=True, metavar="FILE",
        help="the file to write; trc and bvh hold one person a file: of several the ids are added to"
        " its name",
    )  # fmt: skip
    parser.add_argument("--person", metavar="ID", help="only this one, e.g. p0001")
    parser.add_argument(
        "--topic", default="/people", help="of the PersonArrays (default: %(default)s)"
    )
    parser.add_argument(
        "--units", choices=tuple(UNITS), help="of trc files (default: m); csv is in m, bvh in cm"
    )


def run(args: argparse.Namespace) -> int:
    if args.units and args.format != "trc":
        raise UserError(f"--units is for --format trc; {args.format} files have units of their own")
    tracks = read_tracks(args.bag, args.topic, args.person)
    out = Path(args.out)
    if args.format == "csv":
        write_text(out, csv_text(tracks))
        rows = sum(track.joints_m.shape[0] * track.joints_m.shape[1] for track in tracks)
        print(f"{out}: {rows} lines of {', '.join(track.id for track in tracks)}")
        return 0
    for track in tracks:
        path = out if len(tracks) == 1 else out.with_name(f"{out.stem}_{track.id}{out.suffix}")
        write_text(path, _text(track, path, args))
        seconds = (track.stamps_ns[-1] - track.stamps_ns[0]) / 1e9
        print(f"{path}: {track.id}, {len(track.stamps_ns)} sets in {seconds:.2f} s")
    return 0


def _text(track: Track, path: Path, args: argparse.Namespace) -> str:
    if args.format == "trc":
        return trc_text(track, path.name, args.units or "m")
    return bvh_text(track)
