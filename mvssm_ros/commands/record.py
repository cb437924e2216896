"""`mvssm record`: what the cameras of a rig send, and what comes out, into a bag."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvssm_ros.bags.topics import rig_topics
from mvssm_ros.bags.writer import STORAGES
from mvssm_ros.commands.ros_arguments import no_ros, prepare_middleware, ros_arguments
from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import load_rig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="BAG", help="folder of the bag to make")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--rig",
        metavar="rig.yaml",
        help="record what its cameras send (images or keypoints, camera_info), /tf, /tf_static and"
        " /calibration; the answers of pose_node are recorded in any case",
    )
    what.add_argument("--topics", nargs="+", default=[], help="record these topics instead")
    parser.add_argument("--storage", choices=STORAGES, default="mcap", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Until Ctrl-C. Returns 0; 1 where the disk was full before."""
    topics = rig_topics(load_rig(args.rig)) if args.rig else args.topics
    out = Path(args.out).absolute()
    if out.exists():
        raise UserError(f"bag {args.out} exists already; give another name, or remove it")
    try:
        from mvssm_ros.nodes.recorder_node import main
    except ImportError as error:
        raise no_ros(error) from None
    prepare_middleware()
    parameters = {"bag": str(out), "storage": args.storage, "topics": topics or [""]}
    return main(ros_arguments("mvssm", parameters))
