"""`mvssm data render`: a sheet of rendered scenes, as training sees them."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mvssm_ros.commands.numbers import expect
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import project
from mvssm_ros.learning.rendered.world import RenderedBatch, RenderedConfig, RenderedWorld
from mvssm_ros.rig.rig_file import MAX_CAMERAS

_SEEN_BGR, _HIDDEN_BGR = (80, 220, 80), (60, 60, 235)


MOST_PEOPLE = 32


def add_arguments(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "render",
        help="a sheet of rendered scenes, as training on images sees them",
        description="Held-out scenes of the rendered world: a row a scene, a column a camera.",
    )
    parser.add_argument("--scenes", type=int, default=3, help="rows (default: %(default)s)")
    parser.add_argument("--views", type=int, default=4, help="columns (default: %(default)s)")
    parser.add_argument("--people", type=int, default=4, help="most in a scene (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--joints", action="store_true", help="mark the joints: green seen, red hidden"
    )
    parser.add_argument("--out", type=Path, required=True, help="picture, .jpg or .png")


def run(args: argparse.Namespace) -> int:
    expect(args, scenes=(1, None), views=(2, MAX_CAMERAS), people=(1, MOST_PEOPLE), seed=(0, None))
    if args.out.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise UserError(f"--out {args.out}: expected a name that ends in .jpg or .png")
    torch.set_num_threads(1)
    world = RenderedWorld(RenderedConfig.held_out(args.people), args.seed)
    batch = world.batch(args.scenes, args.views)
    rows = [
        np.concatenate([_picture(batch, s, t, args.joints) for t in range(args.views)], 1)
        for s in range(args.scenes)
    ]
    quality = [] if args.out.suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 88]
    _, data = cv2.imencode(args.out.suffix, np.concatenate(rows), quality)
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(data.tobytes())
    except OSError as error:
        raise UserError(f"cannot write {args.out}: {error.strerror}") from error
    print(f"{args.scenes} scenes of {args.views} views: {args.out}")
    return 0


def _picture(batch: RenderedBatch, scene: int, view: int, joints: bool) -> np.ndarray:
    """BGR [H, W, 3] of one view."""
    rgb = (255 * batch.images[scene, view]).byte().permute(1, 2, 0).numpy()
    picture = np.ascontiguousarray(rgb[..., ::-1])
    if joints:
        for (x, y), seen in zip(*_marks(batch, scene, view)):
            color = _SEEN_BGR if seen else _HIDDEN_BGR
            cv2.circle(picture, (round(x), round(y)), 2, color, -1, cv2.LINE_AA)
    return picture


def _marks(batch: RenderedBatch, scene: int, view: int) -> tuple[list[list[float]], list[bool]]:
    """Pixels of the joints in the image of people whom the view could see, and whether it sees them."""
    camera = batch.drawn.at((scene, slice(view, view + 1)))
    people = batch.person_valid[scene]
    pixels, depth = project(camera, batch.joints_m[scene, people].flatten(0, 1))
    inside: Tensor = ((pixels[0] > 0) & (pixels[0] < camera.size_px[0])).all(-1) & (depth[0] > 0)
    return pixels[0, inside].tolist(), batch.seen[scene, view, people].flatten()[inside].tolist()
