"""What the synchroniser counts and knows of one camera's stream."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from mvssm_ros.rig.stamp_forecast import StampForecast

_RATE_WINDOW = 31  # stamps kept per camera to tell its rate


@dataclass
class CameraTiming:
    """Every image received is in a set (``used``), waits, or is dropped for one reason.

    Stamps in ns on the camera's clock, arrivals in ns on that of the caller.
    """

    received: int = 0
    used: int = 0
    drops: Counter[str] = field(default_factory=Counter)  # images by reason
    last_stamp_ns: int | None = None
    last_arrival_ns: int | None = None
    recent_stamps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))
    recent_arrivals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))
    forecast: StampForecast = field(default_factory=StampForecast)

    @property
    def period_ns(self) -> float | None:
        """Mean distance of the recent stamps; None before the second image."""
        return _mean_step(self.recent_stamps_ns)

    @property
    def arrival_period_ns(self) -> float | None:
        """Mean distance of the recent arrivals: another one where a recording is played slowly."""
        return _mean_step(self.recent_arrivals_ns)

    def note(self, stamp_ns: int, now_ns: int) -> None:
        """An image has arrived."""
        self.received += 1
        if self.last_stamp_ns is None or stamp_ns > self.last_stamp_ns:
            self.last_stamp_ns = stamp_ns
        self.last_arrival_ns = now_ns
        self.recent_stamps_ns.append(stamp_ns)
        self.recent_arrivals_ns.append(now_ns)
        self.forecast.note(stamp_ns)

    def forget(self) -> None:
        """Time was set back: the times mean nothing any more, the counts stay."""
        self.last_stamp_ns = self.last_arrival_ns = None
        self.recent_stamps_ns.clear()
        self.recent_arrivals_ns.clear()
        self.forecast = StampForecast()


def _mean_step(times_ns: deque[int]) -> float | None:
    if len(times_ns) < 2 or times_ns[-1] <= times_ns[0]:
        return None
    return (times_ns[-1] - times_ns[0]) / (len(times_ns) - 1)
