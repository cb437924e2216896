"""Watches, while people are seen, whether each camera agrees with the others."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median

from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import Rig

REFERENCE_SIDE_PX = 960  # the limit is meant for images with this long side
DEFAULT_MAX_PX = 5.0


class ReprojectionMonitor:
    """Running median of the reprojection error of each camera, and a warning when it is too high.

    The error of a set is `predictor.People.reprojection_px`: the median distance between the 2D
    joints that a view saw and the reprojected 3D joints. It is in raw pixels, and so grows with the
    resolution for the same fault; the limit therefore counts at a long side of 960 px and is scaled
    to each camera. On the demo videos (1920 px, so a limit of 10 raw px) the corrected calibration
    gives running medians of 5 to 7 raw px, which is the 2D detector's own noise; the shipped one,
    which is wrong by 10 to 16 px in two cameras, gives 12 and 19 there.

    A median, because single sets are wrong for other reasons: a person's left and right swapped in
    one view gives hundreds of pixels. A warning is given once, when half the window is filled, and
    again only after the error had fallen below 80 % of the limit.

    Args:
        size_px: width and height of each camera's images, by name.
        max_px: the limit, px at a long side of 960 px.
        window: sets with people over which the median is taken.
    """

    def __init__(
        self,
        size_px: Mapping[str, tuple[int, int]],
        max_px: float = DEFAULT_MAX_PX,
        window: int = 50,
    ) -> None:
        if not max_px > 0:
            raise UserError(f"max_reprojection_px is {max_px:g}, expected above 0")
        if window < 1:
            raise UserError(f"the reprojection window is {window}, expected 1 or more sets")
        self.limit_px = {
            name: max_px * max(size) / REFERENCE_SIDE_PX for name, size in size_px.items()
        }
        self._recent = {name: deque[float](maxlen=window) for name in size_px}
        self._needed = (window + 1) // 2
        self._high: set[str] = set()

    @classmethod
    def of_rig(
        cls, rig: Rig, max_px: float = DEFAULT_MAX_PX, window: int = 50
    ) -> ReprojectionMonitor:
        """For all cameras of a rig. A camera whose size is unknown is taken as 960 px wide."""
        sizes = {
            name: entry.size_px or (REFERENCE_SIDE_PX, 1) for name, entry in rig.cameras.items()
        }
        return cls(sizes, max_px, window)

    def update(self, names: Iterable[str], errors_px: Iterable[float]) -> list[str]:
        """Take the errors of one set (raw px; NaN where a view saw nobody).

        Returns:
            one warning for each camera whose error has just become too high.
        """
        warnings = []
        for name, error_px in zip(names, errors_px, strict=True):
            recent = self._recent[name]
            if not math.isfinite(error_px):
                continue
            recent.append(float(error_px))
            if len(recent) < self._needed:
                continue
            level, limit = median(recent), self.limit_px[name]
            if level > limit and name not in self._high:
                self._high.add(name)
                warnings.append(
                    f"camera {name}: reprojection {level:.1f} px (median of the last {len(recent)}"
                    f" sets, expected below {limit:.1f} px), calibration may be off:"
                    " run mvssm rig check"
                )
            elif level < 0.8 * limit:
                self._high.discard(name)
        return warnings

    def median_px(self, name: str) -> float:
        """The running median of one camera, raw px; NaN before the first set."""
        recent = self._recent[name]
        return median(recent) if recent else math.nan

    @property
    def high(self) -> frozenset[str]:
        """The cameras whose error is too high now."""
        return frozenset(self._high)

    def clear(self) -> None:
        """Forget everything, as after a change of calibration."""
        for recent in self._recent.values():
            recent.clear()
        self._high.clear()
