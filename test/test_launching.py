"""What the launch files share: names, parameters, environment."""

import pytest

from mvssm_ros import launching
from mvssm_ros.launching import (
    SHARED_ARGUMENTS,
    camera_list,
    config_path,
    fixed_frame,
    keypoints_node_name,
    overrides,
    rviz_remappings,
    shared_memory,
)


def test_what_is_left_empty_overrides_nothing():
    given = {"rig_file": "/rig.yaml", "model.device": "", "transport": "auto", "input": "images"}
    assert overrides(given) == {"rig_file": "/rig.yaml", "input": "images"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", [""]),
        ("left", ["left"]),
        ("left,right", ["left", "right"]),
        ("[left, right]", ["left", "right"]),
        (" left ,, right ", ["left", "right"]),
    ],
)
def test_cameras_of_a_host(text, names):
    assert camera_list(text) == names


def test_keypoints_nodes_of_several_hosts_have_names_of_their_own():
    assert keypoints_node_name(["left", "right"], "robot-1") == "keypoints_left_right"
    assert keypoints_node_name([""], "robot-1.local") == "keypoints_robot_1_local"
    assert keypoints_node_name([""], "küche") == "keypoints_k_che"


def test_an_own_profile_of_the_middleware_is_left_alone(monkeypatch):
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    assert shared_memory() == {"FASTDDS_DEFAULT_PROFILES_FILE": config_path("fastdds_shm.xml")}
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/own.xml")
    assert shared_memory() == {}


def test_rviz_looks_into_the_frame_of_the_rig(tmp_path):
    rig = tmp_path / "rig.yaml"
    rig.write_text("reference_frame: floor\ncameras: {a: {}, b: {}}\n")
    assert fixed_frame("", str(rig)) == "floor"
    assert fixed_frame("odom", str(rig)) == "odom"
    assert fixed_frame("", "") == ""
    assert fixed_frame("", str(tmp_path / "nowhere.yaml")) == ""
    rig.write_text("cameras: [")
    assert fixed_frame("", str(rig)) == ""


def test_every_topic_that_rviz_shows_follows_the_namespace():
    remapped = dict(rviz_remappings(config_path("rviz", "mvssm.rviz")))
    assert {"/markers", "/camera_markers", "/feeds/cloud"} <= set(remapped)
    assert all(to == topic.removeprefix("/") for topic, to in remapped.items())


def test_shared_arguments_are_described():
    for name, keywords in SHARED_ARGUMENTS.items():
        assert keywords["description"].endswith("."), name
        assert set(keywords) <= {"default_value", "description", "choices"}
        if "choices" in keywords:
            assert keywords["default_value"] in keywords["choices"]
    assert launching.UNSAID == ("", "auto")
