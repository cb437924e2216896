"""RigSynchronizer with cameras of different rates: nobody waits for an image that cannot come."""

import pytest
from synchronizers import MS, PERIOD, make

from mvssm_ros.rig.stamp_forecast import StampForecast
from mvssm_ros.rig.synchronizer import LATE, OUT_OF_SLOP, STALE_PERIODS

SLOW = 6  # c sends every sixth tick
KNOWN = 12 * SLOW  # ticks after which c's rate is known
FAR = 1_000_000 * MS


class Film:
    """a and b send at every tick and arrive 1 and 2 ms later, c sends at some and arrives 10 ms
    later; kept is when the set of each tick left. Items are the ticks."""

    def __init__(self, **settings):
        self.now = 0
        self.sync, self.sets, self.resets = make(
            **{"deadline_ns": 100 * MS, "queue_size": 10} | settings
        )
        self.left = {}  # by tick: (how long after it began, cameras)

    def play(self, first, last, c_sends, c_ahead=lambda tick: 0, fast="ab", c_late=10 * MS):
        for tick in range(first, last):
            arrivals = {(1 + n) * MS: (camera, 0) for n, camera in enumerate(fast)}
            if c_sends(tick):
                arrivals[c_late] = ("c", c_ahead(tick))
            for late in range(0, PERIOD, MS):
                if late in arrivals:
                    camera, ahead = arrivals[late]
                    self.add(camera, tick, tick * PERIOD + ahead, tick * PERIOD + late)
                self.sync.expire(tick * PERIOD + late)
                self.look(tick * PERIOD + late)
        return self

    def add(self, camera, tick, stamp_ns, now_ns):
        self.sync.add(camera, stamp_ns, tick, now_ns)
        while self.sync.catch_up():
            pass
        self.look(now_ns)

    def look(self, now_ns):
        for image_set in self.sets[len(self.left) :]:
            [tick] = set(image_set.items.values())  # never two ticks in a set
            assert tick not in self.left
            self.left[tick] = (now_ns - tick * PERIOD, image_set.cameras)


def every(ticks, phase=0):
    return lambda tick: tick % ticks == phase


def test_a_set_does_not_wait_for_a_slow_camera_between_its_images_and_does_at_them():
    film = Film().play(0, KNOWN + 60, every(SLOW))
    for tick in range(KNOWN, KNOWN + 60):
        if tick % SLOW:
            assert film.left[tick] == (2 * MS, ["a", "b"])  # when b had come
        else:
            assert film.left[tick] == (10 * MS, ["a", "b", "c"])
    assert film.sync.drops == {
        LATE: 1
    }  # c's second: with one image it was stale by the others' rate


def test_until_its_rate_is_known_a_slow_camera_is_waited_for():
    film = Film().play(0, 3 * SLOW, every(SLOW))
    assert film.left[SLOW + 1] == (101 * MS, ["a", "b"])  # a came at 1 ms


def test_a_lost_image_of_a_slow_camera_costs_one_deadline():
    film = Film().play(0, KNOWN + 60, lambda tick: tick % SLOW == 0 and tick != KNOWN + SLOW)
    assert film.left[KNOWN + SLOW] == (101 * MS, ["a", "b"])
    waited = [t for t in range(KNOWN, KNOWN + 60) if t % SLOW and film.left[t][0] > 3 * MS]
    assert waited == [KNOWN + SLOW + 1, KNOWN + SLOW + 2]  # they leave as soon as it has left
    assert film.left[KNOWN + 2 * SLOW] == (10 * MS, ["a", "b", "c"])


