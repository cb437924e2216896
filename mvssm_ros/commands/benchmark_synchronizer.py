"""What the synchroniser costs for every image, and how long its sets wait, at ten cameras whose
clocks, rates and images agree, or do not."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.synchronizer import RigSynchronizer

CAMERAS = 10
_MS = 1_000_000
_TICKS = 1000
_REPLAYS = 5
_TRANSPORT_NS = 5 * _MS
_STALL_EVERY, _STALL = 50, 10  # ticks: so often, and so long, nothing is handed over


@dataclass(frozen=True)
class Case:
    """How the cameras of a rig behave. Offsets, drifts and periods grow from camera to camera."""

    name: str
    period_ns: int = 33 * _MS
    offset_ns: int = 0
    drift: float = 0.0
    period_step_ns: int = 0
    slow: int = 0  # cameras at a sixth of the others' rate
    mute: int = 0  # cameras that never send anything
    silent: int = 0  # cameras that send nothing after the first second
    lost: float = 0.0  # share of the images that get lost
    stalls: bool = False  # images are held up, then handed over camera by camera
    last_loses: bool = False  # and the last camera has lost all but one of them
    compensate: bool = False


_FRACTION_NS = 7 * _MS
_SECONDS_NS = 1700 * _MS
CASES = (
    Case("clocks agree"),
    Case("all clocks disagree by seconds", offset_ns=_SECONDS_NS, drift=20e-6),
    Case("all clocks disagree by fractions of a period", offset_ns=_FRACTION_NS, drift=20e-6),
    Case("all clocks disagree, compensated", offset_ns=_SECONDS_NS, drift=20e-6, compensate=True),
    Case("clocks drift through each other", drift=2e-3),
    Case("ten different rates", period_step_ns=3 * _MS),
    Case("two cameras at a sixth of the rate", slow=2),
    Case("one camera silent", silent=1),
    Case("seven cameras mute", mute=7),
    Case("a fifth of the images lost", lost=0.2),
    Case("stalls", stalls=True),
    Case("stalls, the last camera loses nine of ten", stalls=True, last_loses=True),
    Case(
        "stalls and losses, clocks disagree by fractions of a period",
        offset_ns=_FRACTION_NS,
        stalls=True,
        last_loses=True,
    ),
    Case(
        "stalls and losses, the clocks agree in pairs",
        period_ns=66 * _MS,
        offset_ns=13 * _MS,
        stalls=True,
        last_loses=True,
    ),
    Case(
        "stalls, all clocks disagree, compensated",
        offset_ns=_SECONDS_NS,
        drift=20e-6,
        stalls=True,
        last_loses=True,
        compensate=True,
    ),
)


def time_synchronizer(ticks: int = _TICKS) -> list[dict]:
    """One row a case: p50, p95 and max of `RigSynchronizer.add`, and of `catch_up` where it did
    anything, µs of the calling thread's CPU; and how long sets waited, simulated ms from their
    first image's arrival until they left.

    CPU time and not wall time: what other processes take away is not the synchroniser's. They
    still empty the caches, so the same images are replayed several times: ``max_us`` is of all
    calls, ``worst_us`` of every call's best. Without garbage collection, as timeit does: its cost
    is that of all the objects of the process.
    """
    rows = []
    for case in CASES:
        arrivals = _arrivals(case, ticks)
        replays = [_replay(case, arrivals) for _ in range(_REPLAYS)]
        spent_us, waits_ms = np.array([times for times, _ in replays]), replays[0][1]
        rows.append(
            {
                "case": case.name,
                "p50_us": float(np.percentile(spent_us, 50)),
                "p95_us": float(np.percentile(spent_us, 95)),
                "max_us": float(spent_us.max()),
                "worst_us": float(spent_us.min(axis=0).max()),
                "wait_ms": float(np.mean(waits_ms)) if waits_ms else None,
                "sets": len(waits_ms),
                "ticks": ticks,
            }
        )
    return rows


def _arrivals(case: Case, ticks: int) -> list[tuple[int, int | None, int]]:
    """When what is handed over: (time, camera, stamp), and (time, None, 0) for the deadline."""
    random = np.random.default_rng(0)
    arrivals: list[tuple[int, int | None, int]] = []
    for number in range(CAMERAS - case.mute):
        slower = 6 if number >= CAMERAS - case.slow else 1
        period_ns = case.period_ns * slower + number * case.period_step_ns
        for age_ns in range(0, ticks * case.period_ns, period_ns):
            before = (
                _STALL_EVERY - 1 - age_ns // case.period_ns % _STALL_EVERY
            )  # ticks to a stall's end
            stalled = case.stalls and before < _STALL
            last = number == CAMERAS - 1
            if (
                (number >= CAMERAS - case.silent and age_ns > 1e9)
                or (last and case.last_loses and stalled and before)
                or random.random() < case.lost
            ):
                continue
            late_ns = int(random.integers(0, _TRANSPORT_NS))
            if stalled:
                tick_ns = age_ns // case.period_ns * case.period_ns + before * case.period_ns
                late_ns = tick_ns - age_ns + 2 * _TRANSPORT_NS + number
            ahead_ns = number * (case.offset_ns + round(case.drift * age_ns))
            arrivals.append((10**18 + age_ns + late_ns, number, 10**18 + age_ns + ahead_ns))
    for tick in range(ticks):
        if not (case.stalls and tick % _STALL_EVERY >= _STALL_EVERY - _STALL):
            arrivals.append((10**18 + tick * case.period_ns + 2 * _TRANSPORT_NS, None, 0))
    return sorted(arrivals, key=lambda arrival: arrival[0])


def _replay(
    case: Case, arrivals: list[tuple[int, int | None, int]]
) -> tuple[list[float], list[float]]:
    """The time that each call takes, µs, and that each set waits, simulated ms."""
    names = [f"camera{i}" for i in range(CAMERAS)]
    left: list[tuple[int, ImageSet]] = []
    sync = RigSynchronizer(
        names,
        slop_ns=12 * _MS,
        deadline_ns=100 * _MS,
        min_cameras=2,
        queue_size=10,
        on_set=lambda image_set: left.append((now_ns, image_set)),
        compensate=case.compensate,
    )
    spent_us = []
    with _no_garbage_collection():
        for now_ns, number, stamp_ns in arrivals:
            if number is None:
                sync.expire(now_ns)
                continue
            name = names[number]
            begin_ns = time.thread_time_ns()
            sync.add(name, stamp_ns, now_ns, now_ns)  # the item is the time of its arrival
            spent_us.append((time.thread_time_ns() - begin_ns) / 1e3)
            more = True
            while more:
                begin_ns = time.thread_time_ns()
                more = sync.catch_up()
                if more:
                    spent_us.append((time.thread_time_ns() - begin_ns) / 1e3)
    return spent_us, [(at_ns - min(s.items.values())) / _MS for at_ns, s in left]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def print_synchronizer(rows: list[dict]) -> None:
    print(
        f"\n| `add` at {CAMERAS} cameras | p50 µs | p95 µs | max µs | worst add, best of"
        f" {_REPLAYS} µs | sets of | a set waits, ms |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        times = " | ".join(f"{row[key]:.1f}" for key in ("p50_us", "p95_us", "max_us", "worst_us"))
        wait = "" if row["wait_ms"] is None else f"{row['wait_ms']:.1f}"
        print(f"| {row['case']} | {times} | {row['sets']}/{row['ticks']} | {wait} |")
