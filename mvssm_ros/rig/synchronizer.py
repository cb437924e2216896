"""Sets of images that belong together, by their stamps, from cameras that may fail.

Images of one moment arrive one by one, late, or not at all. The synchroniser keeps a short sorted
queue per camera. The oldest image waiting opens a window ``[stamp, stamp + slop]``; every camera
gives at most its first image in it. The set leaves

- at once when every camera that is waited for has given its image or sent a later one;
- at the deadline, counted from the first arrival in the window, with the cameras that are there;
- never with fewer than ``min_cameras`` cameras: then it is dropped and counted.

A camera that has been silent for several of its periods is stale: a set that is large enough does
not wait for it any more, and it takes part again with its next image. If all fall silent together
(a paused recording), none is stale for that when they go on. Stamps of the sets strictly
increase. Time is whatever clock the caller passes as ``now_ns`` (the node clock, so simulated time
works). No ROS in here.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, median_low
from typing import Any

from mvssm_ros.errors import UserError

# Reasons for which an image, or a whole set, is dropped.
LATE = "late"  # image: its set, or a later one, has already left
OUT_OF_SLOP = "out_of_slop"  # image: too few other cameras have one within the slop
NO_QUORUM = "no_quorum"  # set: fewer than min_cameras, and no more to come
QUEUE_FULL = "queue_full"  # image: the oldest of a camera whose queue is full

STALE_PERIODS = 5  # a camera silent for so many of its periods is no longer waited for
JUMP_BACK_NS = 500_000_000  # a stamp or a clock going back by more means: time has been set back
_RATE_WINDOW = 31  # stamps kept per camera to tell its rate
_OFFSET_SMOOTHING = 0.05  # weight of a new arrival in the running estimate of a camera's offset


@dataclass(frozen=True)
class ImageSet:
    """What the cameras saw at one moment. Both dictionaries are in the rig's camera order."""

    stamps_ns: dict[str, int]
    items: dict[str, Any]

    @property
    def cameras(self) -> list[str]:
        return list(self.items)

    @property
    def stamp_ns(self) -> int:
        """The median stamp; of an even number the lower middle one, so always a real image's."""
        return median_low(self.stamps_ns.values())

    @property
    def spread_ns(self) -> int:
        """Latest minus earliest stamp."""
        return max(self.stamps_ns.values()) - min(self.stamps_ns.values())


@dataclass
class CameraTiming:
    """What is known of one camera's stream. Times in ns, on the clocks of the class above."""

    received: int = 0
    last_stamp_ns: int | None = None
    last_arrival_ns: int | None = None
    offset_ns: float | None = None  # smoothed (stamp - arrival)
    drops: Counter[str] = field(default_factory=Counter)  # images by reason
    recent_stamps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))
    recent_arrivals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))

    @property
    def period_ns(self) -> float | None:
        """Mean distance of the recent stamps; None before the second image."""
        return _mean_step(self.recent_stamps_ns)

    @property
    def arrival_period_ns(self) -> float | None:
        """Mean distance of the recent arrivals: another one where a recording is played slowly."""
        return _mean_step(self.recent_arrivals_ns)


@dataclass(order=True)
class _Waiting:
    stamp_ns: int
    arrival_ns: int = field(compare=False)
    item: Any = field(compare=False)


