"""What the viewer shows where: 3D on the left, the images on the right, status and curves below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvssm_ros.rig.rig_file import Rig
from mvssm_ros.viewing.library import TIMELINE, viewer_library

BACKGROUND = (22, 24, 29)
_GRID = (90, 96, 108, 110)
_EYE = 1.5  # its distance, of the reach of the rig
_LAST_S = 60.0  # what the curves show of a live rig


def layout(
    rig: Rig, cameras: Sequence[str], sizes_px: Mapping[str, tuple[float, float]], live: bool
) -> Any:
    """A rerun Blueprint.

    Args:
        rig: the eye sees its space and its cameras.
        cameras: one image each.
        sizes_px: width and height of the images as shown, of the cameras for which they are known.
        live: follow the newest; else play from the beginning, again and again.
    """
    rr = viewer_library()
    rrb = rr.blueprint
    views = [_image_view(rr, name, sizes_px.get(name)) for name in cameras]
    upper = [_world_view(rr, rig, cameras)]
    if views:
        upper.append(rrb.Grid(*views, grid_columns=1 if len(views) < 3 else 2))
    window = {"time_ranges": [_window(rr, -_LAST_S)]} if live else {}
    legend = rrb.PlotLegend(rrb.Corner2D.LeftTop)
    lower = [
        rrb.TextDocumentView(origin="/status", name="Rig"),
        rrb.TextLogView(
            origin="/log",
            name="Diagnostics",
            columns=rrb.TextLogColumns(text_log_columns=["loglevel", "body"]),
        ),
        rrb.TimeSeriesView(
            origin="/plots/latency", name="Latency, ms", plot_legend=legend, **window
        ),
        rrb.TimeSeriesView(
            origin="/plots/rate", name="Images a second", plot_legend=legend, **window
        ),
    ]
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(*upper, column_shares=[3, 2][: len(upper)]),
            rrb.Horizontal(*lower, column_shares=[4, 4, 3, 3]),
            row_shares=[7, 3],
        ),
        rrb.TimePanel(
            state="collapsed",
            timeline=TIMELINE,
            play_state="following" if live else "playing",
            loop_mode="off" if live else "all",
        ),
        collapse_panels=True,
    )


def _world_view(rr: Any, rig: Rig, cameras: Sequence[str]) -> Any:
    """From above a corner, so far away that the space and all cameras are in the picture."""
    rrb, space = rr.blueprint, rig.space
    x, y = space.center_m
    middle = np.array([x, y, space.floor_m + 0.7])
    places = [entry.center_m for entry in rig.cameras.values() if entry.center_m is not None]
    far_m = max([float(np.linalg.norm(p - middle)) for p in places], default=0.0)
    reach_m = max(far_m, 0.5 * math.hypot(*space.size_m))
    azimuth, elevation = math.radians(-112.0), math.radians(40.0)
    toward = np.array(
        [
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
    )
    # what is drawn over the images is too much for the small ones in the frusta
    paths = [f"/world/cameras/{rr.escape_entity_path_part(name)}" for name in cameras]
    hidden = [f"- {path}/{part}" for path in paths for part in ("keypoints", "frame/**")]
    return rrb.Spatial3DView(
        origin="/world",
        name="People",
        contents=["$origin/**", *hidden],
        background=BACKGROUND,
        line_grid=rrb.LineGrid3D(spacing=1.0, color=_GRID),
        eye_controls=rrb.EyeControls3D(
            position=middle + _EYE * reach_m * toward, look_target=middle, eye_up=(0, 0, 1)
        ),
    )


def _image_view(rr: Any, name: str, size_px: tuple[float, float] | None) -> Any:
    rrb, bounds = rr.blueprint, {}
    if size_px is not None:
        width, height = size_px
        bounds["visual_bounds"] = rrb.VisualBounds2D(x_range=[0, width], y_range=[0, height])
    return rrb.Spatial2DView(
        origin=f"/world/cameras/{rr.escape_entity_path_part(name)}",
        name=name,
        background=BACKGROUND,
        **bounds,
    )


def _window(rr: Any, start_s: float) -> Any:
    return rr.VisibleTimeRange(
        TIMELINE,
        start=rr.TimeRangeBoundary.cursor_relative(seconds=start_s),
        end=rr.TimeRangeBoundary.cursor_relative(seconds=0.0),
    )
