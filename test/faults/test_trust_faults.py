"""Cameras that are not where they are said to be: bumped, or in another one's place."""

from dataclasses import replace

import numpy as np
import torch
from rclpy.time import Time

from mvssm_ros.geometry.cameras import project
from mvssm_ros.msg import Keypoints2D

from ..nodes.conftest import standing_person
from .conftest import SUCCESS, WRONG_M, SimulatedRig, Trial

BAD = "cam1"
LEARN_S = 50.0  # how a rig is when all is well


def bumped(simulated, turn_deg=0.0, shift_m=0.0):
    """A fault: BAD is turned about its vertical axis, and shifted to its side."""
    straight = simulated.rig
    entry = straight.cameras[BAD]
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    moved = replace(entry, R=turn @ entry.R, t_m=turn @ (entry.t_m - np.array([shift_m, 0, 0])))
    crooked = replace(straight, cameras={**straight.cameras, BAD: moved})

    def fault(tick, message):
        simulated.rig = crooked
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        message = simulated.keypoints(BAD, tick, stamp_ns)
        simulated.rig = straight
        return [(0.0, message)]

    return fault


def test_camera_shifted_by_two_centimetres(trial):
    """Less than a pixel or two of a 640-px image: the limit of the reprojection error is far off."""
    trial.world.spin_for(LEARN_S)
    answers = trial.inject_until({BAD: bumped(trial.simulated, shift_m=0.02)}, BAD, "left out")
    assert trial.worst_m(answers) < WRONG_M
    (line,) = trial.world.wait_for_words(f"camera '{BAD}'", "have been moved")
    assert "\n" not in line
    assert trial.world.said("left out") == trial.world.said(f"camera '{BAD}'", "left out")
    assert answers[-1].people[0].joints[2].view_mask & 0b0010 == 0
    trial.record("camera shifted by 2 cm", answers, trial.mend())


def swapped(simulated, one, other):
    """Faults: the cables of two cameras change places."""

    def sees_as(camera):
        def fault(tick, message):
            stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
            return [(0.0, simulated.keypoints(camera, tick, stamp_ns))]

        return fault

    return {one: sees_as(other), other: sees_as(one)}


def test_two_cameras_swapped_from_the_start(world, rig_and_file, trained_weights):
    """Two see one person, two another, and nobody can tell who is there: nobody is published."""
    rig, path = rig_and_file
    node = world.pose_node(
        rig_file=path, input="keypoints", model__weights=trained_weights, sync__slop=0.03
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    simulated = SimulatedRig(world, rig)
    simulated.faults = swapped(simulated, "cam1", "cam2")
    made = Trial(simulated, node)
    world.spin_until(lambda: world.status and world.answers, 30.0)
    answers = made.inject_until(simulated.faults, "nobody can be located")
    assert not np.isfinite(made.worst_m(answers, certain=True))  # nobody was ever confirmed
    world.spin_until(lambda: world.people[-1].cameras_used == 0)  # nothing is known
    assert world.people[-1].people == []
    (line,) = world.wait_for_words("nobody can be located")
    assert "cameras cam0, cam3 / cam1, cam2" in line
    recovered_s = made.mend()
    world.spin_until(lambda: [p.track_state for p in world.answers[-1].people] == [1])  # confirmed
    made.record("two cameras swapped from the start", answers, recovered_s)
    simulated.stop()


def test_cable_of_another_rig(trial):
    """A camera shows people, but not those who are here."""
    simulated = trial.simulated

    def elsewhere(tick, message):
        t_s = Time.from_msg(message.header.stamp).nanoseconds * 1e-9
        people = [
            standing_person(1.2 * np.sin(0.7 * t_s), -0.9 + 0.4 * np.cos(1.1 * t_s)),
            standing_person(-0.8, 1.1 * np.cos(0.5 * t_s)),
        ]
        joints = torch.tensor(np.array(people), dtype=torch.float32).flatten(0, 1)
        pixels, _ = project(simulated.rig.to_cameras([BAD]), joints)
        message.people = [
            Keypoints2D(x=p[:, 0].tolist(), y=p[:, 1].tolist(), confidence=[0.9] * 15)
            for p in pixels[0].view(2, 15, 2)
        ]
        return [(0.0, message)]

    answers = trial.inject_until({BAD: elsewhere}, "do not see the same people")
    assert trial.worst_m(answers, certain=True) < WRONG_M
    (line,) = trial.world.wait_for_words("do not see the same people")
    assert f"cameras cam0, cam2, cam3 / {BAD} do not" in line
    assert trial.world.said("left out") == trial.world.said(f"camera '{BAD}'", "left out")
    trial.record("a camera shows people of another room", answers, trial.mend())
