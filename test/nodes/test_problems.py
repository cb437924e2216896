"""A problem is told when it begins and when it ends, and not all the time in between."""

from mvssm_ros.nodes import problems
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.stage_times import StageTimes


class Log:
    """Takes down what is logged."""

    def __init__(self):
        self.lines = []

    def warning(self, text):
        self.lines.append(("warning", text))

    def info(self, text):
        self.lines.append(("info", text))


def test_it_is_told_once_and_its_end_too():
    log = Log()
    camera = Problems("camera 'cam1'", log)
    for _ in range(100):
        camera.report("image", "camera 'cam1': too dark")
    assert camera.has("image")
    assert camera.message == "camera 'cam1': too dark"
    camera.over("image")
    camera.over("image")
    assert not camera.has("image")
    assert camera.message == ""
    assert log.lines == [
        ("warning", "camera 'cam1': too dark"),
        ("info", "camera 'cam1': image problem is over"),
    ]


def test_it_is_told_again_when_it_comes_back_and_while_it_lasts(monkeypatch):
    log = Log()
    camera = Problems("camera 'cam1'", log)
    camera.report("image", "dark")
    camera.over("image")
    camera.report("image", "dark again")
    monkeypatch.setattr(problems, "_REMIND_AFTER_S", 0.0)
    camera.report("image", "still dark")
    assert [text for level, text in log.lines if level == "warning"] == [
        "dark",
        "dark again",
        "still dark",
    ]


def test_two_kinds_are_two_problems():
    camera = Problems("camera 'cam1'", Log())
    camera.report("image", "dark")
    camera.report("qos", "deaf")
    assert camera.message == "dark | deaf"


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
