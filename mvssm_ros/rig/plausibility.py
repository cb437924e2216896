"""Checks of a rig as a whole: does its geometry make sense? What is not known yet is left out."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.rig.coverage import coverage

if TYPE_CHECKING:
    from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space

MAX_BASELINE_M = 100.0
MIN_BASELINE_M = 0.01


def check(rig: Rig, where: str) -> None:
    """Refuse a rig that contradicts itself. ``where`` names its source in errors.

    Raises:
        UserError: two cameras on one topic, at one place, or more than 100 m apart (millimetres for
            metres), or a space of which no point is seen by two cameras.
    """
    _check_topics(rig, where)
    _check_baselines(rig, where)
    seen = coverage(rig)
    if seen is not None and seen.share_of_two == 0:
        center, size = rig.space.center_m, rig.space.size_m
        raise UserError(
            f"{where}: space: no point of it is seen by two cameras (center_m [{center[0]:g},"
            f" {center[1]:g}], size_m [{size[0]:g}, {size[1]:g}], floor_m {rig.space.floor_m:g});"
            f" {_focus_hint(rig)}check the space, and that extrinsics map the reference frame to"
            " the camera (x_cam = R x + t)"
        )


def warnings(rig: Rig) -> list[str]:
    """What looks odd but may be meant, one sentence each, naming the camera."""
    found = []
    for entry in rig.cameras.values():
        found += _intrinsics_warnings(entry)
        center = entry.center_m
        if center is not None and center[2] < rig.space.floor_m:
            found.append(
                f"camera {entry.name}: is {rig.space.floor_m - center[2]:.2f} m below the floor;"
                " the reference frame must have z up"
            )
    found += _upright_warnings(rig)
    seen = coverage(rig)
    if seen is not None:
        found += seen.warnings()
    return found


def _check_topics(rig: Rig, where: str) -> None:
    owners: dict[str, str] = {}
    for entry in rig.cameras.values():
        for key, topic in (("image_topic", entry.image_topic), ("info_topic", entry.info_topic)):
            other = owners.setdefault(topic, entry.name)
            if other != entry.name:
                raise UserError(
                    f"{where}: cameras.{entry.name}.{key}: {topic} already belongs to camera"
                    f" {other}; each camera needs topics of its own"
                )
        if entry.image_topic == entry.info_topic:
            raise UserError(
                f"{where}: cameras.{entry.name}: image_topic and info_topic are both"
                f" {entry.image_topic}"
            )
    frames: dict[str, str] = {}
    for entry in rig.cameras.values():
        if entry.R is None:  # comes from TF, by frame
            other = frames.setdefault(entry.frame_id, entry.name)
            if other != entry.name:
                raise UserError(
                    f"{where}: cameras.{entry.name}.frame_id: {entry.frame_id} already belongs to"
                    f" camera {other}; TF would put both at one place"
                )


def _check_baselines(rig: Rig, where: str) -> None:
    placed = [(e.name, e.center_m) for e in rig.cameras.values() if e.center_m is not None]
    apart = [(float(np.linalg.norm(a[1] - b[1])), a[0], b[0]) for a, b in combinations(placed, 2)]
    if not apart:
        return
    distance, first, second = max(apart)
    if not distance <= MAX_BASELINE_M:
        unit, factor = ("millimetres", 1000) if distance > 1000 else ("centimetres", 100)
        raise UserError(
            f"{where}: cameras {first} and {second}: are {distance:,.0f} m apart, expected at most"
            f" {MAX_BASELINE_M:g} m; this looks like {unit}: divide translations by {factor}"
        )
    distance, first, second = min(apart)
    if distance < MIN_BASELINE_M:
        raise UserError(
            f"{where}: cameras {first} and {second}: are at the same place ({1000 * distance:.1f}"
            " mm apart); were the extrinsics copied? The unit is metres"
        )


def _intrinsics_warnings(entry: CameraEntry) -> list[str]:
    if entry.K is None or entry.size_px is None:
        return []
    found = []
    (width, height), cx, cy = entry.size_px, entry.K[0, 2], entry.K[1, 2]
    if not (0 <= cx < width and 0 <= cy < height):
        found.append(
            f"camera {entry.name}: the principal point ({cx:g}, {cy:g}) lies outside the image"
            f" ({width} x {height}); was the calibration made with another image size?"
        )
    elif max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > 0.25:
        found.append(
            f"camera {entry.name}: the principal point ({cx:g}, {cy:g}) is far from the middle of"
            f" the image ({width} x {height}); was the calibration made with another image size?"
        )
    return found


def _upright_warnings(rig: Rig) -> list[str]:
    """All images upside down: then the reference frame's z probably points down."""
    up = [-entry.R[1, 2] for entry in rig.cameras.values() if entry.R is not None]
    if len(up) >= 2 and max(up) < -0.3:
        return ["rig: all cameras are upside down; the reference frame must have z up"]
    return []


def focus_m(rig: Rig) -> npt.NDArray[np.float64] | None:
    """The point [3] nearest to all optical axes; None if they are parallel."""
    normal, right = np.zeros((3, 3)), np.zeros(3)
    for entry in rig.cameras.values():
        center = entry.center_m
        if entry.R is None or center is None:
            continue
        across = np.eye(3) - np.outer(entry.R[2], entry.R[2])  # drops what lies along the axis
        normal += across
        right += across @ center
    if np.linalg.cond(normal) > 1e6:
        return None
    return np.asarray(np.linalg.solve(normal, right))


def suggest_space(rig: Rig) -> Space:
    """A square on the floor around where the cameras look, as far as the nearest of them.

    For importers, whose files do not say where people are. Rounded to 0.1 m; 2 to 12 m wide.
    """
    from mvssm_ros.rig.rig_file import Space

    focus = focus_m(rig)
    if focus is None:
        return Space()
    centers = [e.center_m for e in rig.cameras.values() if e.center_m is not None]
    nearest = min(float(np.linalg.norm(c[:2] - focus[:2])) for c in centers)
    side = round(float(np.clip(2 * nearest, 2.0, 12.0)), 1)
    return Space((round(float(focus[0]), 1), round(float(focus[1]), 1)), (side, side), 0.0)


def _focus_hint(rig: Rig) -> str:
    focus = focus_m(rig)
    if focus is None:
        return ""
    return f"the optical axes meet near x {focus[0]:.1f}, y {focus[1]:.1f}; "
