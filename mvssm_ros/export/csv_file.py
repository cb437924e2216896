"""People as CSV: one line a joint of a person in a set.

Columns: stamp_ns (of the set, since 1970); person; track_state; joint; joint_state; x_m, y_m, z_m in
the reference frame, z up; sigma_m (standard deviation, mean of the axes); confidence 0..1. Gaps are
left as they are: a missing joint has empty numbers, a set in which a person was not there has no
lines of this person. Nothing is interpolated.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from mvssm_ros.export.tracks import Track

_COLUMNS = "stamp_ns person track_state joint joint_state x_m y_m z_m sigma_m confidence".split()
_TRACK_STATES = ("tentative", "confirmed", "coasting", "lost")
_JOINT_STATES = ("missing", "observed", "predicted")


def csv_text(tracks: Sequence[Track]) -> str:
    """All of the people, by person and then by stamp."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for track in tracks:
        for f, stamp_ns in enumerate(track.stamps_ns):
            for j, joint in enumerate(track.skeleton.joints):
                numbers = [*track.joints_m[f, j], track.sigma_m[f, j]]
                writer.writerow(
                    [
                        int(stamp_ns),
                        track.id,
                        _TRACK_STATES[track.track_state[f]],
                        joint,
                        _JOINT_STATES[track.joint_state[f, j]],
                        *(f"{x:.6f}" if math.isfinite(x) else "" for x in numbers),
                        f"{track.confidence[f, j]:.4f}",
                    ]
                )
    return out.getvalue()
