"""Boxes around people, for messages that know nothing finer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mvssm_ros.nodes.feeds.base import PersonArrays

Array = npt.NDArray[np.float64]


def box_around(person: PersonArrays, axes: Array, k_sigma: float) -> tuple[Array, Array] | None:
    """The box that holds all of a person's capsules.

    Args:
        axes: [3, 3], a column a side of the box, in the reference frame.

    Returns:
        Its centre [3] m in the reference frame and its size [3] m along the axes; None: no limb of
        the person is known.
    """
    capsules = person.capsules(k_sigma)
    if not len(capsules):
        return None
    ends = np.concatenate([capsules.starts_m, capsules.ends_m]) @ axes
    radii = np.tile(capsules.radii_m, 2)[:, None]
    low, high = (ends - radii).min(0), (ends + radii).max(0)
    return axes @ ((low + high) / 2), high - low
