"""How a calibration differs from the one before, in words."""

from dataclasses import replace

import numpy as np

from mvssm_ros.rig.calibration_change import camera_change, rig_change
from mvssm_ros.rig.rig_file import CameraEntry, Rig

K = np.array([[700.0, 0, 640], [0, 700, 360], [0, 0, 1]])
ENTRY = replace(
    CameraEntry.bare("left"), size_px=(1280, 720), K=K, R=np.eye(3), t_m=np.array([0.0, 0, 2])
)


def test_the_same_calibration_is_no_change():
    assert camera_change(ENTRY, replace(ENTRY, K=K.copy(), distortion=np.zeros(5))) == ""
    assert rig_change(Rig(cameras={"left": ENTRY}), Rig(cameras={"left": ENTRY})) == (
        "nothing has changed"
    )


def test_a_turn_and_a_shift_are_of_the_camera_in_the_room():
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    center = np.array([0.3, 0.4, -2.0])
    moved = replace(ENTRY, R=turn, t_m=-turn @ center)
    assert camera_change(ENTRY, moved) == "turned by 90.00 deg and moved by 0.500 m"


def test_intrinsics():
    other = K.copy()
    other[0, 0] = 350.0
    changed = replace(ENTRY, K=other, size_px=(640, 360), distortion=np.array([0.1, 0, 0, 0, 0]))
    assert camera_change(ENTRY, changed) == (
        "fx 700.0 to 350.0 px, images 1280 x 720 to 640 x 360 px, distortion"
    )


def test_what_was_not_known_before():
    bare = CameraEntry.bare("left")
    assert camera_change(bare, ENTRY) == "has extrinsics now, has intrinsics now"
    assert rig_change(Rig(cameras={"left": ENTRY}), Rig(cameras={"left": bare})) == (
        "left: has no extrinsics here any more, has no intrinsics here any more"
    )
