"""`mvssm process`: people from a recorded bag, offline."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.bags.topics import image_topic
from mvssm_ros.bags.writer import STORAGES
from mvssm_ros.commands.node_parameters import (
    add_parameter_arguments,
    check_known,
    given_parameters,
    parameters_file,
)
from mvssm_ros.commands.ros_arguments import no_ros
from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import Rig, load_rig

# Nobody waits for an answer here: a set may wait longer for images that were recorded late.
_PATIENCE = {"sync.deadline": 1.0, "sync.queue_size": 200}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", help="a bag's folder, or an .mcap or .db3 file")
    parser.add_argument("--rig", required=True, metavar="rig.yaml", help="the rig file")
    parser.add_argument(
        "--out", required=True, metavar="BAG",
        help="the bag to make: a folder, or one file if the name ends in .mcap or .db3",
    )  # fmt: skip
    parser.add_argument("--storage", choices=STORAGES, help="default: as the name says, else mcap")
    parser.add_argument(
        "--rate", default="max", help="times real time at most, or max (default: %(default)s)"
    )
    parser.add_argument(
        "--set-rate",
        type=float,
        metavar="HZ",
        help="solve at most so many sets of images a second of the recording (default: all)",
    )
    parser.add_argument(
        "--input",
        choices=("auto", "images", "keypoints"),
        default="auto",
        help="what to take of each camera; auto: images where the bag has them (default)",
    )
    add_parameter_arguments(parser)


def run(args: argparse.Namespace) -> int:
    rate = _rate(args.rate)
    if args.set_rate is not None and not 0 < args.set_rate < float("inf"):
        raise UserError(f"--set-rate {args.set_rate}: expected a number above 0")
    rig = load_rig(args.rig)
    parameters: dict[str, Any] = {"rig_file": str(Path(args.rig).resolve())}
    with BagReader(args.bag) as bag:
        parameters |= _input_of(rig, set(bag.topics), args.input)
        recorded_s = (bag.end_ns - bag.start_ns) / 1e9 if bag.count else 0.0
    try:
        from mvssm_ros.nodes.hidden_node import hidden_node
        from mvssm_ros.nodes.offline import process
    except ImportError as error:
        raise no_ros(error) from None
    given = given_parameters(args)
    check_known(list(given))
    words = ["mvssm", "--ros-args"]
    for name, patience in _PATIENCE.items():
        words += ["-p", f"{name}:={patience}"]
    words += parameters_file(args)
    for name, value in ({k: json.dumps(v) for k, v in parameters.items()} | given).items():
        words += ["-p", f"{name}:={value}"]
    started_s = time.perf_counter()
    with hidden_node(words) as node:
        counts = process(
            Path(args.bag), Path(args.out), args.storage, node, rate, args.set_rate, _progress
        )
    took_s = time.perf_counter() - started_s
    print(
        f"{args.out}: {counts.answers} answers from {counts.sets} sets of {counts.images} images,"
        f" {counts.people} people; {recorded_s:.1f} s of recording in {took_s:.1f} s"
    )
    if counts.skipped or counts.drops:
        drops = "".join(f"; dropped, {reason}: {n}" for reason, n in counts.drops.items())
        print(f"  sets skipped: {counts.skipped}{drops}")
    if not counts.answers:
        raise UserError(
            f"bag {args.bag}: not one set of images gave an answer; the lines above say why, or the"
            " stamps of the cameras are further apart than sync.slop"
        )
    return 0


def _progress(total: int) -> Any:
    return tqdm(total=total, unit="msg", disable=not sys.stderr.isatty())


def _rate(text: str) -> float | None:
    """None: as fast as can be."""
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise UserError(f"--rate {text}: expected 'max' or a number above 0")
    return rate


def _input_of(rig: Rig, topics: set[str], asked: str) -> dict[str, str]:
    """The parameters input and transport that fit what the bag has."""
    entries = list(rig.cameras.values())
    as_said = sum(image_topic(entry) in topics for entry in entries)
    compressed = sum(f"{entry.image_topic}/compressed" in topics for entry in entries)
    if asked == "keypoints" or (asked == "auto" and max(as_said, compressed) < 2):
        return {"input": "keypoints"}
    if compressed > as_said:
        return {"input": "images", "transport": "compressed"}
    return {"input": "images"}
