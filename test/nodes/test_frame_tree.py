"""What has been heard of TF's tree."""

import pytest

from mvssm_ros.nodes.frame_tree import KEPT_NS, FrameTree


def tree(*edges):
    made = FrameTree()
    for parent, child, static in edges:
        made.note(child, parent, static, 0.0)
    return made


def names(chain):
    return [edge.child for edge in chain]


ROBOT = tree(
    ("map", "odom", True), ("odom", "base", False), ("base", "cam", True), ("map", "wall", True)
)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("map", "cam", ["cam", "base", "odom"]),
        ("cam", "map", ["cam", "base", "odom"]),
        ("wall", "cam", ["wall", "cam", "base", "odom"]),
        ("base", "cam", ["cam"]),
        ("cam", "cam", []),
    ],
)
def test_a_chain_has_the_edges_between_two_frames_and_no_others(a, b, expected):
    assert names(ROBOT.chain(a, b)) == expected


def test_frames_that_are_not_connected_have_no_chain():
    assert ROBOT.chain("map", "moon") is None
    assert tree(("a", "b", True), ("c", "d", True)).chain("b", "d") is None


def test_a_loop_does_not_hang():
    loop = tree(("a", "b", True), ("b", "a", True))
    assert loop.chain("a", "elsewhere") is None


def test_a_new_parent_makes_a_new_edge():
    made = FrameTree()
    edge = made.note("cam", "old", False, 0.0)
    made.note_stamp(edge, 5)
    made.note("cam", "new", False, 1.0)
    (now,) = made.chain("cam", "new")
    assert now.stamps_ns == []
    assert made.chain("cam", "old") is None


def test_stamps_are_sorted_and_forgotten_when_tf2_forgets_them():
    made = FrameTree()
    edge = made.note("base", "odom", False, 0.0)
    for stamp_ns in (30, 10, 20, 30, 10):
        made.note_stamp(edge, stamp_ns)
    assert edge.stamps_ns == [10, 20, 30]
    assert edge.newest_ns == 30
    made.note_stamp(edge, 15 + KEPT_NS)
    assert edge.stamps_ns == [20, 30, 15 + KEPT_NS]
    made.forget_stamps()
    assert edge.stamps_ns == []
    assert not edge.covers(1)


@pytest.mark.parametrize(
    ("stamp_ns", "gap_ns"), [(5, None), (10, 0), (15, 10), (25, 70), (90, 0), (91, None)]
)
def test_gaps(stamp_ns, gap_ns):
    made = FrameTree()
    edge = made.note("base", "odom", False, 0.0)
    for each in (10, 20, 90):
        made.note_stamp(edge, each)
    assert edge.gap_ns(stamp_ns) == gap_ns
    assert edge.covers(stamp_ns) == (stamp_ns <= 90)
