"""The arm goes where it is told, its frames agree with its links, and nothing jumps."""

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.simulation.arm import FOREARM_M, UPPER_M, Arm
from mvssm_ros.simulation.scenario import ArmPlan

VISITS = ((0.4, 0.3, 0.9), (0.1, -0.5, 1.1), (-0.3, 0.2, 0.8))
PLAN = ArmPlan((0.0, 0.1, 0.75), VISITS, move_s=2.0, rest_s=1.0)


def poses(arm, time_s):
    """Frame -> [4, 4] in the reference frame."""
    found = {"": np.eye(4)}
    for frame in arm.frames(time_s):
        found[frame.name] = found[frame.parent] @ frame.pose
    return found


def test_its_tool_rests_at_every_place():
    arm = Arm(PLAN)
    for i, place in enumerate(VISITS):
        for time_s in (3.0 * i + 0.1, 3.0 * i + 0.9 + arm.period_s):
            np.testing.assert_allclose(poses(arm, time_s)["arm_tool"][:3, 3], place, atol=1e-9)


def test_frames_and_links_agree_and_links_keep_their_length():
    arm = Arm(PLAN)
    for time_s in np.linspace(0.0, arm.period_s, 50):
        at = {name: pose[:3, 3] for name, pose in poses(arm, time_s).items()}
        links = arm.capsules(time_s)
        np.testing.assert_allclose(links.starts_m[0], PLAN.base_m)
        np.testing.assert_allclose(links.starts_m[1], at["arm_upper"])
        np.testing.assert_allclose(links.ends_m[1], at["arm_forearm"])
        np.testing.assert_allclose(links.ends_m[2], at["arm_hand"])
        np.testing.assert_allclose(links.ends_m[3], at["arm_tool"])
        length_m = np.linalg.norm(links.ends_m - links.starts_m, axis=-1)
        np.testing.assert_allclose(length_m[1:3], (UPPER_M, FOREARM_M))
        for pose in poses(arm, time_s).values():
            np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)


def test_it_moves_smoothly():
    arm = Arm(PLAN)
    tools_m = np.array([
        poses(arm, t)["arm_tool"][:3, 3] for t in np.arange(0.0, arm.period_s + 1.0, 0.01)
    ])  # fmt: skip
    speed_m_s = np.linalg.norm(np.diff(tools_m, axis=0), axis=-1) / 0.01
    assert speed_m_s.max() < 2.5
    assert np.abs(np.diff(speed_m_s)).max() < 0.2


def test_a_place_out_of_reach_is_named():
    with pytest.raises(
        UserError, match=r"arm.visits_m\[1\]: the arm cannot reach \[2.0, 0.0, 1.0\]"
    ):
        Arm(ArmPlan((0.0, 0.0, 0.75), (VISITS[0], (2.0, 0.0, 1.0))))
