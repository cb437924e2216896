"""Who is given which body."""

import numpy as np

from mvssm_ros.tracking import body_filter as bf
from mvssm_ros.tracking.association import assign, is_twin

STAND = np.stack([np.zeros(15), np.zeros(15), np.linspace(0, 1.7, 15)], axis=1)


def people(*x_m, sigma_m=0.03):
    """Known people and bodies in one form: joints [N, 15, 3] and covariances."""
    joints = np.array([STAND + np.array([x, 0.0, 0.0]) for x in x_m]).reshape(-1, 15, 3)
    return joints, np.broadcast_to(sigma_m**2 * np.eye(3), (len(x_m), 15, 3, 3)).copy()


def shared(motion, joints, covariance, reach_m=2.0, handicap=None):
    n = len(motion)
    back = np.zeros(n) if handicap is None else np.array(handicap)
    return assign(motion, joints, covariance, np.full(n, reach_m), back)


def test_each_gets_the_nearest_and_nobody_two():
    motion = bf.begin(*people(0.0, 0.4))
    assert shared(motion, *people(0.35, 0.05, 3.0)) == {0: 1, 1: 0}


def test_a_few_wrong_joints_do_not_decide():
    motion = bf.begin(*people(0.0, 0.5))
    joints, covariance = people(0.02)
    joints[0, :3, 0] += 1.5
    assert shared(motion, joints, covariance) == {0: 0}


def test_beyond_the_reach_or_beyond_what_the_covariances_allow_is_nobody():
    motion = bf.begin(*people(0.0))
    assert shared(motion, *people(0.6), reach_m=0.5) == {}
    assert shared(motion, *people(0.6), reach_m=2.0) == {}
    assert shared(motion, *people(0.6, sigma_m=0.3), reach_m=2.0) == {0: 0}


def test_somebody_long_unseen_does_not_take_the_body_of_one_well_known():
    sure, unsure = bf.begin(*people(0.0)), bf.begin(*people(0.1, sigma_m=0.7))
    assert shared(sure.join(unsure), *people(0.05)) == {0: 0}


def test_a_new_body_near_somebody_does_not_push_the_ids_on():
    """0 stays with the body on him, though giving him the other would leave nobody without."""
    motion = bf.begin(*people(0.0, sigma_m=0.05)).join(bf.begin(*people(-0.4, sigma_m=0.08)))
    assert shared(motion, *people(0.0, 0.25)) == {0: 0}
    assert shared(motion, *people(0.25)) == {0: 0}


def test_who_is_to_stand_back_gives_way():
    motion = bf.begin(*people(0.0, 0.0))
    assert shared(motion, *people(0.0), handicap=[4.0, 0.0]) == {1: 0}


def test_too_few_joints_in_common_say_nothing():
    motion = bf.begin(*people(0.0))
    joints, covariance = people(0.0)
    joints[0, 2:] = np.nan
    assert shared(motion, joints, covariance) == {}
    assert shared(bf.nobody(), joints, covariance) == {}
    assert shared(motion, *people()) == {}


def test_twins_are_bodies_of_one_person():
    joints, _ = people(0.0, 0.1, 0.4)
    assert is_twin(joints[1], joints[:1])
    assert not is_twin(joints[2], joints[:1])
    assert not is_twin(joints[0], [])
    half = joints[1].copy()
    half[8:] = np.nan
    assert is_twin(half, joints[:1])
    assert not is_twin(np.full((15, 3), np.nan), joints)
