"""The arguments of `mvssm rig import`."""

from __future__ import annotations

import argparse

from mvssm_ros.rig.importers import FORMATS, UNITS_M, UP_AXES, Options, import_rig
from mvssm_ros.rig.rig_file import Rig


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="+", help="the calibration's files (EasyMocap: or a folder)")
    known = "; ".join(f"{name}: {words}" for name, (words, _) in FORMATS.items())
    parser.add_argument("--format", choices=sorted(FORMATS),
                        help=f"default: guessed from the file. {known}")  # fmt: skip
    parser.add_argument("--out", required=True, help="the rig file to write (YAML)")
    parser.add_argument("--unit", choices=sorted(UNITS_M),
                        help="the file's unit of length (default m; Anipose: mm)")  # fmt: skip
    parser.add_argument("--up", choices=UP_AXES,
                        help="which axis of the file's world points up (default z)")  # fmt: skip
    parser.add_argument("--image-size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"),
                        help="px, where the file does not say it")  # fmt: skip
    parser.add_argument("--first-camera-height", type=float, metavar="M",
                        help="the first camera looks level, this high above the floor")  # fmt: skip
    parser.add_argument("--first-camera-pose", type=float, nargs=7,
                        metavar=("X", "Y", "Z", "QX", "QY", "QZ", "QW"),
                        help="its optical frame in the reference frame; moves all")  # fmt: skip
    parser.add_argument("--transforms", metavar="FILE",
                        help="static transforms for camera_info: YAML or JSON list, a saved "
                        "/tf_static, or static_transform_publisher's arguments")  # fmt: skip
    parser.add_argument("--frame", action="append", default=[], metavar="CAMERA=FRAME",
                        help="a camera's optical frame in the transforms")  # fmt: skip
    parser.add_argument("--reference-frame", help="the rig's frame (default map)")


def imported(args: argparse.Namespace) -> Rig:
    """The rig that the arguments ask for. Raises UserError as `import_rig`."""
    options = Options(
        unit_m=None if args.unit is None else UNITS_M[args.unit],
        up=args.up,
        first_camera_height_m=args.first_camera_height,
        first_camera_pose=None if args.first_camera_pose is None else tuple(args.first_camera_pose),
        image_size_px=None if args.image_size is None else tuple(args.image_size),
        transforms=args.transforms,
        frames=tuple(args.frame),
        reference_frame=args.reference_frame,
    )
    return import_rig(args.file, args.format, options)
