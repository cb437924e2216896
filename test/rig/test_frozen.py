"""A frozen camera is told from a quiet room."""

from mvssm_ros.rig.frozen import FROZEN_AFTER, FrozenWatch


def test_a_camera_that_repeats_itself_while_others_change_is_frozen_until_it_changes():
    watch = FrozenWatch()
    for tick in range(FROZEN_AFTER + 1):
        assert watch.update({"a": tick, "b": 7, "c": tick}) == (
            frozenset("b") if tick == FROZEN_AFTER else frozenset()
        )
    assert watch.update({"a": 90, "b": 7, "c": 90}) == {"b"}
    assert watch.update({"a": 91, "b": 8, "c": 91}) == frozenset()


def test_a_room_in_which_nothing_changes_is_not_frozen():
    watch = FrozenWatch()
    for _ in range(50):
        assert watch.update({"a": 1, "b": 2, "c": 3}) == frozenset()


def test_one_lively_camera_of_four_does_not_freeze_the_rest():
    watch = FrozenWatch()
    for tick in range(50):
        assert watch.update({"a": tick, "b": 1, "c": 1, "d": 1}) == frozenset()


def test_a_camera_that_sees_nobody_says_nothing():
    watch = FrozenWatch()
    for tick in range(50):
        assert watch.update({"a": tick, "b": None, "c": tick}) == frozenset()
