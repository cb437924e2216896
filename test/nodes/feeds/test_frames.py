"""Where the robot is: asked for once a set, and what is unknown is told while somebody asks."""

import numpy as np
import pytest
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.feeds.frames import Frames
from mvssm_ros.nodes.problems import Problems

from ..conftest import stamp


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, line):
        self.lines.append(line)

    info = warning


@pytest.fixture
def robot():
    """Frames, what they asked for, what they told; only base is known: at (2, 1), looking along +y."""
    asked, log = [], Log()

    def lookup(reference, frame, stamp_ns):
        asked.append(frame)
        if frame != "base":
            raise UserError(f"TF does not know where '{frame}' is in '{reference}'")
        R = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
        return R, -R @ np.array([2.0, 1.0, 0.0])

    problems = Problems("feeds", log)
    return Frames(lookup, problems), asked, log, problems


def header(index):
    return Header(stamp=stamp(index), frame_id="map")


def test_poses_are_in_the_reference_frame(robot):
    frames, _, _, _ = robot
    R, t_m = frames.pose("base", header(0))
    np.testing.assert_allclose(R @ [1, 0, 0], [0, 1, 0])
    np.testing.assert_allclose(t_m, [2, 1, 0])


def test_a_frame_is_looked_up_once_a_set(robot):
    frames, asked, _, _ = robot
    for index in (0, 0, 0, 1, 1):
        frames.pose("base", header(index))
    assert asked == ["base", "base"]


@pytest.mark.parametrize("name", ["", "map"])
def test_the_reference_frame_is_known(robot, name):
    frames, asked, _, _ = robot
    R, t_m = frames.pose(name, header(0))
    np.testing.assert_array_equal(R, np.eye(3))
    np.testing.assert_array_equal(t_m, np.zeros(3))
    assert asked == []


def test_what_is_unknown_is_told_as_long_as_it_is_asked_for(robot):
    frames, _, log, problems = robot
    for index in range(3):
        assert frames.pose("tool", header(index)) is None
        frames.end_set()
    assert log.lines == ["feeds: TF does not know where 'tool' is in 'map'"]
    assert problems.has("frame tool")
    frames.pose("base", header(3))
    frames.end_set()
    assert not problems.has("frame tool")
    assert log.lines[1:] == []  # it is still unknown, but nobody wants to know
    frames.pose("tool", header(4))
    frames.forget()
    assert problems.texts == []
