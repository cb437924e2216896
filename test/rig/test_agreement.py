"""Cameras that do not see the same people fall into parties."""

import numpy as np

from mvssm_ros.rig.agreement import AgreementWatch

NAMES = ["a", "b", "c", "d"]


def watched(sets, seen, in_view=None):
    watch = AgreementWatch(NAMES)
    seen = np.array(seen, bool)
    in_view = np.ones_like(seen) if in_view is None else np.array(in_view, bool)
    for _ in range(sets):
        watch.update(NAMES, in_view, seen)
    return watch


def test_all_see_the_same_person():
    assert watched(40, [[1, 1, 1, 1]]).parties() == [NAMES]


def test_two_swapped_cameras_see_somebody_else():
    watch = watched(40, [[1, 0, 0, 1], [0, 1, 1, 0]])
    assert watch.parties() == [["a", "d"], ["b", "c"]]
    watch.clear()
    assert watch.parties() == [NAMES]


def test_a_camera_turned_away_is_alone():
    assert watched(40, [[1, 1, 0, 1]]).parties() == [["a", "b", "d"], ["c"]]


def test_it_takes_evidence():
    assert watched(9, [[1, 0, 0, 1], [0, 1, 1, 0]]).parties() == [NAMES]


def test_occlusion_now_and_then_is_no_quarrel():
    watch = AgreementWatch(NAMES)
    for tick in range(60):
        seen = np.ones((1, 4), bool)
        seen[0, tick % 4] = False
        watch.update(NAMES, np.ones((1, 4), bool), seen)
    assert watch.parties() == [NAMES]


def test_cameras_that_look_at_different_places_do_not_quarrel():
    """Nobody is inside both images, so nobody is missed."""
    sides = [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert watched(40, sides, in_view=sides).parties() == [NAMES]


def test_a_set_without_some_cameras_says_nothing_of_them():
    watch = AgreementWatch(NAMES)
    for _ in range(40):
        watch.update(["a", "c"], np.ones((1, 2), bool), np.ones((1, 2), bool))
        watch.update(["a", "c"], np.zeros((0, 2), bool), np.zeros((0, 2), bool))
    assert watch.parties() == [NAMES]
