import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import SKELETONS, skeleton_map


@pytest.mark.parametrize("name", SKELETONS)
def test_mirror_is_an_involution_and_edges_name_joints(name):
    s = SKELETONS[name]
    assert len(set(s.joints)) == s.n_joints
    assert (s.mirror[s.mirror] == np.arange(s.n_joints)).all()
    assert s.edge_indices.max() < s.n_joints


def test_panoptic_order_is_the_published_one():
    s = SKELETONS["panoptic15"]
    assert s.joints[:3] == ("neck", "nose", "mid_hip")
    assert s.mirror.tolist() == [0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 6, 7, 8]


def test_blazepose_derives_neck_and_mid_hip_and_says_so():
    m = skeleton_map("blazepose33")
    keypoints = np.random.default_rng(0).uniform(1, 100, size=(2, 33, 3)).astype(np.float32)
    keypoints[..., 2] = 0.9
    keypoints[0, 11, 2] = 0.3
    out = m.apply(keypoints)
    np.testing.assert_allclose(out[:, 0, :2], keypoints[:, [11, 12], :2].mean(1), rtol=1e-6)
    assert out[0, 0, 2] == np.float32(0.3)
    np.testing.assert_array_equal(out[:, 5], keypoints[:, 15])
    assert any(note.startswith("neck") for note in m.notes)
    assert any(note.startswith("mid_hip") for note in m.notes)
    assert len(m.notes) == 2


def test_a_derived_joint_is_missing_when_a_source_is():
    keypoints = np.ones((1, 17, 3), np.float32)
    keypoints[0, 5] = (50, 60, 0)
    out = skeleton_map("coco17").apply(keypoints)
    assert out[0, 0].tolist() == [0, 0, 0]
    assert out[0, 2].tolist() == [1, 1, 1]


def test_what_the_source_does_not_know_is_missing():
    m = skeleton_map("panoptic15", "coco17")
    out = m.apply(np.ones((1, 15, 3), np.float32))
    assert out[0, 1].tolist() == [0, 0, 0]
    assert any("left_eye: unknown" in note for note in m.notes)


def test_shelf_order_is_the_published_one():
    m = skeleton_map("panoptic15", "shelf14")
    assert [s[0] for s in m.sources] == [14, 13, 12, 6, 7, 8, 11, 10, 9, 3, 4, 5, 0, 1]


def test_errors_name_the_thing():
    with pytest.raises(UserError, match="unknown skeleton 'coco'"):
        skeleton_map("coco")
    with pytest.raises(UserError, match="33 joints, got 17"):
        skeleton_map("blazepose33").apply(np.zeros((1, 17, 3)))
