"""Whether the people that the network makes of an accepted input can be believed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.network.weights import SHIPPED
from mvssm_ros.predictor import SUPPORT_PX, People, Predictor

_LONG_SIDE_PX = 960.0  # SUPPORT_PX is for images of this long side
_ROUNDING_PX = 0.5

Keypoints = npt.NDArray[np.float32]


class Skeletons:
    """Runs the shipped network on a share of the accepted inputs.

    Args:
        one_in: of so many inputs one is looked at; which, its bytes decide.
    """

    def __init__(self, one_in: int) -> None:
        self._one_in = one_in
        self._predictor = Predictor.from_pretrained() if SHIPPED.is_file() else None

    def wanted(self, data: bytes) -> bool:
        """Whether this input is one of those."""
        return self._predictor is not None and zlib.crc32(data) % self._one_in == 0

    def check(self, cameras: Cameras, keypoints: Sequence[Keypoints], space: Any) -> People:
        """The people found in the views [P, 15, 3] of the cameras [T].

        Raises:
            ValueError: a number is not finite, or a joint that counts as observed is not where two
                cameras see one.
        """
        assert self._predictor is not None
        people = self._predictor.predict_keypoints(cameras, keypoints, space)
        check_people(people, cameras, keypoints)
        return people


def check_people(people: People, cameras: Cameras, keypoints: Sequence[Keypoints]) -> None:
    """Raise ValueError unless the people are finite and fit the keypoints of their cameras."""
    for name in ("joints_m", "covariance_m2", "joint_confidence", "score"):
        if not np.isfinite(getattr(people, name)).all():
            raise ValueError(f"people with a {name} that is not finite")
    if (people.view_used.sum(-1)[people.observed] < 2).any():
        raise ValueError("an observed joint is that of fewer than two cameras")
    limits_px = SUPPORT_PX * cameras.size_px.amax(-1).numpy() / _LONG_SIDE_PX + _ROUNDING_PX
    for joints_m, used in zip(people.joints_m, people.view_used):
        pixels, _ = project(cameras.to(torch.float64), torch.from_numpy(joints_m).double())
        for view, joint in zip(*np.nonzero(used.T)):
            seen = keypoints[view][:, joint]
            gaps = np.linalg.norm(seen[seen[:, 2] > 0, :2] - pixels[view, joint].numpy(), axis=-1)
            if not len(gaps) or gaps.min() > limits_px[view]:
                raise ValueError(
                    f"a joint does not fit the keypoint of camera {view} that it names"
                )
