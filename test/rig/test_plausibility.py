"""Checks of a rig as a whole."""

from dataclasses import replace

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space

K = np.array([[700.0, 0, 640], [0, 700, 360], [0, 0, 1]])


def looking(name, center_m, target_m, size_px=(1280, 720)):
    """A camera at ``center_m`` that looks at ``target_m``, upright."""
    forward = np.subtract(target_m, center_m) / np.linalg.norm(np.subtract(target_m, center_m))
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    t = -R @ np.array(center_m, float)
    return replace(CameraEntry.bare(name), size_px=size_px, K=K, R=R, t_m=t)


def ring(n=4, radius_m=5.0, target_m=(0.0, 0.0, 1.0), **rig):
    angles = 2 * np.pi * np.arange(n) / n
    centers = np.stack([radius_m * np.cos(angles), radius_m * np.sin(angles), np.full(n, 2.0)], -1)
    centers[:, :2] += target_m[:2]
    cameras = {f"c{i}": looking(f"c{i}", c, target_m) for i, c in enumerate(centers)}
    return Rig(cameras=cameras, **rig)


def with_camera(rig, entry):
    return replace(rig, cameras={**rig.cameras, entry.name: entry})


def test_a_sound_rig_passes_without_warnings():
    rig = ring()
    plausibility.check(rig, "rig")
    assert plausibility.warnings(rig) == []


def test_focus_is_where_the_cameras_look():
    np.testing.assert_allclose(
        plausibility.focus_m(ring(target_m=(3, -2, 1))), [3, -2, 1], atol=1e-9
    )


def test_parallel_cameras_have_no_focus():
    cameras = [looking(f"c{i}", (0, i, 1), (5, i, 1)) for i in range(3)]
    rig = Rig(cameras={c.name: c for c in cameras})
    assert plausibility.focus_m(rig) is None
    assert plausibility.suggest_space(rig) == Space()


def test_the_suggested_space_lies_between_the_cameras():
    space = plausibility.suggest_space(ring(radius_m=4.0, target_m=(3, -2, 1)))
    assert space == Space((3.0, -2.0), (8.0, 8.0), 0.0)
    assert plausibility.suggest_space(ring(radius_m=40.0)).size_m == (12.0, 12.0)


def test_a_space_out_of_view_is_refused_and_the_right_place_named():
    rig = ring(target_m=(3, -2, 1), space=Space((90.0, 0.0), (2.0, 2.0)))
    with pytest.raises(UserError, match=r"rig\.yaml: space: no point .* meet near x 3\.0, y -2\.0"):
        plausibility.check(rig, "rig.yaml")


def test_one_camera_alone_seeing_the_space_is_not_enough():
    rig = ring(n=2, space=Space((0.0, 0.0), (1.0, 1.0)))
    away = looking("c1", (-5, 0, 2), (-10, 0, 1))
    with pytest.raises(UserError, match="no point of it is seen by two cameras"):
        plausibility.check(with_camera(rig, away), "rig")


def test_a_camera_that_looks_away_is_warned_of():
    rig = with_camera(ring(), looking("c2", (-5, 0, 2), (-10, 0, 3)))
    plausibility.check(rig, "rig")
    assert plausibility.warnings(rig) == [
        "camera c2: sees nothing of the space (1 m above the floor) and looks 180 degrees past its"
        " middle; check its extrinsics"
    ]


def test_a_space_mostly_out_of_view_is_warned_of():
    rig = ring(radius_m=3.0, space=Space(size_m=(40.0, 40.0)))
    (warning,) = plausibility.warnings(rig)
    assert warning.startswith("space: only ")


def test_a_camera_below_the_floor_is_warned_of():
    rig = with_camera(ring(), looking("c3", (0, -5, -0.5), (0, 0, 1)))
    assert any("camera c3: is 0.50 m below the floor" in w for w in plausibility.warnings(rig))


def test_a_world_with_z_down_is_warned_of():
    flip = np.diag([1.0, -1, -1])
    rig = ring()
    cameras = {n: replace(e, R=e.R @ flip) for n, e in rig.cameras.items()}
    found = plausibility.warnings(replace(rig, cameras=cameras))
    assert "rig: all cameras are upside down; the reference frame must have z up" in found


@pytest.mark.parametrize(("cx", "words"), [(-5.0, "lies outside the image"), (100.0, "far from")])
def test_an_odd_principal_point_is_warned_of(cx, words):
    rig = ring()
    odd = K.copy()
    odd[0, 2] = cx
    found = plausibility.warnings(with_camera(rig, replace(rig.cameras["c1"], K=odd)))
    assert any(words in w and w.startswith("camera c1: the principal point") for w in found)


def test_what_is_not_known_is_not_judged():
    """Intrinsics from camera_info and extrinsics from TF: nothing to check yet."""
    rig = Rig(cameras={n: CameraEntry.bare(n) for n in ("a", "b")}, space=Space((900.0, 0.0)))
    plausibility.check(rig, "rig")
    assert plausibility.warnings(rig) == []


@pytest.mark.parametrize(("factor", "unit"), [(1000, "millimetres"), (100, "centimetres")])
def test_other_units_than_metres_are_recognised(factor, unit):
    rig = ring(radius_m=4.0)
    cameras = {n: replace(e, t_m=e.t_m * factor) for n, e in rig.cameras.items()}
    with pytest.raises(UserError, match=f"looks like {unit}: divide translations by {factor}"):
        plausibility.check(replace(rig, cameras=cameras), "rig")
