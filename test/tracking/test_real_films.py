"""The two real films of Pose2Sim through detector, network and tracker: the man keeps one id.

In the film of two a drawn avatar walks before and through the man.
"""

from collections import Counter

import numpy as np
import pytest
import torch

from mvssm_ros.demo_data import demo_rig, find_demo, read_frames
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.geometry.cameras import project
from mvssm_ros.predictor import Predictor
from mvssm_ros.tracking.bodies import bodies_of
from mvssm_ros.tracking.identity import TrackState
from mvssm_ros.tracking.tracker import Tracker

STEP = 3  # every third frame: 20 Hz
SEEN_PX = 60.0  # a camera sees the man when the joints of a 2D person are so near, in the median
MAN_M = 0.4


@pytest.fixture(scope="module")
def truth_m(shared_data):
    """[100, 15, 3], NaN where not valid."""
    file = shared_data / "pose2sim_single" / "pseudo_ground_truth.npz"
    with np.load(file) as z:
        return np.where(z["valid"][..., None], z["joints3d"], np.nan).astype(float)


def sees_him(cameras, keypoints, joints_m):
    """How many cameras have a 2D person on the man."""
    pixels = project(cameras, torch.from_numpy(np.nan_to_num(joints_m)).float())[0].numpy()
    count = 0
    for view, people in zip(pixels, keypoints):
        off = np.linalg.norm(people[..., :2] - view, axis=-1)
        off[(people[..., 2] <= 0) | np.isnan(joints_m[:, 0])] = np.nan
        off = off[np.isfinite(off).sum(-1) >= 5]
        count += bool(len(off)) and bool(np.nanmedian(off, axis=-1).min() < SEEN_PX)
    return count


def follow(people, truth_m):
    """The man's id in every set in which two cameras see him (0: none)."""
    try:
        films = [read_frames(path) for path in find_demo(people).videos.values()]
        predictor = Predictor.from_pretrained(detector=MediaPipeDetector())
    except UserError as error:
        pytest.skip(str(error))
    rig = demo_rig(people)
    cameras, tracker = rig.to_cameras(), Tracker()
    bits = np.uint64(1) << np.arange(4, dtype=np.uint64)
    his = []
    for f, images in enumerate(zip(*films)):
        if f % STEP or f >= len(truth_m):
            continue
        keypoints = predictor.detect(images)
        found = predictor.predict_keypoints(cameras, keypoints, rig.space)
        tracked = tracker.update(bodies_of(found, bits), round(1e9 * (1 + f / 60)))
        shown = [t for t in tracked if t.state != TrackState.LOST]
        if sees_him(cameras, keypoints, truth_m[f]) < 2:
            continue
        off = [np.nanmean(np.linalg.norm(t.body.joints_m - truth_m[f], axis=-1)) for t in shown]
        near = int(np.argmin(off)) if off else 0
        his.append(shown[near].number if off and off[near] < MAN_M else 0)
    return his


@pytest.mark.slow
def test_the_man_alone_has_one_id_all_through(truth_m):
    his = follow("single", truth_m)
    assert len(his) > 25
    assert len(set(his)) == 1
    assert 0 not in his


@pytest.mark.slow
def test_the_man_behind_the_avatar_keeps_his_id(truth_m):
    his = follow("multi", truth_m)
    assert len(his) > 15
    number, times = Counter(his).most_common(1)[0]
    assert number != 0
    assert times >= 0.9 * len(his)
