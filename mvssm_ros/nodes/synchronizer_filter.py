"""The synchroniser in the place of message_filters' ApproximateTimeSynchronizer.

    from mvssm_ros.nodes.synchronizer_filter import SynchronizerFilter

    inputs = [message_filters.Subscriber(node, Image, topic) for topic in topics]
    synchronizer = SynchronizerFilter(inputs, queue_size=10, slop=0.012, min_cameras=2)
    synchronizer.registerCallback(callback)  # callback(image of topics[0], image of topics[1], ...)

The constructor, registerCallback and connectInput are message_filters', and its Subscribers are
taken as inputs, but message_filters itself is not needed: `Input` does for its Subscriber. One
thing differs on purpose: sets leave in the order of their stamps, so a message older than the last
set is dropped and counted, where ApproximateTimeSynchronizer would go back in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rclpy.clock import ROSClock
from rclpy.logging import get_logger
from rclpy.node import Node

from mvssm_ros.nodes.deadline import DeadlineTimer
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.synchronizer import RigSynchronizer


class Source(Protocol):
    """Anything that callbacks can be registered with: message_filters' filters, and ours."""

    def registerCallback(self, callback: Callable, *args: Any) -> Any: ...


class _Filter:
    """message_filters' SimpleFilter."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable, tuple]] = {}

    def registerCallback(self, callback: Callable, *args: Any) -> int:
        """``callback(*messages, *args)`` is called with every output."""
        number = len(self.callbacks)
        self.callbacks[number] = (callback, args)
        return number

    def signalMessage(self, *messages: Any) -> None:
        for callback, args in list(self.callbacks.values()):
            callback(*messages, *args)


class Input(_Filter):
    """A subscription whose messages go to filters."""

    def __init__(self, node: Node, message_type: type, topic: str, qos_profile: Any = 10) -> None:
        super().__init__()
        self.node = node
        self.topic = topic
        self.sub = node.create_subscription(message_type, topic, self.signalMessage, qos_profile)


class SynchronizerFilter(_Filter):
    """Calls back with one message of every input, of one moment.

    Callbacks run outside all locks, on the thread whose message (or timer) completed the set.

    Args:
        fs: the inputs.
        queue_size: messages kept per input while they wait for the others.
        slop: largest spread of the stamps in a set, s. Keep it under half the inputs' period.
        allow_headerless: messages without a header take the time at which they arrive.
        deadline: how long a set waits for its missing messages, s.
        min_cameras: smallest set; what is missing is None. Default: all, as in message_filters.
        compensate: subtract each input's estimated clock offset and drift.
        node: its clock counts, and it runs the deadline's timer. Default: that of the inputs. If
            they have none either, deadlines are looked at when a message comes.
        on_reset: called when time was set back.

    Raises:
        UserError: a setting that can never give a set.
    """

    def __init__(
        self,
        fs: Sequence[Source],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
        *,
        deadline: float = 0.1,
        min_cameras: int | None = None,
        compensate: bool = False,
        node: Node | None = None,
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.allow_headerless = allow_headerless
        self._node = node
        self._min_cameras = min_cameras
        self._settings: dict[str, Any] = {
            "slop_ns": round(slop * 1e9),
            "deadline_ns": round(deadline * 1e9),
            "queue_size": queue_size,
            "compensate": compensate,
            "on_reset": on_reset,
        }
        self._timer: DeadlineTimer | None = None
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[Source]) -> None:
        """Take these inputs; what waits of former ones is forgotten."""
        self.close()
        names = [f"input {i}" for i in range(len(fs))]
        self.synchronizer = RigSynchronizer(
            names,
            min_cameras=self._min_cameras or len(fs),
            on_set=self._take_set,
            **self._settings,
        )
        node = self._node or next((f.node for f in fs if hasattr(f, "node")), None)
        self._clock = node.get_clock() if node else ROSClock()
        if node:
            self._timer = DeadlineTimer(node, self.synchronizer)
        self.input_connections = [
            f.registerCallback(self.add, self.synchronizer, name) for f, name in zip(fs, names)
        ]

    def add(self, message: Any, synchronizer: RigSynchronizer, name: str) -> None:
        """Take one message of an input; the inputs call it."""
        if synchronizer is not self.synchronizer:
            return  # from an input that was replaced
        now_ns = self._clock.now().nanoseconds
        stamp_ns = self._stamp_ns(message, now_ns)
        if stamp_ns is None:
            return
        synchronizer.add(name, stamp_ns, message, now_ns)
        if self._timer is None:
            synchronizer.expire(now_ns)
        else:
            self._timer.wake()

    def close(self) -> None:
        """End the deadline's timer, before the node is destroyed."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _stamp_ns(self, message: Any, now_ns: int) -> int | None:
        stamp = getattr(getattr(message, "header", None), "stamp", None)
        if stamp is not None:
            if hasattr(stamp, "nanoseconds"):
                return stamp.nanoseconds
            return stamp.sec * 1_000_000_000 + stamp.nanosec  # rclpy's Time raises below 0
        if self.allow_headerless:
            return now_ns
        get_logger("mvssm_ros.synchronizer_filter").warning(
            f"a {type(message).__name__} has no header.stamp and is ignored; set allow_headerless"
            " to take the time at which it arrives",
            once=True,
        )
        return None

    def _take_set(self, image_set: ImageSet) -> None:
        self.signalMessage(*(image_set.items.get(name) for name in self.synchronizer.cameras))
