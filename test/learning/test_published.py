"""What is quoted from papers: consistent with what the paper says of itself, and with a source."""

import pytest

from mvssm_ros.learning.published import ABLATION, COMPARISONS, comparison
from mvssm_ros.network.config import ABLATIONS


def figure(name: str, method: str, key: str) -> float:
    return next(row.figures[key] for row in comparison(name) if row.method == method)


def test_differences_are_those_of_the_papers_abstract():
    three = figure("CMU0ex3", "MV-SSM (paper)", "AP25") - figure("CMU0ex3", "MVGFormer", "AP25")
    assert three == pytest.approx(10.8)
    campus = figure("campus", "MV-SSM (paper)", "actor1") - figure("campus", "MVGFormer", "actor1")
    assert campus == pytest.approx(15.3)


def test_the_ablation_has_our_switches_and_agrees_with_the_comparison():
    assert set(ABLATION) == set(ABLATIONS)
    assert ABLATION["full"].figures == comparison("CMU0")[-1].figures
    # The paper's network without Mamba is MVGFormer.
    assert ABLATION["no_mamba"].figures == comparison("CMU0")[-2].figures


def test_all_have_a_source_and_sensible_figures():
    rows = [row for table in COMPARISONS.values() for row in table] + list(ABLATION.values())
    for row in rows:
        assert "arXiv 2509.00649" in row.source
        assert row.figures
        assert all(0 < value <= 100 for value in row.figures.values())


def test_names_of_arrangements():
    assert comparison("CMU0ex(3)") == comparison("CMU0ex3") != ()
    assert comparison("CMU0ex5") == comparison("CMU0")
    assert comparison("CMU1") == comparison("shelf") == ()
