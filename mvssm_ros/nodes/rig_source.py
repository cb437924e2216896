"""The rig that a node works with: the rig file, overridden by parameters; or parameters alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rclpy.node import Node

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import parameters
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space, load_rig


@dataclass(frozen=True)
class RigSource:
    """The rig, and what does not belong into a rig file."""

    rig: Rig
    keypoints_topics: dict[str, str]  # by camera
    from_tf: list[str]  # cameras whose extrinsics are to come from there


def rig_from_parameters(node: Node, values: dict[str, Any]) -> RigSource:
    """Load the rig file if there is one and apply the parameters to it.

    Args:
        node: ``cameras.<name>.*`` are declared on it, now that the names are known.
        values: from `parameters.read`.

    Raises:
        UserError: the rig file is wrong, a camera is unknown, fewer than two cameras, no space, or
            no extrinsics where they must come from the rig file.
    """
    names = [name for name in values["camera_names"] if name]
    path = values["rig_file"]
    if path:
        rig = load_rig(path)
        entries = chosen_cameras(rig, names, path)
    else:
        if not names:
            raise UserError(
                "neither 'rig_file' nor 'camera_names' is set; give a rig file"
                " (rig_file:=/path/to/rig.yaml), or name the cameras"
            )
        if _space(values) is None:
            raise UserError(
                "without a rig file the parameter 'space.size' is needed: the extent, x and y in"
                " m, of the floor that people walk on, around 'space.center'"
            )
        rig = Rig()
        entries = {name: CameraEntry.bare(name) for name in names}
    if len(entries) < 2:
        raise UserError(
            f"the rig has only the camera {list(entries)}; at least two are needed to see in 3D"
        )
    keypoints_topics = {}
    for name, entry in entries.items():
        defaults = {
            "image_topic": entry.image_topic,
            "info_topic": entry.info_topic,
            "keypoints_topic": f"/{name}/keypoints",
            "transport": entry.transport,
            "frame_id": entry.frame_id,
        }
        chosen = parameters.declare_camera(node, name, defaults)
        keypoints_topics[name] = chosen.pop("keypoints_topic")
        entries[name] = _with_extrinsics(replace(entry, **chosen), values["calibration.source"])
    rig = replace(
        rig,
        reference_frame=values["reference_frame"] or rig.reference_frame,
        space=_space(values) or rig.space,
        cameras=entries,
    )
    plausibility.check(rig, f"rig file {path}" if path else "parameters")
    bare = [name for name, entry in entries.items() if entry.R is None or entry.t_m is None]
    return RigSource(rig, keypoints_topics, [] if values["calibration.source"] == "topic" else bare)


def chosen_cameras(rig: Rig, names: list[str], path: str) -> dict[str, CameraEntry]:
    """Those that the parameter camera_names names, in the rig's order; all if it names none.

    Raises:
        UserError: one is not in the rig file ``path``.
    """
    unknown = [name for name in names if name not in rig.cameras]
    if unknown:
        raise UserError(
            f"parameter 'camera_names' has {unknown}, rig file '{path}' knows only"
            f" {list(rig.cameras)}"
        )
    return {n: e for n, e in rig.cameras.items() if not names or n in names}


def _with_extrinsics(entry: CameraEntry, source: str) -> CameraEntry:
    if source in ("tf", "topic"):
        return replace(entry, R=None, t_m=None)
    if source == "rig_file" and (entry.R is None or entry.t_m is None):
        raise UserError(
            f"camera '{entry.name}' has no extrinsics in the rig file, and calibration.source is"
            " 'rig_file'; add them, or set it to 'auto' to take them from TF"
        )
    return entry


def _space(values: dict[str, Any]) -> Space | None:
    """The space that the parameters give; None where they leave it to the rig file."""
    size_m = tuple(float(v) for v in values["space.size"])
    if size_m == (0.0, 0.0):
        return None
    if min(size_m) <= 0:
        raise UserError(f"parameter 'space.size' is {list(size_m)}, expected two lengths above 0 m")
    center_m = tuple(float(v) for v in values["space.center"])
    return Space(center_m=center_m, size_m=size_m, floor_m=float(values["space.floor"]))
