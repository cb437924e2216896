"""Which stamps a camera's next images may have, judged by the distances of its recent ones."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

_KEPT = 30  # distances, also kept sorted: their median and its like are read off, not computed
_ENOUGH = 10  # of them for a forecast


class StampForecast:
    """A camera's stamps are whole periods apart, give or take a jitter, with gaps for lost images.

    The period is the median distance. The jitter is how far the shortest lies below it, or the
    upper quartile above it: lost images make the longest longer, but never the shortest shorter. A
    camera that loses more than a quarter of its images, repeats them or sends them in disorder has
    so much jitter that it may have any stamp next.
    """

    def __init__(self) -> None:
        self._newest_ns: int | None = None
        self._steps_ns: deque[int] = deque()
        self._sorted_ns: list[int] = []
        self._shortest_ns = self._longest_ns = 0  # the next step, in between; 0: any

    def note(self, stamp_ns: int) -> None:
        """An image with this stamp has come."""
        if self._newest_ns is None:
            self._newest_ns = stamp_ns
            return
        steps_ns, step_ns = self._sorted_ns, stamp_ns - self._newest_ns
        if len(steps_ns) == _KEPT:
            del steps_ns[bisect_left(steps_ns, self._steps_ns.popleft())]
        self._steps_ns.append(step_ns)
        insort(steps_ns, step_ns)
        self._newest_ns = max(stamp_ns, self._newest_ns)
        count = len(steps_ns)
        if count >= _ENOUGH:
            period_ns = steps_ns[count // 2]
            jitter_ns = max(period_ns - steps_ns[0], steps_ns[3 * count // 4] - period_ns)
            self._shortest_ns = max(0, period_ns - 2 * jitter_ns)
            self._longest_ns = period_ns + 2 * jitter_ns

    def may_come(self, from_ns: int, to_ns: int) -> bool:
        """Whether an image to come may have a stamp in this range. True where too little is known.

        Twice the jitter is allowed for, and as often as whole periods fit in between.
        """
        if self._newest_ns is None or not self._shortest_ns:
            return True
        if self._newest_ns + self._shortest_ns > to_ns:
            return False
        periods = -((self._newest_ns - from_ns) // self._longest_ns)  # the first that may reach it
        return self._newest_ns + periods * self._shortest_ns <= to_ns
