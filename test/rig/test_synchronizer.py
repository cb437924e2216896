"""RigSynchronizer: which images become a set, when, and what is counted when they do not."""

import itertools
import threading

import pytest
from synchronizers import MS, PERIOD, feed_ticks, make

from mvssm_ros.errors import UserError
from mvssm_ros.rig.synchronizer import (
    FLUSHED,
    LATE,
    NO_QUORUM,
    OUT_OF_SLOP,
    QUEUE_FULL,
    STALE_PERIODS,
    RigSynchronizer,
)


def test_a_complete_set_leaves_at_once_in_rig_order():
    sync, sets, _ = make()
    sync.add("c", 2 * MS, "c0", 5 * MS)
    sync.add("a", 0, "a0", 6 * MS)
    assert sets == []
    sync.add("b", 9 * MS, "b0", 7 * MS)
    assert [s.items for s in sets] == [{"a": "a0", "b": "b0", "c": "c0"}]
    assert sets[0].cameras == ["a", "b", "c"]
    assert sets[0].stamp_ns == 2 * MS  # the median
    assert sets[0].spread_ns == 9 * MS
    assert sync.next_deadline_ns is None


def test_a_partial_set_leaves_at_the_deadline_and_not_before():
    sync, sets, _ = make()
    sync.add("a", 0, "a0", 3 * MS)
    sync.add("b", 0, "b0", 4 * MS)
    assert sync.next_deadline_ns == 53 * MS
    sync.expire(52 * MS)
    assert sets == []
    sync.expire(53 * MS)
    assert [s.cameras for s in sets] == [["a", "b"]]


def test_images_that_waited_behind_a_late_caller_still_join_their_set():
    sync, sets, _ = make()
    sync.add("a", 0, "a0", 0)
    for camera in "bc":  # they had arrived, but were handed over after the deadline
        sync.add(camera, 0, f"{camera}0", 500 * MS)
    assert [s.cameras for s in sets] == [["a", "b", "c"]]


def test_too_few_cameras_at_the_deadline_are_a_counted_drop():
    sync, sets, _ = make()
    sync.add("a", 0, "a0", 0)
    sync.expire(60 * MS)
    assert sets == []
    assert sync.drops == {NO_QUORUM: 1}
    assert sync.timing["a"].drops == {NO_QUORUM: 1}


def test_a_later_image_of_the_missing_camera_decides_the_set_before_the_deadline():
    sync, sets, _ = make()
    sync.add("a", 0, "a0", 0)
    sync.add("b", 0, "b0", 0)
    sync.add("c", PERIOD, "c1", 34 * MS)  # c skipped tick 0
    assert [s.items for s in sets] == [{"a": "a0", "b": "b0"}]
    sync.add("a", PERIOD, "a1", 35 * MS)
    sync.add("b", PERIOD, "b1", 36 * MS)
    assert sets[1].items == {"a": "a1", "b": "b1", "c": "c1"}


def test_an_image_that_comes_after_its_set_has_left_is_late():
    sync, sets, _ = make()
    sync.add("a", 0, "a0", 0)
    sync.add("b", 0, "b0", 0)
    sync.expire(60 * MS)
    sync.add("c", 0, "c0", 61 * MS)
    assert len(sets) == 1
    assert sync.timing["c"].drops == {LATE: 1}


def test_the_same_image_twice_is_used_once():
    sync, sets, _ = make("ab")
    sync.add("a", 0, "first", 0)
    sync.add("a", 0, "again", 1 * MS)
    sync.add("b", 0, "b0", 2 * MS)
    assert [s.items["a"] for s in sets] == ["first"]
    assert sync.drops == {LATE: 1}


def test_stamps_further_apart_than_the_slop_never_share_a_set():
    sync, sets, _ = make("ab")
    for tick in range(20):
        sync.add("a", tick * PERIOD, "a", tick * PERIOD)
        sync.add("b", tick * PERIOD + 16 * MS, "b", tick * PERIOD + 16 * MS)
    assert sets == []
    assert sync.drops[OUT_OF_SLOP] >= 38


def test_stamps_strictly_increase_whatever_the_order_of_arrival():
    sync, sets, _ = make("abc", deadline_ns=20 * MS)
    order = [(t, c) for t in range(60) for c in "abc" if (t * 7 + ord(c)) % 5]  # with holes
    order = [order[i ^ 1] if i ^ 1 < len(order) else order[i] for i in range(len(order))]
    for n, (tick, camera) in enumerate(order):
        sync.add(camera, tick * PERIOD + (ord(camera) - 97) * MS, (camera, tick), n * 14 * MS)
        sync.expire(n * 14 * MS)
    stamps = [s.stamp_ns for s in sets]
    assert len(stamps) > 30
    assert all(b > a for a, b in itertools.pairwise(stamps))
    for s in sets:
        assert len({tick for _, tick in s.items.values()}) == 1  # never tick n with tick n+1
        assert s.spread_ns <= sync.slop_ns


