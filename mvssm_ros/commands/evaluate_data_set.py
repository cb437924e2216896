"""`mvssm evaluate --data-set`: a network on the images of a test split, beside published figures."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from mvssm_ros.commands.evaluate_images import METHOD, load, row
from mvssm_ros.data_sets import (
    Frame,
    open_campus,
    open_human36m,
    open_own,
    open_panoptic,
    open_shelf,
    read_image,
)
from mvssm_ros.data_sets import Sequence as Recording
from mvssm_ros.data_sets.frames import left_out
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import SHELF14, skeleton_map
from mvssm_ros.learning import metrics, pcp
from mvssm_ros.learning.plots import joint_errors
from mvssm_ros.learning.published import ABLATION, comparison
from mvssm_ros.predictor import People, Predictor
from mvssm_ros.rig.rig_file import Space

OURS = "**ours**"
_MEASURES = (
    *((f"AP{t}", f"AP{t}") for t in metrics.AP_THRESHOLDS_MM),
    ("mAP", "mAP"),
    ("recall@500 %", "recall500"),
    ("MPJPE mm", "MPJPE_mm"),
    ("phantom %", "phantom_percent"),
    ("ms a set", "ms_per_set"),
)


class Seen(NamedTuple):
    """A frame, who the network found in it, and how long that took."""

    frame: Frame
    people: People
    seconds: float


def report(args: argparse.Namespace) -> tuple[str, dict, list[dict]]:
    """The tables as Markdown, settings and figures, and rows for plots (the published among them).

    Raises UserError where the data set or the weights are not there or cannot be used, and where
    keypoints weights have no 2D detector.
    """
    predictor = load(args)
    if args.data_set == "panoptic":
        names = args.arrangement.split(",")
        opened = [_open_panoptic(args, name) for name in names]
    else:
        names, opened = [args.data_set], [_open(args)]
    for recordings in opened:
        if not any(recording.frames for recording in recordings):
            raise UserError(
                f"{args.data_set} in {args.root}: no frame can be used; {_left_out(recordings)}"
            )
    if predictor.frontend == "keypoints":
        from mvssm_ros.frontends.mediapipe import MediaPipeDetector

        predictor.detector = MediaPipeDetector()
    texts, rows, shown = [], [], []
    for name, recordings in zip(names, opened):
        frames = _spread(recordings, args.frames)
        bar = tqdm(frames, desc=name, leave=False)
        seen = list(_predictions(predictor, bar))
        measure = _pcp_row if args.data_set in ("shelf", "campus") else _ap_row
        made = measure(name, recordings[0].cameras.n_views, seen)
        rows.append(made | {"frames": len(seen), "left_out": _skipped(recordings)})
        shown += [made, *_published_rows(name, made["views"])]
        texts.append(_text(args, name, recordings, rows[-1], predictor))
    settings = {
        "data_set": args.data_set,
        "split": "test",
        "weights": args.weights or "shipped",
        "frontend": predictor.frontend,
        "score_threshold": args.score_threshold,
    }
    return "\n\n".join(texts), settings | {"rows": rows}, shown


def _open(args: argparse.Namespace) -> list[Recording]:
    if args.data_set == "human36m":
        return open_human36m(args.root, "test")
    if args.data_set == "own":
        return open_own(args.root, "test")
    return [(open_shelf if args.data_set == "shelf" else open_campus)(args.root)]


def _open_panoptic(args: argparse.Namespace, arrangement: str) -> list[Recording]:
    sequences = args.sequences.split(",") if args.sequences else None
    return open_panoptic(args.root, "test", arrangement, sequences=sequences)


def _spread(recordings: Sequence[Recording], at_most: int | None) -> list[tuple[Recording, Frame]]:
    """Every frame, or so many, evenly spread over them."""
    frames = [(recording, frame) for recording in recordings for frame in recording.frames]
    if at_most is None or at_most >= len(frames):
        return frames
    return [frames[i] for i in np.linspace(0, len(frames) - 1, at_most).round().astype(int)]


def _predictions(
    predictor: Predictor, frames: Iterator[tuple[Recording, Frame]] | tqdm
) -> Iterator[Seen]:
    for recording, frame in frames:
        images = [read_image(path) for path in frame.image_paths]
        space = Space(recording.space_center_m, recording.space_size_m, 0.0)
        start = time.perf_counter()
        people = predictor.predict_images(recording.cameras, images, space)
        yield Seen(frame, people, time.perf_counter() - start)


def _ap_row(name: str, n_views: int, seen: list[Seen]) -> dict[str, Any]:
    matched = [
        metrics.match_scene(s.people.joints_m, s.people.score, s.frame.joints_m) for s in seen
    ]
    return row(name, n_views, metrics.concatenate(matched), [s.seconds for s in seen])


def _pcp_row(name: str, n_views: int, seen: list[Seen]) -> dict[str, Any]:
    frames = [(as_shelf14(s.people.joints_m), s.frame.joints_m) for s in seen]
    matches = metrics.concatenate(
        metrics.match_scene(joints, s.people.score, truth)
        for (joints, truth), s in zip(frames, seen)
    )
    return {
        "rigs": name,
        "views": n_views,
        "method": METHOD,
        **pcp.pcp3d(frames),
        **metrics.summary(matches),
        "ms_per_set": 1000.0 * float(np.median([s.seconds for s in seen])),
        "joints": joint_errors(matches, skeleton=SHELF14),
    }


def as_shelf14(joints_m: np.ndarray) -> np.ndarray:
    """PANOPTIC15 people [P, 15, 3] m as SHELF14 [P, 14, 3]."""
    known = np.ones((*joints_m.shape[:2], 1))
    mapped = skeleton_map("panoptic15", SHELF14.name).apply(np.concatenate([joints_m, known], -1))
    return np.asarray(mapped[..., :3], np.float64)


def _published_rows(name: str, n_views: int) -> list[dict[str, Any]]:
    return [
        {"rigs": name, "views": n_views, "method": other.method, **other.figures}
        for other in comparison(name)
    ]


def _skipped(recordings: Sequence[Recording]) -> dict[str, int]:
    total: dict[str, int] = {}
    for recording in recordings:
        for reason, count in recording.skipped.items():
            total[reason] = total.get(reason, 0) + count
    return total


def _left_out(recordings: Sequence[Recording]) -> str:
    return left_out(_skipped(recordings))


def _text(
    args: argparse.Namespace,
    name: str,
    recordings: Sequence[Recording],
    figures: Mapping[str, Any],
    predictor: Predictor,
) -> str:
    """The paper's table with our column, and what was measured."""
    where = f"panoptic, cameras {name}" if args.data_set == "panoptic" else name
    seen = "images" if predictor.frontend != "keypoints" else "images through the 2D detector"
    lines = [
        f"{where}: test split, {figures['frames']} frames ({_left_out(recordings)}), {seen}; "
        f"weights: {args.weights or 'shipped'} ({predictor.frontend}).",
        "",
    ]
    measures: Sequence[tuple[str, str]] = _MEASURES
    if args.data_set in ("shelf", "campus"):
        actors = [key for key in figures if key.startswith("actor")]
        parts = list(dict.fromkeys(part for part, _ in pcp.PARTS))
        measures = [
            *((f"PCP3D {key[:5]} {key[5:]}", key) for key in actors),
            (f"PCP3D mean of actors 1-{pcp.AVERAGED_ACTORS}", "average"),
            *((f"PCP3D {part}", part) for part in parts),
            ("MPJPE mm", "MPJPE_mm"),
            ("ms a set", "ms_per_set"),
        ]
    others = comparison(name)
    head = ["measure", *(other.method for other in others), OURS]
    lines += ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for heading, key in measures:
        cells = [heading, *(_cell(other.figures.get(key)) for other in others)]
        lines.append("| " + " | ".join([*cells, _cell(figures.get(key))]) + " |")
    if others:
        lines += ["", *(f"{other.method}: {other.source}." for other in others)]
    elif args.data_set != "own":
        lines += ["", f"No published figures for {name} are kept here."]
    if name in ("CMU0", "CMU0ex5"):
        lines += ["", *_ablation_lines(figures, predictor.network.config.ablation)]
    return "\n".join(lines)


def _ablation_lines(figures: Mapping[str, Any], ours: str) -> list[str]:
    """The paper's ablation, with our figures in the row of these weights."""
    lines = [
        f"| ablation | paper AP25 | paper MPJPE mm | {OURS} AP25 | {OURS} MPJPE mm |",
        "|" + " --- |" * 5,
    ]
    for variant, paper in ABLATION.items():
        own = figures if variant == ours else {}
        cells = [
            _cell(side.get(key)) for side in (paper.figures, own) for key in ("AP25", "MPJPE_mm")
        ]
        lines.append("| " + " | ".join([variant, *cells]) + " |")
    return lines


def _cell(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.1f}"
