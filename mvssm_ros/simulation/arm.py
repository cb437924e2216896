"""A simple robot arm: turret, shoulder, elbow and wrist, its hand always pointing down.

Its tool goes from one place to the next; the joints' angles change smoothly between them. Frames
have their origin at the joint that moves them and x along the link.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.simulation.scenario import ArmPlan
from mvssm_ros.tracking.body_volume import Capsules

Array = npt.NDArray[np.float64]

COLUMN_M, UPPER_M, FOREARM_M, HAND_M = 0.35, 0.45, 0.40, 0.15
_RADII_M = (0.09, 0.065, 0.055, 0.04)  # column, upper arm, forearm, hand
_FRAMES = ("arm_base", "arm_turret", "arm_upper", "arm_forearm", "arm_hand", "arm_tool")


@dataclass(frozen=True)
class Frame:
    """pose [4, 4] of a frame in its parent; "" as parent: the reference frame."""

    name: str
    parent: str
    pose: Array


class Arm:
    """An arm that follows its plan.

    Raises:
        UserError: a place that it cannot reach.
    """

    def __init__(self, plan: ArmPlan, where: str = "arm") -> None:
        self._plan = plan
        self._base_m = np.array(plan.base_m)
        self._angles = np.array(
            [
                self._reach(np.array(v), f"{where}.visits_m[{i}]")
                for i, v in enumerate(plan.visits_m)
            ]
        )  # [V, 3]: turret, elevation of the upper arm, of the forearm
        self._step_s = plan.move_s + plan.rest_s
        self.period_s = self._step_s * len(self._angles)

    def frames(self, time_s: float) -> list[Frame]:
        """From the base, which stands still, to the tool."""
        turret, upper, forearm = self._angles_at(time_s)
        offsets: list[Array | tuple[float, float, float]] = [
            self._base_m,
            (0, 0, COLUMN_M),
            (0, 0, 0),
            (UPPER_M, 0, 0),
            (FOREARM_M, 0, 0),
        ]
        offsets.append((HAND_M, 0, 0))
        turns = [
            np.eye(3), _about_z(turret), _raised(upper), _raised(forearm - upper),
            _raised(-np.pi / 2 - forearm), np.eye(3),
        ]  # fmt: skip
        made = []
        for i, name in enumerate(_FRAMES):
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = turns[i], offsets[i]
            made.append(Frame(name, _FRAMES[i - 1] if i else "", pose))
        return made

    def capsules(self, time_s: float) -> Capsules:
        """The column and the three links, in the reference frame."""
        poses, world = [], np.eye(4)
        for frame in self.frames(time_s):
            world = world @ frame.pose
            poses.append(world[:3, 3])
        base, _, shoulder, elbow, wrist, tool = poses
        return Capsules(
            starts_m=np.array([base, shoulder, elbow, wrist]),
            ends_m=np.array([shoulder, elbow, wrist, tool]),
            radii_m=np.array(_RADII_M),
            joints=np.zeros((4, 2), np.int64),
        )

    def _angles_at(self, time_s: float) -> Array:
        step, within_s = divmod(time_s % self.period_s, self._step_s)
        here = self._angles[int(step) % len(self._angles)]
        there = self._angles[(int(step) + 1) % len(self._angles)]
        u = np.clip((within_s - self._plan.rest_s) / self._plan.move_s, 0.0, 1.0)
        way = there - here
        way[0] = (way[0] + np.pi) % (2 * np.pi) - np.pi
        return np.asarray(here + way * u**3 * (10 - 15 * u + 6 * u**2))

    def _reach(self, tool_m: Array, where: str) -> Array:
        """Angles that bring the tool to a place, elbow up."""
        x, y, z = tool_m - self._base_m + np.array([0.0, 0.0, HAND_M - COLUMN_M])
        out = float(np.hypot(x, y))
        length = float(np.hypot(out, z))
        if not abs(UPPER_M - FOREARM_M) + 0.02 <= length <= UPPER_M + FOREARM_M - 0.01:
            raise UserError(
                f"{where}: the arm cannot reach {[round(float(v), 3) for v in tool_m]}: its hand hangs"
                f" {HAND_M:g} m down, and the wrist above the place is {length:.2f} m from the"
                f" shoulder, expected {abs(UPPER_M - FOREARM_M) + 0.02:.2f} to"
                f" {UPPER_M + FOREARM_M - 0.01:.2f} m"
            )
        at_shoulder = np.arccos((UPPER_M**2 + length**2 - FOREARM_M**2) / (2 * UPPER_M * length))
        at_elbow = np.arccos(
            np.clip((length**2 - UPPER_M**2 - FOREARM_M**2) / (2 * UPPER_M * FOREARM_M), -1, 1)
        )
        upper = np.arctan2(z, out) + at_shoulder
        return np.array([np.arctan2(y, x), upper, upper - at_elbow])


def _about_z(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def _raised(angle: float) -> Array:
    """x turned up, towards z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, -s], [0, 1.0, 0], [s, 0, c]])
