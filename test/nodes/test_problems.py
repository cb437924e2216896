"""A problem is told when it begins and when it ends, and not all the time in between."""

import pytest

from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.stage_times import StageTimes


class Log:
    """Takes down what is logged."""

    def __init__(self):
        self.lines = []

    def error(self, text):
        self.lines.append(("error", text))

    def warning(self, text):
        self.lines.append(("warning", text))

    def info(self, text):
        self.lines.append(("info", text))


class Clock:
    """Seconds, as the test wants them."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def camera(log, clock):
    return Problems("camera 'cam1'", log, clock)


OVER = ("info", "camera 'cam1': image problem is over")


def test_it_is_told_once_and_its_end_too(camera, log):
    for _ in range(100):
        camera.report("image", "camera 'cam1': too dark")
    assert camera.has("image")
    assert camera.message == "camera 'cam1': too dark"
    camera.over("image")
    camera.over("image")
    assert not camera.has("image")
    assert camera.message == ""
    assert log.lines == [("warning", "camera 'cam1': too dark"), OVER]


def test_it_is_told_again_when_it_comes_back(camera, log):
    camera.report("image", "dark")
    camera.over("image")
    camera.report("image", "dark again")
    assert log.lines == [("warning", "dark"), OVER, ("warning", "dark again")]


def test_while_it_lasts_it_is_told_once_a_minute(camera, log, clock):
    for _ in range(150):
        camera.report("image", "dark")
        clock.now_s += 1.0
    assert log.lines == [("warning", "dark")] * 3


def test_what_comes_and_goes_every_second_is_told_once_a_minute(camera, log, clock):
    for _ in range(150):  # five minutes
        camera.report("image", "dark")
        clock.now_s += 1.0
        camera.over("image")
        assert not camera.has("image")
        clock.now_s += 1.0
    assert log.lines[:6] == [("warning", "dark"), OVER] * 3
    flaps = log.lines[6:]
    assert flaps[0] == ("warning", "dark (coming and going: 4 times in the last minute)")
    assert flaps[1:] == [
        ("warning", "dark (coming and going: 30 times in the last minute)"),
    ] * (len(flaps) - 1)
    assert len(flaps) == 5


def test_the_end_of_coming_and_going_is_told_when_it_was_quiet_for_a_minute(camera, log, clock):
    for _ in range(10):
        camera.report("image", "dark")
        camera.over("image")
        clock.now_s += 1.0
    told = len(log.lines)
    for _ in range(120):
        camera.over("image")
        clock.now_s += 1.0
    assert log.lines[told:] == [OVER]
    camera.report("image", "dark")
    assert log.lines[-1] == ("warning", "dark")


def test_coming_and_going_that_stays_is_told_as_what_it_is(camera, log, clock):
    for _ in range(10):
        camera.report("image", "dark")
        camera.over("image")
        clock.now_s += 1.0
    told = len(log.lines)
    for _ in range(130):
        camera.report("image", "dark")
        clock.now_s += 1.0
    camera.over("image")
    assert log.lines[told:] == [
        ("warning", "dark (coming and going: 7 times in the last minute)"),
        ("warning", "dark"),
        OVER,
    ]


def test_what_is_over_at_once_is_told_once_a_minute_when_it_happens_all_the_time(
    camera, log, clock
):
    for _ in range(60):  # two minutes
        camera.happened("time", "time was set back")
        assert camera.message == ""
        clock.now_s += 2.0
    texts = [text for _, text in log.lines]
    assert texts[:3] == ["time was set back"] * 3
    assert texts[3] == "time was set back (coming and going: 4 times in the last minute)"
    assert len(texts) == 5


def test_details_are_logged_at_the_beginning_only_and_are_not_in_the_message(camera, log, clock):
    camera.report("image", "dark", details="Traceback\n  of it", serious=True)
    clock.now_s += 61.0
    camera.report("image", "dark", details="Traceback\n  of it", serious=True)
    assert log.lines == [("error", "dark\nTraceback\n  of it"), ("error", "dark")]
    assert camera.message == "dark"


def test_two_kinds_are_two_problems(camera):
    camera.report("image", "dark")
    camera.report("qos", "deaf")
    assert camera.message == "dark | deaf"
    assert camera.texts == ["dark", "deaf"]


def test_stage_times_are_percentiles_of_the_recent_sets():
    times = StageTimes()
    assert times.percentiles() == {}
    for ms in range(2000):
        times.add({"network": float(ms)})
    times.add({"draw": 7.0})
    p50, p95 = times.percentiles()["network"]
    assert 1490 < p50 < 1510  # of the last thousand
    assert 1940 < p95 < 1960
    assert times.percentiles()["draw"] == (7.0, 7.0)
