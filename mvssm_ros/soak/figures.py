"""From the record of a soak to slopes, growth and verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvssm_ros.soak.record import Record, Sample

MEMORY_LIMIT_MIB_H = 20.0
WRONG_SHARE = 1e-4  # of confirmed skeletons: the network errs now and then, whatever the node does
HANDLES_LIMIT = 3  # more at the end than after the warm-up
THREADS_LIMIT = 1
JUDGED_FROM_S = 600.0  # a shorter run says nothing of growth

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A straight line through the second half of a run: value = at_begin + slope_h * hours."""

    begin_s: float
    end_s: float
    at_begin: float
    slope_h: float  # per hour

    def at(self, times_s: Array) -> Array:
        return np.asarray(self.at_begin + self.slope_h * (times_s - self.begin_s) / 3600.0)


@dataclass(frozen=True)
class Verdict:
    """One thing that was to be shown. ``good`` is None where the run was too short to say."""

    good: bool | None
    text: str


@dataclass(frozen=True)
class Figures:
    """``memory_mib`` and ``latency_ms`` are lines (None: the run was too short); the growths compare
    the last quarter of the run with the quarter before its middle, medians without faults; that of
    memory the highest minute of each, because it moves in steps, down as well as up."""

    memory_mib: Line | None
    latency_ms: Line | None
    latency_by_minute_ms: list[tuple[float, float]]  # in the minute (s), median
    memory_growth_mib: float
    handles_growth: float
    threads_growth: float
    rate_hz: float  # answers a second without a fault, median
    verdicts: list[Verdict]

    @property
    def good(self) -> bool:
        return all(verdict.good is not False for verdict in self.verdicts)


def figures(record: Record) -> Figures:
    """Everything that the report says in numbers."""
    samples = record.samples
    calm = [s for s in samples if not s.faults]
    minutes = latency_by_minute(samples)
    memory = latency = None
    if record.lasted_s >= JUDGED_FROM_S:
        half_s = record.lasted_s / 2
        memory = fit([s.at_s for s in samples], [s.memory_mib for s in samples], half_s)
        latency = fit([t for t, _ in minutes], [ms for _, ms in minutes], half_s)
    level = _level_growth_mib(calm, record.lasted_s)
    handles = _growth(calm, record.lasted_s, lambda s: s.handles)
    threads = _growth(calm, record.lasted_s, lambda s: s.threads)
    rate = float(np.median([s.answers for s in calm])) if calm else math.nan
    verdicts = [
        _alive(record),
        _memory(record, level),
        _grown(record, "handles", handles, HANDLES_LIMIT),
        _grown(record, "threads", threads, THREADS_LIMIT),
        _never_wrong(record),
        _recovered(record),
        _answered(record),
    ]
    return Figures(memory, latency, minutes, level, handles, threads, rate, verdicts)


def fit(times_s: Sequence[float], values: Sequence[float], from_s: float) -> Line | None:
    """Least squares over the times from ``from_s`` on; None with fewer than three values."""
    pairs = [(t, v) for t, v in zip(times_s, values) if t >= from_s and math.isfinite(v)]
    if len(pairs) < 3:
        return None
    t, v = np.array(pairs).T
    slope, at_begin = np.polyfit((t - t[0]) / 3600.0, v, 1)
    return Line(float(t[0]), float(t[-1]), float(at_begin), float(slope))


def latency_by_minute(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Median over the seconds without a fault, at the middle of those."""
    by_minute: dict[int, list[tuple[float, float]]] = {}
    for sample in samples:
        if not sample.faults and math.isfinite(sample.latency_ms):
            pair = (sample.at_s, sample.latency_ms)
            by_minute.setdefault(int(sample.at_s // 60), []).append(pair)
    middles = [np.median(np.array(pairs), axis=0) for _, pairs in sorted(by_minute.items())]
    return [(float(at_s), float(ms)) for at_s, ms in middles]


def _growth(calm: Sequence[Sample], lasted_s: float, value: Callable[[Sample], float]) -> float:
    early = [value(s) for s in calm if lasted_s / 4 <= s.at_s < lasted_s / 2]
    late = [value(s) for s in calm if s.at_s >= 0.75 * lasted_s]
    return float(np.median(late) - np.median(early)) if early and late else math.nan


def _alive(record: Record) -> Verdict:
    if record.died:
        return Verdict(False, f"the node ended by itself: {record.died}")
    return Verdict(True, "the node ran to the end")


def _level_growth_mib(calm: Sequence[Sample], lasted_s: float) -> float:
    """Of the highest median of a minute."""

    def level(from_s: float, to_s: float) -> float:
        by_minute: dict[int, list[float]] = {}
        for sample in calm:
            if from_s <= sample.at_s < to_s:
                by_minute.setdefault(int(sample.at_s // 60), []).append(sample.memory_mib)
        return max((float(np.median(v)) for v in by_minute.values()), default=math.nan)

    return level(0.75 * lasted_s, math.inf) - level(lasted_s / 4, lasted_s / 2)


def _memory(record: Record, growth_mib: float) -> Verdict:
    if not math.isfinite(growth_mib) or record.lasted_s < JUDGED_FROM_S:
        return Verdict(None, f"memory: not judged in less than {JUDGED_FROM_S / 60:g} minutes")
    limit_mib = MEMORY_LIMIT_MIB_H * record.lasted_s / 2 / 3600
    did = "did not grow" if growth_mib <= limit_mib else "grew"
    return Verdict(
        growth_mib <= limit_mib,
        f"memory {did}: {growth_mib:+.1f} MiB from the highest minute of the second quarter to that"
        f" of the last (limit {limit_mib:+.1f}, {MEMORY_LIMIT_MIB_H:g} an hour)",
    )


def _grown(record: Record, what: str, growth: float, limit: int) -> Verdict:
    if not math.isfinite(growth) or record.lasted_s < JUDGED_FROM_S:
        return Verdict(None, f"{what}: not judged in less than {JUDGED_FROM_S / 60:g} minutes")
    did = "did not grow" if growth <= limit else "grew"
    return Verdict(
        growth <= limit,
        f"{what} {did}: {growth:+g} from the second quarter to the last (limit {limit:+d})",
    )


def _never_wrong(record: Record) -> Verdict:
    without = sum(wrong.confirmed and not wrong.faults for wrong in record.wrong)
    share = f"{without} of {record.people} skeletons"
    limit = (
        f"limit 1 in {1 / WRONG_SHARE:,.0f}; tentative ones are not to be believed and not counted"
    )
    return Verdict(
        without <= max(1.0, WRONG_SHARE * record.people),
        f"confirmed skeletons in the wrong place without a fault: {share} ({limit})",
    )


def _recovered(record: Record) -> Verdict:
    over = [s for s in record.spans if math.isfinite(s.end_s)]
    judged = [s for s in over if math.isfinite(s.recovery_s) or s.end_s + 60.0 < record.lasted_s]
    never = [s.label for s in judged if not math.isfinite(s.recovery_s)]
    if never:
        return Verdict(
            False, f"not recovered within a minute from: {', '.join(sorted(set(never)))}"
        )
    return Verdict(True, f"recovered from all {len(judged)} faults that ended")


def _answered(record: Record) -> Verdict:
    if record.troubles:
        return Verdict(
            False, f"{len(record.troubles)} requests went wrong, first: {record.troubles[0]:.200}"
        )
    return Verdict(True, "every request to the node was answered as expected")
