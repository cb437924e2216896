"""One person as a TRC file for OpenSim.

OpenSim's ground has y up: x stays, y is the height, z is -y of the reference frame. Times are seconds
after the first frame, at an even rate. Gaps: joints are interpolated linearly over up to 0.25 s; in
longer gaps, and where a joint is missing, the cells are left empty, which OpenSim takes as no data.
The format is that of OpenSim's documentation ("Marker (.trc) Files").
"""

from __future__ import annotations

import numpy as np

from mvssm_ros.export.even_frames import at_even_times, even_times_s, rate_of, y_up
from mvssm_ros.export.tracks import Track

MAX_GAP_S = 0.25
UNITS = {"m": 1.0, "mm": 1000.0}


def trc_text(track: Track, name: str, units: str = "m") -> str:
    """The file's text.

    Args:
        name: of the file, for its first line.
        units: "m" or "mm", stated in the file.

    Raises:
        UserError: the person was seen in one set only.
    """
    rate_hz = rate_of(track.stamps_ns, f"person '{track.id}'")
    times_s = even_times_s(track.stamps_ns, rate_hz)
    joints_m = at_even_times(track.stamps_ns, track.joints_m, times_s, MAX_GAP_S)
    values = UNITS[units] * y_up(joints_m)
    markers, frames = track.skeleton.joints, len(times_s)
    rate = f"{rate_hz:.4f}"
    axes = [f"{axis}{m}" for m in range(1, len(markers) + 1) for axis in "XYZ"]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame"
        "\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{len(markers)}\t{units}\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t".join(f"{marker}\t\t" for marker in markers),
        "\t\t" + "\t".join(axes),
        "",
    ]
    digits = 6 if units == "m" else 3
    for f, time_s in enumerate(times_s):
        cells = [f"{v:.{digits}f}" if np.isfinite(v) else "" for v in values[f].ravel()]
        lines.append("\t".join([str(f + 1), f"{time_s:.6f}", *cells]))
    return "\n".join(lines) + "\n"
