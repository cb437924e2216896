"""Two people cross before the simulated rig, and pose_node knows who is who all through."""

from collections import defaultdict

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.time import Time

from mvssm_ros.msg import Person, PersonArray
from mvssm_ros.nodes.sim_rig_node import SimRigNode
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator

SUCCESS = TransitionCallbackReturn.SUCCESS
SETTLE_SETS = 10  # until everybody is confirmed
LOST = ["cam2", "cam4"]


def joints_m(person):
    return np.array([[j.position.x, j.position.y, j.position.z] for j in person.joints])


def ns(message):
    return Time.from_msg(message.header.stamp).nanoseconds


def ids_by_name(answers, truths):
    """Which ids each true person has had and in how many sets, and who was nobody."""
    truth_at = {ns(truth): truth for truth in truths}
    ids, strangers = defaultdict(lambda: defaultdict(int)), 0
    for answer in answers:
        for person in answer.people:
            if person.track_state != Person.CONFIRMED:
                continue
            gaps_m = {
                true.id: float(
                    np.nanmean(np.linalg.norm(joints_m(person) - joints_m(true), axis=1))
                )
                for true in truth_at[ns(answer)].people
            }
            nearest = min(gaps_m, key=gaps_m.get)
            if gaps_m[nearest] < 0.25:
                ids[nearest][person.id] += 1
            else:
                strangers += 1
    return {name: dict(counts) for name, counts in ids.items()}, strangers


@pytest.mark.slow
@pytest.mark.parametrize("lost", [[], LOST], ids=["all cameras", "two lost"])
def test_both_ids_are_kept_through_the_crossing(world, trained_weights, tmp_path, lost):
    """Over one round, in which they cross twice. Two cameras are lost from before the first
    crossing until after it."""
    scenario = load_scenario("crossing")
    rig_file = tmp_path / "rig.yaml"
    scenario.rig.save(rig_file)
    simulator = Simulator(scenario, seed=3)
    period_sets = int(simulator.period_s * scenario.rate_hz)
    hips_m = np.array([simulator.moment(k).joints_m[:, 2] for k in range(period_sets)])
    gaps_m = np.linalg.norm(hips_m[:, 0] - hips_m[:, 1], axis=-1)
    crossing = int(gaps_m[: period_sets // 2].argmin())
    assert gaps_m[crossing] < 0.7  # they do pass near each other
    assert crossing > SETTLE_SETS

    reliable = {f"qos_overrides./{name}/keypoints.subscription.reliability": "reliable"
                for name in scenario.rig.cameras}  # fmt: skip
    pose = world.pose_node(
        rig_file=str(rig_file), input="keypoints", model__weights=trained_weights, **reliable
    )
    assert pose.trigger_configure() == SUCCESS
    assert pose.trigger_activate() == SUCCESS
    truths: list[PersonArray] = []
    world.hear(PersonArray, "ground_truth", truths)
    sets = period_sets if not lost else crossing + 25
    rig = SimRigNode(
        context=world.context,
        parameter_overrides=[
            Parameter(name, value=value)
            for name, value in {
                "scenario": "crossing",
                "seed": 3,
                "lockstep": True,
                "duration": sets / scenario.rate_hz,
            }.items()
        ],
    )
    world._add(rig)
    service = world.tester.create_client(SetParameters, "/sim_rig/set_parameters")

    def lose(cameras):
        parameter = Parameter("lost_cameras", value=cameras or [""]).to_parameter_msg()
        asked = service.call_async(SetParameters.Request(parameters=[parameter]))
        world.spin_until(asked.done)
        assert asked.result().results[0].successful

    if lost:
        world.spin_until(service.service_is_ready)
        world.spin_until(lambda: len(truths) >= crossing - 8, timeout_s=120)
        lose(lost)
        world.spin_until(lambda: len(truths) >= crossing + 12, timeout_s=120)
        lose([])
    world.spin_until(lambda: rig.finish() == 0, timeout_s=300)
    world.spin_until(lambda: ns(world.answers[-1]) == ns(truths[-1]))

    ids, strangers = ids_by_name(world.answers[SETTLE_SETS:], truths)
    assert set(ids) == {"anna", "ben"}, ids
    assert all(len(counts) == 1 for counts in ids.values()), ids
    assert set(ids["anna"]).isdisjoint(ids["ben"])
    assert strangers == 0
    found = sum(sum(counts.values()) for counts in ids.values())
    assert found >= 0.97 * 2 * (len(world.answers) - SETTLE_SETS)
    if lost:
        few = [a for a in world.answers if a.cameras_used == 0b10101]
        assert len(few) >= 15  # the answers while cameras were lost, the crossing among them
