"""The demo's answers against the pseudo ground truth of its film, where that is at hand.

The pseudo ground truth is triangulated and cleaned BlazePose (see ../shared/data/README.md): good
for "is this the man, in this place, in this pose", not for an accuracy to publish.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mvssm_ros.demo.answers import Answer, ReportedPerson
from mvssm_ros.geometry.skeletons import SKELETONS

_MID_HIP = SKELETONS["panoptic15"].index("mid_hip")
_FILE = Path("pose2sim_single") / "pseudo_ground_truth.npz"
FOUND_WITHIN_M = 0.25  # mean joint distance: it is the man
BYSTANDER_XY_M = (-4.6, 0.4)  # a masked woman stands there, outside the rig's space
SAME_PLACE_M = 0.5  # mean joint distance from one set to the next: it is the same false person


@dataclass(frozen=True)
class PseudoTruth:
    """joints_m [F, 15, 3] by frame of the film, panoptic15; valid [F, 15] bool."""

    joints_m: npt.NDArray[np.float64]
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """Figures of one run.

    distances_m: of every valid joint of every set in which the man was found, [N, 15] with NaN
    where the truth is not valid; frames [N]: which sets.
    others: frame -> people who are neither the man nor the bystander at the back, who is real;
    `longest_false_sets` is the longest run of sets in which one of them stands at the same place.
    """

    compared_sets: int
    frames: npt.NDArray[np.int64]
    distances_m: npt.NDArray[np.float64]
    others: dict[int, list[ReportedPerson]]
    longest_false_sets: int

    @property
    def found_sets(self) -> int:
        return len(self.frames)

    @property
    def false_person_sets(self) -> int:
        """People too many, summed over the sets."""
        return sum(len(people) for people in self.others.values())

    def quantile_mm(self, q: float) -> float:
        """Of the joint distances; NaN if the man was never found."""
        known = self.distances_m[np.isfinite(self.distances_m)]
        return 1000.0 * float(np.quantile(known, q)) if known.size else float("nan")


def find_truth() -> Path | None:
    """The file, if the data folder lies beside the checkout (or where MVSSM_SHARED_DATA says)."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("MVSSM_SHARED_DATA") or beside) / _FILE
    return path if path.is_file() else None


def load_truth(path: Path) -> PseudoTruth:
    """Read pseudo_ground_truth.npz."""
    with np.load(path, allow_pickle=False) as data:
        return PseudoTruth(data["joints3d"].astype(np.float64), data["valid"].astype(bool))


def compare(answers: Sequence[Answer], truth: PseudoTruth) -> Comparison:
    """Match each answer's people to the man; what is nearest to him, and near enough, is he."""
    frames: list[int] = []
    distances: list[npt.NDArray[np.float64]] = []
    others: dict[int, list[ReportedPerson]] = {}
    ordered = [answer for answer in answers if 0 <= answer.frame < len(truth.joints_m)]
    for answer in ordered:
        valid = truth.valid[answer.frame]
        gaps = [
            np.where(
                valid, np.linalg.norm(p.joints_m - truth.joints_m[answer.frame], axis=-1), np.nan
            )
            for p in answer.seen
        ]
        means = [float(np.nanmean(g)) if np.isfinite(g).any() else np.inf for g in gaps]
        best = int(np.argmin(means)) if means else -1
        if best >= 0 and means[best] <= FOUND_WITHIN_M:
            frames.append(answer.frame)
            distances.append(gaps[best])
        else:
            best = -1
        others[answer.frame] = [
            p for i, p in enumerate(answer.seen) if i != best and not is_bystander(p)
        ]
    return Comparison(
        compared_sets=len(ordered),
        frames=np.array(frames, np.int64),
        distances_m=np.array(distances).reshape(-1, truth.valid.shape[1]),
        others=others,
        longest_false_sets=_longest_run([others[a.frame] for a in ordered]),
    )


def is_bystander(person: ReportedPerson) -> bool:
    """The masked woman who stands behind the treadmill all through the film; cam01 and cam02 see
    her."""
    return bool(np.linalg.norm(person.joints_m[_MID_HIP, :2] - BYSTANDER_XY_M) < 1.0)


def _longest_run(others: Sequence[Sequence[ReportedPerson]]) -> int:
    """Longest run of consecutive sets in which somebody who is not the man stays in one place."""
    longest = 0
    running: list[tuple[ReportedPerson, int]] = []  # somebody in the set before, for how many sets
    for people in others:
        now = []
        for person in people:
            before = [n for other, n in running if _mean_distance_m(other, person) < SAME_PLACE_M]
            now.append((person, 1 + max(before, default=0)))
        longest = max([longest, *(n for _, n in now)])
        running = now
    return longest


def _mean_distance_m(a: ReportedPerson, b: ReportedPerson) -> float:
    distances = np.linalg.norm(a.joints_m - b.joints_m, axis=-1)
    known = np.isfinite(distances)
    return float(distances[known].mean()) if known.any() else float("inf")
