"""The `mvssm` command. Each subcommand is a module of `mvssm_ros.commands`, imported when asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mvssm_ros.errors import UserError

COMMANDS = {
    "demo": "four cameras of a real moving person through ROS to 3D people, with pictures",
    "run": "start the node with a rig file, without ros2 launch",
    "sim": "start a simulated rig of a scenario: cameras, transforms and truth",
    "record": "what the cameras of a rig send, and what comes out, into a bag",
    "replay": "play a bag's messages, live",
    "process": "people from a recorded bag, offline: none dropped, the same every time",
    "export": "recorded people as CSV, TRC (OpenSim) or BVH",
    "view": "people, cameras and diagnostics in a browser, live or of a recorded bag",
    "train": "train a network: keypoints, images, data sets, as an experiment file says",
    "evaluate": "measure the network, the classical chain and the oracle on held-out scenes",
    "generalisation": "networks trained on one arrangement of cameras, measured on others",
    "benchmark": "time every stage of one set",
    "fuzz": "feed damaged messages and files to the readers",
    "soak": "run the node for an hour while faults come and go, and report what grew",
    "weights": "show weights, or import public checkpoints",
    "rig": "make a rig file from a foreign calibration, or check one",
    "data": "check a data set, make one of a bag, or look at rendered scenes",
}


class _Parser(argparse.ArgumentParser):
    """Mistakes in one line, as all others, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; '{self.prog} --help' lists what there is")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Returns its exit status; 2 for a user's mistake, told in one line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except UserError as error:
        print(f"mvssm: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `mvssm … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(given: list[str]) -> int:
    parser = _Parser(
        prog="mvssm", description="Calibrated cameras to tracked 3D people, for robots."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    asked = next((word for word in given if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:]
        )
        if name == asked:  # only its own imports are paid for
            module = importlib.import_module(f"mvssm_ros.commands.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    if not given:
        parser.print_help()
        return 2
    args = parser.parse_args(given)
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
