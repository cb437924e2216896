"""Cameras' clocks: offset and drift estimated, reported, and compensated where that is asked for."""

import pytest
from synchronizers import MS, make

from mvssm_ros.rig.camera_clock import CameraClock
from mvssm_ros.rig.synchronizer import OFFSET_UNKNOWN


def clocks_apart(sync, seconds, offset_ns, drift, delay_ms=20):
    """20 Hz of a, b and c; c's clock is off and drifts, every image is up to 5 ms later than that."""
    for tick in range(20 * seconds):
        true = 50 * MS * tick
        for number, camera in enumerate("abc"):
            own = true + (offset_ns + round(drift * true) if camera == "c" else 0)
            late = delay_ms * MS + (tick * 7 + number * 3) % 6 * MS
            sync.add(camera, own, (camera, tick), true + late)
            sync.expire(true + late)


def test_offset_and_drift_of_a_clock_are_estimated_and_reported():
    sync, sets, _ = make(deadline_ns=40 * MS)
    clocks_apart(sync, 9, 2_000 * MS, 100e-6)
    assert sync.drift("c") is None
    clocks_apart(sync, 30, 2_000 * MS, 100e-6)  # time set back: all begins anew
    assert sync.drift("c") == pytest.approx(100e-6, abs=20e-6)
    assert sync.drift("a") == pytest.approx(0, abs=20e-6)
    assert sync.offset_ns("c") == pytest.approx(2_003 * MS, abs=1 * MS)
    assert sync.offset_ns("b") == pytest.approx(0, abs=1 * MS)
    assert all(s.cameras == ["a", "b"] for s in sets)  # reported, not compensated


def test_offset_and_drift_are_compensated_where_that_is_asked_for():
    sync, sets, resets = make(compensate=True, slop_ns=5 * MS)
    clocks_apart(sync, 60, -7_000 * MS, -200e-6)
    assert sync.drops[OFFSET_UNKNOWN] == 3 * 20  # a camera's first second
    later = [s for s in sets if s.items["a"][1] >= 60]
    assert len(later) == 20 * 60 - 60
    for image_set in later:
        assert image_set.cameras == ["a", "b", "c"]
        assert len({tick for _, tick in image_set.items.values()}) == 1
        assert image_set.spread_ns < 2 * MS
        assert abs(image_set.stamp_ns - 50 * MS * image_set.items["a"][1]) < 2 * MS
    assert not resets


def test_a_clock_that_is_stepped_is_followed():
    sync, sets, resets = make(compensate=True)
    clocks_apart(sync, 5, 0, 0)
    for tick in range(100, 300):
        for camera in "abc":
            own = 50 * MS * tick + (3_000 * MS if camera == "c" else 0)
            sync.add(camera, own, (camera, tick), 50 * MS * tick + 20 * MS)
            sync.expire(50 * MS * tick + 20 * MS)
    assert not resets
    assert sync.offset_ns("c") == pytest.approx(3_000 * MS, abs=1 * MS)
    assert sets[-1].cameras == ["a", "b", "c"]


def test_a_new_middle_clock_is_a_new_time():
    """Of two clocks an hour apart the lower is the rig's; the third camera shows it to be wrong."""
    sync, sets, resets = make(compensate=True)
    hour = 3_600_000 * MS
    for tick in range(200):
        for camera in "abc" if tick >= 60 else "ab":
            own = 50 * MS * tick + (0 if camera == "a" else hour)
            sync.add(camera, own, camera, 50 * MS * tick)
            sync.expire(50 * MS * tick)
    assert resets == [1]
    assert sets[0].stamp_ns < hour <= sets[-1].stamp_ns
    assert sets[-1].cameras == ["a", "b", "c"]


def test_the_lead_is_that_of_the_least_delayed_images_whatever_the_others_wait():
    clock = CameraClock()
    for tick in range(20 * 30):
        delay = 4 * MS if tick % 20 == 3 else 4 * MS + tick % 7 * 30 * MS
        clock.add(tick * 50 * MS, tick * 50 * MS + delay)
    assert clock.lead_ns == pytest.approx(-4 * MS, abs=0.1 * MS)
    assert clock.slope == pytest.approx(0, abs=1e-6)
