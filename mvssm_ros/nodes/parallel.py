"""The same work for every camera of a set, at the same time where that gains anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class CameraThreads:
    """A thread for each camera, but not more than there are cores.

    Decoding and colour conversion give up Python's lock, so that they run side by side. The threads
    start with the first work.

    Args:
        cameras: how many; with one, or one core, the work is done in turn by the caller.
    """

    def __init__(self, cameras: int) -> None:
        threads = min(cameras, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, "read") if threads > 1 else None

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """The results in the order of the items. Raises what the first failing call raises."""
        return list(self._pool.map(work, items) if self._pool else map(work, items))

    def close(self) -> None:
        """Let what is in work finish, and end the threads."""
        if self._pool is not None:
            self._pool.shutdown()
