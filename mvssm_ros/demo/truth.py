"""The answers against the simulated people, whose every joint is known exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mvssm_ros.demo.answers import Answer
from mvssm_ros.simulation.simulator import Simulator

FOUND_WITHIN_M = 0.5  # mean joint distance: it is this person
_FAR_M = 1e3


@dataclass(frozen=True)
class Followed:
    """One simulated person through the answers.

    sets [N], errors_m [N, 15] (NaN: joint missing), ids [N]: of the sets in which they were found.
    """

    name: str
    sets: npt.NDArray[np.int64]
    errors_m: npt.NDArray[np.float64]
    ids: tuple[str, ...]

    @property
    def switches(self) -> int:
        """How often the id is another one than in the set they were found in before."""
        return sum(a != b for a, b in zip(self.ids, self.ids[1:]))

    @property
    def id_counts(self) -> dict[str, int]:
        return dict(Counter(self.ids))

    @property
    def mean_mm(self) -> float:
        """Of all joints found; NaN if there are none."""
        return _mm(np.nanmean, self.errors_m)

    def quantile_mm(self, q: float) -> float:
        return _mm(lambda known: np.nanquantile(known, q), self.errors_m)


@dataclass(frozen=True)
class AgainstTruth:
    """people: as in the scenario; sets: answers compared; strangers: set -> people who are nobody."""

    people: list[Followed]
    sets: int
    strangers: dict[int, int]

    @property
    def all_errors_m(self) -> npt.NDArray[np.float64]:
        return np.concatenate([person.errors_m for person in self.people] or [np.zeros((0, 15))])

    @property
    def mean_mm(self) -> float:
        return _mm(np.nanmean, self.all_errors_m)

    def quantile_mm(self, q: float) -> float:
        return _mm(lambda known: np.nanquantile(known, q), self.all_errors_m)


def against_truth(answers: Sequence[Answer], simulator: Simulator) -> AgainstTruth:
    """Match each answer's people, those seen in this very set, to the simulated ones."""
    ordered = [answer for answer in answers if answer.frame >= 0]
    sets: list[list[int]] = [[] for _ in simulator.names]
    errors: list[list[npt.NDArray[np.float64]]] = [[] for _ in simulator.names]
    ids: list[list[str]] = [[] for _ in simulator.names]
    strangers: dict[int, int] = {}
    for answer in ordered:
        truth_m = simulator.moment(answer.frame).joints_m  # [G, 15, 3]
        seen = answer.seen
        gaps_m = np.array([
            np.linalg.norm(person.joints_m - truth_m, axis=-1) for person in seen
        ]).reshape(len(seen), len(truth_m), 15)  # fmt: skip
        cost = np.full(gaps_m.shape[:2], _FAR_M)
        known = np.isfinite(gaps_m).any(-1)
        cost[known] = np.nanmean(gaps_m[known], -1)
        matched = 0
        for p, g in zip(*linear_sum_assignment(cost)):
            if cost[p, g] <= FOUND_WITHIN_M:
                sets[g].append(answer.frame)
                errors[g].append(gaps_m[p, g])
                ids[g].append(seen[p].id)
                matched += 1
        if len(seen) > matched:
            strangers[answer.frame] = len(seen) - matched
    return AgainstTruth(
        [
            Followed(
                name,
                np.array(sets[g], np.int64),
                np.array(errors[g]).reshape(-1, 15),
                tuple(ids[g]),
            )
            for g, name in enumerate(simulator.names)
        ],
        len(ordered),
        strangers,
    )


def _mm(
    statistic: Callable[[npt.NDArray[np.float64]], np.floating], errors_m: npt.NDArray[np.float64]
) -> float:
    if not np.isfinite(errors_m).any():
        return float("nan")
    return 1000.0 * float(statistic(errors_m))
