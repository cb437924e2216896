"""The running reprojection error of each camera, and its warnings."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvssm_ros.errors import UserError
from mvssm_ros.rig.checks import ReprojectionMonitor
from mvssm_ros.rig.rig_file import CameraEntry, Rig

NAMES = ["cam01", "cam02"]
SIZES = {"cam01": (1080, 1920), "cam02": (640, 480)}


def fed(monitor, errors_px, times):
    return [w for _ in range(times) for w in monitor.update(NAMES, errors_px)]


def test_the_limit_grows_with_the_image():
    monitor = ReprojectionMonitor(SIZES, max_px=6.0)
    assert monitor.limit_px == {"cam01": 12.0, "cam02": 4.0}


def test_a_bad_camera_is_warned_of_once_and_named():
    monitor = ReprojectionMonitor(SIZES, max_px=6.0, window=20)
    (warning,) = fed(monitor, [14.2, 3.0], times=40)
    assert warning == (
        "camera cam01: reprojection 14.2 px (median of the last 10 sets, expected below 12.0 px),"
        " calibration may be off: run mvssm rig check"
    )
    assert monitor.high == {"cam01"}
    assert monitor.median_px("cam01") == 14.2
    assert monitor.median_px("cam02") == 3.0


def test_it_waits_for_half_a_window():
    monitor = ReprojectionMonitor(SIZES, window=20)
    assert fed(monitor, [100.0, 100.0], times=9) == []
    assert len(fed(monitor, [100.0, 100.0], times=1)) == 2


def test_single_bad_sets_do_not_matter():
    """Left and right swapped in two of five sets: hundreds of pixels."""
    monitor = ReprojectionMonitor(SIZES, window=20)
    for _ in range(20):
        for error in (4.0, 4.0, 300.0, 4.0, 300.0):
            assert monitor.update(NAMES, [error, 1.0]) == []


def test_it_warns_again_after_the_error_had_gone():
    monitor = ReprojectionMonitor(SIZES, max_px=6.0, window=10)
    assert len(fed(monitor, [20.0, 1.0], times=10)) == 1
    assert fed(monitor, [11.0, 1.0], times=20) == []  # below the limit, not below 80 % of it
    assert fed(monitor, [20.0, 1.0], times=20) == []
    assert fed(monitor, [5.0, 1.0], times=20) == []
    assert monitor.high == set()
    assert len(fed(monitor, [20.0, 1.0], times=20)) == 1


def test_views_that_saw_nobody_are_left_out():
    monitor = ReprojectionMonitor(SIZES, window=10)
    assert fed(monitor, [math.nan, 50.0], times=4) == []
    assert math.isnan(monitor.median_px("cam01"))
    assert len(fed(monitor, [math.nan, 50.0], times=1)) == 1


def test_sets_may_hold_some_cameras_only():
    monitor = ReprojectionMonitor(SIZES, window=2)
    monitor.update(["cam02"], [1.0])
    assert monitor.median_px("cam02") == 1.0
    with pytest.raises(ValueError, match="zip"):
        monitor.update(["cam02"], [1.0, 2.0])


def test_clear_forgets():
    monitor = ReprojectionMonitor(SIZES, window=10)
    fed(monitor, [50.0, 50.0], times=10)
    monitor.clear()
    assert monitor.high == set()
    assert math.isnan(monitor.median_px("cam01"))
    assert len(fed(monitor, [50.0, 50.0], times=10)) == 2


def test_of_a_rig():
    entries = [CameraEntry("a", "/a", "/ai", size_px=(480, 1920)), CameraEntry.bare("b")]
    monitor = ReprojectionMonitor.of_rig(Rig(cameras={e.name: e for e in entries}), max_px=3.0)
    assert monitor.limit_px == {"a": 6.0, "b": 3.0}


@pytest.mark.parametrize("arguments", [{"max_px": 0}, {"max_px": math.nan}, {"window": 0}])
def test_senseless_settings(arguments):
    with pytest.raises(UserError):
        ReprojectionMonitor(SIZES, **arguments)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.integers(1, 20))
@settings(deadline=None)
def test_the_median_is_that_of_the_last_window(errors, window):
    monitor = ReprojectionMonitor({"a": (960, 540)}, window=window)
    for error in errors:
        monitor.update(["a"], [error])
    assert monitor.median_px("a") == np.median(errors[-window:])
