"""The last seconds of every camera's keypoints."""

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.rig.keypoint_window import KeypointWindow

S = 1_000_000_000


def people(n, confidence=0.9):
    return np.full((n, 15, 3), confidence, np.float32)


def test_only_the_last_seconds_are_kept_and_put_together_by_stamp():
    window = KeypointWindow(["left", "right"], keep_s=2.0)
    for i in range(60):
        assert window.add("left", S + i * S // 10, people(i % 3))
        assert window.add("right", S + i * S // 10 + S // 100, people(1))
    sequence = window.sequence("here")
    assert sequence.cameras == ("left", "right")
    assert window.count() == {"left": 20, "right": 21}
    assert sequence.stamps_ns[-1] == S + 59 * S // 10 + S // 100  # those of the camera with more
    found = (sequence.keypoints[..., 2] > 0).any(-1).sum(-1)  # [F, T]
    np.testing.assert_array_equal(found[1:, 0], np.arange(40, 60) % 3)
    np.testing.assert_array_equal(found[:, 1], 1)


def test_memory_is_bounded():
    window = KeypointWindow(["left", "right"], keep_s=600.0)
    for i in range(20_100):
        window.add("left", S + i, people(0))
    assert window.count() == {"left": 20_000, "right": 0}
    crowd = np.concatenate([people(50, 0.1), people(16, 0.9)])
    window.add("left", 2 * S, crowd)
    window.add("right", 2 * S, crowd)
    kept = window.sequence("here").keypoints[-1]
    assert kept.shape[1] == 16
    np.testing.assert_allclose(kept[..., 2], 0.9, atol=1e-6)


def test_time_that_is_set_back_begins_anew():
    window = KeypointWindow(["left", "right"], keep_s=10.0)
    for second in (100, 101, 102):
        window.add("left", second * S, people(1))
        window.add("right", second * S, people(1))
    assert window.add("left", 102 * S - S // 2, people(1))  # a little late: taken
    assert not window.add("right", 5 * S, people(1))
    assert window.count() == {"left": 0, "right": 1}
    assert window.add("left", 5 * S, people(1))
    assert window.sequence("here").stamps_ns.tolist() == [5 * S]
    assert window.newest_ns == 5 * S


def test_one_camera_is_too_few():
    window = KeypointWindow(["left", "right"], keep_s=10.0)
    window.add("left", S, people(1))
    with pytest.raises(UserError, match="here: has messages of 1 of the cameras"):
        window.sequence("here")
