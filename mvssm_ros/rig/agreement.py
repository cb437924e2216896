"""Notices cameras that never see the same people as the others, though they should.

Two cameras whose cables have changed places, or one that was turned away, still see people, and two
wrong cameras may even agree with each other on a person who is not there. Reprojection errors do
not show that: each camera fits the people it was used for. What shows it is which cameras see the
same people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

_MIN_EVIDENCE = 20  # people whom both cameras should have seen and one of them has
_AGREE = 0.25  # share of these whom both have seen, from which two cameras agree


class AgreementWatch:
    """Which cameras see the same people, over the last sets.

    Args:
        names: of the rig's cameras.
        window: sets with people that count.
    """

    def __init__(self, names: Sequence[str], window: int = 50) -> None:
        self._index = {name: i for i, name in enumerate(names)}
        self._recent: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=window)

    def update(self, names: Sequence[str], in_view: np.ndarray, seen: np.ndarray) -> None:
        """Take one set: for every person [P] and camera of `names` [T], bool: ought the camera to
        see the person (she is inside its image), and has it."""
        if not len(seen):
            return
        T = len(self._index)
        columns = [self._index[name] for name in names]
        ought, did = np.zeros((2, len(seen), T), bool)
        ought[:, columns], did[:, columns] = in_view, seen & in_view
        both_ought = ought[:, :, None] & ought[:, None, :]
        both = did[:, :, None] & did[:, None, :]
        either = both_ought & (did[:, :, None] | did[:, None, :])
        self._recent.append((both.sum(0), either.sum(0)))

    def parties(self) -> list[list[str]]:
        """Groups of cameras that see the same people, largest first; one group: all is well.

        Cameras of which too little is known to judge belong to the largest group.
        """
        T = len(self._index)
        both = sum((b for b, _ in self._recent), np.zeros((T, T), int))
        either = sum((e for _, e in self._recent), np.zeros((T, T), int))
        known = either >= _MIN_EVIDENCE
        agree = ~known | (both >= _AGREE * np.maximum(either, 1))
        groups: list[set[int]] = []
        for camera in range(T):
            friends = {camera} | {other for other in range(T) if agree[camera, other]}
            for group in [g for g in groups if g & friends]:
                friends |= group
                groups.remove(group)
            groups.append(friends)
        names = list(self._index)
        named = [[names[i] for i in sorted(group)] for group in groups]
        return sorted(named, key=lambda group: (-len(group), group))

    def clear(self) -> None:
        """Forget everything."""
        self._recent.clear()
