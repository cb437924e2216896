"""The predictor's answer as bodies to track."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mvssm_ros.tracking.identity import Body

if TYPE_CHECKING:
    from mvssm_ros.predictor import People


def bodies_of(people: People, bits: np.ndarray, wary: bool = True) -> list[Body]:
    """One Body per person; ``bits`` [T] are the mask bits of the views; not ``wary``: it does not
    matter how many views agree."""
    masks = np.where(people.view_used, bits, np.uint64(0)).sum(axis=-1, dtype=np.uint64)  # [P, 15]
    return [
        Body(
            joints_m=np.asarray(people.joints_m[p], np.float64),
            covariance_m2=np.asarray(people.covariance_m2[p], np.float64),
            joint_confidence=np.asarray(people.joint_confidence[p], np.float64),
            observed=np.asarray(people.observed[p], bool),
            view_mask=masks[p],
            score=float(people.score[p]),
            agreed=bool(people.agreed[p]) or not wary,
        )
        for p in range(len(people.score))
    ]
