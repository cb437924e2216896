"""`mvssm rig show`: a rig in 3D and from above, as one PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.rig.coverage import coverage
from mvssm_ros.rig.rig_file import CameraEntry, Rig

Array = npt.NDArray[np.float64]

_COLORS = ("#2f6fb7", "#c8553d", "#3a8f5c", "#8a5aa8", "#b8862b", "#2a9aa5", "#b44c82", "#6b7280")
_INK, _PALE = "#30363d", "#c3c9d0"
_AXES = (("x", "#d1495b"), ("y", "#3a8f5c"), ("z", "#2f6fb7"))


def draw_rig(rig: Rig, path: str | Path, title: str = "") -> None:
    """Write the picture as a PNG.

    Raises:
        UserError: as `figure_of`, or the file cannot be written.
    """
    figure = figure_of(rig, title)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise UserError(f"rig show: {path} cannot be written ({error.strerror})") from None


def figure_of(rig: Rig, title: str = "") -> Any:
    """The picture as a matplotlib Figure: in 3D, and from above with who sees what.

    Cameras whose pose is not in the rig file are named in it, not drawn.

    Raises:
        UserError: matplotlib is not installed, or no camera has a pose.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            f"rig show: needs matplotlib ({error}); run: pip install matplotlib"
        ) from error
    placed = [entry for entry in rig.cameras.values() if entry.center_m is not None]
    if not placed:
        raise UserError("rig show: no camera has extrinsics in the rig file; they come from TF")
    colors = {entry.name: _COLORS[i % len(_COLORS)] for i, entry in enumerate(placed)}
    length_m = _frustum_length_m(rig, placed)
    figure = Figure(figsize=(15.5, 6.4), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    layout = figure.add_gridspec(1, 2, width_ratios=(1.25, 1), left=0.03, right=0.96, top=0.92,
                                 bottom=0.09, wspace=0.08)  # fmt: skip
    _draw_3d(figure.add_subplot(layout[0, 0], projection="3d"), rig, placed, colors, length_m)
    _draw_above(figure, figure.add_subplot(layout[0, 1]), rig, placed, colors, length_m)
    figure.text(0.02, 0.955, title or "rig", fontsize=14, color=_INK, weight="bold")
    figure.text(0.02, 0.02, _caption(rig, placed), fontsize=9.5, color=_INK)
    return figure


def _draw_3d(
    axes: Any, rig: Rig, placed: list[CameraEntry], colors: dict[str, str], length_m: float
) -> None:
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    corners, floor = _space_corners(rig), rig.space.floor_m
    low, high = _bounds(rig, placed, length_m)
    above = np.array([0, 0, 0.035 * float(np.linalg.norm(high - low))])
    step = _grid_step(high - low)
    x = np.arange(np.ceil(low[0] / step), np.floor(high[0] / step) + 1) * step
    y = np.arange(np.ceil(low[1] / step), np.floor(high[1] / step) + 1) * step
    for value in x:
        axes.plot(
            [value] * 2, [low[1], high[1]], [floor] * 2, color="#e3e6ea", linewidth=0.8, zorder=0
        )
    for value in y:
        axes.plot(
            [low[0], high[0]], [value] * 2, [floor] * 2, color="#e3e6ea", linewidth=0.8, zorder=0
        )
    axes.add_collection3d(
        Poly3DCollection([corners], facecolor="#f0c75e", edgecolor="#b8862b", alpha=0.35)
    )
    for entry in placed:
        color, center = colors[entry.name], _center(entry)
        rim = _rim(entry, length_m)
        axes.plot([center[0]] * 2, [center[1]] * 2, [floor, center[2]], color=color, linewidth=0.9,
                  linestyle=":", alpha=0.7)  # fmt: skip
        faces = [[center, rim[i], rim[(i + 1) % 4]] for i in range(4)]
        axes.add_collection3d(
            Poly3DCollection(faces, facecolor=color, edgecolor=color, alpha=0.16, linewidth=0.9)
        )
        axes.plot(*np.vstack([rim, rim[:1]]).T, color=color, linewidth=1.3)
        axes.plot(*rim[:2].T, color=color, linewidth=3.2)  # the image's upper edge
        axes.scatter(*center, color=color, s=26, depthshade=False)
        axes.text(
            *(center + above), entry.name, color=color, fontsize=11, weight="bold", ha="center"
        )
    for axis, (name, color) in enumerate(_AXES):
        tip = np.zeros(3)
        tip[axis] = 0.75 * length_m
        axes.quiver(0, 0, 0, *tip, color=color, linewidth=2.2, arrow_length_ratio=0.2)
        axes.text(
            *(1.25 * tip), name, color=color, fontsize=10, weight="bold", ha="center", va="center"
        )
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axes.set_box_aspect(high - low, zoom=1.2)
    axes.set(xlabel="x, m", ylabel="y, m", zlabel="z, m")
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.set_tick_params(labelsize=8, colors=_INK)
        axis.line.set_color(_PALE)
        axis._axinfo["grid"].update(color=(0, 0, 0, 0))
    axes.set_zticks(np.arange(np.ceil(low[2] / step), np.floor(high[2] / step) + 1) * step)
    axes.view_init(elev=24, azim=_azimuth(placed, rig))


def _draw_above(
    figure: Any,
    axes: Any,
    rig: Rig,
    placed: list[CameraEntry],
    colors: dict[str, str],
    length_m: float,
) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    low, high = _bounds(rig, placed, length_m)
    seen = coverage(rig)
    corners = _space_corners(rig)
    if seen is not None:
        side = round(len(seen.points_m) ** 0.5)
        count = seen.seen.sum(0).reshape(side, side)
        shades = ["#e07a5f", "#f4c7a1", "#dcebd9", "#b5d6b2", "#8dbf8b", "#64a665", "#3f8a46"]
        levels = shades[: min(len(placed), len(shades) - 1) + 1]
        norm = BoundaryNorm(np.arange(len(levels) + 1) - 0.5, len(levels))
        cell = np.array(rig.space.size_m) / (side - 1) / 2
        (x0, y0), (x1, y1) = corners[0, :2] - cell, corners[2, :2] + cell
        shown = axes.imshow(np.minimum(count, len(levels) - 1), origin="lower", extent=(x0, x1, y0, y1),
                            cmap=ListedColormap(levels), norm=norm, alpha=0.75, zorder=0)  # fmt: skip
        labels = [str(i) for i in range(len(levels))]
        if len(placed) >= len(levels):
            labels[-1] += "+"
        bar = figure.colorbar(
            shown, ax=axes, ticks=range(len(levels)), fraction=0.032, pad=0.02, shrink=0.75
        )
        bar.ax.set_yticklabels(labels)
        bar.set_label("cameras that see the place, 1 m above the floor", color=_INK, fontsize=9)
        bar.outline.set_visible(False)
    axes.plot(*np.vstack([corners, corners[:1]])[:, :2].T, color="#b8862b", linewidth=1.6)
    middle = np.array([*rig.space.center_m, rig.space.floor_m])
    for entry in placed:
        color, center = colors[entry.name], _center(entry)
        wedge = np.vstack([center, _level_rim(entry, length_m)])[:, :2]
        axes.fill(*wedge.T, facecolor=color, edgecolor=color, alpha=0.22, linewidth=1.2, zorder=3)
        axes.scatter(center[0], center[1], color=color, s=34, zorder=4)
        outward = center[:2] - middle[:2]
        outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
        side_of = "right" if outward[0] < -0.3 else "left" if outward[0] > 0.3 else "center"
        axes.annotate(f"{entry.name}  {center[2] - rig.space.floor_m:.1f} m", center[:2],
                      xytext=14 * outward, textcoords="offset points", color=color, fontsize=10,
                      weight="bold", ha=side_of,
                      va="center", zorder=5, annotation_clip=False)  # fmt: skip
    for axis, (name, color) in enumerate(_AXES[:2]):
        tip = np.zeros(2)
        tip[axis] = 0.75 * length_m
        axes.annotate(
            "", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2}
        )
        axes.text(
            *(1.2 * tip), name, color=color, fontsize=10, weight="bold", ha="center", va="center"
        )
    axes.set_aspect("equal")
    margin = 0.14 * float((high - low)[:2].max())
    axes.set(
        xlim=(low[0] - 2 * margin, high[0] + 2 * margin),
        ylim=(low[1] - 0.4 * margin, high[1] + 0.4 * margin),
    )
    axes.set_title("from above (heights above the floor)", fontsize=10.5, color=_INK, loc="left")
    axes.set(xlabel="x, m", ylabel="y, m")
    axes.grid(color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=_INK)
    for spine in axes.spines.values():
        spine.set_color(_PALE)


