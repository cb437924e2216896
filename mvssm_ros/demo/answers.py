"""What the demo looks at: who was reported for which frame of the film. No ROS in here."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SEEN_STATES = (0, 1)  # Person.TENTATIVE and CONFIRMED: found in this very set


@dataclass(frozen=True)
class ReportedPerson:
    """One person of one answer, metres.

    joints_m     [15, 3], NaN where missing
    observed     [15] bool: at least two cameras support the joint
    view_mask    [15] uint64, bit i: camera i supports it
    """

    id: str
    track_state: int
    confidence: float
    joints_m: npt.NDArray[np.float64]
    observed: npt.NDArray[np.bool_]
    view_mask: npt.NDArray[np.uint64]

    @property
    def is_seen(self) -> bool:
        """Found in this set, not merely remembered from the last ones."""
        return self.track_state in SEEN_STATES


@dataclass(frozen=True)
class Answer:
    """One PersonArray. ``frame`` is the frame of the film it belongs to (-1: none)."""

    stamp_ns: int
    frame: int
    cameras: tuple[str, ...] = ()
    cameras_used: int = 0
    people: tuple[ReportedPerson, ...] = field(default=())

    @property
    def seen(self) -> tuple[ReportedPerson, ...]:
        """The people found in this very set."""
        return tuple(person for person in self.people if person.is_seen)
