"""Notices cameras that never see the same people as the others, though they should.

Two cameras whose cables have changed places, or one that was turned away, still see people, and two
wrong cameras may even agree with each other on a person who is not there. Reprojection errors do
not show that: each camera fits the people it was used for. What shows it is which cameras see the
same people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import combinations

import numpy as np

_MIN_EVIDENCE = 20  # people whom both cameras should have seen and one of them has
_QUARREL = 0.25  # share of these whom both have seen, under which two cameras disagree
_AGREE = 0.5  # and from which they agree again
_SPACING_S = 0.14  # sets that come faster are left out: somebody may be hidden for a moment


class AgreementWatch:
    """Which cameras see the same people, over the last sets.

    Args:
        names: of the rig's cameras.
        window: sets with people that count, at most seven a second.
    """

    def __init__(self, names: Sequence[str], window: int = 40) -> None:
        self._index = {name: i for i, name in enumerate(names)}
        self._recent: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=window)
        self._votes: deque[np.ndarray] = deque(maxlen=window)
        self._last_s: float | None = None
        self._quarrel = np.zeros((len(self._index),) * 2, bool)
        self._agree = np.zeros_like(self._quarrel)

    def update(
        self,
        names: Sequence[str],
        in_view: np.ndarray,
        seen: np.ndarray,
        confirmed: np.ndarray,
        stamp_s: float,
    ) -> None:
        """Take one set.

        Args:
            names: of its views [T].
            in_view, seen: [P, T] bool: ought the camera to see the person (she is inside its
                image), and has it.
            confirmed: [P] bool: she was known before, or enough cameras agree on her.
            stamp_s: of the set.
        """
        T = len(self._index)
        columns = [self._index[name] for name in names]
        ought, did = np.zeros((2, len(seen), T), bool)
        ought[:, columns], did[:, columns] = in_view, seen & in_view
        if not len(seen) or (self._last_s is not None and 0 <= stamp_s - self._last_s < _SPACING_S):
            return
        self._last_s = stamp_s
        both_ought = ought[:, :, None] & ought[:, None, :]
        both = did[:, :, None] & did[:, None, :]
        either = both_ought & (did[:, :, None] | did[:, None, :])
        self._recent.append((both.sum(0), either.sum(0)))
        self._votes.append(did[confirmed].sum(0))
        n_both = sum((b for b, _ in self._recent), np.zeros((T, T), int))
        n_either = sum((e for _, e in self._recent), np.zeros((T, T), int))
        known = n_either >= _MIN_EVIDENCE  # where too little is, what was found last still holds
        share = n_both / np.maximum(n_either, 1)
        self._quarrel = np.where(
            known, share < np.where(self._quarrel, _AGREE, _QUARREL), self._quarrel
        )
        self._agree = np.where(known, ~self._quarrel, self._agree)

    def parties(self) -> list[list[str]]:
        """Groups of cameras that see the same people; one group: all is well.

        First the largest, of several such the one whose cameras have seen more of the confirmed
        people. Cameras of which too little is known to judge belong to the first group.
        """
        groups = [{camera} for camera in range(len(self._index))]
        for i, k in combinations(range(len(self._index)), 2):
            if self._agree[i, k]:
                _join(groups, i, k)
        groups.sort(key=len, reverse=True)
        for i, k in combinations([min(group) for group in groups], 2):
            one, other = _group_of(groups, i), _group_of(groups, k)
            if not self._quarrel[np.ix_(sorted(one), sorted(other))].any():
                _join(groups, i, k)
        groups.sort(key=lambda group: (-len(group), -self._votes_of(group), min(group)))
        names = list(self._index)
        return [[names[i] for i in sorted(group)] for group in groups]

    @property
    def undecided(self) -> bool:
        """Two parties are as large as each other, and no confirmed person tells which is right."""
        parties = [{self._index[name] for name in party} for party in self.parties()]
        if len(parties) < 2 or len(parties[0]) > len(parties[1]):
            return False
        return self._votes_of(parties[0]) <= 1.5 * self._votes_of(parties[1])

    def clear(self) -> None:
        """Forget everything."""
        self._recent.clear()
        self._votes.clear()
        self._last_s = None
        self._quarrel[:] = self._agree[:] = False

    def _votes_of(self, group: set[int]) -> int:
        return int(sum(votes[sorted(group)].sum() for votes in self._votes))


def _group_of(groups: list[set[int]], camera: int) -> set[int]:
    return next(group for group in groups if camera in group)


def _join(groups: list[set[int]], i: int, k: int) -> None:
    one, other = _group_of(groups, i), _group_of(groups, k)
    if one is not other:
        groups.remove(other)
        one |= other
