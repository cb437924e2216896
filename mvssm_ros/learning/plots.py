"""Plots of an evaluation: error joint by joint, AP and error by the number of cameras and by rig.

Drawn by matplotlib (the package's extra `demo`), which is imported only here and only when asked for.
Rows are those of `mvssm evaluate`: rigs, views, method, the figures of `metrics.summary`, and joints,
what `joint_errors` returns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import PANOPTIC15, Skeleton
from mvssm_ros.learning import metrics

JOINTS_FILE, CAMERAS_FILE, RIGS_FILE = "error_by_joint.png", "by_cameras.png", "by_rig.png"
_MEASURES = (
    ("AP25", "AP25 (%)"),
    ("AP50", "AP50 (%)"),
    ("MPJPE_mm", "MPJPE (mm)"),
    ("average", "PCP3D, mean of actors 1-3 (%)"),
)
_PER_CENT = ("AP25", "AP50", "average")
_OTHER = "other rigs"
_MARKS = {"random rigs": ("o", "-"), "CMU0ex": ("s", "--"), _OTHER: ("D", "")}
_MOST_NAMED = 4  # methods: with more, points of other rigs would cover each other
_NEAR = 0.05  # of an axis: points nearer than this share a label
_DPI = 120


def joint_errors(
    matches: metrics.Matches,
    threshold_m: float = metrics.FOUND_WITHIN_M,
    skeleton: Skeleton = PANOPTIC15,
) -> dict[str, dict[str, float]]:
    """Errors of each joint over the people found, of the predictions that found them (as MPJPE has it).

    Returns, by the joint's name: mean_mm, median_mm (NaN: never measured), people.
    """
    order, hit = metrics.first_matches(matches, threshold_m)
    errors_mm = 1000.0 * matches.joint_error_m[order[hit]]  # [found, J]
    if errors_mm.shape[1] != skeleton.n_joints:
        raise ValueError(f"{skeleton.name} has {skeleton.n_joints} joints, not {errors_mm.shape}")
    found = {}
    for name, column in zip(skeleton.joints, errors_mm.T):
        known = column[np.isfinite(column)]
        found[name] = {
            "mean_mm": float(known.mean()) if len(known) else math.nan,
            "median_mm": float(np.median(known)) if len(known) else math.nan,
            "people": len(known),
        }
    return found


def require_matplotlib() -> None:
    """Raises UserError where matplotlib is not installed."""
    _new_figure(1, 1)


def save_plots(rows: Sequence[Mapping[str, Any]], folder: str | Path, title: str) -> list[Path]:
    """The plots as PNG, of the rows that have what they need. Returns the files.

    Raises:
        UserError: matplotlib is not installed, or a file cannot be written.
    """
    folder, made = Path(folder), []
    if any(row.get("joints") for row in rows):
        made.append(_save(joints_figure(rows, title), folder / JOINTS_FILE))
    made.append(_save(cameras_figure(rows, title), folder / CAMERAS_FILE))
    if len({(row["rigs"], row["views"]) for row in rows}) > 1:
        made.append(_save(rigs_figure(rows, title), folder / RIGS_FILE))
    return made


def joints_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Any:
    """Error by joint as a matplotlib Figure: a panel a rig, a bar a method for the mean, a line across
    it for the median."""
    rows = [row for row in rows if row.get("joints")]
    panels: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        panels.setdefault((row["rigs"], row["views"]), []).append(row)
    figure = _new_figure(11, 1.6 + 2.5 * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    colours = _colours(methods)
    joints = list(rows[0]["joints"])
    width = 0.8 / len(methods)
    for axis, ((rig, views), group) in zip(axes, panels.items()):
        for row in group:
            m = methods.index(row["method"])
            x = np.arange(len(joints)) + (m - (len(methods) - 1) / 2) * width
            means, medians = (
                [row["joints"][joint][key] for joint in joints] for key in ("mean_mm", "median_mm")
            )
            axis.bar(x, means, 0.92 * width, color=colours[row["method"]], label=row["method"])
            half = 0.46 * width
            axis.hlines(medians, x - half, x + half, color="black", linewidth=1.4)
        axis.set_title(f"{rig}, {views} views", fontsize=10, loc="left")
        axis.set_ylabel("error (mm)")
        _dress(axis)
    axes[-1].set_xticks(range(len(joints)), [j.replace("_", " ") for j in joints], rotation=35)
    for label in axes[-1].get_xticklabels():
        label.set_horizontalalignment("right")
    axes[-1].set_xlabel("joint")
    figure.suptitle(f"{title}\nerror by joint: bars are means, black lines medians", fontsize=11)
    _legend(figure, axes)
    return figure


def cameras_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Any:
    """AP and error by the number of cameras as a matplotlib Figure: a colour a method, a line a family
    of rigs (random, CMU0ex), points with their names for other rigs.

    A row may have spread, {measure: half of the range over seeds}, drawn as error bars. With many
    methods and lines to show, other rigs are left to `rigs_figure`.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    on_lines = [row for row in rows if _family(row["rigs"]) != _OTHER]
    if len(methods) > _MOST_NAMED and on_lines:
        rows = on_lines
    measures = _measures(rows)
    figure = _new_figure(1.2 + 4.8 * len(measures), 5.2)
    axes = figure.subplots(1, len(measures), squeeze=False)[0]
    colours = _colours(methods)
    for axis, (name, label) in zip(axes, measures):
        for (method, family), group in _lines(rows, name).items():
            marker, style = _MARKS[family]
            spread = [_spread(row, name) for row in group]
            axis.errorbar(
                [row["views"] for row in group],
                [row[name] for row in group],
                spread if any(spread) else None,
                color=colours[method],
                marker=marker,
                linestyle=style,
                capsize=3,
                label=f"{method}, {family}",
            )
        views = sorted({row["views"] for row in rows})
        axis.set_xlabel("number of cameras")
        axis.set_xticks(views)
        axis.set_xlim(views[0] - 0.6, views[-1] + 0.9)
        _measure_axis(axis, name, label)
        _name_points(axis, rows, name)
    figure.suptitle(title, fontsize=11)
    _legend(figure, axes)
    return figure


