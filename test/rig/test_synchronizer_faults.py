"""RigSynchronizer where several things go wrong at once: each rule has a case that it alone decides."""

import threading

from synchronizers import MS, PERIOD, feed_ticks, make

from mvssm_ros.rig.synchronizer import LATE, LEAVING_PER_ADD, OUT_OF_SLOP, RigSynchronizer


def test_older_images_of_the_cameras_of_the_last_set_are_late():
    sync, sets, _ = make("ab")
    for tick in (1, 0):  # tick 0 is overtaken
        for camera in "ab":
            sync.add(camera, tick * PERIOD, f"{camera}{tick}", 40 * MS)
    assert [s.items for s in sets] == [{"a": "a1", "b": "b1"}]
    assert sync.drops == {LATE: 2}


def test_images_up_to_the_latest_stamp_of_a_set_go_with_it():
    sync, sets, _ = make()
    for camera, stamp in (("a", 4), ("a", 5), ("b", 1), ("b", 5), ("c", 2)):
        sync.add(camera, stamp * MS, stamp, 10 * MS)
    assert [s.items for s in sets] == [{"a": 4, "b": 5, "c": 2}]
    assert sync.timing["a"].drops == {OUT_OF_SLOP: 1}  # its 5 is not later than b's
    assert not any(sync.waiting(camera) for camera in "abc")


def test_a_clock_set_back_flushes_though_the_stamps_go_on():
    sync, _, resets = make()
    sync.add("a", 0, "a0", 5_000 * MS)
    sync.add("b", 0, "b0", 4_600 * MS)  # threads may overtake each other
    assert resets == []
    sync.add("a", PERIOD, "a1", 1_000 * MS)
    assert resets == [1]


def test_one_set_is_delivered_after_the_other_though_another_thread_completes_it():
    sync, seen = None, []

    def on_set(image_set):
        seen.append(("begin", image_set.stamp_ns))
        if image_set.stamp_ns == 0:
            other = threading.Thread(target=sync.add, args=("a", 1, None, 0))
            other.start()
            other.join(timeout=5)
            assert not other.is_alive()  # it left its set to this thread
        seen.append(("end", image_set.stamp_ns))

    sync = RigSynchronizer(
        ["a"], slop_ns=0, deadline_ns=1, min_cameras=1, queue_size=1, on_set=on_set
    )
    sync.add("a", 0, None, 0)
    assert seen == [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]


def test_cameras_far_behind_do_not_reset_a_rig_whose_cameras_go_on():
    sync, sets, resets = make("abcd")
    ahead = 3_600_000 * MS
    feed_ticks(sync, "ab", 0, 10, offsets={"a": ahead, "b": ahead})
    feed_ticks(sync, "abcd", 10, 40, offsets={"a": ahead, "b": ahead})
    assert resets == []
    assert len(sets) >= 38  # the last may wait for c and d
    assert all(s.cameras == ["a", "b"] for s in sets)
    assert sync.timing["c"].drops == sync.timing["d"].drops == {LATE: 30}


def test_strays_far_behind_at_different_times_do_not_reset_a_rig():
    sync, sets, resets = make("abcd")
    feed_ticks(sync, "ab", 0, 10, start_ns=100_000 * MS)
    sync.add("c", 0, "stray", 100_000 * MS + 10 * PERIOD)
    feed_ticks(sync, "ab", 11, 30, start_ns=100_000 * MS)
    assert sets
    sync.add("d", 0, "stray", 200_000 * MS)  # a and b have fallen silent
    assert resets == []
    sync.add("c", PERIOD, "stray", 200_000 * MS)  # now two cameras say so
    assert resets == [1]


def test_no_camera_is_stale_before_a_deadline_has_passed():
    sync, _, _ = make(deadline_ns=1_000 * MS)
    feed_ticks(sync, "abc", 0, 10)
    assert not sync.is_stale("c", 9 * PERIOD + 1_000 * MS)
    assert sync.is_stale("c", 9 * PERIOD + 1_001 * MS)


def test_staleness_is_told_by_arrivals_not_by_stamps():
    sync, _, _ = make()
    for tick in range(10):  # a recording played at a fortieth of its speed
        for camera in "abc":
            sync.add(camera, tick * PERIOD, None, tick * 40 * PERIOD)
    last = 9 * 40 * PERIOD
    assert not sync.is_stale("c", last + 5 * 40 * PERIOD)
    assert sync.is_stale("c", last + 5 * 40 * PERIOD + 1)


