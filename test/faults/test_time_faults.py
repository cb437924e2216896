"""Cameras that fall silent, come late, twice, out of order, or lie about the time."""

import copy
import time

import pytest
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from mvssm_ros.msg import CameraStatus

from ..nodes.conftest import INFO
from .conftest import PERIOD_S, SUCCESS, WRONG_M, SimulatedRig, Trial

BAD = "cam1"
WITHOUT_BAD, ALL = 0b1101, 0b1111


def shifted(message, seconds):
    """The same message with another stamp."""
    other = copy.copy(message)
    other.header = copy.deepcopy(message.header)
    now_ns = Time.from_msg(message.header.stamp).nanoseconds
    other.header.stamp = Time(nanoseconds=now_ns + round(seconds * 1e9)).to_msg()
    return other


def check_never_wrong(trial, answers, at_least=3):
    assert len(answers) >= at_least
    assert trial.worst_m(answers) < WRONG_M
    for answer in answers:
        assert len(answer.people) == 1


def test_camera_silent(trial):
    answers = trial.inject({BAD: lambda tick, message: []})
    check_never_wrong(trial, answers)
    assert {a.cameras_used for a in answers[2:]} == {WITHOUT_BAD}
    trial.wait_for_state(BAD, CameraStatus.STALE)
    (line,) = trial.world.wait_for_words(f"camera '{BAD}'", "nothing more comes")
    assert "cable" in line
    trial.record("camera silent", answers, trial.mend())
    trial.world.spin_until(lambda: trial.world.said("silent problem is over", level=INFO))


def test_camera_late(trial):
    """Its images come half a period after the others'."""
    answers = trial.inject({BAD: lambda tick, message: [(0.6 * PERIOD_S, message)]})
    check_never_wrong(trial, answers)
    assert {a.cameras_used for a in answers[2:]} <= {WITHOUT_BAD, ALL}
    if {a.cameras_used for a in answers} != {ALL}:  # what was not waited for is counted
        trial.wait_for_count(BAD, "dropped_late")
    trial.record("camera late by 120 ms", answers, trial.mend())


def test_camera_duplicated(trial):
    answers = trial.inject({BAD: lambda tick, message: [(0.0, message), (0.02, message)]})
    check_never_wrong(trial, answers)
    stamps = [Time.from_msg(a.header.stamp).nanoseconds for a in answers]
    assert stamps == sorted(set(stamps))
    trial.wait_for_count(BAD, "dropped_late")
    trial.record("every image twice", answers, trial.mend())


def test_camera_out_of_order(trial):
    """Two of its images change places."""
    held = []

    def swap(tick, message):
        held.append(message)
        return [(0.0, held.pop()), (0.0, held.pop())] if len(held) == 2 else []

    answers = trial.inject({BAD: swap}, 4.0)
    check_never_wrong(trial, answers)
    stamps = [Time.from_msg(a.header.stamp).nanoseconds for a in answers]
    assert stamps == sorted(set(stamps))
    trial.record("images out of order", answers, trial.mend())


def test_half_rate(trial):
    answers = trial.inject({BAD: lambda tick, m: [(0.0, m)] if tick % 2 else []}, 4.0)
    check_never_wrong(trial, answers)
    assert {a.cameras_used for a in answers} >= {WITHOUT_BAD, ALL}
    trial.record("one camera at half the rate", answers, trial.mend())


def test_clock_offset_of_40_ms(trial):
    answers = trial.inject({BAD: lambda tick, m: [(0.0, shifted(m, 0.04))]}, 4.0)
    check_never_wrong(trial, answers)
    assert {a.cameras_used for a in answers[2:]} == {WITHOUT_BAD}
    trial.wait_for_count(BAD, "dropped_out_of_slop")
    (line,) = trial.world.wait_for_words(f"camera '{BAD}'", "its stamps do not fit")
    assert "sync.slop" in line
    trial.wait_for_state(BAD, CameraStatus.OUT_OF_STEP)
    trial.record("clock of one camera 40 ms ahead", answers, trial.mend())


def test_clock_drift(trial):
    """One clock gains 10 ms a second."""
    began_s = time.monotonic()
    answers = trial.inject(
        {BAD: lambda tick, m: [(0.0, shifted(m, 0.01 * (time.monotonic() - began_s)))]}, 6.0
    )
    check_never_wrong(trial, answers)
    assert answers[2].cameras_used == ALL
    assert answers[-1].cameras_used == WITHOUT_BAD
    trial.record("clock of one camera gains 10 ms a second", answers, trial.mend())


@pytest.mark.parametrize("back_s", [5.0])
def test_all_stamps_jump_back(trial, back_s):
    """A bag that is played in a loop: for a moment everything is back_s earlier."""
    faults = {n: lambda tick, m: [(0.0, shifted(m, -back_s))] for n in trial.simulated.rig.cameras}
    answers = trial.inject(faults)
    assert len(answers) >= 3
    assert len(trial.world.wait_for_words("time was set back")) == 1
    early = [a for a in answers if a.cameras_used][2:]
    for answer in early:  # the person walked on: her place is that of the true time
        answer.header.stamp = shifted(answer, back_s).header.stamp
    assert trial.worst_m(early) < WRONG_M
    trial.record("time jumps back 5 s (bag loop)", early, trial.mend())


class Simulation:
    """A simulator's clock: it stands still while the simulation is paused, and then goes on."""

    def __init__(self, world) -> None:
        self.paused = False
        self._lost_ns = 0  # by pauses
        self._stopped_ns = 0
        self._publisher = world.publisher(Clock, "/clock")
        world.tester.create_timer(0.02, self._tell)

    def now_ns(self) -> int:
        return self._stopped_ns if self.paused else time.time_ns() - self._lost_ns

    def pause(self) -> None:
        self._stopped_ns, self.paused = self.now_ns(), True

    def go_on(self) -> None:
        self._lost_ns, self.paused = time.time_ns() - self._stopped_ns, False

    def _tell(self) -> None:
        if not self.paused:
            self._publisher.publish(Clock(clock=Time(nanoseconds=self.now_ns()).to_msg()))


def test_simulated_time_is_paused(world, rig_and_file, trained_weights):
    """The simulator stops, and with it its cameras; then both go on from where they were."""
    rig, path = rig_and_file
    simulation = Simulation(world)
    node = world.pose_node(
        rig_file=path,
        input="keypoints",
        model__weights=trained_weights,
        sync__slop=0.03,
        use_sim_time=True,
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    simulated = SimulatedRig(world, rig, clock=simulation.now_ns)
    trial = Trial(simulated, node)
    trial.healthy()
    before = world.answers[-1].people[0].id
    simulation.pause()
    answers = trial.inject({name: lambda tick, message: [] for name in rig.cameras}, 4.0)
    assert len(answers) <= 2  # what was on its way
    assert not world.said("")
    simulation.go_on()
    recovered_s = trial.mend()
    check_never_wrong(trial, world.answers[-3:], at_least=3)
    assert world.answers[-1].people[0].id == before
    assert not world.said("")
    trial.record("simulated time paused for 4 s", answers, recovered_s)
    simulated.stop()
