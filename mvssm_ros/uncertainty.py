"""From the network's covariances to honest ones.

The triangulation behind a joint knows how the views' rays cross, but not what the network does not
see: its covariance is too small by a factor of four to a hundred. The network's confidence in a
joint was trained to be exp(-(error / 0.1 m)^2), and says the rest. So an honest covariance is

    group * (stretch * covariance + spread * I),

with a factor for the group of joints, and stretch and spread powers of -ln(confidence) and of the
number of views that support the joint, with own factors for none and for one.

The constants are for the shipped weights. They maximise the likelihood of Gaussian errors on
held-out synthetic scenes; `mvssm evaluate --covariance` measures them on other ones, and
`--covariance-fit` finds them anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvssm_ros.geometry.skeletons import PANOPTIC15

Array = npt.NDArray[np.float64]

GROUPS = ("trunk", "nose", "elbows and knees", "wrists and ankles")
_PART = {"nose": 1, "elbow": 2, "knee": 2, "wrist": 3, "ankle": 3}
GROUP_OF_JOINT = np.array([_PART.get(j.split("_")[-1], 0) for j in PANOPTIC15.joints])
_SURE, _UNSURE = 0.995, 0.01  # confidences beyond say no more
_USUAL_VIEWS = 3


@dataclass(frozen=True)
class CovarianceModel:
    """Logarithms of the factors and exponents of the formula above.

    stretch, spread: (log factor, exponent of -ln(confidence), exponent of views / 3, log factors of
    no view and of one view); spread's factor is in m^2. groups: log factor of each of `GROUPS`.
    """

    stretch: tuple[float, float, float, float, float]
    spread: tuple[float, float, float, float, float]
    groups: tuple[float, float, float, float]

    def factors(self, joint_confidence: Array, n_views: Array) -> tuple[Array, Array]:
        """Stretch and spread (m^2) with the group's factor, [..., J] each."""
        confidence = np.clip(np.asarray(joint_confidence, np.float64), _UNSURE, _SURE)
        doubt = np.log(-np.log(confidence))
        views = np.log(np.maximum(n_views, 2) / _USUAL_VIEWS)
        few = np.minimum(np.asarray(n_views, np.int64), 2)
        group = np.array(self.groups)[GROUP_OF_JOINT]

        def power(c: tuple[float, float, float, float, float]) -> Array:
            own = np.array([c[3], c[4], 0.0])[few]
            return np.asarray(np.exp(c[0] + c[1] * doubt + c[2] * views + own + group))

        return power(self.stretch), power(self.spread)

    def honest(self, covariance_m2: Array, joint_confidence: Array, n_views: Array) -> Array:
        """Covariances [..., J, 3, 3] from the network's, of confidences and view counts [..., J]."""
        stretch, spread = self.factors(joint_confidence, n_views)
        honest = stretch[..., None, None] * covariance_m2 + spread[..., None, None] * np.eye(3)
        return np.asarray(honest.astype(covariance_m2.dtype))


SHIPPED = CovarianceModel(
    stretch=(3.189, 0.753, 0.351, -1.24, 0.067),
    spread=(-7.129, 0.87, 0.059, 3.361, 0.158),
    groups=(0.0, -0.266, 0.077, 0.274),
)
