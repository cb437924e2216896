"""Legs and arms that swing with the speed of walking."""

from __future__ import annotations

import numpy as np

from mvssm_ros.learning.synthetic.people import ANGLES

_FULL_GAIT_M_S = 0.5  # from this speed on the legs walk only


def steps_per_s(speed_m_s: np.ndarray) -> np.ndarray:
    """Double steps a second at a speed; multiply by 2 pi for the rate of the gait's phase."""
    return np.asarray(0.55 + 0.25 * speed_m_s)


def with_gait(
    angles: np.ndarray, speed_m_s: np.ndarray, phase: np.ndarray, arms_swing: np.ndarray
) -> np.ndarray:
    """Postures [N, A] rad of people who go at speeds [N]; phase [N] rad, arms_swing [N] 0 to 1."""
    angles = angles.copy()
    knees = [ANGLES.index("knee_left"), ANGLES.index("knee_right")]
    upright = np.clip(1.2 - angles[:, knees].mean(-1), 0, 1)  # nobody walks who still sits
    share = np.clip(speed_m_s / _FULL_GAIT_M_S, 0, 1) * upright
    stride = np.deg2rad(10 + 13 * speed_m_s)
    for sign, side in ((1.0, "left"), (-1.0, "right")):
        swing = sign * np.sin(phase)
        lift = np.maximum(sign * np.cos(phase), 0)
        gait = {
            "hip_flexion": (0.12 + stride * swing, share),
            "knee": (0.1 + 0.9 * lift**2, share),
            "shoulder_flexion": (-0.8 * stride * swing, share * arms_swing),
            "elbow": (0.3 + 0.3 * np.maximum(-swing, 0), share * arms_swing),
        }
        for name, (value, weight) in gait.items():
            column = ANGLES.index(f"{name}_{side}")
            angles[:, column] += weight * (value - angles[:, column])
    return angles
