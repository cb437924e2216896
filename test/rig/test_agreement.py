"""Cameras that do not see the same people fall into parties."""

import numpy as np

from mvssm_ros.rig.agreement import AgreementWatch

NAMES = ["a", "b", "c", "d"]
PERIOD_S = 0.2
SWAPPED = [[1, 0, 0, 1], [0, 1, 1, 0]]


def feed(watch, sets, seen, in_view=None, confirmed=None, began_s=0.0, period_s=PERIOD_S):
    seen = np.array(seen, bool).reshape(-1, len(NAMES))
    in_view = np.ones_like(seen) if in_view is None else np.array(in_view, bool)
    known = np.zeros(len(seen), bool) if confirmed is None else np.array(confirmed, bool)
    for tick in range(sets):
        watch.update(NAMES, in_view, seen, known, began_s + tick * period_s)
    return watch


def watched(sets, seen, in_view=None, **options):
    return feed(AgreementWatch(NAMES), sets, seen, in_view, **options)


def test_all_see_the_same_person():
    assert watched(40, [[1, 1, 1, 1]]).parties() == [NAMES]


def test_two_swapped_cameras_see_somebody_else():
    watch = watched(40, SWAPPED)
    assert watch.parties() == [["a", "d"], ["b", "c"]]
    watch.clear()
    assert watch.parties() == [NAMES]


def test_a_camera_turned_away_is_alone():
    watch = watched(40, [[1, 1, 0, 1]])
    assert watch.parties() == [["a", "b", "d"], ["c"]]
    assert not watch.undecided


def test_it_takes_evidence():
    assert watched(9, SWAPPED).parties() == [NAMES]


def test_equal_parties_are_told_apart_by_who_was_known_before():
    watch = watched(40, [[1, 1, 1, 1]], confirmed=[True])
    feed(watch, 40, SWAPPED, confirmed=[False, True], began_s=8.0)
    assert watch.parties() == [["b", "c"], ["a", "d"]]
    assert not watch.undecided


def test_equal_parties_without_anybody_known_are_undecided():
    watch = watched(40, SWAPPED)
    assert watch.undecided
    feed(watch, 40, [], began_s=8.0)
    assert watch.undecided  # an empty room tells nothing new
    feed(watch, 40, [[1, 1, 1, 1]], began_s=16.0)
    assert watch.parties() == [NAMES]
    assert not watch.undecided


def test_parties_last_while_those_left_out_cannot_be_judged():
    """Whom the other party sees is no longer known, and nobody is inside its images."""
    watch = watched(40, SWAPPED, confirmed=[True, False])
    feed(watch, 80, [[1, 0, 0, 1]], in_view=[[1, 0, 0, 1]], confirmed=[True], began_s=8.0)
    assert watch.parties() == [["a", "d"], ["b", "c"]]


def test_somebody_hidden_for_a_second_at_a_high_rate_is_no_quarrel():
    watch = watched(200, [[1, 1, 1, 1]], period_s=0.02)
    feed(watch, 50, [[1, 1, 0, 1]], began_s=4.0, period_s=0.02)
    assert watch.parties() == [NAMES]


def test_occlusion_now_and_then_is_no_quarrel():
    watch = AgreementWatch(NAMES)
    for tick in range(60):
        seen = np.ones((1, 4), bool)
        seen[0, tick % 4] = False
        watch.update(NAMES, np.ones((1, 4), bool), seen, np.ones(1, bool), tick * PERIOD_S)
    assert watch.parties() == [NAMES]


def test_cameras_that_look_at_different_places_do_not_quarrel():
    """Nobody is inside both images, so nobody is missed."""
    sides = [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert watched(40, sides, in_view=sides).parties() == [NAMES]


def test_a_set_without_some_cameras_says_nothing_of_them():
    watch = AgreementWatch(NAMES)
    for tick in range(40):
        one = np.ones((1, 2), bool)
        watch.update(["a", "c"], one, one, np.ones(1, bool), tick * PERIOD_S)
        watch.update(["a", "c"], one[:0], one[:0], np.ones(0, bool), tick * PERIOD_S)
    assert watch.parties() == [NAMES]
