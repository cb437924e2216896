"""The synchroniser's stage of the benchmark: its rigs behave as they say. No time is asserted."""

from mvssm_ros.cli import main
from mvssm_ros.commands.benchmark_synchronizer import CASES, time_synchronizer


def test_every_case_gives_the_sets_its_clocks_allow():
    rows = {row["case"]: row for row in time_synchronizer(ticks=100)}
    assert list(rows) == [case.name for case in CASES]
    assert rows["clocks agree"]["sets"] == 100
    assert rows["all clocks disagree by seconds"]["sets"] == 0
    assert rows["all clocks disagree, compensated"]["sets"] >= 65  # after the first second
    assert rows["one camera silent"]["sets"] >= 95
    assert rows["seven cameras mute"]["sets"] == 100
    assert rows["ten different rates"]["sets"] > 100
    assert (
        rows["stalls"]["sets"] == rows["stalls, the last camera loses nine of ten"]["sets"] == 100
    )
    assert rows["stalls and losses, the clocks agree in pairs"]["sets"] > 400
    assert all(0 < row["p50_us"] <= row["p95_us"] <= row["max_us"] for row in rows.values())


def test_the_command_prints_the_synchronizer_alone(capsys):
    assert main(["benchmark", "--synchronizer"]) == 0
    shown = capsys.readouterr().out
    assert all(case.name in shown for case in CASES)
    assert "whole set" not in shown


def test_sets_wait_for_transport_alone_where_nothing_is_missing_and_no_longer_for_slow_cameras():
    rows = {row["case"]: row for row in time_synchronizer(ticks=400)}
    assert 0 < rows["clocks agree"]["wait_ms"] < 5  # the images arrive within 5 ms
    # A deadline is 100 ms: so long each set would wait if it did for the slow ones' next image.
    assert rows["two cameras at a sixth of the rate"]["wait_ms"] < 20
    assert rows["all clocks disagree by seconds"]["wait_ms"] is None
