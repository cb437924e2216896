"""CameraQueues: its heads are the fronts of its queues in order, whatever comes and goes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mvssm_ros.rig.camera_queues import CameraQueues, Waiting

CAMERAS = "abcd"
cameras, stamps = st.sampled_from(CAMERAS), st.integers(0, 30)
steps = st.one_of(
    st.tuples(st.just("push"), cameras, stamps),
    st.tuples(st.just("pop"), cameras, st.none()),
    st.tuples(st.just("pop_each"), st.frozensets(cameras), st.none()),
    st.tuples(st.just("cut"), cameras, stamps),
)


@given(st.lists(steps, max_size=60), st.integers(0, 15))
@settings(derandomize=True, database=None, deadline=None)
def test_queues_are_as_sorted_lists_would_be(steps, slop_ns):
    queues, expected = CameraQueues(CAMERAS), {name: [] for name in CAMERAS}
    for what, who, stamp_ns in steps:
        if what == "push":
            pushed = queues.push(who, Waiting(stamp_ns, 0, None))
            assert pushed == (stamp_ns not in expected[who])
            expected[who] = sorted({*expected[who], stamp_ns})
        elif what == "pop" and expected[who]:
            assert queues.pop(who).stamp_ns == expected[who].pop(0)
        elif what == "pop_each" and all(expected[name] for name in who):
            popped = queues.pop_each(who)
            assert [(n, w.stamp_ns) for n, w in popped.items()] == [
                (name, expected[name].pop(0)) for name in CAMERAS if name in who
            ]
        elif what == "cut":
            kept = [stamp for stamp in expected[who] if stamp <= stamp_ns]
            assert queues.cut(who, stamp_ns) == len(expected[who]) - len(kept)
            expected[who] = kept
        for name in CAMERAS:
            assert [waiting.stamp_ns for waiting in queues[name]] == expected[name]
        heads = sorted((queue[0], name) for name, queue in expected.items() if queue)
        assert queues.heads == heads
        assert queues.empty == {name for name, queue in expected.items() if not queue}

        def within(first, heads=heads):
            return [head for head in heads[first:] if head[0] <= heads[first][0] + slop_ns]

        window = queues.window(slop_ns)
        assert window == (within(0) if heads else [])
        larger = any(len(within(i)) > len(window) for i in range(1, len(window)))
        assert queues.has_larger_window(slop_ns, len(window)) == larger
