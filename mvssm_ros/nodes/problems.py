"""What is wrong with one thing (a camera): told once when it begins and once when it ends."""

from __future__ import annotations

import threading
import time
from typing import Any

_REMIND_AFTER_S = 60.0


class Problems:
    """The present problems of one thing, by kind.

    Thread-safe. A problem is logged as a warning when it begins, again every minute while it
    lasts, and its end is logged too.

    Args:
        name: what has the problems, for the log line that says one is over.
        logger: of the node.
    """

    def __init__(self, name: str, logger: Any) -> None:
        self._name = name
        self._logger = logger
        self._texts: dict[str, str] = {}
        self._told_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def report(self, kind: str, text: str) -> None:
        """This problem is there now; ``text`` is one line that says what and how to mend it."""
        now_s = time.monotonic()
        with self._lock:
            silent = kind in self._texts and now_s - self._told_s[kind] < _REMIND_AFTER_S
            self._texts[kind] = text
            if not silent:
                self._told_s[kind] = now_s
        if not silent:
            self._logger.warning(text)

    def over(self, kind: str) -> None:
        """This problem is not there (any more)."""
        with self._lock:
            was_there = self._texts.pop(kind, None) is not None
        if was_there:
            self._logger.info(f"{self._name}: {kind} problem is over")

    def set(self, kind: str, present: bool, text: str) -> None:
        """This problem is there now, or it is not."""
        if present:
            self.report(kind, text)
        else:
            self.over(kind)

    def has(self, kind: str) -> bool:
        return kind in self._texts

    @property
    def message(self) -> str:
        """All present problems in one line; empty if there are none."""
        with self._lock:
            return " | ".join(self._texts.values())
