"""How far a camera's clock is off, and how fast it drifts, judged by when its images arrive.

The lead of an image is its stamp minus its arrival. Transport only ever makes an image later, so
the largest lead of a second is that of its least delayed image (the clock filter of NTP, RFC 5905,
section 10). A resistant line (Tukey, Exploratory Data Analysis, 1977) through a minute of these
gives the lead now and its slope. Cameras are compared by their leads, so what they have in common
(the host's clock, a recording played slowly) drops out; a constant difference in transport delay
does not, and looks like an offset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median, median_low

_SECOND_NS = 1_000_000_000
_KEPT = 60  # seconds of leads
_ENOUGH = 10  # seconds of leads for a slope
_LEVEL = 20  # the latest of them, for the lead now
_STEP_NS = 100_000_000  # a lead that changes by more in a second: the clock was set, begin anew


class CameraClock:
    """The lead of one camera's stamps over their arrival. Times in ns.

    The line is fitted when it is asked for, not when an image comes.
    """

    def __init__(self) -> None:
        self.settled = False  # true once a whole second of images has been seen
        self._second: int | None = None  # the one in progress
        self._best_ns = 0  # largest lead in it
        self._seconds: deque[int] = deque(maxlen=_KEPT)  # those that are over
        self._leads_ns: deque[int] = deque(maxlen=_KEPT)  # the largest lead in each
        self._line: tuple[float, float | None] | None = None  # (lead, slope); None: fit it anew

    def add(self, stamp_ns: int, arrival_ns: int) -> bool:
        """Take one image. Returns whether the estimate has changed, as a second is over."""
        lead, second, before = stamp_ns - arrival_ns, arrival_ns // _SECOND_NS, self._second
        if before is not None and second <= before:  # threads may overtake each other
            self._best_ns = max(lead, self._best_ns)
            return False
        if before is not None:
            if self._leads_ns and abs(self._leads_ns[-1] - self._best_ns) > _STEP_NS:
                self._leads_ns.clear()
                self._seconds.clear()
            self._leads_ns.append(self._best_ns)
            self._seconds.append(before)
            self.settled, self._line = True, None
        self._second, self._best_ns = second, lead
        return before is not None

    @property
    def lead_ns(self) -> float | None:
        """Now; None before the first image."""
        if self.settled:
            return self._fit()[0]
        return None if self._second is None else float(self._best_ns)  # better than nothing

    @property
    def slope(self) -> float | None:
        """Of the lead, ns per ns; None until it is known."""
        return self._fit()[1] if self.settled else None

    def _fit(self) -> tuple[float, float | None]:
        if self._line is None:
            seconds, leads_ns, slope = list(self._seconds), list(self._leads_ns), None
            if len(seconds) >= _ENOUGH:
                third = len(seconds) // 3
                run = median(seconds[-third:]) - median(seconds[:third])
                rise = median(leads_ns[-third:]) - median(leads_ns[:third])
                slope = rise / (run * _SECOND_NS)
            since_ns = (seconds[-1] - median(seconds[-_LEVEL:])) * _SECOND_NS
            self._line = median(leads_ns[-_LEVEL:]) + (slope or 0.0) * since_ns, slope
        return self._line


class RigClocks:
    """The clocks of all cameras, against the rig's: that of the middle camera (of an even number
    the lower middle one), so always a real clock."""

    def __init__(self, cameras: Iterable[str]) -> None:
        self._clocks = {name: CameraClock() for name in cameras}
        self._leads_ns: dict[str, float] = {}  # of the cameras that are settled
        self.shifts_ns: dict[str, int] = {}  # by `compare`: their offsets

    def add(self, camera: str, stamp_ns: int, arrival_ns: int) -> bool:
        """Take one image. Returns whether the estimate of its camera has changed."""
        return self._clocks[camera].add(stamp_ns, arrival_ns)

    def compare(self, camera: str) -> bool:
        """Compute the shifts anew, as the estimate of this camera has changed.

        Returns whether the rig's clock has been set: another camera's is the middle one now and
        differs a lot, so that the shifts of all have changed.
        """
        lead_ns = self._clocks[camera].lead_ns
        if lead_ns is not None:
            self._leads_ns[camera] = lead_ns
        middle_ns, before = median_low(self._leads_ns.values()), self.shifts_ns
        self.shifts_ns = {name: round(lead - middle_ns) for name, lead in self._leads_ns.items()}
        return any(
            abs(self.shifts_ns[name] - shift) > _STEP_NS
            for name, shift in before.items()
            if name != camera
        )

    def offset_ns(self, camera: str) -> float | None:
        """How far the camera's stamps run ahead of the rig's; None before its first image."""
        known = [c.lead_ns for c in self._clocks.values() if c.lead_ns is not None]
        own = self._clocks[camera].lead_ns
        return None if own is None else own - median_low(known)

    def drift(self, camera: str) -> float | None:
        """How much faster its clock runs than the rig's, s per s; None in the first ten seconds."""
        known = [c.slope for c in self._clocks.values() if c.slope is not None]
        own = self._clocks[camera].slope
        return None if own is None else own - median_low(known)
