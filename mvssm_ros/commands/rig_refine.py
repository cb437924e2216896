"""`mvssm rig refine`: better extrinsics from people who walk about."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.rig.keypoint_bag import load_keypoint_bag
from mvssm_ros.rig.keypoint_sequence import load_keypoints
from mvssm_ros.rig.refine import Settings, refine_rig
from mvssm_ros.rig.refine_report import comment, error, table
from mvssm_ros.rig.rig_file import load_rig

NOT_BETTER = 1  # exit status

_ABOUT = """\
Improves the extrinsics of a rig from the 2D keypoints of people who walk about, by bundle
adjustment. Every second stretch of the frames is held out; the new rig is written only if what was
learnt from the others has a reprojection error there that is lower by one percent or more. It is
then adjusted once more, to all frames. Where the rig as a whole stands, how it is
turned and how large it is cannot be seen in images: that stays as in RIG (the similarity that brings
the new cameras nearest to the given ones; cameras that moved much count least)."""
_KEYPOINTS_HELP = """.npz with keypoints [frames, cameras, people, 15, 3] (x, y in raw px,
confidence 0..1; panoptic15), stamps_ns [frames], cameras [names as in RIG]; or the folder of a bag
with a mvssm_ros/Keypoints2DArray topic per camera, such as /cam01/keypoints"""


def add_arguments(actions: Any) -> None:
    """Add `refine` to the actions of `mvssm rig` (argparse's subparsers)."""
    parser = actions.add_parser(
        "refine", help="better extrinsics from people who walk about", description=_ABOUT
    )
    parser.add_argument("file", metavar="RIG", help="the rig file, intrinsics and all")
    parser.add_argument("keypoints", metavar="KEYPOINTS", help=_KEYPOINTS_HELP)
    parser.add_argument("--out", required=True, help="the rig file to write (YAML)")
    parser.add_argument("--principal-points", action="store_true",
                        help="refine the principal points too")  # fmt: skip
    parser.add_argument("--time-offsets", action="store_true",
                        help="find out how long after its stamp each camera's images are taken"
                             " (printed and noted in the file; a rig has no key for it)")  # fmt: skip
    parser.add_argument("--rough-deg", type=float, default=Settings.rough_deg, metavar="DEG",
                        help="how wrong the cameras' directions may be (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rough-m", type=float, default=Settings.rough_m, metavar="M",
                        help="how wrong their places may be (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Returns 0, or 1 where the refined rig is no better and so is not written."""
    for option, value, most in (
        ("--rough-deg", args.rough_deg, 30),
        ("--rough-m", args.rough_m, 2),
    ):
        if not 0 < value <= most:
            raise UserError(f"{option}: expected above 0 and up to {most}, got {value:g}")
    folder = Path(args.out).absolute().parent
    if not folder.is_dir():
        raise UserError(f"--out {args.out}: the folder {folder} does not exist")
    rig = load_rig(args.file)
    settings = Settings(args.principal_points, args.time_offsets, args.rough_deg, args.rough_m)
    if Path(args.keypoints).is_dir():
        sequence = load_keypoint_bag(args.keypoints, rig.cameras)
    else:
        sequence = load_keypoints(args.keypoints)
    refined = refine_rig(rig, sequence, settings)
    print("\n".join(table(refined, settings)))
    if not refined.improved:
        print(
            f"{args.out}: not written: the held-out reprojection error is no better ({error(refined)})"
        )
        return NOT_BETTER
    refined.rig.save(args.out, comment(refined, settings))
    print(f"{args.out}: written; held-out reprojection error {error(refined)} (median)")
    return 0