def _caption(rig: Rig, placed: list[CameraEntry]) -> str:
    seen = coverage(rig)
    x, y = rig.space.size_m
    words = [
        f"frame '{rig.reference_frame}', space {x:g} x {y:g} m (yellow)",
        "thick edge: top of the image",
    ]
    if seen is not None:
        words.append(f"{100 * seen.share_of_two:.0f} % of the space is seen by two cameras or more")
    absent = [name for name, entry in rig.cameras.items() if entry.center_m is None]
    if absent:
        words.append(f"not drawn, pose comes from TF: {', '.join(absent)}")
    if any(entry.K is None for entry in placed):
        words.append("field of view unknown (from camera_info): drawn 60 degrees wide")
    return "   ·   ".join(words)


def _center(entry: CameraEntry) -> Array:
    center = entry.center_m
    assert center is not None  # only placed cameras are drawn
    return center


def _rays(entry: CameraEntry, pixels: Array) -> Array:
    """World directions of pixels [N, 2] with depth 1; distortion is left out."""
    assert entry.R is not None
    K = np.eye(3) if entry.K is None else entry.K
    return np.hstack([pixels, np.ones((len(pixels), 1))]) @ np.linalg.inv(K).T @ entry.R


def _image_corners(entry: CameraEntry) -> Array:
    """Upper left, upper right, lower right, lower left, px; 60 degrees wide if unknown."""
    if entry.K is None or entry.size_px is None:
        half = np.tan(np.deg2rad(30))
        return half * np.array([[-1, -0.75], [1, -0.75], [1, 0.75], [-1, 0.75]])
    width, height = entry.size_px
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5


