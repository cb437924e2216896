"""`mvssm rig`: rig files from foreign calibrations, and a look at one."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvssm_ros.commands import rig_refine
from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers import import_panoptic, import_qca
from mvssm_ros.rig.rig_file import Rig, load_rig

FORMATS = {"qca": import_qca, "panoptic": import_panoptic}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("import", help="write a rig file from a calibration")
    make.add_argument("file", help="the calibration")
    make.add_argument("--format", choices=sorted(FORMATS), required=True,
                      help="qca: Qualisys .qca.txt; panoptic: CMU Panoptic JSON")  # fmt: skip
    make.add_argument("--out", required=True, help="the rig file to write (YAML)")
    look = actions.add_parser(
        "check", help="read a rig file, say what is wrong with it or what it holds"
    )
    look.add_argument("file", help="the rig file")
    rig_refine.add_arguments(actions)


def run(args: argparse.Namespace) -> int:
    if args.action == "refine":
        return rig_refine.run(args)
    if args.action == "import":
        if not Path(args.file).is_file():
            raise UserError(f"calibration {args.file} does not exist")
        rig = FORMATS[args.format](args.file)
        rig.save(args.out)
        print(f"{args.out}: {_summary(rig)}")
    else:
        rig = load_rig(args.file)
        print(f"{args.file}: {_summary(rig)}")
        for sentence in [*_left_open(rig), *rig.warnings()]:
            print(f"  {sentence}")
    return 0


def _left_open(rig: Rig) -> list[str]:
    """What the file leaves to ROS, one sentence a kind."""
    intrinsics = [name for name, camera in rig.cameras.items() if camera.K is None]
    extrinsics = [name for name, camera in rig.cameras.items() if camera.R is None]
    sentences = []
    if intrinsics:
        sentences.append(f"intrinsics of {', '.join(intrinsics)}: taken from camera_info")
    if extrinsics:
        sentences.append(f"extrinsics of {', '.join(extrinsics)}: taken from TF (needs tf2_ros)")
    return sentences


def _summary(rig: Rig) -> str:
    x, y = rig.space.size_m
    return (
        f"{len(rig.cameras)} cameras ({', '.join(rig.cameras)}) in '{rig.reference_frame}', "
        f"space {x:.1f} x {y:.1f} m"
    )
