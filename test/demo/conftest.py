"""People and answers to judge, without ROS."""

import numpy as np
import pytest

from mvssm_ros.demo.answers import Answer, ReportedPerson

STANDING_M = np.array(
    [
        (0.0, 0.0, 1.45),
        (0.1, 0.0, 1.6),
        (0.0, 0.0, 0.95),
        (0.0, 0.2, 1.45),
        (0.0, 0.25, 1.15),
        (0.1, 0.3, 0.9),
        (0.0, 0.12, 0.95),
        (0.02, 0.12, 0.5),
        (0.0, 0.12, 0.08),
        (0.0, -0.2, 1.45),
        (0.0, -0.25, 1.15),
        (0.1, -0.3, 0.9),
        (0.0, -0.12, 0.95),
        (0.02, -0.12, 0.5),
        (0.0, -0.12, 0.08),
    ]
)  # panoptic15, facing +x


def make_person(person_id="p0001", at=(0.0, 0.0), *, joints_m=None, state=1, confidence=0.9):
    joints = STANDING_M if joints_m is None else joints_m
    return ReportedPerson(
        id=person_id,
        track_state=state,
        confidence=confidence,
        joints_m=joints + np.array([*at, 0.0]),
        observed=np.ones(15, bool),
        view_mask=np.full(15, 3, np.uint64),
    )


def make_answer(frame, *people):
    return Answer(
        stamp_ns=1_000_000_000 + frame * 16_666_667,
        frame=frame,
        cameras=("left", "right"),
        cameras_used=3,
        people=people,
    )


@pytest.fixture
def person():
    return make_person


@pytest.fixture
def answer():
    return make_answer
