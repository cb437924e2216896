"""What is wrong with one thing (a camera): told once when it begins and once when it ends."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_REMIND_AFTER_S = 60.0
_FLAPS = 3  # a problem that begins more often within a minute comes and goes


@dataclass
class _Problem:
    """``text`` is None while it is not there. Times on the clock of `Problems`."""

    text: str | None = None
    open: bool = False  # its beginning was told, its end not yet
    told_s: float = 0.0
    begun_s: deque[float] = field(default_factory=deque)  # within the last minute
    flapping: bool = False


class Problems:
    """The present problems of one thing, by kind.

    Thread-safe. A problem is logged when it begins, again every minute while it lasts, and its end
    is logged too. One that comes and goes more than three times in a minute is then told once a
    minute only, until it has not begun for a minute.

    Args:
        name: what has the problems, for the log line that says one is over.
        logger: of the node.
        clock_s: seconds; monotonic.
    """

    def __init__(
        self, name: str, logger: Any, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._logger = logger
        self._clock_s = clock_s
        self._problems: dict[str, _Problem] = {}
        self._lock = threading.Lock()

    def report(self, kind: str, text: str, *, details: str = "", serious: bool = False) -> None:
        """This problem is there now.

        Args:
            text: one line that says what and how to mend it.
            details: for the log only, below the line, when the problem begins.
            serious: nothing comes out because of it: an error in the log, else a warning.
        """
        now_s = self._clock_s()
        with self._lock:
            problem = self._problems.setdefault(kind, _Problem())
            began = problem.text is None
            problem.text = text
            problem.open = True
            line = self._line(problem, began, now_s)
            if line is not None:
                problem.told_s = now_s
        if line is None:
            return
        if details and began:
            line = f"{line}\n{details}"
        if serious:
            self._logger.error(line)
        else:
            self._logger.warning(line)

    def over(self, kind: str) -> None:
        """This problem is not there (any more)."""
        with self._lock:
            problem = self._problems.get(kind)
            if problem is None or not problem.open:
                return
            problem.text = None
            if problem.flapping and self._clock_s() - problem.begun_s[-1] < _REMIND_AFTER_S:
                return
            problem.flapping = problem.open = False
        self._logger.info(f"{self._name}: {kind} problem is over")

    def withdraw(self, kind: str) -> None:
        """Nobody asks any more whether this problem is there: without a word."""
        with self._lock:
            self._problems.pop(kind, None)

    def happened(self, kind: str, text: str) -> None:
        """A problem that is over at once; what happens again and again is told once a minute."""
        self.report(kind, text)
        with self._lock:
            self._problems[kind].text = None
            self._problems[kind].open = False

    def set(self, kind: str, present: bool, text: str, *, serious: bool = False) -> None:
        """This problem is there now, or it is not."""
        if present:
            self.report(kind, text, serious=serious)
        else:
            self.over(kind)

    def has(self, kind: str) -> bool:
        problem = self._problems.get(kind)
        return problem is not None and problem.text is not None

    @property
    def texts(self) -> list[str]:
        """The lines of all present problems."""
        with self._lock:
            return [p.text for p in self._problems.values() if p.text is not None]

    @property
    def message(self) -> str:
        """All present problems in one line; empty if there are none."""
        return " | ".join(self.texts)

    def _line(self, problem: _Problem, began: bool, now_s: float) -> str | None:
        """What to log of a problem that is there; None: nothing. Runs under the lock."""
        begun_s = problem.begun_s
        if began:
            begun_s.append(now_s)
        while len(begun_s) > 1 and now_s - begun_s[0] >= _REMIND_AFTER_S:
            begun_s.popleft()
        due = now_s - problem.told_s >= _REMIND_AFTER_S
        if len(begun_s) > _FLAPS:
            if problem.flapping and not due:
                return None
            problem.flapping = True
            return f"{problem.text} (coming and going: {len(begun_s)} times in the last minute)"
        if due:
            problem.flapping = False
        return problem.text if due or (began and not problem.flapping) else None