def rigs_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Any:
    """AP and error by rig as a matplotlib Figure: a panel a measure, a bar a method."""
    measures = _measures(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    rigs = list(dict.fromkeys((row["rigs"], row["views"]) for row in rows))
    width = 0.8 / len(methods)
    figure = _new_figure(max(7.0, 2.0 + 0.9 * len(rigs)), 1.4 + 2.6 * len(measures))
    axes = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
    colours = _colours(methods)
    for axis, (name, label) in zip(axes, measures):
        for m, method in enumerate(methods):
            group = [row for row in rows if row["method"] == method and _known(row, name)]
            shift = (m - (len(methods) - 1) / 2) * width
            spread = [_spread(row, name) for row in group]
            axis.bar(
                [rigs.index((row["rigs"], row["views"])) + shift for row in group],
                [row[name] for row in group],
                0.92 * width,
                yerr=spread if any(spread) else None,
                color=colours[method],
                label=method,
                error_kw={"linewidth": 0.9},
            )
        _measure_axis(axis, name, label)
    names = [f"{rig}\n{views}" for rig, views in rigs]
    axes[-1].set_xticks(range(len(rigs)), names, fontsize=8)
    axes[-1].set_xlabel("rig, and its number of cameras")
    figure.suptitle(title, fontsize=11)
    _legend(figure, axes)
    return figure


def _measures(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Those that some row knows; at least one."""
    known = [m for m in _MEASURES if any(_known(row, m[0]) for row in rows)]
    return known or [_MEASURES[0]]


def _measure_axis(axis: Any, name: str, label: str) -> None:
    axis.set_ylabel(label)
    axis.set_ylim(0, 108 if name in _PER_CENT else None)
    if name in _PER_CENT:
        axis.set_yticks(range(0, 101, 20))
    _dress(axis)


def _spread(row: Mapping[str, Any], name: str) -> float:
    return (row.get("spread") or {}).get(name) or 0.0


def _name_points(axis: Any, rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """Names of the rigs that are on no line, once, beside the highest of their points."""
    highest: dict[tuple[int, str], float] = {}
    for row in rows:
        if _family(row["rigs"]) == _OTHER and _known(row, name):
            at = row["views"], row["rigs"]
            highest[at] = max(highest.get(at, -math.inf), row[name])
    labels: list[tuple[int, float, list[str]]] = []
    near = _NEAR * axis.get_ylim()[1]
    for (views, rig), value in sorted(highest.items(), key=lambda item: (item[0][0], item[1])):
        if labels and labels[-1][0] == views and value - labels[-1][1] < near:
            labels[-1][2].append(rig)
        else:
            labels.append((views, value, [rig]))
    for views, value, names in labels:
        axis.annotate(
            ", ".join(names), (views, value), textcoords="offset points", xytext=(6, 3), fontsize=8
        )


def _lines(
    rows: Sequence[Mapping[str, Any]], name: str
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Rows by method and family of rigs, those that know the measure, by number of views."""
    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["views"]):
        if _known(row, name):
            lines.setdefault((row["method"], _family(row["rigs"])), []).append(row)
    return lines


def _family(rig: str) -> str:
    if rig.startswith("random"):
        return "random rigs"
    return "CMU0ex" if re.match(r"CMU0ex\W*\d", rig) else _OTHER


def _known(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    return value is not None and math.isfinite(value)


def _new_figure(width: float, height: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            f"--plots needs matplotlib ({error}): pip install 'mvssm_ros[demo]'"
        ) from None
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _colours(methods: Sequence[str]) -> dict[str, Any]:
    from matplotlib import colormaps

    palette = colormaps["tab10"]
    return {method: palette(m % 10) for m, method in enumerate(methods)}


def _dress(axis: Any) -> None:
    axis.grid(True, axis="y", color="#d9dde3", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _legend(figure: Any, axes: Sequence[Any]) -> None:
    """One below all panels, each series once."""
    series: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            series.setdefault(label, handle)
    if series:
        figure.legend(
            list(series.values()), list(series), loc="outside lower center",
            ncols=min(4, len(series)), fontsize=9, frameon=False,
        )  # fmt: skip


def _save(figure: Any, path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    return path
