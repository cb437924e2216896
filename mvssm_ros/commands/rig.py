"""`mvssm rig`: rig files from foreign calibrations, and a look at one."""

from __future__ import annotations

import argparse

from mvssm_ros.commands import rig_keypoints, rig_refine
from mvssm_ros.commands.rig_import import add_import_arguments, imported
from mvssm_ros.rig.coverage import coverage
from mvssm_ros.rig.diagnosis_report import check_with_people
from mvssm_ros.rig.drawing import draw_rig
from mvssm_ros.rig.rig_file import Rig, load_rig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("import", help="write a rig file from a calibration")
    add_import_arguments(make)
    look = actions.add_parser(
        "check", help="read a rig file, say what is wrong with it or what it holds"
    )
    look.add_argument("file", help="the rig file")
    look.add_argument("--people", metavar="KEYPOINTS.npz",
                      help="2D keypoints of people: tells how each camera agrees with the others, "
                      "and if not, why")  # fmt: skip
    show = actions.add_parser("show", help="draw a rig file's cameras and space")
    show.add_argument("file", help="the rig file")
    show.add_argument("--out", required=True, help="the picture to write (PNG)")
    rig_keypoints.add_arguments(actions)
    rig_refine.add_arguments(actions)


def run(args: argparse.Namespace) -> int:
    if args.action == "refine":
        return rig_refine.run(args)
    if args.action == "keypoints":
        return rig_keypoints.run(args)
    if args.action == "import":
        rig = imported(args)
        rig.save(args.out)
        print(f"{args.out}: {_summary(rig)}")
        for sentence in [*_left_open(rig), *rig.warnings()]:
            print(f"  {sentence}")
    elif args.action == "show":
        draw_rig(load_rig(args.file), args.out, title=args.file)
        print(args.out)
    else:
        rig = load_rig(args.file)
        print(f"{args.file}: {_summary(rig)}")
        seen = coverage(rig)
        sentences = [*_left_open(rig), *([seen.sentence()] if seen else []), *rig.warnings()]
        if args.people:
            sentences += check_with_people(rig, args.people)
        for sentence in sentences:
            print(f"  {sentence}")
    return 0


def _left_open(rig: Rig) -> list[str]:
    """What the file leaves to ROS or to defaults, one sentence a kind."""
    intrinsics = [name for name, camera in rig.cameras.items() if camera.K is None]
    extrinsics = [name for name, camera in rig.cameras.items() if camera.R is None]
    sentences = []
    if intrinsics:
        sentences.append(f"intrinsics of {', '.join(intrinsics)}: taken from camera_info")
    if extrinsics:
        sentences.append(f"extrinsics of {', '.join(extrinsics)}: taken from TF (needs tf2_ros)")
    space = rig.space
    if space.assumed:
        x, y = space.center_m
        w, d = space.size_m
        values = {
            "center_m": f"around ({x:g}, {y:g}) m",
            "size_m": f"{w:g} x {d:g} m",
            "floor_m": f"floor at {space.floor_m:g} m",
        }
        sentences.append(
            f"space: {', '.join(space.assumed)} not given in the file, taken by default:"
            f" {', '.join(values[key] for key in space.assumed)}; say where people walk"
        )
    return sentences


def _summary(rig: Rig) -> str:
    x, y = rig.space.size_m
    return (
        f"{len(rig.cameras)} cameras ({', '.join(rig.cameras)}) in '{rig.reference_frame}', "
        f"space {x:.1f} x {y:.1f} m"
    )
