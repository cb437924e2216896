"""`mvssm evaluate --tracking` and `--covariance`: tables of real runs, and mistakes told in a line."""

import json

import pytest

from mvssm_ros.cli import main


@pytest.mark.slow
def test_a_small_crowd_is_followed_and_the_figures_written(tmp_path, capsys):
    pytest.importorskip("motmetrics")
    out = tmp_path / "figures.json"
    words = ["evaluate", "--tracking", "--people", "2", "--seconds", "2", "--json", str(out)]
    assert main([*words, "--start-from-tracks"]) == 0
    said = capsys.readouterr().out
    figures = json.loads(out.read_text())
    by_name = {row["tracker"]: row for row in figures["crowds"]}
    started = by_name.pop("kalman, network starts from it")
    assert by_name.keys() == {"none", "one_euro", "kalman", "nearest pose"}
    assert started["mpjpe_mm"] != by_name["kalman"]["mpjpe_mm"]
    assert started["missed"] <= by_name["kalman"]["missed"] + 5
    assert started["network_ms"] > 0
    assert by_name["kalman"]["switches"] == 0
    delays = {(d["filter"], d["rate_hz"]): d["trunk_ms"] for d in figures["delays"]}
    assert abs(delays["none", 30.0]) < 5
    assert abs(delays["kalman", 30.0]) < 30
    assert delays["one_euro", 10.0] > 5
    for name in by_name:
        assert f"| 2 | {name} |" in said


@pytest.mark.slow
def test_covariances_before_and_after(tmp_path, capsys):
    out = tmp_path / "figures.json"
    words = ["evaluate", "--covariance", "--views", "5", "--scenes", "12", "--json", str(out)]
    assert main(words) == 0
    rows = json.loads(out.read_text())["rows"]
    before, after = (next(r for r in rows if word in r["name"]) for word in ("network", "calib"))
    assert before["joints"] == after["joints"] == "all"
    assert before["inside90"] < after["inside90"] - 0.2
    assert "| 5 views, calibrated | all |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--tracking", "--people", "many"], "--people 'many'"),
        (["--tracking", "--people", "0"], "at least 1"),
        (["--tracking", "--seconds", "0"], "--seconds is 0"),
        (["--covariance", "--views", "1"], "at least 2 views"),
        (["--covariance", "--scenes", "0"], "--scenes is 0"),
    ],
)
def test_mistakes_are_told_in_a_line(words, expected, capsys):
    assert main(["evaluate", *words]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
