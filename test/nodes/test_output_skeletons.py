"""pose_node with another skeleton: people, skeleton_info, markers and feeds of the same joints."""

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from visualization_msgs.msg import Marker

from mvssm_ros.geometry.output_skeletons import OUTPUT_SKELETONS, OutputSkeleton
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import Joint
from mvssm_ros.nodes.feeds.base import present

from .conftest import standing_person

SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.mark.parametrize("name", OUTPUT_SKELETONS)
def test_people_come_out_in_the_skeleton_that_is_asked_for(
    world, rig_and_file, trained_weights, name
):
    rig, path = rig_and_file
    node = world.pose_node(
        rig_file=path,
        input="keypoints",
        model__weights=trained_weights,
        sync__deadline=5.0,
        publish__skeleton=name,
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    for index in range(4):
        world.publish_keypoints(rig, index, [standing_person()])
        world.spin_until(lambda n=index: len(world.answers) == n + 1)
    world.spin_until(lambda: world.info and len(world.markers) > 4)
    output, answer = OutputSkeleton(name), world.answers[-1]
    assert answer.skeleton == world.info[-1].name == name
    assert tuple(world.info[-1].joint_names) == output.skeleton.joints
    (person,) = answer.people
    states = dict(zip(output.skeleton.joints, (j.state for j in person.joints), strict=True))
    assert {states[joint] for joint in output.copied} == {Joint.OBSERVED}
    assert {states[joint] for joint in output.derived} <= {Joint.PREDICTED}
    bones = [m for m in world.markers[-1].markers if m.ns == "bones" and m.action == Marker.ADD]
    assert [len(m.points) for m in bones] == [2 * len(output.skeleton.edges)]

    (arrays,) = present(answer)  # feeds work on panoptic15, so that nobody lacks a trunk
    assert arrays.skeleton is SKELETONS["panoptic15"]
    assert len(arrays.capsules(1.0)) == 14
    assert np.linalg.norm(arrays.joints_m - standing_person(), axis=-1).max() < 0.15
    assert np.isfinite(arrays.covariance_m2).all()
    assert np.isfinite(arrays.velocities_m_s).all()


def test_a_skeleton_that_cannot_be_is_refused(world, rig_and_file):
    node = world.pose_node(rig_file=rig_and_file[1], publish__skeleton="octopus8")
    assert node.trigger_configure() != SUCCESS
    world.spin_until(lambda: world.said("parameter 'publish.skeleton' is 'octopus8'"))
