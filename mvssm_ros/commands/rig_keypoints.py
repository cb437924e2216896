"""`mvssm rig keypoints`: the 2D people of synchronous video files, for `rig check` and `rig refine`."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mvssm_ros.demo_data import find_demo, read_frames
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.rig.keypoint_sequence import make_sequence

_ABOUT = """\
Finds the people in one video a camera and writes their 2D keypoints. The videos must begin at the
same moment, and have the same frame rate."""


def add_arguments(actions: Any) -> None:
    """Add `keypoints` to the actions of `mvssm rig` (argparse's subparsers)."""
    parser = actions.add_parser(
        "keypoints", help="2D people of video files, for check and refine", description=_ABOUT
    )
    parser.add_argument("videos", nargs="*", metavar="CAMERA=VIDEO",
                        help="the camera's name in the rig file, and its video")  # fmt: skip
    parser.add_argument("--demo", choices=("single", "multi"),
                        help="the videos of `mvssm demo` instead")  # fmt: skip
    parser.add_argument("--out", required=True, help="the file to write (.npz)")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="take every Nth frame (default: %(default)s)")  # fmt: skip
    parser.add_argument("--max-people", type=int, default=5, metavar="P",
                        help="at most so many in an image (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Returns 0; what cannot be done is a UserError."""
    videos = _videos(args)
    if args.every < 1 or args.max_people < 1:
        raise UserError("--every and --max-people are at least 1")
    if not Path(args.out).absolute().parent.is_dir():
        raise UserError(f"--out {args.out}: the folder does not exist")
    rates_hz = {name: _rate_hz(path) for name, path in videos.items()}
    rate_hz = next(iter(rates_hz.values()))
    other = [name for name, rate in rates_hz.items() if abs(rate - rate_hz) > 0.01]
    if other:
        raise UserError(
            f"the video of camera {other[0]} has {rates_hz[other[0]]:g} frames a second, that of"
            f" {next(iter(videos))} {rate_hz:g}; synchronous videos are needed"
        )
    detector = MediaPipeDetector(args.max_people)
    frames = []  # of each [T][P, J, 3]
    films = [read_frames(path) for path in videos.values()]
    for images in tqdm(
        islice(zip(*films), 0, None, args.every), unit="frame", disable=not sys.stderr.isatty()
    ):
        frames.append([detector.detect(image) for image in images])
    most = max((len(people) for views in frames for people in views), default=0)
    n_joints = SKELETONS[detector.skeleton].n_joints
    keypoints = np.zeros((len(frames), len(videos), max(most, 1), n_joints, 3), np.float32)
    for f, views in enumerate(frames):
        for t, people in enumerate(views):
            keypoints[f, t, : len(people)] = people
    stamps_ns = np.round(np.arange(len(frames)) * args.every / rate_hz * 1e9).astype(np.int64)
    sequence = make_sequence(list(videos), stamps_ns, keypoints, detector.skeleton, "videos")
    sequence.save(args.out)
    seen = (keypoints[..., 2].max(-1) > 0).any(-1).sum(0)
    counts = ", ".join(f"{name} {n}" for name, n in zip(videos, seen))
    print(
        f"{args.out}: {len(frames)} frames of {len(videos)} cameras; frames with people: {counts}"
    )
    return 0


def _videos(args: argparse.Namespace) -> dict[str, Path]:
    if bool(args.demo) == bool(args.videos):
        raise UserError("expected either CAMERA=VIDEO for each camera, or --demo")
    if args.demo:
        return find_demo(args.demo).videos
    videos: dict[str, Path] = {}
    for word in args.videos:
        name, separator, path = word.partition("=")
        if not (name and separator and path):
            raise UserError(f"'{word}': expected CAMERA=VIDEO, e.g. left=left.mp4")
        if name in videos:
            raise UserError(f"camera {name} is given twice")
        videos[name] = Path(path)
    if len(videos) < 2:
        raise UserError("expected the videos of two cameras or more")
    return videos


def _rate_hz(video: Path) -> float:
    if not video.is_file():
        raise UserError(f"video {video}: there is no such file")
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    if not 0 < rate_hz <= 1000:
        raise UserError(f"video {video}: cannot be decoded; is it a video file?")
    return float(rate_hz)
