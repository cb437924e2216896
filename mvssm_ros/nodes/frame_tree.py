"""What has been heard of TF's tree: who is whose parent, what is static, from when to when.

tf2 interpolates over any gap, however long, and does not say what in a chain is static; a camera
must not be put where it was seconds ago, so both are kept here.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field

KEPT_NS = 10_000_000_000  # as long as tf2's buffer keeps a transform


@dataclass
class Edge:
    """The transform of one frame in its parent's, as it has been heard so far."""

    child: str
    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)  # ascending; empty where static
    heard_s: float = -math.inf  # when the last one came
    fault: str = ""  # what is wrong with the last one

    @property
    def newest_ns(self) -> int:
        """Raises ValueError where there is none."""
        return max(self.stamps_ns[-1:])

    def covers(self, stamp_ns: int) -> bool:
        """A transform of this moment or a later one has come."""
        return self.static or (bool(self.stamps_ns) and self.stamps_ns[-1] >= stamp_ns)

    def gap_ns(self, stamp_ns: int) -> int | None:
        """Between the transforms before and after a moment; None where one of them lacks."""
        at = bisect_left(self.stamps_ns, stamp_ns)
        if at < len(self.stamps_ns) and self.stamps_ns[at] == stamp_ns:
            return 0
        if 0 < at < len(self.stamps_ns):
            return self.stamps_ns[at] - self.stamps_ns[at - 1]
        return None


class FrameTree:
    """The edges, by child frame. Not thread-safe."""

    def __init__(self) -> None:
        self._edges: dict[str, Edge] = {}

    def note(self, child: str, parent: str, static: bool, now_s: float) -> Edge:
        """A transform has come; returns its edge. ``now_s`` is by any clock that only goes on."""
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static:
            edge = self._edges[child] = Edge(child, parent, static)
        edge.heard_s = now_s
        return edge

    def note_stamp(self, edge: Edge, stamp_ns: int) -> None:
        """It is good, and of this moment."""
        if edge.gap_ns(stamp_ns) != 0:  # nobody has said it before
            insort(edge.stamps_ns, stamp_ns)
        del edge.stamps_ns[: bisect_left(edge.stamps_ns, edge.stamps_ns[-1] - KEPT_NS)]

    def forget_stamps(self) -> None:
        """Time was set back. What is static stays."""
        for edge in self._edges.values():
            edge.stamps_ns.clear()

    def chain(self, a: str, b: str) -> list[Edge] | None:
        """The edges between two frames, empty for a frame and itself; None if not connected."""
        from_a, from_b = self._up(a), self._up(b)
        tops = {a, *(edge.parent for edge in from_a)}
        until = next((i for i, frame in enumerate(_frames(b, from_b)) if frame in tops), None)
        if until is None:
            return None
        meeting = _frames(b, from_b)[until]
        return from_a[: _frames(a, from_a).index(meeting)] + from_b[:until]

    def top(self, frame: str) -> str:
        """Where the way up from a frame ends; the frame itself if nobody has published it."""
        edges = self._up(frame)
        return edges[-1].parent if edges else frame

    def _up(self, frame: str) -> list[Edge]:
        """The edges from a frame to its root; a loop is cut open."""
        edges: list[Edge] = []
        while frame in self._edges and len(edges) <= len(self._edges):
            edges.append(self._edges[frame])
            frame = edges[-1].parent
        return edges


def _frames(frame: str, edges: list[Edge]) -> list[str]:
    return [frame, *(edge.parent for edge in edges)]
