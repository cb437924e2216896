"""What is noted down while a soak runs. Times are seconds since it began."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

WRONG_M = 0.3  # a skeleton further than this from everybody (mean over its joints) is wrong
INCOMPLETE = "images missing"  # of a set that lacked cameras though there was no fault
SETTLING_S = 3.0  # after the end of a fault, in which its traces are still its own


@dataclass
class Span:
    """One fault, from its beginning to its end; NaN for what has not come."""

    kind: str
    camera: str  # "" for a fault of all
    begin_s: float
    end_s: float = math.nan
    recovery_s: float = math.nan  # from its end to the first of three whole and right sets in a row

    @property
    def label(self) -> str:
        return f"{self.kind} ({self.camera})" if self.camera else self.kind


@dataclass(frozen=True)
class Sample:
    """The node's process at one moment, and what it answered since the sample before."""

    at_s: float
    memory_mib: float  # resident set
    threads: int
    handles: int  # open files, sockets and the like
    answers: int
    latency_ms: float  # median of these answers; NaN without any
    wrong: int  # skeletons
    faults: str  # active then, by semicolons
    cpu_percent: float = math.nan  # of one core, used by the node
    load: float = math.nan  # of the machine, over a minute


@dataclass(frozen=True)
class Wrong:
    """A reported skeleton that is nobody's."""

    at_s: float
    person: str
    distance_m: float  # to the nearest of those who were there
    observed: int  # of its joints
    cameras: int  # used in that set
    confirmed: bool  # else tentative: first seen in this set or one of the two before
    faults: str  # active then, or "after ..." while they settle, or INCOMPLETE; "" for neither


@dataclass
class Record:
    """All of it."""

    seed: int
    minutes: float
    cameras: tuple[str, ...]
    rate_hz: float
    severity: float
    samples: list[Sample] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)  # requests that were not answered as expected
    answers: int = 0
    whole_answers: int = 0  # with an image of every camera
    people: int = 0  # skeletons in them, seen and not coasting
    ended: str = ""  # why before its time; "" if not
    died: str = ""  # why the node ended by itself; "" if it did not

    @property
    def lasted_s(self) -> float:
        return self.samples[-1].at_s if self.samples else 0.0

    def faults_at(self, at_s: float) -> str:
        """The faults active then, else those that ended less than SETTLING_S before."""
        active = [s.label for s in self.spans if s.begin_s <= at_s and not s.end_s < at_s]
        if active:
            return "; ".join(active)
        recent = [s.label for s in self.spans if s.end_s < at_s <= s.end_s + SETTLING_S]
        return f"after {'; '.join(recent)}" if recent else ""


def distances_m(
    joints_m: npt.NDArray[np.float64],
    observed: npt.NDArray[np.bool_],
    truth_m: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """How far a skeleton is from each person who is there: the mean over its observed joints.

    Args:
        joints_m: [15, 3], NaN where missing. observed: [15]; without any, all known joints count.
        truth_m: [G, 15, 3].

    Returns:
        [G]; infinite where no joint is known.
    """
    known = np.isfinite(joints_m).all(-1)
    used = known & observed if (known & observed).any() else known
    if not used.any():
        return np.full(len(truth_m), np.inf)
    return np.asarray(np.linalg.norm(truth_m[:, used] - joints_m[used], axis=-1).mean(-1))


def write_samples(samples: Iterable[Sample], path: Path) -> None:
    """As comma-separated values, one line a second."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [f.name for f in fields(Sample)])
        rows.writeheader()
        for sample in samples:
            rows.writerow(asdict(sample))
