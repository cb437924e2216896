"""Run one node until it is done or told to stop, and end cleanly."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions

from mvssm_ros.errors import UserError

_POLL_S = 0.1  # how soon a signal is noticed


class RunnableNode(Protocol):
    """What `run_node` needs beside an rclpy node."""

    def finish(self) -> int | None:
        """Called now and then; an exit code ends the node."""

    def close(self) -> None:
        """Called once at the end, while ROS still works."""


def run_node(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Spin a node in a single-threaded executor; return the exit code.

    SIGINT and SIGTERM end it after `close`, with ROS still up, so that last messages go out
    (rclpy's own handlers would shut ROS down first). A UserError, or a parameter of the wrong type
    or out of range, ends it with one line and exit code 2.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # for good: the process ends after this
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        return _spin(make_node, stop)
    except (UserError, *_PARAMETER_ERRORS) as error:
        print(f"mvssm: error: {_one_line(error)}", file=sys.stderr)
        return 2
    finally:
        rclpy.try_shutdown()


_PARAMETER_ERRORS = (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
    rclpy_implementation.RCLError,  # such as security asked of a middleware without it
)


def _spin(make_node: Callable[[], Any], stop: threading.Event) -> int:
    node = make_node()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set() and rclpy.ok():
            executor.spin_once(timeout_sec=_POLL_S)
            code = node.finish()
            if code is not None:
                return code
        return 0
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
