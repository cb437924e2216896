"""How a calibration differs from the one before, in words for a log."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mvssm_ros.rig.rig_file import CameraEntry, Rig

_SAME_DEG, _SAME_M = 1e-6, 1e-9  # rounding


def camera_change(old: CameraEntry, new: CameraEntry) -> str:
    """What changed in one camera's calibration; empty if nothing did."""
    return ", ".join(_pose_change(old, new) + _intrinsics_change(old, new))


def rig_change(old: Rig, new: Rig) -> str:
    """What changed in each camera; "nothing has changed" if nothing did."""
    changes = {
        name: camera_change(old.cameras[name], entry)
        for name, entry in new.cameras.items()
        if name in old.cameras
    }
    told = [f"{name}: {change}" for name, change in changes.items() if change]
    return "; ".join(told) or "nothing has changed"


def _pose_change(old: CameraEntry, new: CameraEntry) -> list[str]:
    if old.R is None or new.R is None or old.center_m is None or new.center_m is None:
        if (old.R is None) == (new.R is None):
            return []
        return ["has no extrinsics here any more" if new.R is None else "has extrinsics now"]
    turned_deg = np.rad2deg(Rotation.from_matrix(new.R @ old.R.T).magnitude())
    moved_m = float(np.linalg.norm(new.center_m - old.center_m))
    if turned_deg < _SAME_DEG and moved_m < _SAME_M:
        return []
    return [f"turned by {turned_deg:.2f} deg and moved by {moved_m:.3f} m"]


def _intrinsics_change(old: CameraEntry, new: CameraEntry) -> list[str]:
    if old.K is None or new.K is None:
        if (old.K is None) == (new.K is None):
            return []
        return ["has no intrinsics here any more" if new.K is None else "has intrinsics now"]
    changes = []
    for name, row, column in (("fx", 0, 0), ("fy", 1, 1), ("cx", 0, 2), ("cy", 1, 2)):
        before, after = float(old.K[row, column]), float(new.K[row, column])
        if before != after:
            changes.append(f"{name} {before:.1f} to {after:.1f} px")
    if old.size_px is not None and new.size_px is not None and old.size_px != new.size_px:
        sizes = [f"{width} x {height}" for width, height in (old.size_px, new.size_px)]
        changes.append(f"images {sizes[0]} to {sizes[1]} px")
    same_model = old.distortion_model == new.distortion_model
    if not (same_model and np.array_equal(_coefficients(old), _coefficients(new))):
        changes.append("distortion")
    return changes


def _coefficients(entry: CameraEntry) -> np.ndarray:
    return np.zeros(5) if entry.distortion is None else entry.distortion
