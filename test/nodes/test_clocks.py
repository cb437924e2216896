"""A camera whose clock is off: reported by the node, and compensated where that is asked for."""

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import Header

from .conftest import stamp

SUCCESS = TransitionCallbackReturn.SUCCESS
AHEAD = 200  # ticks of 50 ms: 10 s


def publish_with_one_clock_ahead(world, rig, index):
    for name in rig.cameras:
        ahead = AHEAD if name == "cam0" else 0
        world.publish_keypoints(
            rig, index, cameras=[name], header=Header(stamp=stamp(index + ahead))
        )
    world.spin_for(0.25)  # 5 ticks


@pytest.mark.parametrize("compensate", [False, True])
def test_a_clock_that_is_ahead(world, rig_and_file, untrained_weights, compensate):
    rig, path = rig_and_file
    node = world.pose_node(
        rig_file=path,
        input="keypoints",
        model__weights=untrained_weights,
        sync__compensate=compensate,
        sync__slop=0.1,
        sync__deadline=1.0,
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    expected = 0b1111 if compensate else 0b1110
    for index in range(0, 500, 5):
        publish_with_one_clock_ahead(world, rig, index)
        if world.answers and world.answers[-1].cameras_used == expected and world.status:
            break
    assert world.answers[-1].cameras_used == expected
    world.spin_until(lambda: abs(world.status[-1].cameras[0].offset.sec - 9.5) < 1)  # 9 or 10
    assert all(abs(status.offset.sec + 0.5) < 1 for status in world.status[-1].cameras[1:])
