"""Simulated people and the answers to them: in 3D, from above, and the error over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.demo.answers import Answer
from mvssm_ros.demo.overlay import color_of
from mvssm_ros.demo.plot import draw_rig, new_figure, unit
from mvssm_ros.demo.truth import AgainstTruth
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.simulation.simulator import Simulator

_HIP = PANOPTIC15.index("mid_hip")


def plot_simulation(
    answers: Sequence[Answer], simulator: Simulator, truth: AgainstTruth, path: Path
) -> None:
    """Draw it into a PNG.

    Raises:
        UserError: matplotlib is not installed.
    """
    figure = new_figure()
    layout = figure.add_gridspec(
        2, 2, height_ratios=(2.6, 1), left=0.05, right=0.98, top=0.95, bottom=0.07, wspace=0.12,
        hspace=0.22,
    )  # fmt: skip
    draw_rig(figure.add_subplot(layout[0, 0], projection="3d"), answers, simulator.scenario.rig)
    _draw_paths(figure.add_subplot(layout[0, 1]), answers, simulator)
    _draw_errors(figure.add_subplot(layout[1, :]), answers, simulator, truth)
    figure.savefig(path)


def _draw_paths(axes: Any, answers: Sequence[Answer], simulator: Simulator) -> None:
    """Hips from above: the true paths grey and wide, the answers' in their ids' colours."""
    from matplotlib.patches import Rectangle

    space = simulator.scenario.rig.space
    low = np.array(space.center_m) - np.array(space.size_m) / 2
    axes.add_patch(Rectangle((low[0], low[1]), *space.size_m, facecolor="0.97", edgecolor="0.6"))
    for piece in simulator.scenario.furniture:
        corner = np.array(piece.center_m) - np.array(piece.size_m) / 2
        axes.add_patch(
            Rectangle((corner[0], corner[1]), *piece.size_m, facecolor="#d8c0a0", edgecolor="0.5")
        )
        axes.text(*piece.center_m, piece.name, ha="center", va="center", fontsize=8, color="0.3")
    if simulator.scenario.arm:
        axes.plot(*simulator.scenario.arm.base_m[:2], "s", color="tab:orange", label="arm")
    frames = [answer.frame for answer in answers if answer.frame >= 0]
    hips = np.array([simulator.moment(f).joints_m[:, _HIP, :2] for f in frames])  # [F, G, 2]
    for g, name in enumerate(simulator.names):
        axes.plot(*hips[:, g].T, color="0.75", linewidth=6, solid_capstyle="round", zorder=1)
        axes.annotate(
            name, hips[0, g], xytext=(6, 6), textcoords="offset points", fontsize=9, color="0.35"
        )
    ids = sorted({person.id for answer in answers for person in answer.seen})
    for person_id in ids:
        path = [
            person.joints_m[_HIP, :2] if person else np.full(2, np.nan)
            for answer in answers
            for person in [next((p for p in answer.seen if p.id == person_id), None)]
        ]
        color = unit(color_of(person_id))
        axes.plot(*np.array(path).T, color=color, linewidth=1.6, label=person_id, zorder=2)
    axes.set_aspect("equal")
    axes.set(xlim=(low[0] - 0.1, -low[0] + 2 * space.center_m[0] + 0.1))
    axes.set(ylim=(low[1] - 0.1, -low[1] + 2 * space.center_m[1] + 0.1))
    axes.set(xlabel="x, m", ylabel="y, m")
    axes.set_title("hips from above: true (grey) and reported (a colour an id)")
    axes.legend(fontsize=8, loc="upper right")


def _draw_errors(
    axes: Any, answers: Sequence[Answer], simulator: Simulator, truth: AgainstTruth
) -> None:
    frames = [answer.frame for answer in answers if answer.frame >= 0]
    for person in truth.people:
        row = np.full(max(frames, default=0) + 1, np.nan)
        row[person.sets] = 1000 * np.nanmean(person.errors_m, -1) if len(person.sets) else []
        times_s = np.array(frames) / simulator.rate_hz
        main = max(person.id_counts, key=lambda k: person.id_counts[k], default="")
        color = unit(color_of(main)) if main else "0.5"
        axes.plot(
            times_s, row[frames], color=color, linewidth=1.3, marker=".", markersize=4,
            label=f"{person.name} ({main or 'never found'})",
        )  # fmt: skip
    joints_m = np.array([simulator.moment(f).joints_m for f in frames])  # [F, G, 15, 3]
    if joints_m.size and joints_m.shape[1] > 1:
        hips = joints_m[:, :, _HIP, :2]
        apart = np.linalg.norm(hips[:, :, None] - hips[:, None], axis=-1)
        apart += 1e3 * np.eye(apart.shape[-1])
        near = apart.min((1, 2)) < 0.8
        axes.fill_between(
            np.array(frames) / simulator.rate_hz, 0, 1, where=near, alpha=0.12, color="tab:red",
            transform=axes.get_xaxis_transform(), label="two are within 0.8 m", step="mid",
        )  # fmt: skip
    axes.set(xlabel="s", ylabel="mean joint error, mm")
    axes.set_ylim(bottom=0)
    axes.set_title("distance of the joints from where they truly are", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper right", ncols=4)
