"""Notices a camera that sends the same picture again and again while the others' change."""

from __future__ import annotations

from collections.abc import Mapping

FROZEN_AFTER = 5  # sets in which it was the same and others were not


class FrozenWatch:
    """A driver that hangs often repeats its last picture with new stamps: nothing else shows it.

    A picture of a real sensor never comes twice, for its noise; but a simulated one of an empty room
    does. So a camera is frozen only when its picture stayed the same in several sets in which those
    of most other cameras changed.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._unchanged: dict[str, int] = {}  # sets in a row

    def update(self, fingerprints: Mapping[str, int | None]) -> frozenset[str]:
        """Take one set: by camera a number that differs when the content does, or None if the
        content says nothing (nobody seen). Returns the cameras that are frozen now."""
        known = {name: f for name, f in fingerprints.items() if f is not None}
        changed = {name for name, f in known.items() if self._last.get(name) != f}
        self._last.update(known)
        for name in fingerprints:
            others = [other for other in known if other != name]
            if name in changed or name not in known:
                self._unchanged[name] = 0
            elif 2 * sum(other in changed for other in others) > len(others):
                self._unchanged[name] = self._unchanged.get(name, 0) + 1
        return frozenset(n for n in fingerprints if self._unchanged.get(n, 0) >= FROZEN_AFTER)
