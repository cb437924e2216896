"""`mvssm evaluate --tracking`: people followed through synthetic crowds, and the filters' delays."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tqdm import tqdm

from mvssm_ros.errors import UserError
from mvssm_ros.learning import tracking
from mvssm_ros.learning.synthetic.crowds import make_crowd
from mvssm_ros.tracking.body_filter import TRUNK
from mvssm_ros.tracking.identity import IdentityTracker
from mvssm_ros.tracking.tracker import FILTERS, Tracker

VIEWS = 5
RATE_HZ = 10.0
_TRUNK = [j for j, is_trunk in enumerate(TRUNK) if is_trunk]
_ENDS = (5, 8, 11, 14)  # wrists and ankles


def trackers() -> dict[str, Callable[[], tracking.Follows]]:
    """What is compared: the tracker with each filter, and nearest poses."""
    made: dict[str, Callable[[], tracking.Follows]] = {
        kind: lambda kind=kind: Tracker(kind)  # type: ignore[misc]
        for kind in FILTERS
    }
    return made | {"nearest pose": IdentityTracker}


def report(args: argparse.Namespace, crowds: list[int]) -> tuple[str, dict]:
    """The tables as Markdown, and all figures.

    Raises UserError where motmetrics is not installed or an argument cannot be.
    """
    from mvssm_ros.predictor import Predictor  # slow to import

    if args.seconds < 1:
        raise UserError(f"--seconds is {args.seconds:g}: expected at least 1")
    predictor = Predictor.from_pretrained(args.weights, device=args.device)
    rows = []
    for people in crowds:
        crowd = make_crowd(args.seed, people, VIEWS, args.seconds, RATE_HZ)

        def progress(what: str, sets: range = range(len(crowd.stamps_ns))) -> tqdm[int]:
            return tqdm(sets, desc=what, leave=False)

        recording = tracking.record(predictor, crowd, progress(f"{people} people"))
        for name, make in trackers().items():
            rows.append({"people": people, "tracker": name, **tracking.evaluate(make(), recording)})
        if args.start_from_tracks:
            again = progress(f"{people} people, from tracks")
            expected = tracking.record(predictor, crowd, again, follow=Tracker())
            figures = tracking.evaluate(Tracker(), expected)
            rows.append({"people": people, "tracker": "kalman, network starts from it", **figures})
    delays = [
        {"filter": kind, "rate_hz": rate, "trunk_ms": trunk, "ends_ms": ends}
        for kind in FILTERS
        for rate in (10.0, 30.0)
        for trunk, ends in [tracking.delay_ms(Tracker(kind), rate, _TRUNK, _ENDS)]
    ]
    text = [
        f"Synthetic crowds, {VIEWS} views, {args.seconds:g} s at {RATE_HZ:g} Hz, full detector "
        f"noise, seed {args.seed}; weights: {args.weights or 'shipped'}.",
        "",
        tracking.markdown_table(rows),
        "",
        "| filter | rate Hz | delay of the trunk ms | of wrists and ankles ms |",
        "| --- | --- | --- | --- |",
        *(
            f"| {d['filter']} | {d['rate_hz']:.0f} | {d['trunk_ms']:.0f} | {d['ends_ms']:.0f} |"
            for d in delays
        ),
    ]
    return "\n".join(text), {"crowds": rows, "delays": delays}