def test_a_camera_of_the_last_set_may_send_again_within_the_slop():
    sync, sets, _ = make("ab")
    feed_ticks(sync, "ab", 0, 10)
    for ahead in (0, 4 * MS):
        for camera in "ab":
            sync.add(camera, 10 * PERIOD + ahead, ahead, 10 * PERIOD + ahead)
    assert len(sets) == 12
    assert not sync.drops


def test_a_set_that_waited_long_leaves_none_of_its_own_cameras_behind():
    sync, sets, _ = make(min_cameras=1, deadline_ns=500 * MS)
    feed_ticks(sync, "abc", 0, 10)
    feed_ticks(sync, "ab", 10, 11)
    sync.expire(10 * PERIOD + 501 * MS)
    assert sets[-1].cameras == ["a", "b"]
    sync.add("a", 40 * PERIOD, "a40", 40 * PERIOD)
    assert len(sets) == 11  # it waits for b
    sync.add("b", 40 * PERIOD, "b40", 40 * PERIOD)
    assert sets[-1].cameras == ["a", "b"]


def test_flush_forgets_the_clocks_too():
    sync, _, _ = make()
    feed_ticks(sync, "abc", 0, 100, offsets={"c": 2_000 * MS})
    assert sync.offset_ns("c") == 2_000 * MS
    sync.flush()
    assert sync.offset_ns("c") is None
    feed_ticks(sync, "abc", 0, 1)
    assert sync.offset_ns("c") == 0


def test_a_new_middle_clock_may_be_an_earlier_one():
    """Two clocks are an hour ahead, and the rig's, until three others show them to be wrong."""
    sync, sets, resets = make("abcde", compensate=True)
    hour = 3_600_000 * MS
    for tick in range(200):
        for camera in "abcde" if tick >= 60 else "ab":
            own = 50 * MS * tick + (hour if camera in "ab" else 0)
            sync.add(camera, own, camera, 50 * MS * tick)
            sync.expire(50 * MS * tick)
    assert resets == [1]
    assert sets[0].stamp_ns > hour > sets[-1].stamp_ns
    assert sets[-1].cameras == list("abcde")


def one_image_that_decides_ten_sets():
    sync, sets, _ = make("abcde", queue_size=10, deadline_ns=10_000 * MS)
    feed_ticks(sync, "abcd", 0, 10)
    assert sets == []
    sync.add("e", 10 * PERIOD, "e10", 10 * PERIOD)
    return sync, sets


def test_of_many_sets_that_one_image_decides_the_rest_leaves_in_further_steps():
    sync, sets = one_image_that_decides_ten_sets()
    assert LEAVING_PER_ADD == 8
    assert [s.items["a"] for s in sets] == ["a0", "a1"]  # 8 images
    assert sync.next_deadline_ns == 10 * PERIOD  # now
    assert sync.catch_up()
    assert [s.items["a"] for s in sets[2:]] == ["a2", "a3"]
    while sync.catch_up():
        pass
    assert [s.items["a"] for s in sets] == [f"a{tick}" for tick in range(10)]
    assert sync.next_deadline_ns == 10 * PERIOD + 10_000 * MS  # e10's
    assert not sync.drops


def test_the_rest_leaves_with_the_next_image_or_when_deadlines_are_looked_at():
    sync, sets = one_image_that_decides_ten_sets()
    sync.add("a", 10 * PERIOD, "a10", 10 * PERIOD)
    assert len(sets) == 4
    sync.expire(10 * PERIOD)
    assert len(sets) == 10
    assert not sync.catch_up()


def test_a_set_larger_than_what_leaves_at_once_leaves_whole():
    sync, sets, _ = make("abcdefghij")
    feed_ticks(sync, "abcdefghij", 0, 2)
    assert [len(s.items) for s in sets] == [10, 10]


def test_a_camera_whose_stamps_begin_anew_every_second_does_not_set_back_the_rig():
    """A driver that leaves out the seconds. Its first step back may be the rig's: nobody can tell."""
    sync, sets, resets = make("abc")
    start = 1_000_000 * MS
    for tick in range(100):
        now = start + tick * 125 * MS
        for camera in "abc":
            astray = camera == "c" and tick >= 20
            sync.add(camera, tick * 125 * MS % (1000 * MS) + 1 if astray else now, None, now)
        sync.expire(now + 110 * MS)
    assert len(resets) <= 1
    assert [set(s.items) for s in sets[-20:]] == [{"a", "b"}] * 20