def test_one_silent_camera_costs_one_deadline_then_nothing():
    sync, sets, _ = make()
    feed_ticks(sync, "abc", 0, 10)
    assert len(sets) == 10
    feed_ticks(sync, "ab", 10, 40)
    complete = [s for s in sets if len(s.items) == 3]
    assert len(complete) == 10
    assert sync.is_stale("c", 40 * PERIOD)
    assert not sync.is_stale("c", 9 * PERIOD + STALE_PERIODS * PERIOD - 1)
    sync.add("a", 40 * PERIOD, "a40", 40 * PERIOD)
    sync.add("b", 40 * PERIOD, "b40", 40 * PERIOD)
    assert sets[-1].items == {"a": "a40", "b": "b40"}  # at once: c is not waited for


def test_a_recording_played_slowly_makes_no_camera_stale():
    sync, sets, _ = make("abc", min_cameras=3)
    for tick in range(40):
        for camera in "abc":
            sync.add(camera, tick * PERIOD, f"{camera}{tick}", tick * 40 * PERIOD)
            sync.expire(tick * 40 * PERIOD)
    assert len(sets) == 40
    assert not sync.drops


def test_after_a_pause_of_the_whole_rig_the_first_set_is_whole():
    sync, sets, _ = make()
    feed_ticks(sync, "abc", 0, 10)
    feed_ticks(sync, "abc", 200, 203)
    assert [len(s.items) for s in sets] == [3] * 13
    dead, sets, _ = make()  # a camera that was dead before the pause is not waited for after it
    feed_ticks(dead, "abc", 0, 10)
    feed_ticks(dead, "ab", 10, 30)
    sets.clear()
    feed_ticks(dead, "ab", 200, 203)
    assert [len(s.items) for s in sets] == [2] * 3


def test_a_set_too_small_waits_for_stale_cameras_too():
    sync, sets, _ = make()
    feed_ticks(sync, "abc", 0, 10)
    feed_ticks(sync, "ab", 10, 40)
    late = 60 * PERIOD
    assert sync.is_stale("b", late)
    sync.add("a", late, "a60", late)
    assert not sync.drops
    sync.add("b", late, "b60", late + 1)
    assert sets[-1].items == {"a": "a60", "b": "b60"}


def test_a_stale_camera_rejoins_with_its_next_image():
    sync, sets, _ = make()
    feed_ticks(sync, "abc", 0, 5)
    feed_ticks(sync, "ab", 5, 20)
    feed_ticks(sync, "cab", 20, 22)
    assert [len(s.items) for s in sets[-2:]] == [3, 3]


def test_a_camera_that_never_speaks_is_not_waited_for_for_ever():
    sync, sets, _ = make()
    feed_ticks(sync, "ab", 0, 12)
    assert sync.timing["c"].received == 0
    assert sets[-1].items == {"a": "a11", "b": "b11"}


def test_a_camera_whose_clock_runs_ahead_is_left_out_and_counted():
    sync, sets, _ = make()
    feed_ticks(sync, "abc", 0, 30, offsets={"c": 1000 * MS})
    assert len(sets) >= 29
    assert all(s.cameras == ["a", "b"] for s in sets)
    assert sum(sync.timing["c"].drops.values()) >= 25
    assert sync.offset_ns("c") == pytest.approx(1000 * MS)


def test_a_full_queue_loses_its_oldest_image():
    sync, sets, _ = make("ab", queue_size=2)
    for tick in range(5):
        sync.add("a", tick * PERIOD, f"a{tick}", 0)
    assert sync.timing["a"].drops == {QUEUE_FULL: 3}
    sync.add("b", 3 * PERIOD, "b3", 0)
    assert [s.items for s in sets] == [{"a": "a3", "b": "b3"}]


@pytest.mark.parametrize("back_ns", [2_000 * MS, 1_000_000 * MS])
def test_time_set_back_flushes_and_goes_on(back_ns):
    sync, sets, resets = make()
    start = 2_000_000 * MS
    feed_ticks(sync, "abc", 0, 10, start_ns=start)
    sync.add("a", start + 10 * PERIOD, "left over", start + 10 * PERIOD)
    feed_ticks(sync, "abc", 0, 10, start_ns=start - back_ns)
    assert resets == [1]
    assert len(sets) == 20
    assert "left over" not in [item for s in sets for item in s.items.values()]


def test_a_clock_set_back_flushes_in_expire_too():
    sync, sets, resets = make()
    sync.add("a", 0, "a0", 5_000 * MS)
    sync.expire(1_000 * MS)
    assert resets == [1]
    assert sync.next_deadline_ns is None
    assert sets == []


def test_rate_and_offset_of_a_camera():
    sync, _, _ = make()
    for tick in range(100):
        for camera, offset in {"a": 0, "b": 0, "c": 4 * MS}.items():
            now = tick * PERIOD + 20 * MS  # all arrive together
            sync.add(camera, tick * PERIOD + offset, None, now)
    assert sync.timing["a"].period_ns == pytest.approx(PERIOD)
    assert sync.offset_ns("a") == pytest.approx(0, abs=1)
    assert sync.offset_ns("c") == pytest.approx(4 * MS)


