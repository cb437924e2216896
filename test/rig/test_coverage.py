"""Shares of the space that cameras see, against geometry by hand."""

from dataclasses import replace

import numpy as np
import pytest

from mvssm_ros.rig.coverage import coverage
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space


def from_above(name, x_m, half_width_m):
    """A camera 3 m above the floor at (x, 0) that looks straight down: 1 m above the floor its
    image is a square of twice ``half_width_m``."""
    K = np.array([[1000.0, 0, 999.5], [0, 1000.0, 999.5], [0, 0, 1]])
    focal = 1000.0 * 2.0 / half_width_m  # 2 m from the camera down to 1 m above the floor
    K[0, 0] = K[1, 1] = focal
    R = np.diag([1.0, -1, -1])
    t = -R @ [x_m, 0, 3]
    return replace(CameraEntry.bare(name), size_px=(2000, 2000), K=K, R=R, t_m=t)


def rig_of(*cameras, **space):
    return Rig(cameras={c.name: c for c in cameras}, space=Space(**space))


def test_shares_by_hand():
    """a sees x from -2.05 to 0.05, b from -0.95 to 2.05, the space is 4 m wide: both see 1 m of 4,
    which is 5 to 6 of 21 columns of the grid."""
    rig = rig_of(from_above("a", -1.0, 1.05), from_above("b", 0.55, 1.5), size_m=(4.0, 2.0))
    found = coverage(rig)
    columns = found.points_m[:21, 0]
    in_a, in_b = columns < 0.05, columns > -0.95
    np.testing.assert_array_equal(found.seen[0].reshape(21, 21), np.tile(in_a, (21, 1)))
    assert found.share_of_two == pytest.approx((in_a & in_b).mean())
    np.testing.assert_allclose(found.past_middle_deg[0], np.rad2deg(np.arctan(1 / 2)), atol=1e-9)
    assert found.sentence().startswith("space: 24 % of it is seen by two cameras or more")
    assert any(w.startswith("space: only 24 %") for w in found.warnings())


def test_a_camera_that_sees_little_is_named():
    rig = rig_of(
        from_above("a", 0.0, 3.0),
        from_above("b", 0.0, 3.0),
        from_above("c", 4.6, 2.8),
        size_m=(4.0, 4.0),
    )
    found = coverage(rig)
    assert found.share_of_two == 1.0
    (warning,) = found.warnings()
    assert warning.startswith(
        "camera c: sees only 10 % of the space (1 m above the floor) and looks"
    )
    assert "67 degrees past its middle" in warning


def test_a_camera_of_unknown_calibration_is_not_judged():
    assert coverage(rig_of(from_above("a", 0.0, 3.0), CameraEntry.bare("b"))) is None
