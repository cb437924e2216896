"""The answers in 3D and over time, as one PNG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.demo.answers import Answer, ReportedPerson
from mvssm_ros.demo.overlay import color_of
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.rig.rig_file import Rig

_SKELETON = SKELETONS["panoptic15"]
_TRACED = ("nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
_TRACE_COLORS = dict(zip(_TRACED, ("black", "tab:blue", "tab:cyan", "tab:red", "tab:orange")))
_MOMENTS = 6  # skeletons drawn of each person


def plot_answers(answers: Sequence[Answer], rig: Rig, path: Path, *, people: str) -> None:
    """Draw the rig with its people, the people from near, and heights over time.

    Args:
        answers: in order of their stamps.
        people: the id of the person whose joints are traced.

    Raises:
        UserError: matplotlib is not installed.
    """
    figure = new_figure()
    layout = figure.add_gridspec(
        2, 2, height_ratios=(2.6, 1), left=0.05, right=0.98, top=0.95, bottom=0.07, wspace=0.05
    )
    by_id = _by_id(answers)
    draw_rig(figure.add_subplot(layout[0, 0], projection="3d"), answers, rig)
    _draw_near(figure.add_subplot(layout[0, 1], projection="3d"), by_id, people)
    _draw_heights(figure.add_subplot(layout[1, :]), answers, people)
    figure.savefig(path)


def new_figure() -> Any:
    """A figure to draw on, without a screen.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            f"demo: the 3D plot needs matplotlib ({error}); run: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(15, 8.5), dpi=110)
    FigureCanvasAgg(figure)
    return figure


_Seen = dict[str, list[tuple[float, ReportedPerson]]]  # id -> (seconds, the person)


def _by_id(answers: Sequence[Answer]) -> _Seen:
    found: _Seen = defaultdict(list)
    for answer in answers:
        for person in answer.seen:
            seconds = (answer.stamp_ns - answers[0].stamp_ns) * 1e-9
            found[person.id].append((seconds, person))
    return found


def draw_rig(axes: Any, answers: Sequence[Answer], rig: Rig) -> None:
    """Floor, cameras with their view directions, and the people of one set."""
    (cx, cy), (sx, sy), z = rig.space.center_m, rig.space.size_m, rig.space.floor_m
    xs = np.linspace(cx - sx / 2, cx + sx / 2, 9)
    ys = np.linspace(cy - sy / 2, cy + sy / 2, 9)
    for x in xs:
        axes.plot([x, x], [ys[0], ys[-1]], [z, z], color="0.8", linewidth=0.7)
    for y in ys:
        axes.plot([xs[0], xs[-1]], [y, y], [z, z], color="0.8", linewidth=0.7)
    corners = [np.array([x, y, z]) for x in (xs[0], xs[-1]) for y in (ys[0], ys[-1])]
    for camera in rig.cameras.values():
        center, R = camera.center_m, camera.R
        if center is None or R is None or camera.K is None or camera.size_px is None:
            continue
        axes.scatter(*center, color="tab:purple", s=18)
        axes.text(center[0], center[1], center[2] + 0.12, camera.name, fontsize=8)
        width, height = camera.size_px
        frustum = np.array(
            [[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1], [0, 0, 1]]
        )
        rim = 0.6 * frustum @ np.linalg.inv(camera.K).T @ R + center
        axes.plot(*rim.T, color="tab:purple", linewidth=0.8)
        for corner in rim[:4]:
            axes.plot(*np.stack([center, corner]).T, color="tab:purple", linewidth=0.5)
        corners.append(center)
    with_people = [answer for answer in answers if answer.seen]
    if with_people:
        for person in with_people[len(with_people) // 2].seen:
            _draw_skeleton(axes, person, unit(color_of(person.id)), 1.0)
    _equal_box(axes, np.array(corners))
    axes.set_title("the rig, its floor and everybody halfway through")


def _draw_near(axes: Any, by_id: _Seen, traced: str) -> None:
    """Skeletons at several times, pale to full, and the paths of some joints of one person."""
    seen = by_id.get(traced, [])
    if seen:
        count = min(_MOMENTS, len(seen))
        for order, pick in enumerate(np.linspace(0, len(seen) - 1, count).astype(int)):
            alpha = 0.25 + 0.75 * (order + 1) / count
            _draw_skeleton(axes, seen[pick][1], unit(color_of(traced)), alpha)
        joints_m = np.array([person.joints_m for _, person in seen])  # [S, 15, 3]
        for name in _TRACED:
            path = joints_m[:, _SKELETON.index(name)]
            axes.plot(*path.T, color=_TRACE_COLORS[name], linewidth=1.0, label=name)
        cloud = joints_m.reshape(-1, 3)
        _equal_box(axes, cloud[np.isfinite(cloud).all(-1)])
        axes.legend(fontsize=7, loc="center left", title="paths", title_fontsize=7)
    axes.set_title(f"{traced}: {_MOMENTS} moments, pale to full, and paths of joints")


def _draw_heights(axes: Any, answers: Sequence[Answer], traced: str) -> None:
    for name in _TRACED:
        joint = _SKELETON.index(name)
        times_s, heights_m, guesses = [], [], []
        for answer in answers:
            times_s.append((answer.stamp_ns - answers[0].stamp_ns) * 1e-9)
            person = next((p for p in answer.seen if p.id == traced), None)
            heights_m.append(np.nan if person is None else person.joints_m[joint, 2])
            guesses.append(person is not None and not person.observed[joint])
        axes.plot(times_s, heights_m, color=_TRACE_COLORS[name], linewidth=1.2, label=name)
        guessed = np.array(guesses, bool)
        axes.scatter(
            np.array(times_s)[guessed],
            np.array(heights_m)[guessed],
            s=22,
            facecolors="none",
            edgecolors=_TRACE_COLORS[name],
        )
    axes.set_xlabel("s of film")
    axes.set_ylabel("height, m")
    axes.set_title(f"{traced} over time (rings: predicted, not seen by two cameras)", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center right")


def _draw_skeleton(
    axes: Any, person: ReportedPerson, color: tuple[float, ...], alpha: float
) -> None:
    joints_m = person.joints_m
    for a, b in _SKELETON.edge_indices:
        pair = joints_m[[a, b]]
        if np.isfinite(pair).all():
            axes.plot(*pair.T, color=color, alpha=alpha, linewidth=2)
    axes.scatter(*joints_m[person.observed].T, color=color, alpha=alpha, s=6)


def _equal_box(axes: Any, points_m: npt.NDArray[np.float64]) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = points_m.min(0) - 0.1, points_m.max(0) + 0.1
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axes.set_box_aspect(high - low, zoom=1.15)
    axes.set(xlabel="x, m", ylabel="y, m", zlabel="z, m")
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(4))
        axis.set_tick_params(labelsize=7)
    axes.view_init(elev=18, azim=-60)


def unit(color: tuple[int, int, int]) -> tuple[float, ...]:
    """RGB 0..255 as matplotlib wants it."""
    return tuple(0.85 * c / 255 for c in color)  # a little darker: the paper is white