def test_callbacks_run_outside_the_lock():
    sync = None
    seen = []

    def on_set(image_set):
        worker = threading.Thread(target=sync.expire, args=(0,))
        worker.start()
        worker.join(timeout=5)
        seen.append(not worker.is_alive())

    sync = RigSynchronizer(
        ["a"], slop_ns=0, deadline_ns=1, min_cameras=1, queue_size=1, on_set=on_set
    )
    sync.add("a", 0, None, 0)
    assert seen == [True]


def test_a_callback_that_raises_does_not_lock_the_door():
    def on_set(image_set):
        raise RuntimeError("inference failed")

    sync = RigSynchronizer(
        ["a"], slop_ns=0, deadline_ns=1, min_cameras=1, queue_size=1, on_set=on_set
    )
    for tick in range(3):
        with pytest.raises(RuntimeError, match="inference failed"):
            sync.add("a", tick, None, tick)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"min_cameras": 4}, "sync.min_cameras is 4, expected 1..3"),
        ({"min_cameras": 0}, "sync.min_cameras is 0"),
        ({"deadline_ns": 0}, "deadline > 0"),
        ({"queue_size": 0}, "queue_size >= 1"),
    ],
)
def test_settings_that_can_never_work_are_refused(settings, names):
    with pytest.raises(UserError, match=names):
        make(**settings)


def test_a_camera_named_twice_is_refused():
    with pytest.raises(UserError, match="named twice"):
        make("aab")


def test_a_tick_comes_out_once_though_some_of_its_images_are_late():
    sync, sets, _ = make("abcd")
    sync.add("a", 0, "a0", 0)
    sync.add("b", 0, "b0", 0)
    sync.expire(60 * MS)
    for camera in "cd":  # late, and stamped after what was used
        sync.add(camera, 2 * MS, f"{camera}0", 61 * MS)
    sync.expire(200 * MS)
    assert [s.cameras for s in sets] == [["a", "b"]]
    assert sync.drops == {LATE: 2}


def test_the_window_with_the_most_cameras_is_taken():
    sync, sets, _ = make("abcd")
    for camera, stamp in {"a": 0, "b": 8, "c": 14, "d": 15}.items():
        sync.add(camera, stamp * MS, camera, 20 * MS)
    sync.add("a", PERIOD, "a1", 35 * MS)
    assert [s.cameras for s in sets] == [["b", "c", "d"]]
    assert sync.timing["a"].drops == {OUT_OF_SLOP: 1}


def test_of_several_images_within_the_slop_the_nearest_is_taken():
    sync, sets, _ = make("ab")
    for stamp in (0, 4, 8):
        sync.add("a", stamp * MS, f"a{stamp}", 20 * MS)
    sync.add("b", 5 * MS, "b5", 20 * MS)
    assert [s.items for s in sets] == [{"a": "a4", "b": "b5"}]
    assert sync.timing["a"].drops == {OUT_OF_SLOP: 1}
    assert (sync.timing["a"].used, sync.waiting("a")) == (1, 1)


def test_what_waited_when_time_was_set_back_is_counted():
    sync, _, resets = make()
    sync.add("a", 5_000 * MS, "a", 5_000 * MS)
    sync.add("a", 0, "a again", 5_001 * MS)
    assert resets == [1]
    assert sync.timing["a"].drops == {FLUSHED: 1}
    sync.flush()
    assert sync.timing["a"].drops == {FLUSHED: 2}


def test_a_camera_whose_clock_was_ahead_and_is_put_right_rejoins_without_a_reset():
    sync, sets, resets = make()
    feed_ticks(sync, "abc", 0, 10, offsets={"c": 3_600_000 * MS})
    feed_ticks(sync, "abc", 10, 20)
    assert resets == []
    assert [len(s.items) for s in sets[-9:]] == [3] * 9


def test_when_cameras_whose_clocks_ran_ahead_die_the_others_go_on():
    sync, sets, resets = make("abcd")
    ahead = 3_600_000 * MS
    feed_ticks(sync, "ab", 0, 3, offsets={"a": ahead, "b": ahead})
    assert sets[-1].stamp_ns >= ahead
    feed_ticks(sync, "cd", 3, 40)
    assert resets == [1]
    assert sets[-1].items == {"c": "c39", "d": "d39"}


@pytest.mark.parametrize("threads", [4])
def test_sets_are_delivered_in_order_whichever_thread_completes_them(threads):
    stamps, many = [], 200
    sync = RigSynchronizer(
        ["a"],
        slop_ns=0,
        deadline_ns=1,
        min_cameras=1,
        queue_size=1,
        on_set=lambda image_set: stamps.append(image_set.stamp_ns),
    )
    numbers = iter(range(threads * many))
    guard = threading.Lock()

    def feed():
        for _ in range(many):
            with guard:
                number = next(numbers)
            sync.add("a", number, None, 0)

    workers = [threading.Thread(target=feed) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert stamps == sorted(set(stamps))
    assert len(stamps) + sync.drops[LATE] == threads * many
