"""SynchronizerFilter where message_filters' ApproximateTimeSynchronizer would be."""

import sys

import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PointStamped
from std_msgs.msg import String

from mvssm_ros.nodes.synchronizer_filter import Input, SynchronizerFilter, _Filter

MS = 1_000_000
TOPICS = ("left/point", "middle/point", "right/point")


def point(tick, ahead_ms=0):
    """A message of a 20 Hz sensor; point.x is its tick."""
    ns = tick * 50 * MS + ahead_ms * MS
    message = PointStamped()
    message.header.stamp = Time(sec=1_700_000_000 + ns // 10**9, nanosec=ns % 10**9)
    message.point.x = float(tick)
    return message


def ticks(messages):
    return [None if message is None else message.point.x for message in messages]


def subscribers(world, source):
    if source == "message_filters":
        filters = pytest.importorskip("message_filters", reason="message_filters is not installed")
        return [filters.Subscriber(world.tester, PointStamped, topic) for topic in TOPICS]
    return [Input(world.tester, PointStamped, topic) for topic in TOPICS]


@pytest.mark.parametrize("source", ["plain subscriptions", "message_filters"])
def test_sets_come_through_the_middleware(world, source, monkeypatch):
    if source == "plain subscriptions":
        monkeypatch.setitem(sys.modules, "message_filters", None)
    heard = []
    filter_ = SynchronizerFilter(subscribers(world, source), 10, 0.012, deadline=1.0, min_cameras=2)
    filter_.registerCallback(lambda *given: heard.append(given), "an argument of mine")
    publishers = [world.publisher(PointStamped, topic) for topic in TOPICS]
    for tick in range(5):
        for number, publisher in enumerate(publishers):
            publisher.publish(point(tick, number))
        world.spin_until(lambda: len(heard) == tick + 1)  # noqa: B023
    for number in (0, 1):
        publishers[number].publish(point(5, number))  # the third is silent: the deadline's timer
    world.spin_until(lambda: len(heard) == 6)
    filter_.close()
    assert [ticks(given[:3]) for given in heard] == [
        *([float(tick)] * 3 for tick in range(5)),
        [5.0, 5.0, None],
    ]
    assert all(given[3:] == ("an argument of mine",) for given in heard)


def test_its_output_is_the_input_of_another_filter():
    sources = [_Filter(), _Filter()]
    inner = SynchronizerFilter(sources, 5, 0.01)
    heard = []
    inner.registerCallback(lambda *given: heard.append(ticks(given)))
    for tick in range(3):
        for source in sources:
            source.signalMessage(point(tick))
    assert heard == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


def test_all_sets_that_one_message_decides_leave_with_it(world):
    sources = [_Filter() for _ in range(5)]
    filter_ = SynchronizerFilter(sources, 10, 0.01, deadline=10.0, min_cameras=4, node=world.tester)
    heard = []
    filter_.registerCallback(lambda *given: heard.append(ticks(given)))
    for tick in range(10):
        for source in sources[:4]:
            source.signalMessage(point(tick))
    assert heard == []
    sources[4].signalMessage(point(10))  # the first of an input that was silent
    filter_.close()
    assert heard == [[float(tick)] * 4 + [None] for tick in range(10)]


def test_by_default_all_inputs_must_be_there_and_what_is_missing_is_counted():
    sources = [_Filter(), _Filter()]
    filter_ = SynchronizerFilter(sources, 5, 0.01, deadline=10.0)
    heard = []
    filter_.registerCallback(lambda *given: heard.append(ticks(given)))
    sources[0].signalMessage(point(0))
    sources[0].signalMessage(point(1))
    sources[1].signalMessage(point(2))
    sources[0].signalMessage(point(2))
    assert heard == [[2.0, 2.0]]
    assert filter_.synchronizer.drops == {"out_of_slop": 2}


def test_a_callback_that_raises_does_not_stop_the_next_set():
    sources = [_Filter(), _Filter()]
    filter_ = SynchronizerFilter(sources, 5, 0.01, deadline=10.0)
    heard = []

    def callback(*given):
        heard.append(ticks(given))
        raise RuntimeError("mine")

    filter_.registerCallback(callback)
    for tick in range(2):
        sources[0].signalMessage(point(tick))
        with pytest.raises(RuntimeError, match="mine"):
            sources[1].signalMessage(point(tick))
    assert heard == [[0.0, 0.0], [1.0, 1.0]]


def test_inputs_can_be_replaced():
    old, new = [_Filter(), _Filter()], [_Filter(), _Filter(), _Filter()]
    filter_ = SynchronizerFilter(old, 5, 0.01, deadline=10.0)
    heard = []
    filter_.registerCallback(lambda *given: heard.append(ticks(given)))
    filter_.connectInput(new)
    for source in old:
        source.signalMessage(point(0))
    assert heard == []
    for source in new:
        source.signalMessage(point(1))
    assert heard == [[1.0, 1.0, 1.0]]


def test_headerless_messages_are_ignored_unless_they_are_allowed():
    for allowed, expected in ((False, 0), (True, 1)):
        sources = [_Filter(), _Filter()]
        filter_ = SynchronizerFilter(sources, 5, 0.5, allowed, deadline=10.0)
        heard = []
        filter_.registerCallback(lambda *given: heard.append(given))  # noqa: B023
        for source in sources:
            source.signalMessage(String(data="no header"))
        assert len(heard) == expected
