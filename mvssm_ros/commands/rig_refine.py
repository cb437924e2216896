"""`mvssm rig refine`: better extrinsics from people who walk about."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.rig.keypoint_bag import load_keypoint_bag
from mvssm_ros.rig.keypoint_sequence import load_keypoints
from mvssm_ros.rig.refine import Refinement, Settings, refine_rig
from mvssm_ros.rig.rig_file import load_rig

NOT_BETTER = 1  # exit status
_UNSURE_DEG, _UNSURE_M = 0.4, 0.02  # standard deviations that deserve a remark

_ABOUT = """\
Improves the extrinsics of a rig from the 2D keypoints of people who walk about, by bundle
adjustment. Every second stretch of the frames is held out; the new rig is written only if its
reprojection error there is lower by one percent or more. Where the rig as a whole stands, how it is
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
    print("\n".join(_table(refined, settings)))
    error = f"{refined.before_px:.2f} -> {refined.after_px:.2f} px"
    if not refined.improved:
        print(f"{args.out}: not written: the held-out reprojection error is no better ({error})")
        return NOT_BETTER
    refined.rig.save(args.out, _comment(refined, settings))
    print(f"{args.out}: written; held-out reprojection error {error} (median)")
    return 0


def _table(refined: Refinement, settings: Settings) -> list[str]:
    """What became of each camera, line by line."""
    (used, held), (people, people_held) = refined.n_frames, refined.n_people
    width = max(6, *(len(camera.name) for camera in refined.cameras))
    head = f"{'camera':{width}}  held-out px    turned   moved   uncertain by"
    head += "       principal point" if settings.principal_points else ""
    head += "      late" if settings.time_offsets else ""
    lines = [
        f"learnt from {used} frames ({people} times a person in two views or more), checked with"
        f" {held} others ({people_held})",
        head,
    ]
    for camera in refined.cameras:
        if not camera.refined:
            lines.append(f"{camera.name:{width}}  as given: it sees too few people with the others")
            continue
        line = (
            f"{camera.name:{width}}  {camera.before_px:5.1f} -> {camera.after_px:4.1f}"
            f"  {camera.turned_deg:5.2f} deg  {camera.moved_m:.3f} m"
            f"  {camera.sigma_deg:.2f} deg, {camera.sigma_m:.3f} m"
        )
        if settings.principal_points:
            x, y = camera.principal_point_shift_px
            line += f"  ({x:+6.1f}, {y:+6.1f}) px"
        if settings.time_offsets:
            line += f"  {1000 * camera.late_s:+6.1f} ms"
        lines.append(line)
    unseen = [name for name in refined.rig.cameras if name not in {c.name for c in refined.cameras}]
    lines += [f"{name:{width}}  as given: not in the keypoints" for name in unseen]
    unsure = [
        camera.name
        for camera in refined.cameras
        if camera.sigma_deg > _UNSURE_DEG or camera.sigma_m > _UNSURE_M
    ]
    if unsure:
        lines.append(
            f"{', '.join(unsure)}: remain uncertain; let people walk longer and over more of the"
            " space, or say with --rough-deg and --rough-m how well the cameras were known"
        )
    lines.append(
        f"place, heading and size of the whole rig: as given (similarity onto the given cameras,"
        f" scale {refined.scale:.4f})"
    )
    return lines


def _comment(refined: Refinement, settings: Settings) -> str:
    lines = [
        "Refined from people who walked about (mvssm rig refine): held-out reprojection error",
        f"{refined.before_px:.2f} -> {refined.after_px:.2f} px (median).",
    ]
    if settings.time_offsets:
        late = ", ".join(f"{c.name} {1000 * c.late_s:+.1f} ms" for c in refined.cameras)
        lines.append(f"Images are taken after their stamps by (all but a common delay): {late};")
        lines.append("this file does not correct it.")
    return "\n".join(lines)
