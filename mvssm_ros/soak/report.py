"""The Markdown page of a soak."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict

import numpy as np

from mvssm_ros.soak.figures import Figures, Line
from mvssm_ros.soak.record import INCOMPLETE, WRONG_M, Record, Span, Wrong

_SIGNS = {True: "good", False: "BAD", None: "–"}
_STATES = {True: "confirmed", False: "tentative"}
_MOST_LINES = 20  # of wrong skeletons


def report(record: Record, numbers: Figures) -> str:
    """All of it, verdicts first."""
    sections = [_head(record), _verdicts(numbers), _resources(record, numbers)]
    sections += [_faults(record), _wrong(record)]
    if record.troubles:
        sections.append("## Requests that went wrong\n\n" + _bullets(record.troubles))
    return "\n\n".join(sections) + "\n"


def _head(record: Record) -> str:
    planned = "" if not record.ended else f" of {record.minutes:g} (ended by {record.ended})"
    return (
        "# mvssm soak\n\n"
        f"pose_node for {record.lasted_s / 60:.1f} minutes{planned}: {len(record.cameras)} cameras"
        f" at {record.rate_hz:g} Hz, keypoints with noise of severity {record.severity:g}, two"
        f" people walking, seed {record.seed}. {record.answers} answers, {record.whole_answers} of"
        f" them of all cameras, {record.people} skeletons; {len(record.spans)} faults.\n\n"
        "![memory, handles, latency and faults](plot.png)"
    )


def _verdicts(numbers: Figures) -> str:
    rows = [f"| {_SIGNS[v.good]} | {v.text} |" for v in numbers.verdicts]
    overall = "PASSED" if numbers.good else "FAILED"
    return "\n".join([f"## {overall}", "", "| | |", "| --- | --- |", *rows])


def _resources(record: Record, numbers: Figures) -> str:
    samples = record.samples
    if not samples:
        return "No samples were taken."
    calm_ms = [s.latency_ms for s in samples if not s.faults and math.isfinite(s.latency_ms)]
    latency = f"median {np.median(calm_ms):.0f} ms" if calm_ms else "none"
    rows = [
        ("memory, MiB", *_ends([s.memory_mib for s in samples]), _slope(numbers.memory_mib, "MiB")),
        ("handles", *_ends([s.handles for s in samples]), _growth(numbers.handles_growth)),
        ("threads", *_ends([s.threads for s in samples]), _growth(numbers.threads_growth)),
    ]
    lines = [
        "## The node's process",
        "",
        "| | first | last | least | most | growth |",
        "| --- | --- | --- | --- | --- | --- |",
        *[f"| {' | '.join(row)} |" for row in rows],
        "",
        "Growth: memory by a line through the second half of the run (it moves in steps, so the level"
        " is judged); handles and threads from the second quarter to the last, medians of the seconds"
        " without faults.",
        "",
        f"Latency without faults (publishing minus stamp): {latency}, drift"
        f" {_slope(numbers.latency_ms, 'ms')} over the second half, by medians of each minute:"
        f" {_series(numbers.latency_by_minute_ms)}.",
        "",
        f"Answers a second without faults: {numbers.rate_hz:g} (median). The node used"
        f" {_median([s.cpu_percent for s in samples])} % of a core; the"
        f" machine's load was {np.median([s.load for s in samples]):.1f} on {os.cpu_count()} cores"
        " (medians), and latency follows that.",
    ]
    return "\n".join(lines)


def _faults(record: Record) -> str:
    by_kind: dict[str, list[Span]] = defaultdict(list)
    for span in record.spans:
        by_kind[span.kind].append(span)
    wrong: Counter[str] = Counter()
    for each in record.wrong:
        for kind in by_kind:
            wrong[kind] += kind in each.faults
    lines = [
        "## Faults",
        "",
        "Recovery: from a fault's end to the first of three sets in a row that use all cameras and"
        " find both people, and nobody else.",
        "",
        "| fault | times | recovered | recovery median, s | most, s | wrong skeletons meanwhile |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, spans in sorted(by_kind.items()):
        took = [s.recovery_s for s in spans if math.isfinite(s.recovery_s)]
        middle, most = (f"{np.median(took):.1f}", f"{max(took):.1f}") if took else ("–", "–")
        lines.append(f"| {kind} | {len(spans)} | {len(took)} | {middle} | {most} | {wrong[kind]} |")
    return "\n".join(lines)


def _wrong(record: Record) -> str:
    without = [w for w in record.wrong if not w.faults]
    after = [w for w in record.wrong if w.faults.startswith("after ")]
    incomplete = [w for w in record.wrong if w.faults == INCOMPLETE]
    during = len(record.wrong) - len(without) - len(after) - len(incomplete)
    lines = [
        "## Wrong skeletons",
        "",
        f"Reported as seen and further than {WRONG_M:g} m from everybody (mean over its observed"
        f" joints): {len(without)} without a fault, {during} during one, {len(after)} in the"
        f" moments after one, {len(incomplete)} in other sets that lacked images of some cameras (a"
        " busy machine loses some; two cameras alone give rough depth).",
    ]
    shown: list[Wrong] = (without + [w for w in record.wrong if w.faults])[:_MOST_LINES]
    if shown:
        lines += [
            "",
            "| at, s | person | state | distance, m | joints observed | cameras | faults |",
        ]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        lines += [
            f"| {w.at_s:.0f} | {w.person} | {_STATES[w.confirmed]} | {w.distance_m:.2f}"
            f" | {w.observed} | {w.cameras} | {w.faults or 'none'} |"
            for w in shown
        ]
        if len(record.wrong) > len(shown):
            lines.append(f"\n... and {len(record.wrong) - len(shown)} more.")
    return "\n".join(lines)


def _ends(values: list[float] | list[int]) -> tuple[str, str, str, str]:
    kept = (values[0], values[-1], min(values), max(values))
    first, last, least, most = (f"{v:.0f}" for v in kept)
    return first, last, least, most


def _slope(line: Line | None, unit: str) -> str:
    return "– (run too short)" if line is None else f"{line.slope_h:+.1f} {unit}/h"


def _median(values: list[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return f"{np.median(known):.0f}" if known else "–"


def _growth(growth: float) -> str:
    return f"{growth:+g}" if math.isfinite(growth) else "– (run too short)"


def _series(minutes: list[tuple[float, float]]) -> str:
    return ", ".join(f"{value:.0f}" for _, value in minutes) or "–"


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines[:_MOST_LINES])
