"""The camera arrangements CMU0-CMU4 of the CMU Panoptic Studio, from a calibration file.

The arrangements are those on which VoxelPose, MvP, MVGFormer and MV-SSM (arXiv 2509.00649) are
compared. The file is Panoptic's own ``calibration_<sequence>.json``, which the user has; its
lengths are centimetres and its y axis points down: here metres and z up, (x, y, z) -> (x, z, -y).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras

ARRANGEMENTS: dict[str, tuple[int, ...]] = {  # HD node numbers
    "CMU0": (3, 6, 12, 13, 23),
    "CMU1": (1, 2, 3, 4, 6, 7, 10),
    "CMU2": (12, 16, 18, 19, 22, 23, 30),
    "CMU3": (10, 12, 16, 18),
    "CMU4": (6, 7, 10, 12, 16, 18, 19, 22, 23, 30),
}
_CMU0EX = (3, 6, 12, 13, 23, 10, 16)  # CMU0ex(K): the first K
# The floor on which people move: centre and size (x, y) in metres. The dome's walls and cameras are
# 2.7 m from the middle; in the corners of this square a person is 0.6 m away from them.
SPACE: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (3.0, 3.0))
_WORLD = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
_HD_PANEL = 0


def arrangement_nodes(name: str) -> tuple[int, ...]:
    """HD nodes of "CMU0".."CMU4", or of "CMU0exK" / "CMU0ex(K)" with K from 2 to 7."""
    if name in ARRANGEMENTS:
        return ARRANGEMENTS[name]
    count = name.removeprefix("CMU0ex").strip("()")
    if name.startswith("CMU0ex") and count.isdigit() and 2 <= int(count) <= len(_CMU0EX):
        return _CMU0EX[: int(count)]
    known = ", ".join(ARRANGEMENTS)
    raise UserError(f"unknown Panoptic arrangement '{name}': expected {known} or CMU0ex2..CMU0ex7")


def panoptic_to_world(points_cm: torch.Tensor) -> torch.Tensor:
    """Points [..., 3] of Panoptic's frame (cm, y down) in metres with z up."""
    return points_cm @ _WORLD.T.to(points_cm) / 100.0


def load_panoptic_rig(calibration: str | Path, name: str) -> Cameras:
    """The cameras [T] of an arrangement, in float32, in the order of its node list.

    Raises UserError where the file is missing or not a Panoptic calibration, a node is not in it,
    or the arrangement is unknown.
    """
    nodes = arrangement_nodes(name)
    path = Path(calibration)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        hd = {
            int(c["node"]): c
            for c in content["cameras"]
            if c["type"] == "hd" and int(c["panel"]) == _HD_PANEL
        }
    except OSError as error:
        raise UserError(f"cannot read the Panoptic calibration {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a Panoptic calibration: expected JSON with 'cameras', each with type, "
            f"panel, node, K, distCoef, R, t, resolution"
        ) from error
    missing = [n for n in nodes if n not in hd]
    if missing:
        raise UserError(f"{path} lacks the HD cameras {missing} that {name} needs")
    try:
        return _cameras([hd[n] for n in nodes])
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"{path}: an HD camera of {name} is incomplete: {error}") from error


def _cameras(entries: list[dict]) -> Cameras:
    def stack(key: str, shape: tuple[int, ...]) -> torch.Tensor:
        rows = [torch.tensor(e[key], dtype=torch.float64).reshape(shape) for e in entries]
        return torch.stack(rows)

    K = stack("K", (3, 3))
    K[:, 0, 1] = 0.0
    # x_cam = R X + t with X = 100 W^T x: the same pixels with R W^T and t in metres
    R = stack("R", (3, 3)) @ _WORLD.T
    coefficients = stack("distCoef", (5,))
    distortion = torch.cat([coefficients, torch.zeros(len(entries), 3, dtype=torch.float64)], -1)
    return Cameras(
        K=K,
        distortion=distortion,
        fisheye=torch.zeros(len(entries), dtype=torch.bool),
        R=R,
        t=stack("t", (3,)) / 100.0,
        size_px=stack("resolution", (2,)),
    ).to(torch.float32)
