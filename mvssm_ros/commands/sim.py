"""`mvssm sim`: a simulated rig as live camera topics, or the rig file of its cameras."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from mvssm_ros.commands.output import write_text
from mvssm_ros.errors import UserError
from mvssm_ros.share import share_dir
from mvssm_ros.simulation.scenario import Scenario
from mvssm_ros.simulation.scenario_file import load_scenario, scenario_names

_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", default="crossing", metavar="NAME|FILE",
                        help=f"{', '.join(scenario_names())}, or a file like those in"
                        " config/scenarios (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0,
                        help="other people, other noise (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rate", type=float, default=0.0, metavar="HZ",
                        help="sets of images a second (default, and 0: the scenario's)")  # fmt: skip
    parser.add_argument("--content", choices=("keypoints", "images"), default="keypoints",
                        help="what the cameras' topics carry (default: %(default)s)")  # fmt: skip
    parser.add_argument("--duration", type=float, default=0.0, metavar="S",
                        help="end after this many seconds (default: never)")  # fmt: skip
    parser.add_argument("--lost-cameras", nargs="+", default=[], metavar="CAMERA",
                        help="cameras that send nothing; the parameter lost_cameras of the node"
                        " sim_rig changes it while it runs")  # fmt: skip
    parser.add_argument("--lost-from", type=float, default=0.0, metavar="S",
                        help="second from which they are lost (default: the beginning)")  # fmt: skip
    parser.add_argument("--lost-until", type=float, default=0.0, metavar="S",
                        help="second at which they come back (default: never)")  # fmt: skip
    parser.add_argument("--write-rig", metavar="FILE",
                        help="write the rig file of the scenario's cameras, and end")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    scenario = load_scenario(args.scenario)  # tell mistakes before ROS starts
    if args.write_rig:
        return _write_rig(scenario, Path(args.write_rig), args.scenario)
    given: dict[str, object] = {
        "scenario": args.scenario,
        "seed": args.seed,
        "rate": _seconds("--rate", args.rate),
        "content": args.content,
        "duration": _seconds("--duration", args.duration),
    }
    if (args.lost_from or args.lost_until) and not args.lost_cameras:
        raise UserError("--lost-from and --lost-until need --lost-cameras: say which are lost")
    if args.lost_cameras:
        given["lost_cameras"] = f"[{', '.join(args.lost_cameras)}]"
        given["lost_from"] = _seconds("--lost-from", args.lost_from)
        given["lost_until"] = _seconds("--lost-until", args.lost_until)
    os.environ.setdefault(_PROFILE, str(share_dir() / "config" / "fastdds_shm.xml"))
    try:
        from mvssm_ros.nodes.sim_rig_node import main
    except ImportError as error:
        raise UserError(
            f"ROS 2 is not here ({error}): source a ROS 2 installation, or run 'make setup' and use "
            ".venv/bin/mvssm"
        ) from None
    words = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    return main(["mvssm", "--ros-args", *words])


def _seconds(option: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise UserError(f"{option} is {value:g}, expected a number of 0 or more")
    return value


def _write_rig(scenario: Scenario, path: Path, asked: str) -> int:
    write_text(path, "")  # makes its folder, or says why it cannot
    scenario.rig.save(path, f"The cameras of the simulated scenario '{scenario.name}'.")
    print(
        f"{path}: the {len(scenario.rig.cameras)} cameras of {scenario.name}. Start, in two"
        f" terminals:\n  mvssm run {path} --input keypoints\n  mvssm sim --scenario {asked}"
    )
    return 0
