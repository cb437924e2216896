"""What a scenario says: the people and what they do, the cameras, the furniture, the robot arm."""

from __future__ import annotations

from dataclasses import dataclass

from mvssm_ros.rig.rig_file import Rig

# What a person can be told to do, and what its value is.
MOTIONS = {
    "walk_to_m": "[x, y] in m",
    "turn_to_deg": "a heading in degrees, 0 along x, 90 along y",
    "stand_s": "seconds",
    "sit_s": "seconds",
    "work_s": "seconds",
}


@dataclass(frozen=True)
class Walk:
    """To a place in the reference frame, straight on."""

    to_m: tuple[float, float]


@dataclass(frozen=True)
class Turn:
    """On the spot. heading_deg: 0 looks along x, 90 along y."""

    heading_deg: float


@dataclass(frozen=True)
class Stay:
    """Stand, sit, or work with both hands at something in front. posture: stand, sit or work."""

    posture: str
    seconds: float


Motion = Walk | Turn | Stay


@dataclass(frozen=True)
class Actor:
    """A person. After the last motion they walk back to the start and begin again."""

    name: str
    start_m: tuple[float, float]
    speed_m_s: float
    motions: tuple[Motion, ...]


@dataclass(frozen=True)
class Furniture:
    """A table (top and four legs) or a box, its sides along x and y."""

    name: str
    kind: str  # table or box
    center_m: tuple[float, float]
    size_m: tuple[float, float]
    height_m: float

    def holds(self, x_m: float, y_m: float) -> bool:
        """Whether a place on the floor is under it or in it."""
        return (
            abs(x_m - self.center_m[0]) < self.size_m[0] / 2
            and abs(y_m - self.center_m[1]) < self.size_m[1] / 2
        )


@dataclass(frozen=True)
class ArmPlan:
    """A robot arm. base_m: of its foot; visits_m: where its tool goes, in turn, for ever."""

    base_m: tuple[float, float, float]
    visits_m: tuple[tuple[float, float, float], ...]
    move_s: float = 2.0  # from one to the next
    rest_s: float = 1.0  # at each


@dataclass(frozen=True)
class Scenario:
    """severity: of the detector's noise (see learning.synthetic.detector_noise), 0: none."""

    name: str
    rig: Rig
    rate_hz: float
    actors: tuple[Actor, ...]
    furniture: tuple[Furniture, ...] = ()
    arm: ArmPlan | None = None
    severity: float = 1.0
    false_people: bool = True
