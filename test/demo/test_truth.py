"""The comparison with the simulated people tells who was found, as whom, and how near."""

import numpy as np
import pytest

from mvssm_ros.demo.sim_summary import sim_summary_markdown
from mvssm_ros.demo.summary import Figures
from mvssm_ros.demo.truth import against_truth
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator


@pytest.fixture
def simulator():
    return Simulator(load_scenario("crossing"), seed=1)


def test_right_answers_have_no_error(simulator, answer, person):
    answers = [
        answer(
            f,
            person("p0002", joints_m=simulator.moment(f).joints_m[1]),
            person("p0001", joints_m=simulator.moment(f).joints_m[0]),
        )
        for f in range(5)
    ]
    truth = against_truth(answers, simulator)
    assert [p.name for p in truth.people] == ["anna", "ben"]
    assert [p.id_counts for p in truth.people] == [{"p0001": 5}, {"p0002": 5}]
    assert truth.mean_mm == pytest.approx(0.0)
    assert truth.strangers == {}
    assert [p.switches for p in truth.people] == [0, 0]


def test_errors_switches_strangers_and_who_is_missed(simulator, answer, person):
    shift = np.array([0.03, 0.0, 0.04])  # 50 mm
    anna = [simulator.moment(f).joints_m[0] for f in range(4)]
    half = anna[3].copy()
    half[5] = np.nan
    answers = [
        answer(0, person("p0001", joints_m=anna[0] + shift)),
        answer(1, person("p0003", joints_m=anna[1]), person("p0009", at=(9.0, 9.0))),
        answer(2, person("p0003", joints_m=anna[2], state=2)),  # remembered, not seen
        answer(3, person("p0003", joints_m=half)),
        answer(-1, person("p0001")),  # no set that was sent
    ]
    truth = against_truth(answers, simulator)
    found, missed = truth.people
    assert truth.sets == 4
    assert found.sets.tolist() == [0, 1, 3]
    assert found.id_counts == {"p0001": 1, "p0003": 2}
    assert found.switches == 1
    assert found.mean_mm == pytest.approx(50.0 * 15 / 44)
    assert found.quantile_mm(0.99) == pytest.approx(50.0)
    assert len(missed.sets) == 0
    assert np.isnan(missed.mean_mm)
    assert truth.strangers == {1: 1}


def test_the_page_says_so(simulator, answer, person):
    answers = [answer(0, person("p0001", joints_m=simulator.moment(0).joints_m[0] + 0.01))]
    numbers = Figures(1, 1, 1, 1, {"p0001": 1}, {}, set(), {}, {}, {}, {}, {})
    truth = against_truth(answers, simulator)
    page = sim_summary_markdown(
        numbers, truth, "keypoints", title="t", files={"plot.png": "a plot"}
    )
    assert "mean joint error: 17.3 mm" in page
    assert "| anna | 1 of 1 | p0001 (1) | 0 | 17.3 | 17.3 | 17.3 |" in page
    assert "| ben | 0 of 1 | none | 0 | nan | nan | nan |" in page
    assert "changes of id: 0" in page
    assert "`plot.png`: a plot" in page
