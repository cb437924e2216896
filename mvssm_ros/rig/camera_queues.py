"""What waits of every camera, in order of stamps, and the oldest of each: never sorted anew."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

Head: TypeAlias = tuple[int, str]  # the stamp of the oldest image that waits of a camera, its name


class Waiting(NamedTuple):
    """An image that waits for the others of its moment."""

    stamp_ns: int
    arrival_ns: int
    item: Any


class CameraQueues:
    """One queue a camera. Images go in anywhere and leave from the front.

    ``heads`` are in order of their stamps and are kept so: whatever is asked of the oldest images
    is read off them, and an image that comes or goes moves one of them.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self._queues: dict[str, deque[Waiting]] = {name: deque() for name in cameras}
        self.heads: list[Head] = []
        self.empty = set(self._queues)  # cameras of which nothing waits

    def __getitem__(self, camera: str) -> deque[Waiting]:
        """To look at; only the methods below change it."""
        return self._queues[camera]

    def push(self, camera: str, waiting: Waiting) -> bool:
        """Put it in its place. Returns False if an image with its stamp is there already."""
        queue, stamp_ns = self._queues[camera], waiting.stamp_ns
        if not queue or stamp_ns > queue[-1].stamp_ns:
            queue.append(waiting)
        else:
            at = bisect_left(queue, stamp_ns, key=lambda other: other.stamp_ns)
            if queue[at].stamp_ns == stamp_ns:
                return False
            queue.insert(at, waiting)
        if queue[0] is waiting:
            if len(queue) > 1:
                self.heads.remove((queue[1].stamp_ns, camera))
            self.empty.discard(camera)
            insort(self.heads, (stamp_ns, camera))
        return True

    def pop(self, camera: str) -> Waiting:
        """Take out the camera's oldest."""
        queue = self._queues[camera]
        waiting = queue.popleft()
        self.heads.remove((waiting.stamp_ns, camera))
        if queue:
            insort(self.heads, (queue[0].stamp_ns, camera))
        else:
            self.empty.add(camera)
        return waiting

    def pop_each(self, cameras: frozenset[str]) -> dict[str, Waiting]:
        """Take out the oldest of each of these cameras, in the order of the rig."""
        popped = {name: q.popleft() for name, q in self._queues.items() if name in cameras}
        self.heads = sorted([(q[0].stamp_ns, name) for name, q in self._queues.items() if q])
        self.empty.update([name for name in popped if not self._queues[name]])
        return popped

    def cut(self, camera: str, after_ns: int) -> int:
        """Throw away the camera's images stamped later than that. Returns how many there were."""
        queue = self._queues[camera]
        before = len(queue)
        while queue and queue[-1].stamp_ns > after_ns:
            if len(queue) == 1:
                self.pop(camera)
            else:
                queue.pop()
        return before - len(queue)

    def window(self, slop_ns: int) -> list[Head]:
        """The heads within the slop of the oldest, oldest first."""
        heads = self.heads
        if not heads or heads[-1][0] - heads[0][0] <= slop_ns:
            return heads[:]
        return heads[: bisect_left(heads, (heads[0][0] + slop_ns + 1,))]

    def has_larger_window(self, slop_ns: int, count: int) -> bool:
        """Whether more than ``count`` heads are within the slop of another of the first ``count``."""
        heads = self.heads
        for i in range(1, min(count, len(heads) - count)):
            if heads[i + count][0] - heads[i][0] <= slop_ns:
                return True
        return False
