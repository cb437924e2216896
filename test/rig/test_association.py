"""Who is who in several views, with a calibration that is only roughly known."""

import numpy as np
import pytest
import torch
from walking_people import disturbed, ring_rig, walk

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.rig.association import Tolerance, associate

ROUGH = Tolerance(np.deg2rad(3.0), 0.05)
FINE = Tolerance(np.deg2rad(0.3), 0.005)


@pytest.fixture
def in_order():
    """Exact keypoints of three people who are in the same slot in every view; and the true rig."""
    truth = ring_rig(4)
    return truth, walk(truth, 3, seconds=3, severity=0, in_order=True).keypoints


def cameras_of(rig):
    return rig.to_cameras(dtype=torch.float64)


def purity(groups):
    """Share of the 2D poses that are of the person whom most of their group show."""
    most = [np.bincount(row[row >= 0]).max() for row in groups.detection]
    return sum(most) / (groups.detection >= 0).sum()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_rig_3_degrees_wrong_tells_most_people_apart(in_order, seed):
    truth, keypoints = in_order
    groups = associate(cameras_of(disturbed(truth, seed)), keypoints, ROUGH)
    assert purity(groups) > 0.8
    assert len(groups.frame) > 0.9 * 3 * len(keypoints)
    assert np.mean((groups.detection >= 0).sum(1)) > 3.3


def test_exact_calibration_mixes_nobody(in_order):
    truth, keypoints = in_order
    groups = associate(cameras_of(truth), keypoints, FINE)
    assert purity(groups) == 1
    seen = keypoints[groups.frame[:, None], np.arange(4), groups.detection][..., 2] > 0.2
    seen &= (groups.detection >= 0)[..., None]
    assert (groups.trusted <= seen).all()
    assert groups.trusted.sum() > 0.97 * seen.sum()


@pytest.mark.parametrize("side", ["arms", "legs"])
def test_exchanged_sides_are_found(in_order, side):
    truth, keypoints = in_order
    words = ("shoulder", "elbow", "wrist") if side == "arms" else ("hip", "knee", "ankle")
    names = [(i, n.split("_")[-1]) for i, n in enumerate(PANOPTIC15.joints) if n != "mid_hip"]
    limbs = [i for i, word in names if word in words]
    exchanged = keypoints.copy()
    exchanged[:, 1][:, :, limbs] = keypoints[:, 1][:, :, PANOPTIC15.mirror[limbs]]
    before = associate(cameras_of(truth), keypoints, FINE)
    after = associate(cameras_of(truth), exchanged, FINE)
    others = [i for i in range(15) if i not in limbs]

    def trusted(groups, view, joints):
        enough = (groups.detection >= 0).sum(1) > 2  # of two views nobody knows which is right
        return groups.trusted[enough, view][:, joints].sum()

    assert trusted(after, 1, limbs) < 0.1 * trusted(before, 1, limbs)
    assert trusted(after, 1, others) > 0.95 * trusted(before, 1, others)
    assert trusted(after, 0, limbs) > 0.9 * trusted(before, 0, limbs)


def test_frames_with_nobody_and_views_with_nobody():
    truth = ring_rig(3)
    empty = np.zeros((5, 3, 2, 15, 3))
    assert len(associate(cameras_of(truth), empty, ROUGH).frame) == 0
    assert associate(cameras_of(truth), empty[:, :, :0], ROUGH).detection.shape == (0, 3)
