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
    assert all(0 < row["p50_us"] <= row["p95_us"] <= row["max_us"] for row in rows.values())


def test_the_command_prints_the_synchronizer_alone(capsys):
    assert main(["benchmark", "--synchronizer"]) == 0
    shown = capsys.readouterr().out
    assert all(case.name in shown for case in CASES)
    assert "whole set" not in shown