def _rim(entry: CameraEntry, length_m: float) -> Array:
    """The frustum's four corners [4, 3] at a depth of ``length_m``."""
    return _center(entry) + length_m * _rays(entry, _image_corners(entry))


def _level_rim(entry: CameraEntry, length_m: float) -> Array:
    """Left and right end of the image's middle row, from above, 2.2 frusta far [2, 3]."""
    corners = _image_corners(entry)
    return _center(entry) + 2.2 * length_m * _rays(entry, (corners[[0, 1]] + corners[[3, 2]]) / 2)


def _space_corners(rig: Rig) -> Array:
    (cx, cy), (sx, sy), z = rig.space.center_m, rig.space.size_m, rig.space.floor_m
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([[cx + i * sx / 2, cy + j * sy / 2, z] for i, j in signs])


def _frustum_length_m(rig: Rig, placed: list[CameraEntry]) -> float:
    points = np.vstack([_space_corners(rig), *[_center(entry) for entry in placed]])
    return 0.12 * float(np.linalg.norm((points.max(0) - points.min(0))[:2]))


def _bounds(rig: Rig, placed: list[CameraEntry], length_m: float) -> tuple[Array, Array]:
    points = [_space_corners(rig), *[_center(entry)[None] for entry in placed]]
    points += [_rim(entry, length_m) for entry in placed]
    cloud = np.vstack(points)
    low, high = cloud.min(0), cloud.max(0)
    low[2] = min(low[2], rig.space.floor_m)
    high[2] = max(high[2], rig.space.floor_m + 1.0)
    pad = 0.05 * float((high - low).max())
    return low - [pad, pad, 0], high + pad


def _grid_step(size_m: Array) -> float:
    widest = float(size_m.max())
    return next((s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if widest / s <= 12), 20.0)


def _azimuth(placed: list[CameraEntry], rig: Rig) -> float:
    """From the widest gap between the cameras, so that none stands before another."""
    middle = np.array(rig.space.center_m)
    bearings = sorted(
        float(np.rad2deg(np.arctan2(*(_center(e)[:2] - middle)[::-1]))) for e in placed
    )
    gaps = [
        ((bearings[(i + 1) % len(bearings)] - b) % 360 or 360, b) for i, b in enumerate(bearings)
    ]
    gap, start = max(gaps)
    return start + gap / 2
