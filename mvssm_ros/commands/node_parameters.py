"""`--params-file` and `--param`: parameters of pose_node on the command line of other commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvssm_ros.errors import UserError


def add_parameter_arguments(parser: argparse.ArgumentParser) -> None:
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


def parameters_file(args: argparse.Namespace) -> list[str]:
    """The arguments for --params-file, none without.

    Raises:
        UserError: there is no such file.
    """
    if not args.params_file:
        return []
    if not Path(args.params_file).is_file():
        raise UserError(f"--params-file {args.params_file} does not exist")
    return ["--params-file", args.params_file]


def given_parameters(args: argparse.Namespace) -> dict[str, str]:
    """What --param says, by name; the values as ROS reads them.

    Raises:
        UserError: one is not NAME:=VALUE.
    """
    given = {}
    for word in args.param:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise UserError(f"--param '{word}': expected NAME:=VALUE, e.g. sync.slop:=0.02")
        given[name] = value
    return given


def check_known(names: list[str]) -> None:
    """Raises UserError: pose_node has no such parameter."""
    from mvssm_ros.nodes.parameters import is_known

    unknown = [name for name in names if not is_known(name)]
    if unknown:
        raise UserError(
            f"--param: there is no parameter '{unknown[0]}'; config/mvssm.yaml has them all"
        )
