"""Run one node until it is done or told to stop, and end cleanly."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions

from mvssm_ros.errors import UserError

_POLL_S = 0.1  # how soon a signal is noticed
_AT_MOST_S = 30.0  # from the first signal to the end, whatever hangs


class Stopped(BaseException):
    """A signal has come within `stoppable`. No Exception, lest somebody take it for a mistake."""


class _StopSignal:
    """Whether a signal has come, and whether it may interrupt what is being done."""

    def __init__(self) -> None:
        self.came = False  # no lock: a second signal may interrupt what handles the first
        self.may_interrupt = False
        self._interrupted = False

    def handle(self, *_: Any) -> None:
        if not self.came:  # the last resort: SIGALRM ends the process
            signal.setitimer(signal.ITIMER_REAL, _AT_MOST_S)
        self.came = True
        if self.may_interrupt and not self._interrupted:
            self._interrupted = True
            raise Stopped

    def note_swallowed(self, unraisable: Any) -> None:
        """Python's hook for exceptions in destructors and callbacks of weak references.

        Nobody sees those. If one is ours, another signal interrupts what is being done.
        """
        if unraisable.exc_type is not Stopped:
            sys.__unraisablehook__(unraisable)
            return
        self._interrupted = False
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGTERM)).start()


_signal = _StopSignal()  # signals are the process's, not a node's


@contextmanager
def stoppable() -> Iterator[None]:
    """Around what takes long, on the executor's thread, and leaves no harm when it is broken off.

    Raises:
        Stopped: SIGINT or SIGTERM has come to a process that runs `run_node`.
    """
    _signal.may_interrupt = True
    try:
        if _signal.came:
            raise Stopped
        yield
    except Exception as error:
        if _signal.came:  # what was broken off has made another mistake of it
            raise Stopped from error
        raise
    finally:
        _signal.may_interrupt = False


class RunnableNode(Protocol):
    """What `run_node` needs beside an rclpy node."""

    def finish(self) -> int | None:
        """Called now and then; an exit code ends the node."""

    def close(self) -> None:
        """Called once at the end, while ROS still works."""


def run_node(
    make_node: Callable[[], Any],
    args: list[str] | None = None,
    make_executor: Callable[[], Executor] = SingleThreadedExecutor,
) -> int:
    """Spin a node, in a single-threaded executor unless told otherwise; return the exit code.

    SIGINT and SIGTERM end it after `close`, with ROS still up, so that last messages go out
    (rclpy's own handlers would shut ROS down first); what is `stoppable` is broken off. A
    UserError, or a parameter of the wrong type or out of range, ends it with one line and exit
    code 2.

    After a signal the process ends here: taking down Python with torch in it costs another second,
    and aborts where a set of images is still in work.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # for good: the process ends after this
        signal.signal(number, _signal.handle)
    sys.unraisablehook = _signal.note_swallowed
    code = 0
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        code = _spin(make_node, make_executor)
    except (UserError, *PARAMETER_ERRORS) as error:
        print(f"mvssm: error: {one_line(error)}", file=sys.stderr)
        code = 2
    finally:
        rclpy.try_shutdown()
    if _signal.came:
        gc.collect()  # with the node go its shared memory and its sockets
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


PARAMETER_ERRORS = (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
    rclpy_implementation.RCLError,  # such as security asked of a middleware without it
)


def _spin(make_node: Callable[[], Any], make_executor: Callable[[], Executor]) -> int:
    try:
        node = make_node()
    except Stopped:
        return 0
    except UserError:
        if _signal.came:  # nothing is wrong: it was told to stop
            return 0
        raise
    executor = make_executor()
    executor.add_node(node)
    try:
        while not _signal.came and rclpy.ok():
            executor.spin_once(timeout_sec=_POLL_S)
            code = node.finish()
            if code is not None:
                return code
        return 0
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
