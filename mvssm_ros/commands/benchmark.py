"""`mvssm benchmark`: what each stage of one set costs, on a synthetic scene or the demo's images."""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mvssm_ros.commands.benchmark_synchronizer import print_synchronizer, time_synchronizer
from mvssm_ros.commands.numbers import expect
from mvssm_ros.commands.output import check_writable, write_text
from mvssm_ros.errors import UserError
from mvssm_ros.learning.evaluation import Scene, scenes_of
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig
from mvssm_ros.network.pss import PSSLayer
from mvssm_ros.predictor import Predictor
from mvssm_ros.rig.rig_file import MAX_CAMERAS, Space

_TRIANGULATE = "  of which triangulate"
_STAGES = ("whole set", "draw", "propose", "network", "network layer", _TRIANGULATE, "finish")
_DETECTOR_FRAMES = 10  # of each of the demo's four videos
_READINGS = 30  # of one set of JPEGs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", help="default: those shipped")
    parser.add_argument("--views", type=int, default=4, help="default: %(default)s")
    parser.add_argument(
        "--people", type=int, default=4, help="most people of a scene (default: %(default)s)"
    )
    parser.add_argument("--sets", type=int, default=50, help="sets timed (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, help="torch's threads (default: %(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes (default: %(default)s)")
    parser.add_argument(
        "--images",
        action="store_true",
        help="time reading JPEGs and the 2D detector too, on the demo's four real views",
    )
    parser.add_argument(
        "--synchronizer", action="store_true", help="time the synchroniser alone, in seconds"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")


class Stopwatch:
    """Wall and CPU times of named stages, ms."""

    def __init__(self) -> None:
        self.wall_ms: dict[str, list[float]] = {}
        self.cpu_ms: dict[str, list[float]] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        _synchronise()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        _synchronise()
        self.wall_ms.setdefault(stage, []).append(1000 * (time.perf_counter() - wall))
        self.cpu_ms.setdefault(stage, []).append(1000 * (time.process_time() - cpu))

    def wrap(self, stage: str, call: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.time(stage):
                return call(*args, **kwargs)

        return timed

    def order(self, beginnings: tuple[str, ...]) -> None:
        """Sort the stages: by which of the beginnings (the longest that fits) they have."""

        def place(stage: str) -> int:
            fitting = [b for b in beginnings if stage.startswith(b)]
            return beginnings.index(max(fitting, key=len)) if fitting else len(beginnings)

        self.wall_ms = {stage: self.wall_ms[stage] for stage in sorted(self.wall_ms, key=place)}

    def table(self) -> list[dict]:
        return [
            {
                "stage": stage,
                "p50_ms": float(np.percentile(wall, 50)),
                "p95_ms": float(np.percentile(wall, 95)),
                "cpu_ms": float(np.mean(self.cpu_ms[stage])),
            }
            for stage, wall in self.wall_ms.items()
        ]


def run(args: argparse.Namespace) -> int:
    one_or_more = (1, None)
    expect(args, views=(2, MAX_CAMERAS), people=one_or_more, sets=one_or_more)
    expect(args, threads=one_or_more, seed=(0, None))
    check_writable(args.json)
    torch.set_num_threads(args.threads)
    report: dict = {
        "settings": vars(args) | {"run": None},
        "machine": {"cpu": _cpu_name(), "torch": torch.__version__, "threads": args.threads},
        "synchronizer": time_synchronizer(),
    }
    if not args.synchronizer:
        report |= _time_sets(args)
        _print(report)
    print_synchronizer(report["synchronizer"])
    if args.json:
        write_text(Path(args.json), json.dumps(report, indent=2, default=str) + "\n")
    return 0


def _time_sets(args: argparse.Namespace) -> dict:
    predictor = Predictor.from_pretrained(args.weights, device=args.device)
    if predictor.frontend != "keypoints":
        raise UserError(
            f"benchmark times the keypoints front-end, these weights are '{predictor.frontend}'"
        )
    scenes = _scenes(args)
    watch = Stopwatch()
    _time_network(predictor, scenes, watch)
    if args.images:
        _time_detector(watch)
    return {
        "stages": watch.table(),
        "parameters": sum(p.numel() for p in predictor.network.parameters()),
        "gflop_per_set": _gflop(predictor, scenes[0]),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _scenes(args: argparse.Namespace) -> list[Scene]:
    world = SyntheticWorld(WorldConfig.held_out(args.people), args.seed)
    scenes: list[Scene] = []
    while len(scenes) < args.sets:
        scenes += scenes_of(world.batch(min(10, args.sets), args.views))
    return scenes[: args.sets]


def _space(scene: Scene) -> Space:
    (cx, cy), (sx, sy) = scene.space_center_m, scene.space_size_m
    return Space((float(cx), float(cy)), (float(sx), float(sy)), 0.0)


def _time_network(predictor: Predictor, scenes: list[Scene], watch: Stopwatch) -> None:
    for scene in scenes[:3]:  # the first calls pay for allocations
        predictor.predict_keypoints(scene.cameras, scene.keypoints_px, _space(scene))
    layers: list[PSSLayer] = list(predictor.network.decoder.layers)  # type: ignore[arg-type]
    plain = [(layer.forward, layer._triangulate) for layer in layers]
    for i, layer in enumerate(layers):
        layer._triangulate = watch.wrap(_TRIANGULATE, layer._triangulate)  # type: ignore[method-assign]
        layer.forward = watch.wrap(f"network layer {i + 1}", layer.forward)  # type: ignore[method-assign]
    stages: dict[str, list[float]] = {}
    messages = _message_maker()
    for number, scene in enumerate(tqdm(scenes, desc="sets", leave=False)):
        with watch.time("whole set (2D keypoints to people)"):
            people = predictor.predict_keypoints(scene.cameras, scene.keypoints_px, _space(scene))
        for stage, spent in people.timings_ms.items():
            stages.setdefault(stage, []).append(spent)
        if messages is not None:
            with watch.time("message (people to bytes)"):
                messages(people, number)
    for layer, (forward, triangulate) in zip(layers, plain, strict=True):
        layer.forward, layer._triangulate = forward, triangulate  # type: ignore[method-assign]
    for stage in ("draw", "propose", "network", "finish"):
        if stage in stages:
            watch.wall_ms[stage] = stages[stage]
            watch.cpu_ms[stage] = [float("nan")]
    watch.order(_STAGES)


def _message_maker() -> Callable | None:
    """Tracks, fills and serialises a PersonArray; None where ROS is not installed."""
    try:
        from mvssm_ros.nodes.message_cost import PeopleSerializer
    except ImportError:
        return None
    return PeopleSerializer()


def _time_detector(watch: Stopwatch) -> None:
    from mvssm_ros.demo_data import find_demo, read_frames
    from mvssm_ros.frontends.mediapipe import MediaPipeDetector

    detector = MediaPipeDetector()
    videos = find_demo().videos.values()
    _time_reading([next(read_frames(video)) for video in videos], watch)
    for video in videos:
        for image in itertools.islice(read_frames(video), _DETECTOR_FRAMES):
            with watch.time("detect (a view)"):
                detector.detect(image)


def _time_reading(images: list[np.ndarray], watch: Stopwatch) -> None:
    """JPEGs of one image a view to RGB; nothing where ROS is not installed."""
    try:
        from mvssm_ros.nodes.message_cost import JpegReader
    except ImportError:
        return
    height, width = images[0].shape[:2]
    reader = JpegReader(images)
    for _ in range(_READINGS):
        with watch.time(f"read ({len(images)} JPEGs {width} x {height} to RGB)"):
            reader()
    reader.close()


def _gflop(predictor: Predictor, scene: Scene) -> float:
    with FlopCounterMode(display=False) as counter:
        predictor.predict_keypoints(scene.cameras, scene.keypoints_px, _space(scene))
    return counter.get_total_flops() / 1e9


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")),
        platform.machine(),
    )


def _print(report: dict) -> None:
    machine = report["machine"]
    print(f"{machine['cpu']}, {machine['threads']} threads, torch {machine['torch']}")
    print("| stage | p50 ms | p95 ms | CPU ms |\n| --- | --- | --- | --- |")
    for row in report["stages"]:
        cpu = "–" if np.isnan(row["cpu_ms"]) else f"{row['cpu_ms']:.1f}"
        print(f"| {row['stage'].strip()} | {row['p50_ms']:.1f} | {row['p95_ms']:.1f} | {cpu} |")
    print(
        f"parameters {report['parameters'] / 1e6:.2f} M · {report['gflop_per_set']:.2f} GFLOP a set · "
        f"peak memory {report['peak_memory_mib']:.0f} MiB"
    )
