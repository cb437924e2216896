"""`mvssm run`: the node on a rig file, configured and activated, without ros2 launch."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mvssm_ros.errors import UserError
from mvssm_ros.network.weights import read_weights
from mvssm_ros.rig.rig_file import load_rig
from mvssm_ros.share import share_dir

_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rig_file", help="the rig file (YAML): cameras, topics, calibration")
    parser.add_argument("--weights", default="", help="default: those shipped with the package")
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument(
        "--input",
        choices=("images", "keypoints"),
        default="images",
        help="what the cameras' topics carry (default: %(default)s)",
    )
    parser.add_argument(
        "--params-file", help="a ROS parameter file, e.g. a copy of config/mvssm.yaml"
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME:=VALUE",
        help="any other parameter of the node; may be given several times",
    )


def run(args: argparse.Namespace) -> int:
    load_rig(args.rig_file)  # tell mistakes before ROS starts
    if args.weights:
        read_weights(args.weights)
    ros_args = ["--ros-args"]
    if args.params_file:
        if not Path(args.params_file).is_file():
            raise UserError(f"--params-file {args.params_file} does not exist")
        ros_args += ["--params-file", args.params_file]
    given = {"rig_file": str(Path(args.rig_file).resolve()), "input": args.input}
    given |= {"model.weights": args.weights, "model.device": args.device}
    for word in args.param:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise UserError(f"--param '{word}': expected NAME:=VALUE, e.g. sync.slop:=0.02")
        given[name] = value
    for name, value in given.items():
        if value:
            ros_args += ["-p", f"{name}:={value}"]
    os.environ.setdefault(_PROFILE, str(share_dir() / "config" / "fastdds_shm.xml"))
    try:
        from mvssm_ros.nodes.autostart import main
        from mvssm_ros.nodes.parameters import is_known
    except ImportError as error:
        raise UserError(
            f"ROS 2 is not here ({error}): source a ROS 2 installation, or run 'make setup' and use "
            ".venv/bin/mvssm"
        ) from None
    unknown = [name for name in given if not is_known(name)]
    if unknown:
        raise UserError(
            f"--param: there is no parameter '{unknown[0]}'; config/mvssm.yaml has them all"
        )
    return main(["mvssm", *ros_args])
