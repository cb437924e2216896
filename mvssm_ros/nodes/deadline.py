"""The timer that tells a synchroniser when its deadlines have passed."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from mvssm_ros.rig.synchronizer import RigSynchronizer


class DeadlineTimer:
    """Runs on the node's clock, also a simulated one, and only while something waits.

    Expires twice past the deadline, so that messages which wait in the executor come first.
    """

    def __init__(self, node: Node, sync: RigSynchronizer) -> None:
        self._node = node
        self._sync = sync
        self._overdue_ns: int | None = None  # the deadline that had passed at the last look
        self._timer: Any = node.create_timer(sync.deadline_ns / 4e9, self._look)
        self._timer.cancel()

    def wake(self) -> None:
        """Something may wait now; call it after `RigSynchronizer.add`."""
        while self._sync.catch_up():
            pass
        if self._timer.is_canceled() and self._sync.next_deadline_ns is not None:
            self._timer.reset()

    def close(self) -> None:
        self._node.destroy_timer(self._timer)

    def _look(self) -> None:
        now_ns, deadline_ns = self._node.get_clock().now().nanoseconds, self._sync.next_deadline_ns
        overdue = deadline_ns is not None and now_ns >= deadline_ns
        if overdue and deadline_ns == self._overdue_ns:
            self._sync.expire(now_ns)
        self._overdue_ns = deadline_ns if overdue else None
        if deadline_ns is None:
            self._timer.cancel()
