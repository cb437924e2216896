"""Drives pose_node through its life cycle, and hears what it answers; used by `mvssm demo`."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes import qos

# What can become of a set, in the diagnostics of pose_node.
_ENDS = (
    "sets_processed",
    "sets_dropped_no_quorum",
    "sets_dropped_overwritten",
    "sets_dropped_unusable",
    "sets_failed",
)
_ASK_AGAIN_NS = 2_000_000_000


class Conductor:
    """A node beside the demo's nodes.

    Args:
        check: called again and again while waiting; raises when waiting has become pointless.
        pose_node: the name of the node to drive.

    Attributes:
        answered_ns: stamp of every set that `people` answered, in order.
        counts: of the latest diagnostics of pose_node.
    """

    CONFIGURE = Transition.TRANSITION_CONFIGURE
    ACTIVATE = Transition.TRANSITION_ACTIVATE
    DEACTIVATE = Transition.TRANSITION_DEACTIVATE
    CLEANUP = Transition.TRANSITION_CLEANUP

    def __init__(self, check: Callable[[], None], pose_node: str = "mvssm") -> None:
        self._check = check
        self._pose_node = pose_node
        self.answered_ns: list[int] = []
        self.counts: dict[str, str] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("demo", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._change = self._node.create_client(ChangeState, f"{pose_node}/change_state")
        self._ask = self._node.create_client(GetState, f"{pose_node}/get_state")
        self._asked: tuple[Any, int] | None = None  # the latest question, and when
        for message_type, topic, take, profile in (
            (PersonArray, "people", self._take_people, qos.kept_answer_qos()),
            (DiagnosticArray, "/diagnostics", self._take_diagnostics, qos.answer_qos()),
        ):
            self._node.create_subscription(
                message_type, topic, take, profile, qos_overriding_options=qos.overridable()
            )

    def __enter__(self) -> Conductor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Spin until the condition holds (True) or the time is over (False; None: no end)."""
        clock = self._node.get_clock()
        end_ns = None if timeout_s is None else clock.now().nanoseconds + timeout_s * 1e9
        while not condition():
            self._check()
            if end_ns is not None and clock.now().nanoseconds > end_ns:
                return False
            self._executor.spin_once(timeout_sec=0.1)
        return True

    def pose_node_is_there(self) -> bool:
        """Its life cycle can be driven: it has answered.

        A service that is seen may not have seen us yet, and then its answer to a transition would be
        lost; so it is asked for its state, which does no harm, until an answer comes.
        """
        if not self._ask.service_is_ready():
            return False
        now_ns = self._node.get_clock().now().nanoseconds
        if self._asked is None or now_ns - self._asked[1] > _ASK_AGAIN_NS:
            self._asked = self._ask.call_async(GetState.Request()), now_ns
        return bool(self._asked[0].done())

    def pose_node_is_seen(self) -> bool:
        """There is a node of that name."""
        return self._pose_node in self._node.get_node_names()

    def listens(self, node: str, topic: str) -> bool:
        """The node has subscribed to the topic."""
        name = self._node.resolve_topic_name(topic)
        found = self._node.get_subscriptions_info_by_topic(name)
        return any(info.node_name == node for info in found)

    def transition(self, number: int) -> bool:
        """Take pose_node to the next state; False if it refused (it logs why)."""
        request = ChangeState.Request(transition=Transition(id=number))
        future = self._change.call_async(request)
        self.wait_until(future.done)
        return bool(future.result().success)

    @property
    def accounted_sets(self) -> int:
        """How many sets have been answered or given up, by the latest diagnostics."""
        return sum(int(self.counts.get(key, 0)) for key in _ENDS)

    @property
    def counts_are_up_to_date(self) -> bool:
        """The latest diagnostics count every answer that was heard."""
        return int(self.counts.get("sets_processed", -1)) >= len(self.answered_ns)

    def _take_people(self, people: PersonArray) -> None:
        if people.cameras_used:  # 0: a farewell, not the answer to a set
            self.answered_ns.append(Time.from_msg(people.header.stamp).nanoseconds)

    def _take_diagnostics(self, array: Any) -> None:
        for status in array.status:
            if status.name == f"{self._pose_node}: pipeline":
                self.counts = {value.key: value.value for value in status.values}
