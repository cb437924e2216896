"""Where a rig is in the world, and how large it is: what images alone cannot tell.

A bundle adjustment leaves seven numbers free: shift, turn and scale of all cameras together. They
are taken from the rig that was given, by the similarity that brings the refined cameras nearest to
the given ones. Cameras that moved much count little (Cauchy weights): where one camera was pushed,
the others stay where they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from mvssm_ros.rig.bundle import Views

Array = npt.NDArray[np.float64]

_ROUNDS = 10
_LEAST = 0.02  # differences below this share of what is expected do not matter


def align(
    views: Views,
    given: Views,
    angle_rad: float,
    position_m: float,
    counts: npt.NDArray[np.bool_] | None = None,
) -> tuple[Views, float]:
    """The views moved as one body and scaled onto the given ones; and the scale.

    Args:
        angle_rad, position_m: differences that weigh the same.
        counts: [T] the cameras that matter (default: all).
    """
    scale_of = np.repeat([position_m, angle_rad], 3)
    chosen = np.ones(len(views.late_s), bool) if counts is None else counts
    middle = given.centers_m[chosen].mean(0)

    def differences(x: Array) -> Array:
        R, centers = _moved(views, x, middle)
        turn = Rotation.from_matrix(R @ given.rotations.swapaxes(1, 2)).as_rotvec()
        all_six = np.concatenate([centers - given.centers_m, turn], axis=1) / scale_of
        return np.asarray(all_six[chosen])

    x = np.zeros(7)
    weight = np.ones(int(chosen.sum()))
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)[:, None]
        x = least_squares(lambda x, root=root: (root * differences(x)).ravel(), x).x
        size = np.linalg.norm(differences(x), axis=1)
        weight = 1 / (1 + (size / max(float(np.median(size)), _LEAST)) ** 2)
    return views.placed(*_moved(views, x, middle)), float(np.exp(x[6]))


def _moved(views: Views, x: Array, middle: Array) -> tuple[Array, Array]:
    """Rotations and centres after shift x[:3], turn x[3:6] and scale exp(x[6]) about the middle."""
    Q = Rotation.from_rotvec(x[3:6]).as_matrix()
    centers = np.exp(x[6]) * (views.centers_m - middle) @ Q.T + middle + x[:3]
    return views.rotations @ Q.T, centers
