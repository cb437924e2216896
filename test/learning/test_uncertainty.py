"""Measuring and fitting covariances, on errors whose covariance is known."""

import numpy as np
import pytest

from mvssm_ros.learning import uncertainty
from mvssm_ros.learning.held_out import held_out_scenes
from mvssm_ros.predictor import Predictor
from mvssm_ros.uncertainty import SHIPPED, CovarianceModel

MODEL = CovarianceModel(
    stretch=(1.5, 0.4, 0.2, 0.5, 0.3), spread=(-8.0, 0.8, -0.1, 1.0, 0.4), groups=(0, 0.2, 0.3, 0.5)
)


@pytest.fixture(scope="module")
def errors():
    """Errors of a network whose honest covariance is as MODEL says."""
    rng = np.random.default_rng(0)
    n = 3000
    frame = np.linalg.qr(rng.normal(size=(n, 15, 3, 3)))[0]
    axes = rng.uniform(1e-5, 4e-4, (n, 15, 3))
    covariance = np.einsum("njab,njb,njcb->njac", frame, axes, frame)
    confidence, views = rng.uniform(0.2, 0.99, (n, 15)), rng.integers(0, 7, (n, 15))
    honest = MODEL.honest(covariance, confidence, views)
    error = np.einsum("njab,njb->nja", np.linalg.cholesky(honest), rng.normal(size=(n, 15, 3)))
    return uncertainty.Errors(error, covariance, confidence, views)


def test_honest_covariances_are_chi_squared_and_too_small_ones_are_not(errors):
    honest = MODEL.honest(errors.covariance_m2, errors.joint_confidence, errors.n_views)
    error2 = uncertainty.normalised_error2(errors.error_m, honest)
    figures = uncertainty.against_chi2(error2)
    assert figures["mean"] == pytest.approx(1, abs=0.02)
    assert figures["median"] == pytest.approx(1, abs=0.02)
    assert figures["inside90"] == pytest.approx(0.9, abs=0.01)
    assert uncertainty.against_chi2(4 * error2)["mean"] == pytest.approx(4, abs=0.1)


def test_the_model_behind_the_errors_is_found(errors):
    found = uncertainty.fit(errors)
    honest = found.honest(errors.covariance_m2, errors.joint_confidence, errors.n_views)
    for row in uncertainty.rows(errors, honest, "fitted"):
        assert row["mean"] == pytest.approx(1, abs=0.1), row["joints"]
    np.testing.assert_allclose(found.groups, MODEL.groups, atol=0.05)
    np.testing.assert_allclose(found.spread[:2], MODEL.spread[:2], atol=0.2)


def test_the_table_has_groups_and_view_counts(errors):
    rows = uncertainty.rows(errors, errors.covariance_m2, "five views")
    table = uncertainty.markdown_table(rows)
    assert "wrists and ankles" in table
    assert "supported by 1 view |" in table
    assert table.count("\n") == len(rows) + 1


def test_a_predictor_with_a_model_is_refused():
    with pytest.raises(ValueError, match="covariance_model=None"):
        uncertainty.errors_of(Predictor.from_pretrained(), [])


@pytest.mark.slow
def test_the_shipped_networks_covariances_are_honest():
    predictor = Predictor.from_pretrained(covariance_model=None)
    errors = uncertainty.errors_of(predictor, held_out_scenes(25, 5, seed=7))
    honest = SHIPPED.honest(errors.covariance_m2, errors.joint_confidence, errors.n_views)
    before = uncertainty.against_chi2(
        uncertainty.normalised_error2(errors.error_m, errors.covariance_m2)
    )
    after = uncertainty.against_chi2(uncertainty.normalised_error2(errors.error_m, honest))
    assert before["inside90"] < 0.6
    assert 0.82 < after["inside90"] < 0.97
    assert 0.5 < after["mean"] < 1.6  # of some sixty people; the command measures more