class RigSynchronizer:
    """Collects images (or anything else stamped) of several cameras into sets.

    Thread-safe: matches under a lock, calls ``on_set`` and ``on_reset`` outside it, on the thread
    that called `add` or `expire`.

    Args:
        cameras: names, in the rig's order.
        slop_ns: largest spread of the stamps in a set. Keep it under half the cameras' period.
        deadline_ns: how long a set waits for its missing cameras, from its first arrival.
        min_cameras: smallest set worth having.
        queue_size: images kept per camera; the oldest goes when a camera exceeds it.
        on_set: called with every `ImageSet`.
        on_reset: called when time was set back and everything waiting was thrown away.

    Raises:
        UserError: a setting that can never give a set.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        *,
        slop_ns: int,
        deadline_ns: int,
        min_cameras: int,
        queue_size: int,
        on_set: Callable[[ImageSet], None],
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        if len(set(cameras)) != len(cameras):
            raise UserError(f"synchroniser: a camera is named twice in {list(cameras)}")
        if not 1 <= min_cameras <= len(cameras):
            raise UserError(
                f"sync.min_cameras is {min_cameras}, expected 1..{len(cameras)},"
                " the number of cameras in the rig"
            )
        if slop_ns < 0 or deadline_ns <= 0 or queue_size < 1:
            raise UserError(
                "synchroniser: expected slop >= 0, deadline > 0 and queue_size >= 1,"
                f" got {slop_ns} ns, {deadline_ns} ns and {queue_size}"
            )
        self.cameras = tuple(cameras)
        self.slop_ns = slop_ns
        self.deadline_ns = deadline_ns
        self.min_cameras = min_cameras
        self.queue_size = queue_size
        self.timing = {name: CameraTiming() for name in cameras}
        self.drops: Counter[str] = Counter()  # by reason: images, and sets for NO_QUORUM
        self._on_set = on_set
        self._on_reset = on_reset
        self._lock = threading.Lock()
        self._queues: dict[str, deque[_Waiting]] = {name: deque() for name in cameras}
        self._last_used_ns: int | None = None  # latest stamp in the latest set
        self._last_set_now_ns: int | None = None  # when the latest set left
        self._first_arrival_ns: int | None = None
        self._newest_now_ns: int | None = None

    def add(self, camera: str, stamp_ns: int, item: Any, now_ns: int) -> None:
        """Take one image of one camera; may call ``on_set`` (several times) or ``on_reset``.

        A deadline that has passed is left to `expire`: the images that a set lacks may be waiting
        behind this one, when the caller itself was late.
        """
        with self._lock:
            jumped = self._went_back(camera, stamp_ns, now_ns)
            if jumped:
                self._flush()
            self._note_arrival(camera, stamp_ns, now_ns)
            self._insert(camera, _Waiting(stamp_ns, now_ns, item))
            ready = self._collect(now_ns, may_expire=False)
        self._deliver(jumped, ready)

    def expire(self, now_ns: int) -> None:
        """Give up waiting where the deadline has passed. Call it now and then with the clock."""
        with self._lock:
            jumped = self._clock_went_back(now_ns)
            if jumped:
                self._flush()
            self._newest_now_ns = now_ns
            ready = self._collect(now_ns, may_expire=True)
        self._deliver(jumped, ready)

    def flush(self) -> None:
        """Forget everything that waits, and the stamp of the last set."""
        with self._lock:
            self._flush()

    @property
    def next_deadline_ns(self) -> int | None:
        """When `expire` should be called next; None while nothing waits."""
        with self._lock:
            window = self._window()
            return self._deadline_of(window) if window else None

    def is_stale(self, camera: str, now_ns: int) -> bool:
        """True if the camera has been silent, or has never spoken, for several periods."""
        timing = self.timing[camera]
        since = timing.last_arrival_ns
        if since is None:
            since = self._first_arrival_ns
        period = timing.arrival_period_ns or self._shortest_period_ns()
        if since is None or period is None:
            return False
        return now_ns - since > max(STALE_PERIODS * period, self.deadline_ns)

    def offset_ns(self, camera: str) -> float | None:
        """How far the camera's stamps run ahead of the rig's median, judged by arrival.

        None if unknown. Differences in transport delay look like offsets.
        """
        known = [t.offset_ns for t in self.timing.values() if t.offset_ns is not None]
        own = self.timing[camera].offset_ns
        return None if own is None else own - median(known)

    # --- everything below runs under the lock, except _deliver ---

    def _deliver(self, jumped: bool, ready: list[ImageSet]) -> None:
        if jumped:
            self._on_reset()
        for image_set in ready:
            self._on_set(image_set)

    def _went_back(self, camera: str, stamp_ns: int, now_ns: int) -> bool:
        newest = self.timing[camera].last_stamp_ns
        if newest is not None and newest - stamp_ns > JUMP_BACK_NS:
            return True
        return self._clock_went_back(now_ns)

    def _clock_went_back(self, now_ns: int) -> bool:
        return self._newest_now_ns is not None and self._newest_now_ns - now_ns > JUMP_BACK_NS

    def _flush(self) -> None:
        for queue in self._queues.values():
            queue.clear()
        for timing in self.timing.values():
            timing.recent_stamps_ns.clear()
            timing.recent_arrivals_ns.clear()
            timing.last_stamp_ns = timing.last_arrival_ns = timing.offset_ns = None
        self._last_used_ns = self._last_set_now_ns = None
        self._first_arrival_ns = self._newest_now_ns = None

    def _note_arrival(self, camera: str, stamp_ns: int, now_ns: int) -> None:
        timing = self.timing[camera]
        timing.received += 1
        timing.last_stamp_ns = max(stamp_ns, timing.last_stamp_ns or stamp_ns)
        timing.last_arrival_ns = now_ns
        timing.recent_stamps_ns.append(stamp_ns)
        timing.recent_arrivals_ns.append(now_ns)
        lead = float(stamp_ns - now_ns)
        if timing.offset_ns is None:
            timing.offset_ns = lead
        else:
            timing.offset_ns += _OFFSET_SMOOTHING * (lead - timing.offset_ns)
        self._newest_now_ns = now_ns
        if self._first_arrival_ns is None:
            self._first_arrival_ns = now_ns

    def _insert(self, camera: str, waiting: _Waiting) -> None:
        queue = self._queues[camera]
        if self._last_used_ns is not None and waiting.stamp_ns <= self._last_used_ns:
            self._drop(camera, LATE)
            return
        at = bisect_left(queue, waiting)
        if at < len(queue) and queue[at].stamp_ns == waiting.stamp_ns:
            self._drop(camera, LATE)  # the same image twice
            return
        queue.insert(at, waiting)
        if len(queue) > self.queue_size:
            queue.popleft()
            self._drop(camera, QUEUE_FULL)

    def _collect(self, now_ns: int, may_expire: bool) -> list[ImageSet]:
        """Take every set that is decided or overdue out of the queues, oldest first."""
        ready: list[ImageSet] = []
        while window := self._window():
            undecided = [name for name in self.cameras if not self._queues[name]]
            if len(window) >= self.min_cameras:
                undecided = [name for name in undecided if not self._left_behind(name)]
            overdue = may_expire and now_ns >= self._deadline_of(window)
            if undecided and not overdue:
                break
            if len(window) >= self.min_cameras:
                ready.append(self._take(window))
                self._last_set_now_ns = now_ns
            elif any(queue and name not in window for name, queue in self._queues.items()):
                # Others have moved on: without its oldest image the window may fit them better.
                oldest = min(window, key=lambda name: window[name].stamp_ns)
                self._queues[oldest].popleft()
                self._drop(oldest, OUT_OF_SLOP)
            else:
                self.drops[NO_QUORUM] += 1
                for name in window:
                    self._queues[name].popleft()
                    self.timing[name].drops[NO_QUORUM] += 1
        return ready

    def _left_behind(self, name: str) -> bool:
        """It was stale when the latest set left: the others went on without it."""
        return self._last_set_now_ns is not None and self.is_stale(name, self._last_set_now_ns)

    def _window(self) -> dict[str, _Waiting]:
        """The first image of every camera that has one within the slop of the oldest waiting."""
        heads = {name: queue[0] for name, queue in self._queues.items() if queue}
        if not heads:
            return {}
        until = min(head.stamp_ns for head in heads.values()) + self.slop_ns
        return {name: head for name, head in heads.items() if head.stamp_ns <= until}

    def _deadline_of(self, window: dict[str, _Waiting]) -> int:
        return min(waiting.arrival_ns for waiting in window.values()) + self.deadline_ns

    def _take(self, window: dict[str, _Waiting]) -> ImageSet:
        image_set = ImageSet(
            stamps_ns={name: waiting.stamp_ns for name, waiting in window.items()},
            items={name: waiting.item for name, waiting in window.items()},
        )
        self._last_used_ns = max(image_set.stamps_ns.values())
        for name, queue in self._queues.items():
            if name in window:
                queue.popleft()
            while queue and queue[0].stamp_ns <= self._last_used_ns:
                queue.popleft()
                self._drop(name, OUT_OF_SLOP)
        return image_set

    def _drop(self, camera: str, reason: str) -> None:
        self.drops[reason] += 1
        self.timing[camera].drops[reason] += 1

    def _shortest_period_ns(self) -> float | None:
        periods = [t.arrival_period_ns for t in self.timing.values()]
        return min((p for p in periods if p is not None), default=None)


def _mean_step(times_ns: deque[int]) -> float | None:
    if len(times_ns) < 2 or times_ns[-1] <= times_ns[0]:
        return None
    return (times_ns[-1] - times_ns[0]) / (len(times_ns) - 1)
