"""A thread with a mailbox that holds one thing: the newest. Slow work drops the oldest, whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class OneSlotWorker(Generic[T]):
    """Calls ``work`` with what is offered, one at a time, on a thread of its own.

    While ``work`` runs, what is offered waits in the one slot; a newer offer takes its place and
    the older one is dropped and counted in ``overwritten``.

    Args:
        work: does the work; runs on the worker's thread.
        on_error: called on the worker's thread with whatever ``work`` raises; the worker goes on.
        name: of the thread.
    """

    def __init__(
        self, work: Callable[[T], None], on_error: Callable[[Exception], None], name: str
    ) -> None:
        self.overwritten = 0
        self._work = work
        self._on_error = on_error
        self._slot: list[T] = []  # empty or one element
        self._changed = threading.Condition()
        self._stopping = False
        self._working = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> None:
        """Hand over the newest thing to work on; never waits."""
        with self._changed:
            self.overwritten += len(self._slot)
            self._slot[:] = [item]
            self._changed.notify()

    @property
    def busy(self) -> bool:
        """True while something is worked on or waits."""
        with self._changed:
            return self._working or bool(self._slot)

    def stop(self, timeout_s: float) -> bool:
        """Drop what waits, let the work in progress finish, end the thread.

        Returns:
            False if the work in progress took longer than the timeout; it is then left to itself
            and the thread ends after it.
        """
        with self._changed:
            self._stopping = True
            self._slot.clear()
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot or self._stopping)
                if self._stopping:
                    return
                item = self._slot.pop()
                self._working = True
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)
            del item  # a set of images: do not keep it until the next one comes
            with self._changed:
                self._working = False
