"""Builds of bodies: lengths, means over sets, and who somebody new is."""

import numpy as np
import pytest
from people_passing import joints_m

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.tracking.build import (
    FITS,
    KNOWN_SETS,
    Build,
    LastingBuild,
    lengths_m,
    who_came_back,
)

STAND = joints_m(np.zeros(1))[0]
RNG = np.random.default_rng(0)


def build(scale, sets=KNOWN_SETS, rng=RNG):
    made = Build()
    for _ in range(sets):
        made.add(scale * STAND + rng.normal(0, 0.008, STAND.shape))
    return made


def test_lengths_are_those_between_joints():
    joints = STAND.copy()
    at = PANOPTIC15.index
    joints[at("left_knee")] = joints[at("left_hip")] - [0, 0, 0.40]
    joints[at("right_knee")] = joints[at("right_hip")] - [0, 0, 0.44]
    joints[at("neck")] = joints[at("mid_hip")] + [0, 0, 0.5]
    lengths = lengths_m(joints)
    assert lengths[0] == pytest.approx(0.42)
    assert lengths[6] == pytest.approx(0.5)
    joints[at("left_knee")] = np.nan
    unknown = np.isnan(lengths_m(joints))
    assert unknown.tolist() == [True, True, *[False] * 6]  # thigh and shank


def test_means_over_sets_leave_out_what_is_unknown():
    made = Build()
    made.add(STAND)
    hidden = 2 * STAND
    hidden[PANOPTIC15.index("left_wrist")] = np.nan
    made.add(hidden)
    expected = 1.5 * lengths_m(STAND)
    expected[3] = lengths_m(STAND)[3]
    np.testing.assert_allclose(made.mean_m, expected)
    assert made.count.tolist() == [2, 2, 2, 1, 2, 2, 2, 2]


def test_joined_builds_are_those_of_all_sets():
    rng = np.random.default_rng(1)
    sets = STAND * rng.uniform(0.9, 1.1, (9, 1, 1))
    whole, first, second = Build(), Build(), Build()
    for i, joints in enumerate(sets):
        whole.add(joints)
        (first if i < 3 else second).add(joints)
    joined = first.join(second)
    np.testing.assert_allclose(joined.mean_m, whole.mean_m)
    np.testing.assert_allclose(joined.count, whole.count)


def test_one_person_fits_and_another_does_not():
    assert build(1.0).apart(build(1.0, 3)) < FITS / 4
    assert build(1.0).apart(build(1.2, 3)) > FITS
    assert Build().apart(build(1.0)) == 0  # nothing is known


def test_the_one_who_fits_clearly_came_back():
    gone = {4: build(1.0), 7: build(1.25)}
    assert who_came_back(build(1.0, 4), gone) == 4
    assert who_came_back(build(1.25, 4), gone) == 7
    assert who_came_back(build(0.8, 4), gone) is None
    assert who_came_back(build(1.0, 4), {}) is None


def test_nothing_is_said_of_twins_nor_of_those_hardly_known():
    assert who_came_back(build(1.0, 4), {4: build(1.0), 7: build(1.0)}) is None
    assert who_came_back(build(1.0, 2), {4: build(1.0)}) is None
    assert who_came_back(build(1.0, 4), {4: build(1.0, KNOWN_SETS - 1)}) is None


def lasting(scale, of_late):
    """Somebody `scale` times as large as others, and a body of late `of_late` times."""
    return LastingBuild(build(scale), build(of_late))


def test_two_who_are_each_built_as_the_other_was_are_exchanged():
    small, large = lasting(1.0, 1.15), lasting(1.15, 1.0)
    assert small.is_exchanged_with(large)
    assert large.is_exchanged_with(small)
    assert not small.is_exchanged_with(lasting(1.3, 1.0))  # nobody of that build is about
    assert not lasting(1.0, 1.0).is_exchanged_with(lasting(1.15, 1.15))
    hardly = LastingBuild(build(1.15), build(1.0, KNOWN_SETS - 1))
    assert not small.is_exchanged_with(hardly)


def test_a_body_proves_to_be_the_persons_or_is_forgotten():
    rng = np.random.default_rng(2)

    def sets(scale, count):
        return [scale * STAND + rng.normal(0, 0.008, STAND.shape) for _ in range(count)]

    person = LastingBuild()
    proofs = [person.add(joints) for joints in sets(1.0, KNOWN_SETS + 20)]
    assert proofs == [False] * (KNOWN_SETS + 19) + [True]
    assert person.known.sets == KNOWN_SETS + 20
    known = person.known.mean_m.copy()
    assert not any(person.add(joints) for joints in sets(1.2, 20))
    np.testing.assert_allclose(person.known.mean_m, known)
    assert person.lately.sets == 0
