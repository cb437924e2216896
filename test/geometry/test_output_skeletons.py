"""People in other skeletons: what is copied, what is derived and how well, what is missing."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mvssm_ros.errors import UserError
from mvssm_ros.geometry import output_skeletons
from mvssm_ros.geometry.output_skeletons import OUTPUT_SKELETONS, RULES, Joints, OutputSkeleton
from mvssm_ros.geometry.skeletons import PANOPTIC15

STANDING_M = {  # facing +x
    "neck": (0.0, 0.0, 1.45),
    "nose": (0.12, 0.0, 1.6),
    "mid_hip": (0.0, 0.0, 0.95),
    "left_shoulder": (0.0, 0.2, 1.45),
    "left_elbow": (0.0, 0.25, 1.15),
    "left_wrist": (0.1, 0.3, 0.9),
    "left_hip": (0.0, 0.12, 0.95),
    "left_knee": (0.02, 0.12, 0.5),
    "left_ankle": (0.0, 0.12, 0.08),
}


def standing() -> np.ndarray:
    """[15, 3] m."""
    return np.array(
        [
            STANDING_M[name]
            if name in STANDING_M
            else np.array(STANDING_M[name.replace("right", "left")]) * [1, -1, 1]
            for name in PANOPTIC15.joints
        ]
    )


def person(joints_m) -> Joints:
    return Joints(
        joints_m=np.array(joints_m, float),
        velocity_m_s=np.tile([0.5, 0.0, 0.1], (15, 1)),
        covariance_m2=np.tile(np.diag([1e-4, 2e-4, 3e-4]), (15, 1, 1)),
        confidence=np.linspace(0.5, 0.9, 15),
        observed=np.ones(15, bool),
        view_mask=np.full(15, 5, np.uint64),
    )


@pytest.mark.parametrize("name", OUTPUT_SKELETONS)
def test_copied_joints_are_as_they_were_and_derived_ones_are_marked(name):
    output, source = OutputSkeleton(name), person(standing())
    out = output.apply(source)
    assert np.isfinite(out.joints_m).all()
    assert set(output.copied) | set(output.derived) == set(output.skeleton.joints)
    for joint in output.copied:
        j, i = output.skeleton.index(joint), PANOPTIC15.index(joint)
        for ours, theirs in zip(vars(out).values(), vars(source).values()):
            np.testing.assert_array_equal(ours[j], theirs[i])
    for joint in output.derived:
        j = output.skeleton.index(joint)
        bases = [PANOPTIC15.index(base) for base in RULES[joint].bases]
        assert not out.observed[j]
        assert out.confidence[j] == pytest.approx(0.5 * source.confidence[bases].min())
        assert (np.diag(out.covariance_m2[j]) >= RULES[joint].sigma_m ** 2).all()
        np.testing.assert_allclose(out.velocity_m_s[j], [0.5, 0.0, 0.1])
        assert out.view_mask[j] == 5


def test_derived_joints_lie_where_they_belong():
    output = OutputSkeleton("blazepose33")
    at = dict(zip(output.skeleton.joints, output.apply(person(standing())).joints_m))
    at |= {"head_top": OutputSkeleton("h36m17").apply(person(standing())).joints_m[10]}
    for left in (name for name in at if name.startswith("left_")):
        mirrored = at["right_" + left[5:]] * [1, -1, 1]
        np.testing.assert_allclose(at[left], mirrored, atol=1e-9)
    assert at["left_ear"][1] > at["left_eye"][1] > 0.02
    assert at["left_ear"][0] < at["left_eye"][0] < at["nose"][0]
    assert at["left_mouth"][2] < at["nose"][2] < at["left_eye"][2] < at["head_top"][2]
    assert 1.7 < at["head_top"][2] < 1.8
    assert at["left_index"][2] < at["left_wrist"][2]  # the forearm hangs
    assert at["left_foot_index"][0] > 0.1 > 0 > at["left_heel"][0]
    assert 0 <= at["left_heel"][2] < at["left_ankle"][2]


@pytest.mark.parametrize("name", OUTPUT_SKELETONS)
def test_they_move_turn_and_grow_with_the_body(name):
    output = OutputSkeleton(name)
    turn = Rotation.from_rotvec([0.4, -0.3, 1.9]).as_matrix()
    here = output.apply(person(standing())).joints_m
    there = output.apply(person(0.7 * standing() @ turn.T + [3.0, -2.0, 0.1])).joints_m
    np.testing.assert_allclose(there, 0.7 * here @ turn.T + [3.0, -2.0, 0.1], atol=1e-9)


def test_without_its_sources_a_joint_is_missing():
    joints = standing()
    joints[PANOPTIC15.index("nose")] = np.nan
    joints[PANOPTIC15.index("left_elbow")] = np.nan
    output = OutputSkeleton("blazepose33")
    out = output.apply(person(joints))
    missing = {n for n, p in zip(output.skeleton.joints, out.joints_m) if np.isnan(p).any()}
    head = {n for n in output.skeleton.joints if n.endswith(("nose", "ear", "mouth"))}
    head |= {n for n in output.skeleton.joints if "eye" in n}
    assert missing == head | {"left_elbow", "left_pinky", "left_index", "left_thumb"}
    assert not out.confidence[
        [output.skeleton.index(n) for n in missing - {"nose", "left_elbow"}]
    ].any()


def test_the_documentation_has_what_is_derived():
    text = " ".join(output_skeletons.__doc__.split())
    for name in OUTPUT_SKELETONS:
        derived = OutputSkeleton(name).derived
        assert f"{name} derived: {', '.join(derived)}" in text if derived else name in text


def test_an_unknown_skeleton_is_refused():
    with pytest.raises(UserError, match="'shelf14': people can be put out as one of panoptic15"):
        OutputSkeleton("shelf14")


def test_eyes_and_ears_of_real_people(shared_data):
    """Against CMU Panoptic: within three of the deviations that are published with them."""
    names = (
        *("neck nose mid_hip left_shoulder left_elbow left_wrist left_hip left_knee".split()),
        *("left_ankle right_shoulder right_elbow right_wrist right_hip right_knee".split()),
        *("right_ankle left_eye left_ear right_eye right_ear".split()),
    )
    files = sorted(shared_data.glob("panoptic/*/hdPose3d_stage1_coco19/*.json"))
    bodies = [body for f in files for body in json.loads(f.read_text())["bodies"]]
    assert len(bodies) == 6
    output = OutputSkeleton("coco17")
    for body in bodies:
        points = np.reshape(body["joints19"], (19, 4))[:, [0, 2, 1]] / 100 * [1, 1, -1]
        truth = dict(zip(names, points))
        source = person([truth[name] for name in PANOPTIC15.joints])
        out = output.apply(source)
        for joint in output.derived:
            error_m = np.linalg.norm(out.joints_m[output.skeleton.index(joint)] - truth[joint])
            assert error_m < 3 * RULES[joint].sigma_m, (joint, error_m)
