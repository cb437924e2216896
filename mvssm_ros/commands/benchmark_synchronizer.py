"""What the synchroniser costs for every image, at ten cameras whose clocks agree, or do not."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from mvssm_ros.rig.synchronizer import RigSynchronizer

CAMERAS = 10
_MS = 1_000_000
_PERIOD_NS = 33 * _MS
_TICKS = 1000
_REPLAYS = 5
_TRANSPORT_NS = 5 * _MS


@dataclass(frozen=True)
class Case:
    """How the cameras of a rig behave. Offsets and drifts grow from camera to camera."""

    name: str
    offset_ns: int = 0
    drift: float = 0.0
    silent: int = 0  # cameras that send nothing after the first second
    compensate: bool = False


CASES = (
    Case("clocks agree"),
    Case("all clocks disagree by seconds", offset_ns=1700 * _MS, drift=20e-6),
    Case("all clocks disagree by fractions of a period", offset_ns=7 * _MS, drift=20e-6),
    Case("all clocks disagree, compensated", offset_ns=1700 * _MS, drift=20e-6, compensate=True),
    Case("one camera silent", silent=1),
)


def time_synchronizer(ticks: int = _TICKS) -> list[dict]:
    """One row a case: p50, p95 and max of `RigSynchronizer.add`, µs of the calling thread's CPU.

    CPU time and not wall time: what other processes take away is not the synchroniser's. They
    still empty the caches, so the same images are replayed several times: ``max_us`` is of all
    calls, ``worst_us`` of every call's best.
    """
    rows = []
    for case in CASES:
        replays = [_time_case(case, ticks) for _ in range(_REPLAYS)]
        spent_us, sets = np.array([times for times, _ in replays]), replays[0][1]
        rows.append(
            {
                "case": case.name,
                "p50_us": float(np.percentile(spent_us, 50)),
                "p95_us": float(np.percentile(spent_us, 95)),
                "max_us": float(spent_us.max()),
                "worst_us": float(spent_us.min(axis=0).max()),
                "sets": sets,
                "ticks": ticks,
            }
        )
    return rows


def _time_case(case: Case, ticks: int) -> tuple[np.ndarray, int]:
    names = [f"camera{i}" for i in range(CAMERAS)]
    sets = []
    sync = RigSynchronizer(
        names,
        slop_ns=12 * _MS,
        deadline_ns=100 * _MS,
        min_cameras=2,
        queue_size=10,
        on_set=lambda image_set: sets.append(image_set.stamp_ns),
        compensate=case.compensate,
    )
    random = np.random.default_rng(0)
    spent_ns = []
    for tick in range(ticks):
        true_ns = 10**18 + tick * _PERIOD_NS
        speaking = CAMERAS - (case.silent if tick > 30 else 0)
        delays_ns = np.sort(random.integers(0, _TRANSPORT_NS, speaking)).tolist()
        for number, delay_ns in zip(random.permutation(speaking).tolist(), delays_ns):
            ahead_ns = number * (case.offset_ns + round(case.drift * tick * _PERIOD_NS))
            begin_ns = time.thread_time_ns()
            sync.add(names[number], true_ns + ahead_ns, None, true_ns + delay_ns)
            spent_ns.append(time.thread_time_ns() - begin_ns)
        sync.expire(true_ns + 2 * _TRANSPORT_NS)
    return np.array(spent_ns) / 1e3, len(sets)


def print_synchronizer(rows: list[dict]) -> None:
    print(
        f"\n| `add` at {CAMERAS} cameras | p50 µs | p95 µs | max µs | worst add, best of"
        f" {_REPLAYS} µs | sets of |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        times = " | ".join(f"{row[key]:.1f}" for key in ("p50_us", "p95_us", "max_us", "worst_us"))
        print(f"| {row['case']} | {times} | {row['sets']}/{row['ticks']} |")
