"""The course of a soak as one picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.soak.faults import KINDS
from mvssm_ros.soak.figures import Figures, Line
from mvssm_ros.soak.record import Record, Sample

_INK = "#23272e"
_GRID = "#d9dde3"
_MEMORY, _LATENCY, _HANDLES, _THREADS = "#2563a8", "#7a4fa3", "#1b7f6b", "#c2570c"
_BAD = "#c1121f"
_LOAD = "#8a929e"
_RUNNING = 60  # samples of a running median
_MINUTES_FROM_S = 180.0  # a shorter run's time axis is in seconds


def plot_soak(record: Record, numbers: Figures, path: Path) -> None:
    """Memory, handles and threads, latency, answers, and below them the faults by kind.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            f"soak: the plot needs matplotlib ({error}); run: pip install matplotlib"
        ) from error
    kinds = [kind for kind in KINDS if any(s.kind == kind for s in record.spans)] or ["none"]
    figure = Figure(figsize=(14, 9.5 + 0.18 * len(kinds)), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    ratios = (2.4, 1.6, 1.8, 1.2, 0.5 + 0.26 * len(kinds))
    layout = figure.add_gridspec(
        5, 1, height_ratios=ratios, left=0.095, right=0.95, top=0.925, bottom=0.055, hspace=0.16
    )
    panels = [figure.add_subplot(layout[0])]
    panels += [figure.add_subplot(layout[row], sharex=panels[0]) for row in range(1, 5)]
    unit_s = 60.0 if record.lasted_s >= _MINUTES_FROM_S else 1.0
    colors = _colors(kinds)
    for panel in panels:
        _dress(panel)
        for span in record.spans if panel is not panels[4] else ():
            end_s = (
                min(span.end_s, record.lasted_s) if span.end_s == span.end_s else record.lasted_s
            )
            panel.axvspan(
                span.begin_s / unit_s, end_s / unit_s, color=colors[span.kind], alpha=0.13, lw=0
            )
    _memory(panels[0], record, numbers, unit_s)
    _handles(panels[1], record, unit_s)
    _latency(panels[2], record, numbers, unit_s)
    _answers(panels[3], record, unit_s)
    _faults(panels[4], record, kinds, colors, unit_s)
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    panels[-1].set_xlabel("minutes" if unit_s == 60.0 else "seconds", color=_INK)
    panels[0].set_xlim(0, max(record.lasted_s, 1.0) / unit_s)
    verdict = "passed" if numbers.good else "FAILED"
    figure.suptitle(
        f"mvssm soak: pose_node for {record.lasted_s / 60:.1f} minutes,"
        f" {len(record.spans)} faults, seed {record.seed}: {verdict}",
        x=0.095, y=0.965, ha="left", fontsize=14, fontweight="bold",
        color=_INK if numbers.good else _BAD,
    )  # fmt: skip
    figure.align_ylabels(panels[:4])
    figure.savefig(path)


def _memory(axes: Any, record: Record, numbers: Figures, unit_s: float) -> None:
    times, values = _series(record.samples, unit_s, lambda s: s.memory_mib)
    is_long = len(values) > 5 * _RUNNING
    axes.plot(
        times,
        values,
        color=_MEMORY,
        lw=0.5 if is_long else 1.4,
        alpha=0.45 if is_long else 1.0,
        label="resident memory",
    )
    if is_long:
        windows = np.lib.stride_tricks.sliding_window_view(values, _RUNNING)
        middle = times[_RUNNING // 2 : _RUNNING // 2 + len(windows)]
        axes.plot(middle, np.median(windows, 1), color=_MEMORY, lw=2.0, label="median of a minute")
    if numbers.memory_mib is not None:
        label = f"second half: {numbers.memory_mib.slope_h:+.1f} MiB/h"
        _line(axes, numbers.memory_mib, unit_s, label)
    if len(values):
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        margin = max(0.15 * (high - low), 2.0)
        axes.set_ylim(low - margin, high + 1.6 * margin)
    axes.set_ylabel("memory, MiB", color=_INK)
    _legend(axes)


def _handles(axes: Any, record: Record, unit_s: float) -> None:
    times, handles = _series(record.samples, unit_s, lambda s: s.handles)
    _, threads = _series(record.samples, unit_s, lambda s: s.threads)
    axes.step(times, handles, where="post", color=_HANDLES, lw=1.4, label="open handles")
    axes.step(times, threads, where="post", color=_THREADS, lw=1.4, ls="--", label="threads")
    highest = max([*handles, *threads, 1])
    axes.set_ylim(0, 1.3 * highest)
    axes.set_ylabel("handles, threads", color=_INK)
    _legend(axes)


def _latency(axes: Any, record: Record, numbers: Figures, unit_s: float) -> None:
    times, values = _series(record.samples, unit_s, lambda s: s.latency_ms)
    axes.scatter(times, values, s=9, color=_LATENCY, alpha=0.35, lw=0, label="median of a second")
    if numbers.latency_by_minute_ms:
        middles, medians = np.array(numbers.latency_by_minute_ms).T
        axes.plot(
            middles / unit_s, medians, "o-", color=_LATENCY, lw=1.4, ms=3.5,
            label="median of a minute, without faults",
        )  # fmt: skip
    if numbers.latency_ms is not None:
        _line(
            axes, numbers.latency_ms, unit_s, f"second half: {numbers.latency_ms.slope_h:+.1f} ms/h"
        )
    finite = values[np.isfinite(values)]
    if len(finite):
        axes.set_ylim(0, 1.5 * float(np.percentile(finite, 99)))
    axes.set_ylabel("latency, ms", color=_INK)
    right = axes.twinx()
    _, load = _series(record.samples, unit_s, lambda s: s.load)
    (line,) = right.plot(times, load, color=_LOAD, lw=1.0, label="load of the machine (right)")
    right.set_ylim(0, 2.2 * float(np.nanmax(load, initial=1.0)))
    right.tick_params(colors=_LOAD, labelsize=8.5)
    for side in right.spines.values():
        side.set_visible(False)
    handles, _ = axes.get_legend_handles_labels()
    _legend(axes, [*handles, line])


def _answers(axes: Any, record: Record, unit_s: float) -> None:
    times, answers = _series(record.samples, unit_s, lambda s: s.answers)
    axes.plot(times, answers, color=_INK, lw=0.7, alpha=0.8, label="answers a second")
    for during, marker, label in (
        (True, "o", "wrong skeleton during or just after a fault"),
        (False, "X", "wrong skeleton without a fault"),
    ):
        at = [w.at_s / unit_s for w in record.wrong if bool(w.faults) is during]
        if at:
            axes.scatter(
                at, [0.4] * len(at), marker=marker, s=22 if during else 70, color=_BAD,
                facecolors="none" if during else _BAD, label=label, zorder=5,
            )  # fmt: skip
    axes.set_ylim(0, 1.7 * max([*answers, record.rate_hz]))
    axes.set_ylabel("answers/s", color=_INK)
    _legend(axes)


def _faults(
    axes: Any, record: Record, kinds: list[str], colors: dict[str, Any], unit_s: float
) -> None:
    """One row a kind; the pale part is the recovery."""
    for span in record.spans:
        row = kinds.index(span.kind)
        end_s = span.end_s if math.isfinite(span.end_s) else record.lasted_s
        begin, width = span.begin_s / unit_s, (end_s - span.begin_s) / unit_s
        axes.broken_barh([(begin, width)], (row - 0.36, 0.72), color=colors[span.kind], lw=0)
        if math.isfinite(span.recovery_s):
            after = (end_s / unit_s, span.recovery_s / unit_s)
            axes.broken_barh([after], (row - 0.36, 0.72), color=colors[span.kind], alpha=0.35, lw=0)
    axes.set_yticks(range(len(kinds)), kinds, fontsize=8.5)
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.set_title("faults, and recovery from them (pale)", loc="left", fontsize=9, color=_INK)


def _series(
    samples: Sequence[Sample], unit_s: float, value: Callable[[Sample], float]
) -> tuple[Any, Any]:
    return (
        np.array([s.at_s for s in samples]) / unit_s,
        np.array([value(s) for s in samples], dtype=float),
    )


def _line(axes: Any, line: Line, unit_s: float, label: str) -> None:
    ends_s = np.array([line.begin_s, line.end_s])
    axes.plot(ends_s / unit_s, line.at(ends_s), "--", color=_BAD, lw=1.6, label=label)


def _colors(kinds: list[str]) -> dict[str, Any]:
    from matplotlib import colormaps

    table = colormaps["tab20"]
    order = [*range(0, 20, 2), *range(1, 20, 2)]
    return {kind: table(order[i % 20]) for i, kind in enumerate(kinds)}


def _dress(axes: Any) -> None:
    axes.grid(axis="both", color=_GRID, lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#8a929e")
    axes.tick_params(colors=_INK, labelsize=8.5)


def _legend(axes: Any, handles: list[Any] | None = None) -> None:
    shown = axes.get_legend_handles_labels()[0] if handles is None else handles
    axes.legend(
        handles=shown, loc="upper right", fontsize=8, ncols=4, framealpha=0.85, edgecolor="none"
    )
