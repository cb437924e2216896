"""`mvssm view`: people, cameras, images and diagnostics in a browser, live or of a recorded bag."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import webbrowser
from pathlib import Path

from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import Rig, load_rig
from mvssm_ros.viewing.library import viewer_library
from mvssm_ros.viewing.outlet import BAG_MEMORY, LOCALHOST, Outlet
from mvssm_ros.viewing.scene import WIDTH_PX, Scene

_LOOKS_EVERY_S = 0.1  # whether a signal has come


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", nargs="?", type=Path,
                        help="a recorded bag (mcap or sqlite3); default: what is published now")  # fmt: skip
    parser.add_argument("--rig", metavar="FILE",
                        help="the rig file: where the cameras are, and their topics")  # fmt: skip
    parser.add_argument("--port", type=int, default=9090,
                        help="of the page; data comes from the next port (default: %(default)s)")  # fmt: skip
    parser.add_argument("--host", default=LOCALHOST,
                        help="address to listen on; anybody who reaches it can watch (default:"
                        " %(default)s, this machine only)")  # fmt: skip
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument("--save", metavar="FILE.rrd",
                        help="live: write all to a file too; with a bag: do only that")  # fmt: skip
    parser.add_argument("--image-rate", type=float, default=5.0, metavar="HZ",
                        help="images a second to show of each camera (default: %(default)s)")  # fmt: skip
    parser.add_argument("--image-width", type=int, default=WIDTH_PX, metavar="PX",
                        help="at most this wide (default: %(default)s)")  # fmt: skip
    parser.add_argument("--namespace", default="", help="of pose_node, live only")


def run(args: argparse.Namespace) -> int:
    """0 once it is told to end; what cannot be done is a UserError."""
    viewer_library()
    rig = load_rig(args.rig) if args.rig else Rig()  # tell mistakes before ROS starts
    if not 1 <= args.port <= 65534:
        raise UserError(f"--port is {args.port}, expected 1 to 65534; the next one is used too")
    if not 0.1 <= args.image_rate <= 100:
        raise UserError(f"--image-rate is {args.image_rate:g}, expected 0.1 to 100 Hz")
    if not 16 <= args.image_width <= 8192:
        raise UserError(f"--image-width is {args.image_width}, expected 16 to 8192 px")
    try:
        if args.bag is None:
            return _show_live(args)
        return _show_bag(args, rig)
    except ImportError as error:
        raise UserError(
            f"ROS 2 is not here ({error}): source a ROS 2 installation, or run 'make setup' and use"
            " .venv/bin/mvssm"
        ) from None


def _show_live(args: argparse.Namespace) -> int:
    from mvssm_ros.nodes.view_node import main

    given = {
        "rig_file": args.rig and str(Path(args.rig).resolve()),
        "host": args.host,
        "port": args.port,
        "save": args.save and str(Path(args.save).resolve()),
        "image_rate": float(args.image_rate),
        "image_width": args.image_width,
        "open_browser": "false" if args.no_open else "true",
    }
    ros_args = ["--ros-args"]
    for name, value in given.items():
        if value:
            ros_args += ["-p", f"{name}:={value}"]
    if args.namespace:
        ros_args += ["-r", f"__ns:=/{args.namespace.strip('/')}"]
    return main(["mvssm", *ros_args])


def _show_bag(args: argparse.Namespace, rig: Rig) -> int:
    """Into the file of --save, or into the browser, until Ctrl-C or SIGTERM."""
    from mvssm_ros.nodes.view_bag import show_bag
    from mvssm_ros.nodes.view_messages import ViewMessages

    if not args.bag.exists():
        raise UserError(f"the bag {args.bag} does not exist")
    told: set[str] = set()

    def report(kind: str, text: str) -> None:
        if kind not in told:
            told.add(kind)
            print(f"mvssm view: warning: {text}", file=sys.stderr)

    ended: list[int] = []  # no lock, which a signal's handler may find taken by what it interrupts
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: ended.append(signum))
    save = Path(args.save) if args.save else None
    outlet = Outlet("" if save else args.host, args.port, save, BAG_MEMORY)
    try:
        if outlet.warning:
            print(f"mvssm view: warning: {outlet.warning}", file=sys.stderr)
        if outlet.url:
            print(f"mvssm view: {outlet.url} (Ctrl-C ends it)", flush=True)
            if not args.no_open:
                webbrowser.open(outlet.url)
        scene = Scene(outlet.recording, rig, live=False, width_px=args.image_width)
        count = show_bag(args.bag, ViewMessages(scene, args.image_rate, report))
        print(f"mvssm view: {count} messages of {args.bag} are shown", flush=True)
        while save is None and not ended:
            time.sleep(_LOOKS_EVERY_S)
    finally:
        outlet.close()
    if save is not None:
        print(f"mvssm view: written to {save}")
    return 0
