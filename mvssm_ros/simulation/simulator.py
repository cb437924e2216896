"""A scenario at work: who is where at any moment, and what every camera makes of it.

The same scenario and seed give the same people and the same keypoints, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvssm_ros.simulation.arm import Arm, Frame
from mvssm_ros.simulation.detector import Detector
from mvssm_ros.simulation.motion import People
from mvssm_ros.simulation.obstacles import boxes_of, hidden
from mvssm_ros.simulation.scenario import Scenario
from mvssm_ros.tracking.body_volume import Capsules

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moment:
    """The world at one set of images.

    joints_m, velocities_m_s [G, 15, 3] in the reference frame, panoptic15; arm: its links.
    """

    number: int  # of the set, from 0
    time_s: float
    joints_m: Array
    velocities_m_s: Array
    arm: Capsules | None


class Simulator:
    """The people, the arm and the cameras of a scenario.

    rate_hz: sets of images a second, default: the scenario's.
    """

    def __init__(self, scenario: Scenario, seed: int, rate_hz: float | None = None) -> None:
        rig = scenario.rig
        self.scenario = scenario
        self.rate_hz = scenario.rate_hz if rate_hz is None else rate_hz
        self.names = [actor.name for actor in scenario.actors]
        self.cameras = rig.to_cameras()
        self.boxes = boxes_of(scenario.furniture, rig.space.floor_m)
        self._people = People(scenario.actors, rig.space.floor_m, seed)
        self._arm = Arm(scenario.arm) if scenario.arm else None
        self._detector = Detector(self.cameras, scenario.severity, seed, scenario.false_people)

    @property
    def period_s(self) -> float:
        """After so long all people begin again."""
        return self._people.period_s

    def moment(self, number: int) -> Moment:
        """At the set of images of this number."""
        time_s = number / self.rate_hz
        return Moment(
            number,
            time_s,
            self._people.joints_m(time_s),
            self._people.velocities_m_s(time_s),
            self._arm.capsules(time_s) if self._arm else None,
        )

    def arm_frames(self, moment: Moment) -> list[Frame]:
        """Empty without an arm."""
        return self._arm.frames(moment.time_s) if self._arm else []

    def keypoints(
        self, moment: Moment
    ) -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]:
        """What a 2D detector finds, and what could be seen.

        Returns:
            For each camera the people found [P, 15, 3] (x px, y px, confidence; 0 = missing), and
            which joints are in the image and hidden by nobody and nothing, [T, G, 15].
        """
        G = len(moment.joints_m)
        covered = hidden(
            self.cameras.centers_m.numpy().astype(np.float64),
            moment.joints_m.reshape(-1, 3),
            self.boxes,
            moment.arm,
        ).reshape(-1, G, 15)
        views = self._detector.views(moment.joints_m, covered)
        return self._detector.look(views, moment.number), (views.inside & ~views.hidden)[0]
