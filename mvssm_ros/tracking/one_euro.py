"""The One Euro filter: a low-pass whose cut-off rises with the speed.

Casiez, Roussel and Vogel, "1 euro filter: a simple speed-based low-pass filter for noisy input in
interactive systems", CHI 2012, DOI 10.1145/2207676.2208639. The speed is a joint's, in 3D, so that
all three axes are smoothed alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MIN_CUTOFF_HZ = 2.0
BETA = 5.0  # Hz of cut-off a m/s of speed
SPEED_CUTOFF_HZ = 1.0


class OneEuro:
    """Smooths the joints [J, 3] of one person; one call a set, with rising stamps.

    A joint that is not measured (NaN) keeps its state and is NaN in the answer; the next time it is
    smoothed over the longer step.
    """

    def __init__(
        self,
        min_cutoff_hz: float = MIN_CUTOFF_HZ,
        beta: float = BETA,
        speed_cutoff_hz: float = SPEED_CUTOFF_HZ,
    ) -> None:
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self._speed_cutoff_hz = speed_cutoff_hz
        self._position: Array | None = None
        self._velocity: Array = np.zeros(0)
        self._stamps_ns: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def __call__(self, joints_m: Array, stamp_ns: int) -> Array:
        """Smoothed joints [J, 3] m; NaN where not measured."""
        measured = _known(joints_m)
        if self._position is None:
            self._position = np.full_like(joints_m, np.nan)
            self._velocity = np.zeros_like(joints_m)
            self._stamps_ns = np.full(len(joints_m), stamp_ns, np.int64)
        first = measured & ~np.isfinite(self._position[:, 0])
        self._position[first] = joints_m[first]
        self._velocity[first] = 0.0
        self._stamps_ns[first] = stamp_ns

        step_s = (stamp_ns - self._stamps_ns) * 1e-9
        go = measured & (step_s > 0)
        dt = np.where(go, step_s, 1.0)[:, None]
        speed = np.where(go[:, None], (joints_m - self._position) / dt, 0.0)
        share = _share(self._speed_cutoff_hz, dt)
        velocity = self._velocity + share * (speed - self._velocity)
        fast = np.linalg.norm(velocity, axis=-1, keepdims=True)
        share = _share(self._min_cutoff_hz + self._beta * fast, dt)
        position = self._position + share * np.where(go[:, None], joints_m - self._position, 0.0)
        self._velocity = np.where(go[:, None], velocity, self._velocity)
        self._position = np.where(go[:, None], position, self._position)
        self._stamps_ns[go] = stamp_ns
        return np.where(measured[:, None], self._position, np.nan)


def _known(joints_m: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(joints_m).all(-1))


def _share(cutoff_hz: Array | float, step_s: Array) -> Array:
    """How much of the new value an exponential smoothing takes: 1 / (1 + tau / step)."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2 * np.pi * cutoff_hz * step_s)))
