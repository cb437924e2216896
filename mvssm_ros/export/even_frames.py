"""People at even times, as motion-capture files need them, and with y up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError

Array = npt.NDArray[np.float64]


def rate_of(stamps_ns: npt.NDArray[np.int64], where: str) -> float:
    """The rate of most of the frames, Hz.

    Raises:
        UserError: there are fewer than two.
    """
    if len(stamps_ns) < 2:
        raise UserError(f"{where}: seen in {len(stamps_ns)} set of images, two are needed")
    return float(1e9 / np.median(np.diff(stamps_ns)))


def even_times_s(stamps_ns: npt.NDArray[np.int64], rate_hz: float) -> Array:
    """[N] s after the first stamp, up to the last."""
    duration_s = (stamps_ns[-1] - stamps_ns[0]) * 1e-9
    return np.arange(int(duration_s * rate_hz + 0.5) + 1) / rate_hz


def at_even_times(
    stamps_ns: npt.NDArray[np.int64], joints_m: Array, times_s: Array, max_gap_s: float
) -> Array:
    """[N, J, 3]: joints [F, J, 3] interpolated linearly between the frames they are known in.

    NaN further than half a frame outside of these, and where they are more than ``max_gap_s`` apart.
    """
    seconds = (stamps_ns - stamps_ns[0]) * 1e-9
    out = np.full((len(times_s), *joints_m.shape[1:]), np.nan)
    slack_s = 0.5 * float(np.median(np.diff(seconds))) + 1e-9
    for j in range(joints_m.shape[1]):
        known = np.isfinite(joints_m[:, j]).all(-1)
        if not known.any():
            continue
        s = seconds[known]
        after = np.clip(np.searchsorted(s, times_s), 0, len(s) - 1)
        before = np.clip(np.searchsorted(s, times_s, side="right") - 1, 0, len(s) - 1)
        near = np.minimum(np.abs(s[after] - times_s), np.abs(s[before] - times_s)) <= slack_s
        inside = (times_s >= s[0]) & (times_s <= s[-1]) & (s[after] - s[before] <= max_gap_s + 1e-9)
        good = near | inside
        for axis in range(3):
            values = np.interp(times_s, s, joints_m[known, j, axis])
            out[good, j, axis] = values[good]
    return out


def y_up(points_m: Array) -> Array:
    """[..., 3] with z up to y up: x stays, y becomes -z, z becomes y."""
    return np.stack([points_m[..., 0], points_m[..., 2], -points_m[..., 1]], -1)
