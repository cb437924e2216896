"""`mvssm replay`: a bag's messages, live, as they were recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.commands.ros_arguments import no_ros, prepare_middleware, ros_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", help="a bag's folder, or an .mcap or .db3 file")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="times real time (default: %(default)s)"
    )
    parser.add_argument("--loop", action="store_true", help="begin anew at the end, until Ctrl-C")
    parser.add_argument("--topics", nargs="+", default=[], help="only these")
    parser.add_argument("--exclude", nargs="+", default=[], metavar="TOPIC", help="but for these")
    parser.add_argument(
        "--answers",
        action="store_true",
        help="also what pose_node itself publishes (people, markers, rig_status, feeds ...)",
    )
    parser.add_argument(
        "--clock",
        action="store_true",
        help="publish the bag's time on /clock; needed with --rate, for nodes with use_sim_time",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=2.0,
        metavar="S",
        help="wait so long for somebody to listen to each topic (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Until the bag ends, or Ctrl-C."""
    with BagReader(args.bag):
        pass  # tell mistakes before ROS starts
    try:
        from mvssm_ros.nodes.replay_node import main
    except ImportError as error:
        raise no_ros(error) from None
    prepare_middleware()
    parameters = {
        "bag": str(Path(args.bag).absolute()),
        "rate": args.rate,
        "loop": args.loop,
        "topics": args.topics or [""],
        "exclude": args.exclude or [""],
        "answers": args.answers,
        "clock": args.clock,
        "wait": args.wait,
    }
    return main(ros_arguments("mvssm", parameters))
