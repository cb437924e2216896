"""Covariances as ellipsoids to be drawn: the region that holds a position with some probability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation
from scipy.special import chdtri

Array = npt.NDArray[np.float64]


def sigmas(probability: float) -> float:
    """How many standard deviations from its middle the ellipsoid reaches in 3D: 2.5 for 0.9."""
    return float(np.sqrt(chdtri(3, 1.0 - probability)))


def ellipsoids(covariance_m2: Array, k_sigma: float) -> tuple[Array, Array]:
    """Diameters and orientations of the ellipsoids k_sigma standard deviations from the middle.

    Args:
        covariance_m2: [N, 3, 3], finite; what is not symmetric is made so, and variances below
            zero, as rounding leaves them, count as zero.

    Returns:
        diameters_m [N, 3] along the axes of the ellipsoid, and its orientation as unit quaternions
        [N, 4] (x, y, z, w, right-handed) from those axes to the frame of the covariance.
    """
    symmetric = 0.5 * (covariance_m2 + covariance_m2.transpose(0, 2, 1))
    variances, axes = np.linalg.eigh(symmetric)
    axes[:, :, 2] *= np.sign(np.linalg.det(axes))[:, None]  # mirror images are no rotations
    diameters_m = 2.0 * k_sigma * np.sqrt(np.maximum(variances, 0.0))
    return diameters_m, np.asarray(Rotation.from_matrix(axes).as_quat())
