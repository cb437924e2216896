"""RigSynchronizer under arbitrary interleaving, loss, delay, duplicates, jitter and jumps of stamps."""

import os
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvssm_ros.rig.synchronizer import FLUSHED, NO_QUORUM, RigSynchronizer

MS = 1_000_000
PERIOD = 33 * MS
START = 1_700_000_000_000_000_000
QUICK = settings(
    max_examples=int(os.environ.get("MVSSM_EXAMPLES", "150")),  # many, to look for bugs
    derandomize=True,
    database=None,
    deadline=None,  # no timed assertions: CI's machines are slow
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Watched:
    """A synchroniser whose every step is checked; items are (camera, tick, number)."""

    def __init__(self, cameras, **given):
        self.sets, self.resets, self.delivered = [], 0, Counter()
        self.n_added, self.last = 0, None
        self.sync = RigSynchronizer(
            cameras, on_set=self._take_set, on_reset=self._take_reset, **given
        )

    def add(self, camera, stamp_ns, tick, now_ns):
        self.n_added += 1
        self.sync.add(camera, stamp_ns, (camera, tick, self.n_added), now_ns)
        self.check_accounts()

    def expire(self, now_ns):
        self.sync.expire(now_ns)
        self.check_accounts()

    def _take_set(self, image_set):
        stamps = image_set.stamps_ns.values()
        assert image_set.spread_ns <= self.sync.slop_ns
        assert len(image_set.items) >= self.sync.min_cameras
        assert all(item[0] == camera for camera, item in image_set.items.items())
        assert image_set.cameras == [c for c in self.sync.cameras if c in image_set.items]
        assert self.last is None or min(stamps) > self.last
        self.last = max(stamps)
        for item in image_set.items.values():
            self.delivered[item] += 1
        self.sets.append(image_set)

    def _take_reset(self):
        self.resets += 1
        self.last = None

    def check_accounts(self):
        """Every image is used, waits, or is counted once; nothing is delivered twice."""
        timing = self.sync.timing
        assert sum(t.received for t in timing.values()) == self.n_added
        for camera, t in timing.items():
            waiting = self.sync.waiting(camera)
            assert waiting <= self.sync.queue_size
            assert t.received == t.used + waiting + sum(t.drops.values())
        assert sum(t.used for t in timing.values()) == self.delivered.total()
        assert all(count == 1 for count in self.delivered.values())
        images = sum((t.drops for t in timing.values()), Counter())
        del images[NO_QUORUM]  # counted in images by camera, in sets by the rig
        assert images == Counter({k: v for k, v in self.sync.drops.items() if k != NO_QUORUM})


@st.composite
def rigs(draw):
    """Names and settings; the slop is under half a period."""
    count = draw(st.integers(2, 6))
    return "abcdef"[:count], {
        "slop_ns": draw(st.integers(0, PERIOD // 2 - 1)),
        "deadline_ns": draw(st.integers(1, 5 * PERIOD)),
        "min_cameras": draw(st.integers(1, count)),
        "queue_size": draw(st.integers(1, 8)),
        "compensate": draw(st.booleans()),
    }


@given(
    rigs(),
    st.lists(
        st.tuples(
            st.integers(0, 5),  # camera
            st.one_of(st.integers(-400, 400), st.sampled_from([-(10**6), -600, 10**6])),  # ms
            st.integers(0, 60),  # ms until it is handed over
            st.booleans(),  # expire after it
        ),
        max_size=80,
    ),
    st.lists(st.integers(-3000, 3000), max_size=2),  # ms that the clock itself jumps by
)
@QUICK
def test_whatever_the_stamps_and_the_clock_do_the_accounts_are_right(rig, events, jumps):
    cameras, given_settings = rig
    watched = Watched(cameras, **given_settings)
    now = START
    for number, (index, ahead_ms, wait_ms, expire) in enumerate(events):
        now += wait_ms * MS
        if number % 20 == 19 and jumps:
            now += jumps[number // 20 % len(jumps)] * MS
        watched.add(cameras[index % len(cameras)], now + ahead_ms * MS, number, now)
        if expire:
            watched.expire(now)
    watched.sync.flush()
    watched.check_accounts()
    assert not any(watched.sync.waiting(camera) for camera in cameras)
    assert watched.sync.next_deadline_ns is None


@st.composite
def films(draw):
    """Arrivals (now, camera, stamp, tick) of a rig that jitters, loses, delays and repeats."""
    cameras, given_settings = draw(rigs())
    given_settings["compensate"] = False
    jitter = draw(st.integers(0, (PERIOD - given_settings["slop_ns"]) // 2 - 1))
    most_late = draw(st.integers(0, 4 * PERIOD))
    arrivals = []
    for tick in range(draw(st.integers(1, 20))):
        for camera in cameras:
            if draw(st.integers(0, 9)) == 0:
                continue
            stamp = START + tick * PERIOD + draw(st.integers(-jitter, jitter))
            for _ in range(1 + (draw(st.integers(0, 19)) == 0)):
                arrival = stamp + 2 * jitter + draw(st.integers(0, most_late))
                arrivals.append((arrival, camera, stamp, tick))
    return cameras, given_settings, jitter, sorted(arrivals)


def play(film):
    """The checks that hold for every film: no set mixes ticks; a tick may come out twice only
    where its images may be further apart than the slop."""
    cameras, given_settings, jitter, arrivals = film
    watched = Watched(cameras, **given_settings)
    for now, camera, stamp, tick in arrivals:
        watched.add(camera, stamp, tick, now)
        watched.expire(now)
    watched.expire(START + 10_000 * MS)
    assert watched.resets == 0
    assert watched.sync.drops[FLUSHED] == 0
    assert not any(watched.sync.waiting(camera) for camera in cameras)
    ticks = []
    for image_set in watched.sets:
        [tick] = {tick for _, tick, _ in image_set.items.values()}
        ticks.append(tick)
    if 2 * jitter <= watched.sync.slop_ns:
        assert len(set(ticks)) == len(ticks)
    return watched


@given(films())
@QUICK
def test_ticks_are_never_mixed_and_none_comes_out_twice(film):
    play(film)


@st.composite
def films_of_rates(draw):
    """Cameras that send every so many ticks, at a rate that changes once; they jitter and lose."""
    cameras, given_settings = draw(rigs())
    given_settings |= {"compensate": False, "queue_size": 20}
    jitter = draw(st.integers(0, (PERIOD - given_settings["slop_ns"]) // 2 - 1))
    most_late = draw(st.integers(0, 2 * PERIOD))
    random = draw(st.randoms(use_true_random=False))
    arrivals = []
    for camera in cameras:
        rates = [(draw(st.sampled_from([1, 1, 2, 3, 6])), draw(st.integers(0, 5))) for _ in "12"]
        changes, lost = draw(st.integers(0, 80)), draw(st.sampled_from([0, 0, 0.1, 0.5]))
        for tick in range(80):
            every, phase = rates[tick >= changes]
            if tick % every == phase % every and random.random() >= lost:
                stamp = START + tick * PERIOD + random.randint(-jitter, jitter)
                arrivals.append(
                    (stamp + 2 * jitter + random.randint(0, most_late), camera, stamp, tick)
                )
    return cameras, given_settings, jitter, sorted(arrivals)


@given(films_of_rates())
@QUICK
def test_ticks_are_never_mixed_though_forecasts_are_wrong(film):
    play(film)


@given(rigs(), st.randoms(use_true_random=False), st.data())
@QUICK
def test_a_slow_camera_is_in_every_set_of_its_ticks(rig, random, data):
    """Nothing lost, nothing later than the deadline, jitter within the slop, the rates constant:
    each tick is one set of all that sent, though sets do not wait for those that do not."""
    cameras, given_settings = rig
    given_settings |= {"compensate": False, "queue_size": 50, "deadline_ns": 3 * PERIOD}
    given_settings["min_cameras"] = 1
    rates = {camera: data.draw(st.sampled_from([1, 2, 3, 6])) for camera in cameras}
    rates["a"] = 1
    slop, most_late = given_settings["slop_ns"], data.draw(st.integers(0, PERIOD))
    arrivals, last = [], {}
    for tick in range(80):
        for camera in cameras:
            if tick % rates[camera] == 0:
                stamp = START + tick * PERIOD + random.randint(0, slop)
                arrival = START + tick * PERIOD + slop + random.randint(0, most_late)
                last[camera] = max(arrival, last.get(camera, 0))  # they do not overtake each other
                arrivals.append((last[camera], camera, stamp, tick))
    watched = Watched(cameras, **given_settings)
    for now, camera, stamp, tick in sorted(arrivals, key=lambda arrival: (arrival[0], arrival[2])):
        watched.add(camera, stamp, tick, now)
        watched.expire(now)
    watched.expire(START + 90 * PERIOD)  # the last tick may still be waited for
    by_tick = {}
    for image_set in watched.sets:
        [tick] = {tick for _, tick, _ in image_set.items.values()}
        by_tick.setdefault(tick, []).append(image_set.cameras)
    for tick in range(20, 80):  # before, a camera's second image may be late: its rate was unknown
        assert by_tick[tick] == [[c for c in cameras if tick % rates[c] == 0]]


@given(rigs(), st.data())
@QUICK
def test_whoever_is_in_time_and_within_the_slop_is_in_a_whole_set(rig, data):
    """Nothing lost, nothing later than the deadline: every tick is one set of all cameras."""
    cameras, given_settings = rig
    given_settings |= {"compensate": False, "queue_size": 20}
    slop, deadline = given_settings["slop_ns"], given_settings["deadline_ns"]
    arrivals, last = [], {}
    for tick in range(10):
        for camera in cameras:
            stamp = START + tick * PERIOD + data.draw(st.integers(0, slop))
            arrival = START + tick * PERIOD + slop + data.draw(st.integers(0, deadline - 1))
            last[camera] = max(arrival, last.get(camera, 0))  # they do not overtake each other
            arrivals.append((last[camera], camera, stamp, tick))
    watched = Watched(cameras, **given_settings)
    for now, camera, stamp, tick in sorted(arrivals, key=lambda arrival: (arrival[0], arrival[2])):
        watched.add(camera, stamp, tick, now)
        watched.expire(now)
    assert [len(image_set.items) for image_set in watched.sets] == [len(cameras)] * 10
    assert not watched.sync.drops


@given(st.integers(600, 100_000), st.integers(0, 30), st.integers(0, 2))
@QUICK
def test_when_time_is_set_back_all_is_forgotten_and_sets_go_on(back_ms, tick_of_jump, first):
    watched = Watched("abc", slop_ns=12 * MS, deadline_ns=100 * MS, min_cameras=2, queue_size=5)
    order = "abc"[first:] + "abc"[:first]
    for tick in range(60):
        back = back_ms * MS if tick >= tick_of_jump else 0
        for camera in order:
            watched.add(camera, START + tick * PERIOD - back, tick, START + tick * PERIOD)
    assert watched.resets == (tick_of_jump > 0)
    assert len(watched.sets) == 60
