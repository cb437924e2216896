"""The people of a soak walk as people do, and the detector sees them where they are."""

import numpy as np
import torch

from mvssm_ros.geometry.cameras import project
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.rig.rig_file import load_rig
from mvssm_ros.soak.walkers import PEOPLE, SIZE_PX, Detector, Walkers, ring_rig


def test_they_walk_smoothly_apart_and_in_the_space():
    walkers = Walkers(3)
    times_s = np.arange(0, 400, 0.05)
    joints_m = np.stack([walkers.joints_m(t) for t in times_s])  # [F, 2, 15, 3]
    assert joints_m.shape[1:] == (PEOPLE, 15, 3)
    hips_m = joints_m[:, :, SKELETONS["panoptic15"].index("mid_hip")]
    speed_m_s = np.linalg.norm(np.diff(hips_m[..., :2], axis=0), axis=-1) / 0.05
    assert 0.3 < speed_m_s.min()
    assert speed_m_s.max() < 1.5
    assert np.linalg.norm(np.diff(joints_m, axis=0), axis=-1).max() < 0.05 * 6.0
    assert np.linalg.norm(hips_m[:, 0] - hips_m[:, 1], axis=-1).min() > 0.9
    assert np.abs(hips_m[..., :2]).max() < 2.0
    assert joints_m[..., 2].min() > -0.05


def test_without_noise_the_detector_sees_them_where_they_are(tmp_path):
    rig = ring_rig(4)
    rig.save(tmp_path / "rig.yaml")
    again = load_rig(tmp_path / "rig.yaml")
    assert list(again.cameras) == ["cam1", "cam2", "cam3", "cam4"]
    joints_m = Walkers(0).joints_m(12.3)
    true_px, _ = project(rig.to_cameras(), torch.from_numpy(joints_m.reshape(-1, 3)))
    views = Detector(rig, severity=0.0, seed=0).look(joints_m)
    for view, people in enumerate(views):
        for person in people:
            seen = person[:, 2] > 0
            errors = [
                np.abs(true_px[view].reshape(PEOPLE, 15, 2).numpy()[g] - person[:, :2])[seen].max()
                for g in range(PEOPLE)
            ]
            assert min(errors) < 1e-2
    assert sum(len(people) for people in views) >= 6


def test_with_noise_it_sees_nobody_who_is_not_there():
    rig, walkers = ring_rig(4), Walkers(1)
    detector = Detector(rig, severity=1.0, seed=1)
    for t in range(50):
        for people in detector.look(walkers.joints_m(0.7 * t)):
            assert len(people) <= PEOPLE
            assert np.isfinite(people).all()
            assert (people[..., 0] < 3 * SIZE_PX[0]).all()
