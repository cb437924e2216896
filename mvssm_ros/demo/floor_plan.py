"""A simulated world from above: who walks where, and who pose_node says it is."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from mvssm_ros.demo.answers import Answer
from mvssm_ros.demo.overlay import color_of
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.simulation.simulator import Moment, Simulator

Image = npt.NDArray[np.uint8]

_HIP = PANOPTIC15.index("mid_hip")
_PAPER, _SPACE, _LINE, _TRUE = (32, 34, 40), (58, 62, 70), (92, 98, 110), (225, 225, 225)
_WOOD, _ARM, _CAMERA = (128, 98, 66), (232, 128, 40), (170, 130, 220)
_MARGIN_M = 0.5
_TRAIL_SETS = 25
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class FloorPlan:
    """Draws set after set, with trails behind the people."""

    def __init__(self, simulator: Simulator, size_px: tuple[int, int]) -> None:
        self._simulator = simulator
        self._width, self._height = size_px
        rig = simulator.scenario.rig
        self._centers = simulator.cameras.centers_m.numpy()[:, :2].astype(np.float64)
        space = rig.space
        half = np.array(space.size_m) / 2
        low = np.minimum(self._centers.min(0), np.array(space.center_m) - half) - _MARGIN_M
        high = np.maximum(self._centers.max(0), np.array(space.center_m) + half) + _MARGIN_M
        self._middle = (low + high) / 2
        self._scale = float(min(np.array(size_px) / (high - low)))
        self._corners = (np.array(space.center_m) - half, np.array(space.center_m) + half)
        self._trails: dict[str, deque[tuple[int, int]]] = {}

    def paint(self, moment: Moment, answer: Answer) -> Image:
        """RGB [H, W, 3]."""
        picture = np.full((self._height, self._width, 3), _PAPER, np.uint8)
        low, high = self._corners
        cv2.rectangle(picture, self._at(low), self._at(high), _SPACE, -1)
        for x in np.arange(np.ceil(low[0]), high[0] + 1e-9):
            cv2.line(picture, self._at((x, low[1])), self._at((x, high[1])), _LINE, 1)
        for y in np.arange(np.ceil(low[1]), high[1] + 1e-9):
            cv2.line(picture, self._at((low[0], y)), self._at((high[0], y)), _LINE, 1)
        for piece in self._simulator.scenario.furniture:
            half = np.array(piece.size_m) / 2
            corners = (self._at(piece.center_m - half), self._at(piece.center_m + half))
            cv2.rectangle(picture, *corners, _WOOD, -1)
        if moment.arm is not None:
            for start, end in zip(moment.arm.starts_m, moment.arm.ends_m):
                cv2.line(picture, self._at(start), self._at(end), _ARM, 5, cv2.LINE_AA)
        for entry, center in zip(self._simulator.scenario.rig.cameras.values(), self._centers):
            self._camera(picture, entry.name, center)
        self._people(picture, moment, answer)
        cv2.putText(picture, "from above", (10, 28), _FONT, 0.8, _TRUE, 1, cv2.LINE_AA)
        cv2.putText(
            picture, "ring: true place; disc and trail: pose_node", (10, self._height - 12),
            _FONT, 0.5, _TRUE, 1, cv2.LINE_AA,
        )  # fmt: skip
        return picture

    def _at(self, place_m: object) -> tuple[int, int]:
        """Pixel of a place; x to the right, y up."""
        x, y = self._scale * (np.asarray(place_m, np.float64)[:2] - self._middle)
        return round(self._width / 2 + x), round(self._height / 2 - y)

    def _camera(self, picture: Image, name: str, center_m: npt.NDArray[np.float64]) -> None:
        to_middle = np.array(self._simulator.scenario.rig.space.center_m) - center_m
        ahead = center_m + 0.3 * to_middle / max(float(np.linalg.norm(to_middle)), 1e-6)
        cv2.line(picture, self._at(center_m), self._at(ahead), _CAMERA, 2, cv2.LINE_AA)
        cv2.circle(picture, self._at(center_m), 5, _CAMERA, -1, cv2.LINE_AA)
        x, y = self._at(center_m - (ahead - center_m))  # outside
        cv2.putText(picture, name, (x - 18, y + 4), _FONT, 0.45, _CAMERA, 1, cv2.LINE_AA)

    def _people(self, picture: Image, moment: Moment, answer: Answer) -> None:
        for person in answer.seen:
            hip = person.joints_m[_HIP]
            if not np.isfinite(hip).all():
                continue
            trail = self._trails.setdefault(person.id, deque(maxlen=_TRAIL_SETS))
            trail.append(self._at(hip))
        for person_id, trail in self._trails.items():
            line = np.array(trail, np.int32)[:, None]
            cv2.polylines(picture, [line], False, color_of(person_id), 2, cv2.LINE_AA)
        for person in answer.seen:
            if np.isfinite(person.joints_m[_HIP]).all():
                at = self._at(person.joints_m[_HIP])
                cv2.circle(picture, at, 7, color_of(person.id), -1, cv2.LINE_AA)
                cv2.putText(
                    picture, person.id, (at[0] + 14, at[1] + 16), _FONT, 0.45,
                    color_of(person.id), 1, cv2.LINE_AA,
                )  # fmt: skip
        for name, joints_m in zip(self._simulator.names, moment.joints_m):
            x, y = self._at(joints_m[_HIP])
            cv2.circle(picture, (x, y), 11, _TRUE, 1, cv2.LINE_AA)
            cv2.putText(picture, name, (x + 14, y - 2), _FONT, 0.45, _TRUE, 1, cv2.LINE_AA)
