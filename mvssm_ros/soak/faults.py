"""What can go wrong with a camera, as functions that change what it sends.

A fault takes the camera's tick and its message, and returns what is sent instead: (seconds to wait
before sending, message) for each. Messages need a ``header.stamp`` with ``sec`` and ``nanosec``;
those that spoil content are for Keypoints2DArray. Faults that remember something are made anew for
every use (`CAMERA_FAULTS`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

Sending = list[tuple[float, Any]]
Fault = Callable[[int, Any], Sending]

LATE_S = 0.12
OFFSET_S = 0.04
BACK_S = 5.0


def shifted(message: Any, seconds: float) -> Any:
    """The same message with a stamp so much later."""
    other = copy.copy(message)
    other.header = copy.deepcopy(message.header)
    stamp = other.header.stamp
    ns = stamp.sec * 1_000_000_000 + stamp.nanosec + round(seconds * 1e9)
    stamp.sec, stamp.nanosec = divmod(ns, 1_000_000_000)
    return other


def silent(tick: int, message: Any) -> Sending:
    return []


def late(tick: int, message: Any) -> Sending:
    return [(LATE_S, message)]


def duplicated(tick: int, message: Any) -> Sending:
    return [(0.0, message), (0.02, message)]


def half_rate(tick: int, message: Any) -> Sending:
    return [(0.0, message)] if tick % 2 else []


def clock_offset(tick: int, message: Any) -> Sending:
    return [(0.0, shifted(message, OFFSET_S))]


def wrong_size(tick: int, message: Any) -> Sending:
    """The camera has changed its resolution, and its calibration has not."""
    message.width, message.height = message.width // 2, message.height // 2
    return [(0.0, message)]


def out_of_order() -> Fault:
    """Two images at a time change places."""
    held: list[Any] = []

    def swap(tick: int, message: Any) -> Sending:
        held.append(message)
        return [(0.0, held.pop()), (0.0, held.pop())] if len(held) == 2 else []

    return swap


def frozen() -> Fault:
    """The last picture again and again, with new stamps."""
    held: list[Any] = []

    def freeze(tick: int, message: Any) -> Sending:
        held[1:] = []
        held.append(message.people)
        message.people = held[0]
        return [(0.0, message)]

    return freeze


def nonsense(random: Random) -> Fault:
    """Arrays too short, numbers that are none, an unknown skeleton, by turns at random."""

    def spoil(tick: int, message: Any) -> Sending:
        kind = random.randrange(6)
        if kind == 0:
            message.skeleton = "octopus8"
        elif kind == 1:
            message.skeleton = ""
        for person in message.people:
            if kind == 2:
                person.x = person.x[: random.randrange(len(person.x))]
            elif kind == 3:
                person.confidence = []
            elif kind == 4:
                person.x = [float("nan")] * len(person.x)
            elif kind == 5:
                person.confidence = [7.0] * len(person.confidence)
        return [(0.0, message)]

    return spoil


# Faults of one camera, by what they are called.
CAMERA_FAULTS: dict[str, Callable[[Random], Fault]] = {
    "silent": lambda random: silent,
    "late": lambda random: late,
    "duplicated": lambda random: duplicated,
    "out of order": lambda random: out_of_order(),
    "frozen": lambda random: frozen(),
    "half rate": lambda random: half_rate,
    "clock offset": lambda random: clock_offset,
    "wrong size": lambda random: wrong_size,
    "nonsense": nonsense,
}
# Faults of one camera that are not in its messages: its publisher goes and comes back.
RESTART = "camera restarted"
# Faults of all cameras, and what others do to the node.
PAUSED = "all paused"
TIME_BACK = "time set back"
DEACTIVATED = "deactivated"
RECONFIGURED = "reconfigured"
DISABLED = "disabled"
PARAMETERS = "parameters"
SUBSCRIBER = "subscriber"
RIG_FAULTS = (PAUSED, TIME_BACK, DEACTIVATED, RECONFIGURED, DISABLED, PARAMETERS, SUBSCRIBER)
KINDS = (*CAMERA_FAULTS, RESTART, *RIG_FAULTS)


@dataclass(frozen=True)
class Episode:
    """Some faults at once. ``faults``: (kind, camera, or "" for a fault of all)."""

    faults: tuple[tuple[str, str], ...]
    lasts_s: float
    rest_s: float  # with no fault, once all is well again


def episodes(random: Random, cameras: list[str], kinds: tuple[str, ...]) -> Iterator[Episode]:
    """Without end. Every kind comes once before one comes again; one episode in four has a fault
    of a second camera too."""
    bag: list[str] = []
    while True:
        if not bag:
            bag = random.sample(kinds, len(kinds))
        kind = bag.pop()
        first, second = random.sample(cameras, 2)
        faults = [(kind, "" if kind in RIG_FAULTS else first)]
        others = [k for k in kinds if k in CAMERA_FAULTS]
        if others and random.random() < 0.25:
            faults.append((random.choice(others), second))
        yield Episode(tuple(faults), random.uniform(3.0, 12.0), random.uniform(4.0, 12.0))
