"""The SROS2 policy allows what the running nodes do, and nothing that none of them does."""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from rclpy.lifecycle import TransitionCallbackReturn

from mvssm_ros.nodes import optional
from mvssm_ros.nodes.recorder_node import RecorderNode

from .conftest import without_intrinsics

POLICY = Path(__file__).resolve().parents[2] / "config" / "security" / "policy.xml"
SUCCESS = TransitionCallbackReturn.SUCCESS
OPT_IN = {  # of rep155.enable and bridges.*
    *("/feeds/obstacles", "/feeds/detections", "/planning_scene", "/humans/bodies/tracked", "/tf"),
}
# kind of rule -> how rclpy lists what a node really has
KINDS = {
    ("topics", "publish"): "get_publisher_names_and_types_by_node",
    ("topics", "subscribe"): "get_subscriber_names_and_types_by_node",
    ("services", "reply"): "get_service_names_and_types_by_node",
    ("services", "request"): "get_client_names_and_types_by_node",
}


def allowed(enclave):
    """What the enclave may do: kind -> set of full names, with wildcards."""
    (profile,) = ET.parse(POLICY).findall(f"enclaves/enclave[@path='{enclave}']/profiles/profile")
    rules = {kind: set() for kind in KINDS}
    for group in profile:
        for attribute, value in group.attrib.items():
            assert value == "ALLOW"
            names = {_full(e.text, profile.get("ns"), profile.get("node")) for e in group}
            rules[group.tag, attribute] |= names
    return rules


def _full(name, ns, node):
    if name.startswith("~"):
        return f"{ns}{node}{name[1:]}"
    return name if name.startswith("/") else ns + name


def real(node, name):
    """What the graph has of a node, once it has stood still for a second: it follows a little later."""
    looks = []
    while len(looks) < 3 or not looks[-1] == looks[-2] == looks[-3] or not any(looks[-1].values()):
        time.sleep(0.5)
        looks.append(
            {
                kind: {full for full, _ in getattr(node, method)(name, "/")}
                for kind, method in KINDS.items()
            }
        )
    return looks[-1]


def not_covered(names, rules):
    return {name for name in names if not any(fnmatchcase(name, rule) for rule in rules)}


def not_used(names, rules):
    return {rule for rule in rules if not any(fnmatchcase(name, rule) for name in names)}


def endpoints_of_pose_node(world, rig_file, weights, **parameters):
    node = world.pose_node(rig_file=str(rig_file), model__weights=weights, **parameters)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    found = real(node, "mvssm")
    node.close()
    world.executor.remove_node(node)
    world.nodes.remove(node)
    node.destroy_node()
    return found


def test_pose_node_has_what_it_needs_and_no_more(world, rig_and_file, untrained_weights, tmp_path):
    rig, path = rig_and_file
    bare = tmp_path / "bare.yaml"
    without_intrinsics(rig).save(bare)
    seen = [
        endpoints_of_pose_node(world, path, untrained_weights, input="keypoints"),
        endpoints_of_pose_node(
            world, bare, untrained_weights, input="keypoints", use_sim_time=True
        ),
    ]
    rules = allowed("/mvssm/pose_node")
    union = {kind: set().union(*(each[kind] for each in seen)) for kind in KINDS}
    for kind, names in union.items():
        assert names or kind == ("services", "request")
        assert not_covered(names, rules[kind]) == set(), kind
    # not in these runs: images instead of keypoints (they need the detector), and TF
    images = {camera.image_topic for camera in rig.cameras.values()}
    elsewhere = images | {f"{topic}/compressed" for topic in images} | {"/tf", "/tf_static"}
    union["topics", "subscribe"] |= elsewhere
    # nor what is made only where a package of others is installed: see test_feed_bridges.py
    union["topics", "publish"] |= OPT_IN
    for kind, names in union.items():
        assert not_used(names, rules[kind]) == set(), kind


def test_tf_is_listened_to_where_it_is_installed(world, rig_and_file, untrained_weights):
    if optional.tf2_ros() is None:
        pytest.skip("tf2_ros is not installed")
    _, path = rig_and_file
    found = endpoints_of_pose_node(
        world, path, untrained_weights, input="keypoints", calibration__source="tf"
    )
    assert {"/tf", "/tf_static"} <= found["topics", "subscribe"]
    rules = allowed("/mvssm/pose_node")
    assert not_covered(found["topics", "subscribe"], rules["topics", "subscribe"]) == set()


def test_the_recorder_has_what_it_needs_and_no_more(world, tmp_path):
    pytest.importorskip("rosbags")
    from rclpy.parameter import Parameter

    node = RecorderNode(
        context=world.context,
        parameter_overrides=[Parameter("bag", value=str(tmp_path / "bag"))],
    )
    try:
        found, rules = real(node, "recorder"), allowed("/mvssm/recorder")
    finally:
        node.close()
        node.destroy_node()
    for kind, names in found.items():
        assert not_covered(names, rules[kind]) == set(), kind
        assert not_used(names, rules[kind]) == set(), kind


def test_the_operator_may_ask_for_all_that_pose_node_answers():
    pose, operator = allowed("/mvssm/pose_node"), allowed("/mvssm/operator")
    assert operator["services", "request"] == pose["services", "reply"]
    assert operator["services", "reply"] == set()
    assert operator["topics", "subscribe"] == pose["topics", "publish"]
    assert pose["services", "request"] == set()


def test_the_form_is_that_of_sros2():
    """As its schema, version 0.2.0, has it."""
    root = ET.parse(POLICY).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    (enclaves,) = root
    assert enclaves.tag == "enclaves"
    for enclave in enclaves:
        assert enclave.tag == "enclave"
        assert enclave.get("path").startswith("/mvssm/")
        (profiles,) = enclave
        for profile in profiles:
            assert set(profile.attrib) == {"ns", "node"}
            for group in profile:
                kinds = {attribute for tag, attribute in KINDS if tag == group.tag}
                assert set(group.attrib) <= kinds
                assert len(group) > 0
                assert {e.tag for e in group} == {group.tag.removesuffix("s")}


def test_with_security_asked_for_nothing_goes_out_unprotected(tmp_path):
    """Where the middleware has no security plugins, or there are no keys, a node does not start."""
    (tmp_path / "enclaves").mkdir()
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from mvssm_ros.nodes.pose_node import main; sys.exit(main(['pose_node']))",
        ],
        env={
            **os.environ,
            "ROS_SECURITY_ENABLE": "true",
            "ROS_SECURITY_STRATEGY": "Enforce",
            "ROS_SECURITY_KEYSTORE": str(tmp_path),
            "ROS_DOMAIN_ID": "213",
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 2
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("mvssm: error: ")]
    assert "secur" in line.lower()
    assert "Traceback" not in result.stderr
