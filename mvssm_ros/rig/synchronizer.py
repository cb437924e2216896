"""Sets of images that belong together, by their stamps, from cameras that may fail.

Images of one moment arrive one by one, late, or not at all. The synchroniser keeps a short sorted
queue per camera. The oldest image waiting opens a window ``[stamp, stamp + slop]``; of every camera
that has images in it, the one nearest to the slowest camera's makes the set. Where a window that
opens a little later holds more cameras, it is taken instead. The set leaves

- at once when every camera that is waited for has given its image or sent a later one, or judged
  by its recent stamps will not send one that could belong to it (see stamp_forecast.py);
- at the deadline, counted from the first arrival in the window, with the cameras that are there;
- never with fewer than ``min_cameras`` cameras: then it is dropped and counted.

A camera that has been silent for several of its periods is stale: a set that is large enough does
not wait for it any more, and it takes part again with its next image. If all fall silent together
(a paused recording), none is stale for that when they go on. Stamps of the sets strictly
increase, and an image that comes after its set has left joins no other. Time is whatever clock the
caller passes as ``now_ns`` (the node clock, so simulated time works). No ROS in here.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.rig.camera_clock import RigClocks
from mvssm_ros.rig.camera_queues import CameraQueues, Head, Waiting
from mvssm_ros.rig.camera_timing import CameraTiming
from mvssm_ros.rig.image_set import ImageSet

# Reasons for which an image, or a whole set, is dropped.
LATE = "late"  # image: its set, or a later one, has already left
OUT_OF_SLOP = "out_of_slop"  # image: too few other cameras have one within the slop
NO_QUORUM = "no_quorum"  # set: fewer than min_cameras, and no more to come
QUEUE_FULL = "queue_full"  # image: the oldest of a camera whose queue is full
FLUSHED = "flushed"  # image: it waited when time was set back, or when all was to be forgotten
OFFSET_UNKNOWN = "offset_unknown"  # image: compensating, and its camera's first second is not over

STALE_PERIODS = 5  # a camera silent for so many of its periods is no longer waited for
LEAVING_PER_ADD = 8  # images: a further set that would make them more is left to `catch_up`
JUMP_BACK_NS = 500_000_000  # a stamp or a clock going back by more means: time has been set back


class RigSynchronizer:
    """Collects images (or anything else stamped) of several cameras into sets.

    Thread-safe: matches under a lock, calls ``on_set`` and ``on_reset`` outside it, one at a time
    and in order, on a thread that called `add` or `expire`.

    Args:
        cameras: names, in the rig's order.
        slop_ns: largest spread of the stamps in a set. Keep it under half the cameras' period.
        deadline_ns: how long a set waits for its missing cameras, from its first arrival.
        min_cameras: smallest set worth having.
        queue_size: images kept per camera; the oldest goes when a camera exceeds it.
        on_set: called with every `ImageSet`.
        on_reset: called when time was set back and everything waiting was thrown away.
        compensate: subtract each camera's estimated offset and drift from its stamps. Costs a
            camera's first second, and takes differences in transport delay for offsets.

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
        compensate: bool = False,
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
        self.compensate = compensate
        self.timing = {name: CameraTiming() for name in cameras}
        self.drops: Counter[str] = Counter()  # by reason: images, and sets for NO_QUORUM
        self._on_set = on_set
        self._on_reset = on_reset
        self._lock = threading.Lock()
        self._outbox: deque[ImageSet | None] = deque()  # None: a reset
        self._delivering = False
        self._queues = CameraQueues(cameras)
        self._first_arrival_ns: int | None = None
        self._newest_now_ns: int | None = None
        self._forget()

    def add(self, camera: str, stamp_ns: int, item: Any, now_ns: int) -> None:
        """Take one image of one camera; may call ``on_set`` (several times) or ``on_reset``.

        A deadline that has passed is left to `expire`: the images that a set lacks may be waiting
        behind this one, when the caller itself was late. Where one image decides many sets (the
        first of a camera that was silent), all but the first are left to `catch_up`.
        """
        with self._lock:
            if self._clock_went_back(now_ns):
                self._reset()
            self._look_for_jump(camera, stamp_ns, now_ns)
            self._note(camera, stamp_ns, now_ns)
            shift_ns = self._clocks.shifts_ns.get(camera) if self.compensate else 0
            if shift_ns is None:
                self._drop(camera, OFFSET_UNKNOWN)
            else:
                self._insert(camera, Waiting(stamp_ns - shift_ns, now_ns, item))
            self._collect(now_ns, may_expire=False)
        self._deliver()

    def catch_up(self) -> bool:
        """Let the next sets leave that an `add` decided and left waiting. Returns whether any did.

        `add` and `expire` do it too; this does it now, and like `add` never holds the lock for long.
        """
        if not self._unfinished:
            return False
        with self._lock:
            if self._newest_now_ns is not None:
                self._collect(self._newest_now_ns, may_expire=False)
        self._deliver()
        return True

    def expire(self, now_ns: int) -> None:
        """Give up waiting where the deadline has passed. Call it now and then with the clock."""
        with self._lock:
            if self._clock_went_back(now_ns):
                self._reset()
            self._newest_now_ns = now_ns
            self._collect(now_ns, may_expire=True)
        self._deliver()

    def flush(self) -> None:
        """Forget everything that waits, and the stamp of the last set."""
        with self._lock:
            self._forget()

    def waiting(self, camera: str) -> int:
        """How many of its images wait for the others'."""
        return len(self._queues[camera])

    @property
    def next_deadline_ns(self) -> int | None:
        """When `expire` should be called next; None while nothing waits."""
        with self._lock:
            if self._unfinished:
                return self._newest_now_ns
            window = self._queues.window(self.slop_ns)
            return self._deadline_of(window) if window else None

    def is_stale(self, camera: str, now_ns: int) -> bool:
        """True if the camera has been silent, or has never spoken, for several periods."""
        timing = self.timing[camera]
        since = timing.last_arrival_ns
        if since is None:
            since = self._first_arrival_ns
        if since is None or now_ns - since <= self.deadline_ns:
            return False
        period = timing.arrival_period_ns or self._shortest_period_ns()
        return period is not None and now_ns - since > STALE_PERIODS * period

    def offset_ns(self, camera: str) -> float | None:
        """How far the camera's stamps run ahead of the rig's middle clock, judged by arrival.

        None if unknown. Differences in transport delay look like offsets.
        """
        with self._lock:
            return self._clocks.offset_ns(camera)

    def drift(self, camera: str) -> float | None:
        """How much faster the camera's clock runs than the rig's middle one, s per s.

        None for the first ten seconds.
        """
        with self._lock:
            return self._clocks.drift(camera)

    # --- everything below runs under the lock, except _deliver ---

    def _deliver(self) -> None:
        """Empty the outbox, unless another thread (or a caller up the stack) is at it."""
        while self._outbox:
            with self._lock:
                if self._delivering or not self._outbox:
                    return
                self._delivering = True
                image_set = self._outbox.popleft()
            try:
                if image_set is None:
                    self._on_reset()
                else:
                    self._on_set(image_set)
            finally:
                self._delivering = False

    def _clock_went_back(self, now_ns: int) -> bool:
        return self._newest_now_ns is not None and self._newest_now_ns - now_ns > JUMP_BACK_NS

    def _look_for_jump(self, camera: str, stamp_ns: int, now_ns: int) -> None:
        """Reset where this stamp says that the time of the rig was set back."""
        newest = self.timing[camera].last_stamp_ns
        shift_ns = self._clocks.shifts_ns.get(camera, 0) if self.compensate else 0
        if newest is not None and newest - stamp_ns > JUMP_BACK_NS:
            if self._leaves_the_rig_behind(newest - shift_ns, stamp_ns - shift_ns):
                self._reset()
            else:
                self._set_back_alone(camera, stamp_ns - shift_ns)
        elif self._left_in_the_past(camera, stamp_ns - shift_ns, now_ns):
            self._reset()

    def _leaves_the_rig_behind(self, before_ns: int, stamp_ns: int) -> bool:
        """Whether a camera that was with the rig before is not any more, by the last set's stamp.

        One that was behind before, or is with the rig only now, does not tell the rig's time.
        """
        used = self._last_used_ns
        return used is None or used - before_ns <= JUMP_BACK_NS < used - stamp_ns

    def _set_back_alone(self, camera: str, stamp_ns: int) -> None:
        """The camera's clock was not the rig's, and has been set back: the rig goes on."""
        for _ in range(self._queues.cut(camera, stamp_ns + JUMP_BACK_NS)):
            self._drop(camera, FLUSHED)
        self.timing[camera].forget()

    def _left_in_the_past(self, camera: str, stamp_ns: int, now_ns: int) -> bool:
        """Enough cameras for a set are far behind the last one, and those that were in it silent.

        So it is when cameras whose clocks ran ahead have died.
        """
        used = self._last_used_ns
        if used is None or used - stamp_ns <= JUMP_BACK_NS:
            return False
        self._in_the_past.add(camera)
        if len(self._in_the_past) < self.min_cameras:
            return False
        return all(self.is_stale(name, now_ns) for name in self._last_members)

    def _reset(self) -> None:
        """The time of the rig was set back."""
        self._forget()
        self._outbox.append(None)

    def _forget(self) -> None:
        for timing in self.timing.values():
            timing.forget()
        self._clocks = RigClocks(self.cameras)
        self._first_arrival_ns = self._newest_now_ns = None
        self._forget_sets()

    def _forget_sets(self) -> None:
        """What waits goes, and the next set may have any stamp."""
        while self._queues.heads:
            self._drop_oldest(self._queues.heads[0][1], FLUSHED)
        self._last_start_ns: int | None = None  # earliest stamp in the latest set
        self._last_used_ns: int | None = None  # latest stamp in it
        self._last_members: frozenset[str] = frozenset()
        self._unfinished = False  # sets are decided that `add` has left to `catch_up`
        self._left_behind: set[str] = set()  # stale when the latest set left: it went without them
        self._in_the_past: set[str] = set()  # cameras far behind the latest set since it left

    def _note(self, camera: str, stamp_ns: int, now_ns: int) -> None:
        self._newest_now_ns = now_ns
        if self._first_arrival_ns is None:
            self._first_arrival_ns = now_ns
        self.timing[camera].note(stamp_ns, now_ns)
        self._left_behind.discard(camera)
        changed = self._clocks.add(camera, stamp_ns, now_ns)
        if self.compensate and changed and self._clocks.compare(camera):
            self._forget_sets()  # another camera's clock is the middle one now: all stamps change
            self._outbox.append(None)

    def _insert(self, camera: str, waiting: Waiting) -> None:
        if self._is_late(camera, waiting.stamp_ns) or not self._queues.push(camera, waiting):
            self._drop(camera, LATE)  # or the same image twice
        elif len(self._queues[camera]) > self.queue_size:
            self._drop_oldest(camera, QUEUE_FULL)

    def _is_late(self, camera: str, stamp_ns: int) -> bool:
        if self._last_used_ns is None or self._last_start_ns is None:
            return False
        if stamp_ns <= self._last_used_ns:
            return True
        after = stamp_ns - self._last_start_ns
        if after > self.slop_ns or camera in self._last_members:
            return False
        # The last set left without it. With a slop too wide for the rate it may be the next one's.
        period = self.timing[camera].period_ns
        return period is None or after < period / 2

    def _collect(self, now_ns: int, may_expire: bool) -> None:
        """Put the sets that are decided or overdue into the outbox, oldest first."""
        leaving, self._unfinished = 0, False
        while self._queues.heads:
            window = self._queues.window(self.slop_ns)
            if self._is_undecided(window):
                if not may_expire or now_ns < self._deadline_of(window):
                    return
            elif not may_expire and 0 < leaving > LEAVING_PER_ADD - len(window):
                self._unfinished = True
                return
            leaving += self._let_go(window, now_ns)

    def _let_go(self, window: list[Head], now_ns: int) -> int:
        """Make a set of the window, or drop what can be in none. Returns how many images left."""
        count, queues = len(window), self._queues
        enough = count >= self.min_cameras
        others = len(queues.heads) > count
        if others and (not enough or queues.has_larger_window(self.slop_ns, count)):
            # Without its oldest image the window may fit the others better.
            self._drop_oldest(window[0][1], OUT_OF_SLOP)
            return 1
        if enough:
            self._outbox.append(self._take(window))
            silent = queues.empty - self._last_members - self._left_behind
            self._left_behind.update([name for name in silent if self.is_stale(name, now_ns)])
        else:
            self.drops[NO_QUORUM] += 1
            for _, name in window:
                queues.pop(name)
                self.timing[name].drops[NO_QUORUM] += 1
        return count

    def _is_undecided(self, window: list[Head]) -> bool:
        """Whether an image is waited for: of a window too small, of any camera that has none."""
        empty = self._queues.empty
        if len(window) < self.min_cameras:
            return bool(empty)
        return any(name not in self._left_behind and self._may_join(name, window) for name in empty)

    def _may_join(self, camera: str, window: list[Head]) -> bool:
        """Whether an image that the camera is to send may be within the slop of one of these."""
        shift_ns = self._clocks.shifts_ns.get(camera, 0) if self.compensate else 0
        return self.timing[camera].forecast.may_come(
            window[0][0] - self.slop_ns + shift_ns,
            window[-1][0] + self.slop_ns + shift_ns,
        )

    def _deadline_of(self, window: list[Head]) -> int:
        return min([self._queues[name][0].arrival_ns for _, name in window]) + self.deadline_ns

    def _take(self, window: list[Head]) -> ImageSet:
        """The images of a window: of each camera the one nearest to the slowest camera's first."""
        until_ns, slowest_ns = window[0][0] + self.slop_ns, window[-1][0]
        for _, name in window:
            queue = self._queues[name]
            while len(queue) > 1 and queue[1].stamp_ns <= until_ns:
                if abs(queue[1].stamp_ns - slowest_ns) >= abs(queue[0].stamp_ns - slowest_ns):
                    break
                self._drop_oldest(name, OUT_OF_SLOP)
        self._last_members = frozenset([name for _, name in window])
        chosen = self._queues.pop_each(self._last_members)
        for name in chosen:
            self.timing[name].used += 1
        stamps_ns = {name: waiting.stamp_ns for name, waiting in chosen.items()}
        self._last_start_ns = min(stamps_ns.values())
        self._last_used_ns = max(stamps_ns.values())
        self._in_the_past.clear()
        while self._queues.heads and self._queues.heads[0][0] <= self._last_used_ns:
            self._drop_oldest(self._queues.heads[0][1], OUT_OF_SLOP)
        return ImageSet(stamps_ns, {name: waiting.item for name, waiting in chosen.items()})

    def _drop_oldest(self, camera: str, reason: str) -> None:
        self._queues.pop(camera)
        self._drop(camera, reason)

    def _drop(self, camera: str, reason: str) -> None:
        self.drops[reason] += 1
        self.timing[camera].drops[reason] += 1

    def _shortest_period_ns(self) -> float | None:
        periods = [t.arrival_period_ns for t in self.timing.values()]
        return min((p for p in periods if p is not None), default=None)
