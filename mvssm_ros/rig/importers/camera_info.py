"""ROS camera_info files (camera_calibration_parsers), one a camera, and static transforms.

    image_width: 1280
    image_height: 720
    camera_name: left
    camera_matrix: {rows: 3, cols: 3, data: [...]}
    distortion_model: plumb_bob          # rational_polynomial, equidistant, fisheye
    distortion_coefficients: {rows: 1, cols: 5, data: [...]}

A camera ``left`` stands where the transforms have its optical frame: ``left_optical_frame``,
``left_optical`` or ``left``. ``left_link`` and ``left_frame`` are taken as x forward, z up (REP-103)
and turned. ``--frame left=FRAME`` names another optical frame. Without transforms the rig file
leaves extrinsics to TF.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import (
    Array,
    Options,
    add,
    camera,
    camera_name,
    numbers,
    values,
)
from mvssm_ros.rig.importers.placing import LEVEL_OPTICAL
from mvssm_ros.rig.importers.transforms import Tree, read_transforms
from mvssm_ros.rig.rig_file import CameraEntry
from mvssm_ros.rig.strict_yaml import parse_yaml
from mvssm_ros.rig.text_file import read_text

_MODELS = {
    "": "plumb_bob",
    "fisheye": "equidistant",  # as some drivers call it
}


def read_camera_info(
    paths: list[str], options: Options, where: str
) -> tuple[dict[str, CameraEntry], str]:
    """The cameras (in the reference frame, in metres) and the reference frame.

    Raises:
        UserError: not such a file, a key missing or unusable, or a frame that is not there.
    """
    cameras: dict[str, CameraEntry] = {}
    for path in paths:
        at = f"{where}: {path}" if len(paths) > 1 else where
        add(cameras, _intrinsics(path, at), at)
    wanted = _named_frames(options, cameras)
    if options.transforms is None:
        if wanted:
            raise UserError("--frame: is of use only with --transforms")
        return cameras, options.reference_frame or "map"
    tree = read_transforms(options.transforms)
    reference = options.reference_frame or _only_root(tree)
    for name, entry in cameras.items():
        frame, turn = _frame_of(name, wanted.get(name), tree)
        pose = tree.pose(frame, reference)
        R = (pose[:3, :3] @ turn).T
        cameras[name] = replace(entry, frame_id=frame, R=R, t_m=-R @ pose[:3, 3])
    return cameras, reference


def _intrinsics(path: str, where: str) -> CameraEntry:
    data = parse_yaml(read_text(path, where), where)
    width, height = values(data, {"image_width": 1, "image_height": 1}, where)
    K = _data(data, "camera_matrix", where)
    if len(K) != 9:
        raise UserError(f"{where}: camera_matrix: expected 9 numbers in 'data', got {len(K)}")
    model = str(data.get("distortion_model", ""))
    model = _MODELS.get(model, model)
    distortion = np.zeros(5)
    if "distortion_coefficients" in data:
        distortion = _data(data, "distortion_coefficients", where)
        if not distortion.any() and len(distortion) in (0, 4, 5, 8):
            model, distortion = "plumb_bob", np.zeros(5)
    given = data.get("camera_name")
    name = str(given) if given not in (None, "", "unknown") else Path(path).stem
    found = camera(
        camera_name(name),
        (int(width[0]), int(height[0])),
        K.reshape(3, 3),
        distortion,
        np.eye(3),
        np.zeros(3),
        where,
        model,
    )
    return replace(found, R=None, t_m=None)


def _data(mapping: dict[Any, Any], key: str, where: str) -> Array:
    """The numbers of {rows, cols, data: [...]}."""
    matrix = mapping.get(key)
    if not isinstance(matrix, dict) or not isinstance(matrix.get("data"), list):
        raise UserError(f"{where}: {key}: expected rows, cols and data: [...]")
    return numbers(matrix["data"], f"{where}: {key}")


def _named_frames(options: Options, cameras: dict[str, CameraEntry]) -> dict[str, str]:
    wanted = {}
    for pair in options.frames:
        name, equals, frame = pair.partition("=")
        if not equals or name not in cameras:
            raise UserError(
                f"--frame {pair}: expected CAMERA=FRAME with a camera of {', '.join(cameras)}"
            )
        wanted[name] = frame.lstrip("/")
    return wanted


def _frame_of(name: str, wanted: str | None, tree: Tree) -> tuple[str, Array]:
    """The camera's frame, and the rotation from optical axes to that frame's."""
    if wanted is not None:
        return wanted, np.eye(3)
    frames = tree.frames()
    for suffix in ("_optical_frame", "_optical", ""):
        if name + suffix in frames:
            return name + suffix, np.eye(3)
    for suffix in ("_link", "_frame"):
        if name + suffix in frames:
            return name + suffix, LEVEL_OPTICAL
    raise UserError(
        f"{tree.where}: has no frame of camera {name} ({name}_optical_frame, {name}, {name}_link);"
        f" it has {', '.join(frames)}: add --frame {name}=FRAME"
    )


def _only_root(tree: Tree) -> str:
    roots = tree.roots()
    if len(roots) != 1:
        raise UserError(
            f"{tree.where}: its frames hang from {', '.join(roots) or 'each other'}; name one with"
            " --reference-frame"
        )
    return roots[0]
