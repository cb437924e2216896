"""The launch tests use the same ROS world and rig as those of the nodes."""

from ..nodes.conftest import (  # noqa: F401
    rig_and_file,
    trained_weights,
    untrained_weights,
    world,
)
