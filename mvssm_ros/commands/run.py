"""`mvssm run`: the node on a rig file, configured and activated, without ros2 launch."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvssm_ros.commands.node_parameters import (
    add_parameter_arguments,
    check_known,
    given_parameters,
    parameters_file,
)
from mvssm_ros.commands.ros_arguments import no_ros, prepare_middleware
from mvssm_ros.network.weights import read_weights
from mvssm_ros.rig.rig_file import load_rig


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
    add_parameter_arguments(parser)


def run(args: argparse.Namespace) -> int:
    load_rig(args.rig_file)  # tell mistakes before ROS starts
    if args.weights:
        read_weights(args.weights)
    ros_args = ["--ros-args", *parameters_file(args)]
    given = {"rig_file": str(Path(args.rig_file).resolve()), "input": args.input}
    given |= {"model.weights": args.weights, "model.device": args.device}
    given |= given_parameters(args)
    for name, value in given.items():
        if value:
            ros_args += ["-p", f"{name}:={value}"]
    prepare_middleware()
    try:
        from mvssm_ros.nodes.autostart import main
    except ImportError as error:
        raise no_ros(error) from None
    check_known(list(given))
    return main(["mvssm", *ros_args])
