"""A node that nobody can find: for work that needs pose_node's parameters and none of its topics."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import parameters
from mvssm_ros.nodes.spin import PARAMETER_ERRORS, one_line

_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"


@contextmanager
def hidden_node(arguments: list[str]) -> Iterator[Node]:
    """A node with the parameters of pose_node, and its name, so that its parameter files fit.

    While it is made, the environment says that the middleware shall look for nobody. Signals stay
    Python's.

    Args:
        arguments: as on a command line: the program's name, --ros-args and so on.

    Raises:
        UserError: a parameter of the wrong type or out of range, or a parameter file that is none.
    """
    context = rclpy.Context()
    node = None
    range_before = os.environ.get(_RANGE)
    try:
        os.environ[_RANGE] = "OFF"
        try:
            rclpy.init(
                args=arguments, context=context, signal_handler_options=SignalHandlerOptions.NO
            )
            node = Node(
                "mvssm", context=context, enable_rosout=False, start_parameter_services=False
            )
            parameters.declare(node)
        except PARAMETER_ERRORS as error:
            raise UserError(one_line(error)) from error
        finally:
            os.environ.pop(_RANGE)
            if range_before is not None:
                os.environ[_RANGE] = range_before
        yield node
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown(context=context)
