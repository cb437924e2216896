"""The launch tests use the same ROS world and rig as those of the nodes."""

from ..nodes.conftest import rig_and_file, untrained_weights, world  # noqa: F401
