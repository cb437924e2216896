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
_STEP_NS = 100_000_000  # a lead that changes by more in a second: the clock was set, begin anew


class CameraClock:
    """The lead of one camera's stamps over their arrival. Times in ns."""

    def __init__(self) -> None:
        self.lead_ns: float | None = None  # now; None before the first image
        self.slope: float | None = None  # of the lead, ns per ns; None until it is known
        self.settled = False  # true once a whole second of images has been seen
        self._second: int | None = None  # the one in progress
        self._best_ns = 0  # largest lead in it
        self._leads: deque[tuple[int, int]] = deque(maxlen=_KEPT)  # (second, largest lead)

    def add(self, stamp_ns: int, arrival_ns: int) -> bool:
        """Take one image. Returns whether the estimate has changed."""
        lead, second = stamp_ns - arrival_ns, arrival_ns // _SECOND_NS
        changed = False
        if self._second is not None and second <= self._second:  # threads may overtake each other
            self._best_ns = max(lead, self._best_ns)
        else:
            if self._second is not None:
                self._fit(self._second, self._best_ns)
                changed = True
            self._second, self._best_ns = second, lead
        if not self.settled:  # better than nothing
            self.lead_ns = float(self._best_ns)
        return changed

    def _fit(self, second: int, lead_ns: int) -> None:
        """A second is over: fit the line anew."""
        if self._leads and abs(self._leads[-1][1] - lead_ns) > _STEP_NS:
            self._leads.clear()
        self._leads.append((second, lead_ns))
        self.settled = True
        self.slope = _slope(list(self._leads)) if len(self._leads) >= _ENOUGH else None
        step = (self.slope or 0.0) * _SECOND_NS
        self.lead_ns = median([lead + step * (second - s) for s, lead in self._leads])


def _slope(leads: list[tuple[int, int]]) -> float:
    """From the medians of the first and of the last third, ns per ns."""
    third = len(leads) // 3
    first, last = leads[:third], leads[-third:]
    rise = median([lead for _, lead in last]) - median([lead for _, lead in first])
    return rise / ((last[third // 2][0] - first[third // 2][0]) * _SECOND_NS)


class RigClocks:
    """The clocks of all cameras, against the rig's: that of the middle camera (of an even number
    the lower middle one), so always a real clock."""

    def __init__(self, cameras: Iterable[str]) -> None:
        self._clocks = {name: CameraClock() for name in cameras}
        self.shifts_ns: dict[str, int] = {}  # by `compare`: offsets of the cameras that are settled

    def add(self, camera: str, stamp_ns: int, arrival_ns: int) -> bool:
        """Take one image. Returns whether the estimate of its camera has changed."""
        return self._clocks[camera].add(stamp_ns, arrival_ns)

    def compare(self, camera: str) -> bool:
        """Compute the shifts anew, as the estimate of this camera has changed.

        Returns whether the rig's clock has been set: another camera's is the middle one now and
        differs a lot, so that the shifts of all have changed.
        """
        leads = {
            name: clock.lead_ns
            for name, clock in self._clocks.items()
            if clock.settled and clock.lead_ns is not None
        }
        middle, before = median_low(leads.values()), self.shifts_ns
        self.shifts_ns = {name: round(lead - middle) for name, lead in leads.items()}
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
