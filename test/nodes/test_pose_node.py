"""pose_node on the real middleware, fed with keypoints."""

import pytest
from rclpy.lifecycle import TransitionCallbackReturn

SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.fixture
def empty_room(world, rig_and_file, untrained_weights):
    """An active node that finds nobody."""
    rig, path = rig_and_file
    node = world.pose_node(rig_file=path, input="keypoints", model__weights=untrained_weights)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    world.spin_until(lambda: world.info)
    return world, rig, node


def test_every_set_is_answered_also_when_nobody_is_there(empty_room):
    world, rig, _ = empty_room
    for index in range(5):
        world.publish_keypoints(rig, index)
        world.spin_until(lambda n=index: len(world.people) > n)
    assert len(world.people) == 5
