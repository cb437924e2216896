"""pose_node that takes itself to active: for `mvssm run`, where there is no ros2 launch."""

from __future__ import annotations

from rclpy.lifecycle import TransitionCallbackReturn

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.pose_node import PoseNode
from mvssm_ros.nodes.spin import run_node


def main(args: list[str] | None = None) -> int:
    """Run the node, configured and activated, until SIGINT or SIGTERM; returns the exit code."""
    return run_node(_started, args)


def _started() -> PoseNode:
    node = PoseNode()
    for name, trigger in (
        ("configured", node.trigger_configure),
        ("activated", node.trigger_activate),
    ):
        if trigger() != TransitionCallbackReturn.SUCCESS:
            raise UserError(f"the node could not be {name}; it says why in the line above")
    return node
