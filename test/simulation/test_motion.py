"""People do what they are told, smoothly, for ever, and their velocities are those of their joints."""

import numpy as np
import pytest

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.simulation.motion import People
from mvssm_ros.simulation.scenario import Actor, Stay, Turn, Walk
from mvssm_ros.simulation.scenario_file import load_scenario, scenario_names

HIP = PANOPTIC15.index("mid_hip")
NECK = PANOPTIC15.index("neck")


def joints(people, times_s):
    return np.array([people.joints_m(t) for t in times_s])


def test_they_go_where_they_are_told_and_begin_again():
    anna = Actor("anna", (-1.0, 0.0), 1.0, (Walk((1.0, 0.0)), Stay("stand", 1.0)))
    people = People([anna], 0.0, seed=1)
    times_s = np.arange(0.0, people.period_s, 0.02)
    hips_m = joints(people, times_s)[:, 0, HIP]
    assert hips_m[:, 0].max() == pytest.approx(1.0, abs=0.1)
    assert hips_m[:, 0].min() == pytest.approx(-1.0, abs=0.1)
    assert np.abs(hips_m[:, 1]).max() < 0.05
    np.testing.assert_allclose(
        people.joints_m(0.7), people.joints_m(0.7 + 3 * people.period_s), atol=1e-9
    )
    middle = np.abs(hips_m[:, 0]) < 0.5
    speed_m_s = np.linalg.norm([people.velocities_m_s(t)[0, HIP, :2] for t in times_s], axis=-1)
    assert speed_m_s[middle].mean() == pytest.approx(1.0, abs=0.05)


def test_velocities_are_the_derivative_of_the_joints():
    people = People(load_scenario("table").actors, 0.0, seed=2)
    for time_s in np.linspace(0.0, people.period_s, 37):
        change = people.joints_m(time_s + 1e-4) - people.joints_m(time_s - 1e-4)
        np.testing.assert_allclose(people.velocities_m_s(time_s), change / 2e-4, atol=2e-2)


@pytest.mark.parametrize("name", scenario_names())
def test_people_of_the_scenarios_move_as_people_do(name):
    scenario = load_scenario(name)
    people = People(scenario.actors, 0.0, seed=5)
    joints_m = joints(people, np.arange(0.0, people.period_s, 1 / 30))
    step_m = np.linalg.norm(np.diff(joints_m, axis=0), axis=-1)
    assert step_m.max() * 30 < 8.0  # m/s: nobody jumps
    assert joints_m[..., 2].min() > 0.0
    assert joints_m[..., 2].max() < 2.1
    thighs = [PANOPTIC15.index("left_hip"), PANOPTIC15.index("left_knee")]
    length_m = np.linalg.norm(joints_m[:, :, thighs[0]] - joints_m[:, :, thighs[1]], axis=-1)
    assert np.ptp(length_m, axis=0).max() < 0.005  # bones keep their length
    low = np.array(scenario.rig.space.center_m) - np.array(scenario.rig.space.size_m) / 2
    assert (joints_m[:, :, HIP, :2] > low).all()
    assert (joints_m[:, :, HIP, :2] < -low).all()


def test_nobody_walks_through_anybody_in_the_scenarios():
    for name in scenario_names():
        people = People(load_scenario(name).actors, 0.0, seed=0)
        hips_m = joints(people, np.arange(0.0, people.period_s, 0.05))[:, :, HIP, :2]
        apart_m = np.linalg.norm(hips_m[:, :, None] - hips_m[:, None], axis=-1)
        apart_m += 10 * np.eye(hips_m.shape[1])
        assert apart_m.min() > 0.35, name


def test_whoever_sits_has_their_hips_low_and_behind_their_feet():
    motions = (Turn(90.0), Stay("stand", 2.0), Stay("sit", 4.0), Stay("stand", 2.0))
    people = People([Actor("anna", (0.5, 0.5), 1.0, motions)], 0.0, seed=1)
    middle_of_sitting_s = 0.8 + 2.0 + 2.0  # half a posture window before it
    standing, sitting = people.joints_m(0.5)[0], people.joints_m(middle_of_sitting_s)[0]
    assert standing[HIP, 2] > 0.75
    assert 0.3 < sitting[HIP, 2] < 0.65
    ankles = [PANOPTIC15.index("left_ankle"), PANOPTIC15.index("right_ankle")]
    np.testing.assert_allclose(sitting[ankles, :2].mean(0), (0.5, 0.5), atol=0.05)
    assert sitting[HIP, 1] < 0.35  # looks along y: behind is less y
    assert abs(sitting[HIP, 0] - 0.5) < 0.15


def test_whoever_works_reaches_out_in_front():
    motions = (Turn(0.0), Stay("work", 10.0))
    people = People([Actor("anna", (0.0, 0.0), 1.0, motions)], 0.0, seed=1)
    wrists = [PANOPTIC15.index("left_wrist"), PANOPTIC15.index("right_wrist")]
    at = np.array([people.joints_m(t)[0, wrists] for t in np.arange(2.0, 8.0, 0.1)])
    assert at[..., 0].mean() > 0.25
    assert np.ptp(at[..., 0], axis=0).min() > 0.1  # the hands move


def test_the_seed_makes_the_people():
    actors = load_scenario("walk").actors
    one, same, other = (People(actors, 0.0, seed) for seed in (1, 1, 2))
    assert one.joints_m(3.3).tobytes() == same.joints_m(3.3).tobytes()
    assert np.abs(one.joints_m(3.3) - other.joints_m(3.3)).max() > 0.01


def test_the_floor_is_where_it_is_said_to_be():
    actors = load_scenario("crossing").actors
    low, high = People(actors, 0.0, 1), People(actors, 1.5, 1)
    np.testing.assert_allclose(
        high.joints_m(1.0) - low.joints_m(1.0), np.broadcast_to((0, 0, 1.5), (2, 15, 3)), atol=1e-9
    )