def test_a_camera_of_an_odd_rate_is_waited_for_where_it_may_fall_into_the_window():
    """c at 25 Hz among 33 ms: its 40 ms steps fall within the slop of some ticks only."""
    sync, sets, _ = make(deadline_ns=100 * MS, queue_size=10)
    left = {}
    for ms in range(10_000):
        if ms % 33 == 0:
            for camera in "ab":
                sync.add(camera, ms * MS, ms, ms * MS)
        if ms % 40 == 5:
            sync.add("c", (ms - 5) * MS, ms - 5, ms * MS)
        for image_set in sets[len(left) :]:
            left[image_set.items["a"]] = (ms, image_set.items.get("c"))
    for tick in range(2_000 // 33, 9_900 // 33):
        stamp = 33 * tick
        nearest = 40 * ((stamp + 20) // 40)
        when, c = left[stamp]
        if abs(nearest - stamp) > 10:  # c's next is known to be out of the slop
            assert c is None
            assert when - stamp <= 5  # c's image before this tick may still be on its way
        else:
            assert c == nearest
            assert when == max(stamp, nearest + 5)


def test_a_slow_camera_that_becomes_fast_loses_no_more_than_a_few_images_and_all_are_counted():
    film = Film().play(0, KNOWN, every(SLOW)).play(KNOWN, KNOWN + 60, every(1))
    c = film.sync.timing["c"]
    assert 0 < c.drops[LATE] <= 2
    assert c.received == c.used + c.drops[LATE]
    for tick in range(KNOWN + 3, KNOWN + 60):
        assert film.left[tick] == (10 * MS, ["a", "b", "c"])


def test_a_fast_camera_that_becomes_slow_is_waited_for_until_its_rate_is_known():
    film = Film().play(0, 40, every(1)).play(40, 40 + 40 * SLOW, every(SLOW, 40 % SLOW))
    assert film.left[41] == (101 * MS, ["a", "b"])
    for tick in range(40 + 32 * SLOW, 40 + 40 * SLOW):
        expected = (10 * MS, ["a", "b", "c"]) if tick % SLOW == 40 % SLOW else (2 * MS, ["a", "b"])
        assert film.left[tick] == expected
    assert film.sync.timing["c"].drops == {LATE: 1}  # the first: c was stale by its old rate


def test_a_slow_camera_that_jitters_within_the_slop_is_waited_for():
    film = Film().play(
        0, KNOWN + 120, every(SLOW), c_ahead=lambda tick: (tick // SLOW * 7 % 17 - 8) * MS
    )
    assert film.sync.timing["c"].used == film.sync.timing["c"].received - 1  # its second
    assert film.left[KNOWN + 1] == (2 * MS, ["a", "b"])


def test_a_slow_camera_whose_phase_jumps_joins_no_wrong_set_and_is_waited_for_again():
    """A trigger that restarts: every step is right but one."""
    film = Film().play(0, KNOWN, every(SLOW)).play(KNOWN, KNOWN + 60, every(SLOW, 3))
    c = film.sync.timing["c"]
    assert c.drops == {LATE: 2}  # its second ever, and the first at an unforeseen tick
    assert c.received == c.used + 2
    for tick in range(KNOWN + SLOW, KNOWN + 60):
        assert film.left[tick][1] == (["a", "b", "c"] if tick % SLOW == 3 else ["a", "b"])


def test_a_slow_camera_that_falls_silent_is_stale_after_its_own_periods_and_rejoins():
    film = Film().play(0, KNOWN, every(SLOW)).play(KNOWN, KNOWN + 60, lambda tick: False)
    waited = [tick for tick in range(KNOWN, KNOWN + 60, SLOW) if film.left[tick][0] > 3 * MS]
    assert waited == [KNOWN + SLOW * n for n in range(STALE_PERIODS)]
    film.play(KNOWN + 60, KNOWN + 61, every(1), c_late=0)  # before the others
    assert film.left[KNOWN + 60] == (2 * MS, ["a", "b", "c"])
    film.play(KNOWN + 61, KNOWN + 67, every(SLOW))
    assert film.left[KNOWN + 66] == (10 * MS, ["a", "b", "c"])  # it is waited for again


def test_forecasts_are_forgotten_when_time_is_set_back():
    film = Film().play(1000, 1000 + KNOWN, every(SLOW)).play(0, 10, every(1))
    assert film.resets == [1]
    assert [film.left[tick] for tick in range(10)] == [(10 * MS, ["a", "b", "c"])] * 10


def test_a_set_too_small_waits_for_cameras_that_are_not_foreseen():
    film = Film(min_cameras=3).play(0, KNOWN, every(SLOW))
    first = KNOWN + 1
    film.add("a", first, first * PERIOD, first * PERIOD)
    film.add("b", first, first * PERIOD, first * PERIOD)
    assert first not in film.left
    film.add("c", first, first * PERIOD, first * PERIOD)
    assert film.left[first] == (0, ["a", "b", "c"])


@pytest.mark.parametrize("offset_ns", [3_000 * MS, -3_000 * MS])
def test_the_forecast_is_on_the_rigs_clock_where_clocks_are_compensated(offset_ns):
    film = Film(compensate=True).play(0, 180, every(SLOW), c_ahead=lambda tick: offset_ns + 9 * MS)
    for tick in range(120, 180):
        if tick % SLOW:
            assert film.left[tick] == (2 * MS, ["a", "b"])
        else:
            assert film.left[tick] == (10 * MS, ["a", "b", "c"])


def test_an_image_that_may_make_a_larger_set_a_little_later_is_waited_for():
    """c and d are out of a's slop, but in that of b, which is in a's."""
    sync, sets, _ = make("abcd", deadline_ns=100 * MS)
    for tick in range(40):
        for camera, ms in {"a": 0, "b": 8, "c": 14, "d": 15}.items():
            sync.add(camera, tick * PERIOD + ms * MS, tick, tick * PERIOD + ms * MS)
    assert [s.cameras for s in sets] == [["b", "c", "d"]] * 40
    assert sync.timing["a"].drops == {OUT_OF_SLOP: 40}


def forecast_of(stamps_ms):
    forecast = StampForecast()
    for stamp in stamps_ms:
        forecast.note(FAR + stamp * MS)
    return lambda from_ms, to_ms: forecast.may_come(FAR + from_ms * MS, FAR + to_ms * MS)


def test_a_forecast_needs_ten_steps_and_has_gaps_between_whole_periods():
    assert forecast_of([])(0, 1)
    assert forecast_of(range(0, 1000, 100))(940, 960)  # nine steps
    may_come = forecast_of(range(0, 1100, 100))  # the last at 1000
    assert not may_come(1001, 1099)
    assert may_come(1099, 1100)
    assert may_come(1100, 1101)
    assert not may_come(1101, 1199)
    assert may_come(1150, 1250)
    assert not may_come(900, 1000)  # its newest has come


def test_a_forecast_allows_for_twice_the_jitter_the_more_the_further_it_looks():
    may_come = forecast_of([100 * n + (2 if n % 5 == 0 else 0) for n in range(11)])  # last 1002
    # steps from 98 to 102; the upper quartile is 100: 96..104 is allowed for
    assert not may_come(1003, 1097)
    assert may_come(1003, 1098)
    assert may_come(1106, 1110)
    assert not may_come(1107, 1193)
    assert may_come(1107, 1194)


@pytest.mark.parametrize(
    "stamps",
    [
        [100 * n for n in range(40) if n % 3],  # a third lost
        [100 * (n // 2) for n in range(40)],  # each twice
        [100 * (n ^ 1) for n in range(40)],  # in disorder
    ],
)
def test_nothing_is_forecast_of_a_camera_that_loses_repeats_or_disorders(stamps):
    assert forecast_of(stamps)(4001, 4002)


def test_a_forecast_forgets_how_a_camera_was_thirty_images_ago():
    may_come = forecast_of([33 * n for n in range(30)] + [957 + 200 * n for n in range(1, 31)])
    assert not may_come(6960, 7150)  # the last at 6957
    assert may_come(6960, 7157)
