"""What a record says: slopes, growth, verdicts. The records are made up; the figures are not."""

import math

import numpy as np
import pytest

from mvssm_ros.soak.figures import figures
from mvssm_ros.soak.plot import plot_soak
from mvssm_ros.soak.record import (
    INCOMPLETE,
    Record,
    Sample,
    Span,
    Wrong,
    distances_m,
    write_samples,
)
from mvssm_ros.soak.report import report


def record_of(seconds=1200, memory=lambda t: 400.0, handles=lambda t: 18, threads=lambda t: 18):
    """A run with a fault of ten seconds in every minute, and latency that rises 6 ms an hour."""
    record = Record(0, seconds / 60, ("a", "b"), 5.0, 0.5)
    for begin_s in range(30, seconds - 20, 60):
        record.spans.append(Span("silent", "a", begin_s, begin_s + 10.0, 1.5))
    rng = np.random.default_rng(0)
    for t in range(seconds):
        during = record.faults_at(t)
        noise = rng.normal()
        latency_ms = 100.0 + t / 600.0 + 0.1 * noise + (500.0 if during else 0.0)
        record.samples.append(
            Sample(t, memory(t) + noise, threads(t), handles(t), 5, latency_ms, 0, during, 50.0, 1)
        )
    record.answers = record.whole_answers = 5 * seconds
    record.people = 10 * seconds
    return record


def texts(numbers, good):
    return [verdict.text for verdict in numbers.verdicts if verdict.good is good]


def test_nothing_grows():
    numbers = figures(record_of())
    assert numbers.good
    assert texts(numbers, None) == []
    assert numbers.memory_mib.slope_h == pytest.approx(0.0, abs=2.0)
    assert numbers.latency_ms.slope_h == pytest.approx(6.0, abs=0.5)
    assert numbers.rate_hz == 5


def test_memory_that_grows_after_the_warm_up():
    numbers = figures(record_of(memory=lambda t: 400 + 30 * t / 3600))
    assert not numbers.good
    (line,) = texts(numbers, False)
    assert line.startswith("memory grew: +")
    assert numbers.memory_mib.slope_h == pytest.approx(30, abs=2)


def test_memory_of_the_warm_up_is_no_growth():
    assert figures(record_of(memory=lambda t: 400 + 100 * (1 - math.exp(-t / 60)))).good


@pytest.mark.parametrize("what", ["handles", "threads"])
def test_handles_and_threads_that_grow(what):
    numbers = figures(record_of(**{what: lambda t: 18 + t // 100}))
    (line,) = texts(numbers, False)
    assert line.startswith(f"{what} grew: +6")


def test_more_handles_during_a_fault_are_no_growth():
    numbers = figures(record_of(handles=lambda t: 30 if t > 600 and 30 <= t % 60 <= 40 else 18))
    assert numbers.good


def test_a_short_run_says_nothing_of_growth():
    numbers = figures(record_of(seconds=120, memory=lambda t: 400 + t))
    assert numbers.good
    assert len(texts(numbers, None)) == 3
    assert numbers.memory_mib is None


def test_wrong_skeletons_count_only_without_faults():
    record = record_of()
    record.wrong.append(Wrong(35.0, "p0001", 0.7, 12, 2, False, record.faults_at(35.0)))
    record.wrong.append(Wrong(42.0, "p0001", 0.7, 12, 2, False, record.faults_at(42.0)))
    assert [wrong.faults for wrong in record.wrong] == ["silent (a)", "after silent (a)"]
    record.wrong.append(Wrong(51.0, "p0003", 0.31, 9, 2, False, INCOMPLETE))
    assert figures(record).good
    assert "0 without a fault, 1 during one, 1 in the" in report(record, figures(record))
    record.wrong.append(Wrong(50.0, "p0002", 0.7, 12, 2, False, record.faults_at(50.0)))
    record.wrong.append(Wrong(50.2, "p0002", 0.7, 12, 2, True, record.faults_at(50.2)))
    assert figures(record).good  # a tentative one does not count, and the network may err once
    record.wrong.append(Wrong(50.4, "p0002", 0.7, 12, 2, True, record.faults_at(50.4)))
    (line,) = texts(figures(record), False)
    assert "2 of 12000 skeletons" in line


def test_memory_that_moves_in_steps_is_judged_by_its_level():
    steps = figures(record_of(memory=lambda t: 436 if 600 <= t < 800 else 450))
    assert steps.memory_mib.slope_h > 20
    assert steps.good


def test_death_trouble_and_faults_without_recovery_are_bad():
    record = record_of()
    record.died = "exit code -11"
    record.troubles.append("transition 'activate': the answer was no")
    record.spans[3].recovery_s = math.nan
    bad = texts(figures(record), False)
    assert any("exit code -11" in line for line in bad)
    assert any("transition 'activate'" in line for line in bad)
    assert any("silent (a)" in line for line in bad)


def test_report_plot_and_samples(tmp_path):
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("matplotlib")
    record = record_of()
    record.wrong.append(Wrong(35.0, "p0001", 0.71, 12, 2, False, "silent (a)"))
    numbers = figures(record)
    page = report(record, numbers)
    assert "## PASSED" in page
    assert f"| silent | {len(record.spans)} | {len(record.spans)} | 1.5 | 1.5 | 1 |" in page
    assert "| 35 | p0001 | tentative | 0.71 | 12 | 2 | silent (a) |" in page
    for verdict in numbers.verdicts:
        assert verdict.text in page
    plot_soak(record, numbers, tmp_path / "plot.png")
    assert cv2.imread(str(tmp_path / "plot.png")).std() > 5
    write_samples(record.samples, tmp_path / "samples.csv")
    lines = (tmp_path / "samples.csv").read_text().splitlines()
    assert len(lines) == 1 + len(record.samples)
    assert lines[0].startswith("at_s,memory_mib,threads,handles,")


def test_distance_is_the_mean_over_observed_joints():
    truth_m = np.zeros((2, 15, 3), np.float32)
    truth_m[1, :, 0] = 1.0
    joints_m = np.full((15, 3), np.nan)
    joints_m[:4] = [0.1, 0.0, 0.0]
    joints_m[3] = [9.0, 0.0, 0.0]
    observed = np.arange(15) < 3
    assert distances_m(joints_m, observed, truth_m) == pytest.approx([0.1, 0.9])
    nobody = np.zeros(15, bool)
    assert distances_m(joints_m, nobody, truth_m)[0] == pytest.approx((0.3 + 9.0) / 4)
    assert np.isinf(distances_m(np.full((15, 3), np.nan), nobody, truth_m)).all()
