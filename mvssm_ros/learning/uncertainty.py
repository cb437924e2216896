"""How honest covariances are: errors squared over what the covariance says, against chi-squared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment, minimize

from mvssm_ros.geometry.ellipsoids import sigmas
from mvssm_ros.learning.evaluation import Scene
from mvssm_ros.predictor import Predictor
from mvssm_ros.rig.rig_file import Space
from mvssm_ros.uncertainty import GROUP_OF_JOINT, GROUPS, CovarianceModel

FOUND_WITHIN_M = 0.5
LEVELS = (0.5, 0.9, 0.95)
_PRIOR = 1e-3  # keeps the factors of rare cases near one


@dataclass(frozen=True)
class Errors:
    """N people who were found, joint by joint.

    error_m [N, J, 3]; covariance_m2 [N, J, 3, 3] as the network gives it; joint_confidence,
    n_views [N, J].
    """

    error_m: np.ndarray
    covariance_m2: np.ndarray
    joint_confidence: np.ndarray
    n_views: np.ndarray


def errors_of(predictor: Predictor, scenes: Iterable[Scene]) -> Errors:
    """Errors on scenes of a predictor without a covariance model: its covariances as they come."""
    if predictor.covariance_model is not None:
        raise ValueError("give a predictor with covariance_model=None")
    found = []
    for scene in scenes:
        centre, size = scene.space_center_m.tolist(), scene.space_size_m.tolist()
        space = Space((centre[0], centre[1]), (size[0], size[1]), 0.0)
        people = predictor.predict_keypoints(scene.cameras, scene.keypoints_px, space)
        error = people.joints_m[:, None] - scene.truth_m[None]  # [P, G, J, 3]
        distance = np.linalg.norm(error, axis=-1).mean(-1)
        p, g = linear_sum_assignment(np.minimum(distance, 10.0))
        near = distance[p, g] < FOUND_WITHIN_M
        p, g = p[near], g[near]
        found.append(
            (
                error[p, g],
                people.covariance_m2[p].astype(np.float64),
                people.joint_confidence[p].astype(np.float64),
                people.view_used[p].sum(-1),
            )
        )
    return Errors(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def concatenate(parts: Sequence[Errors]) -> Errors:
    """The errors of several sets of scenes as one."""
    names = ("error_m", "covariance_m2", "joint_confidence", "n_views")
    return Errors(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def normalised_error2(error_m: np.ndarray, covariance_m2: np.ndarray) -> np.ndarray:
    """e^T S^-1 e, [...]: chi-squared of three degrees of freedom where S is honest."""
    return np.asarray(
        (error_m * np.linalg.solve(covariance_m2, error_m[..., None])[..., 0]).sum(-1)
    )


def against_chi2(error2: np.ndarray) -> dict[str, float]:
    """median and mean as parts of chi-squared's (1 is honest, more is too sure), and the shares of
    the errors inside the ellipsoids of `LEVELS` ("inside50", ...)."""
    e = np.asarray(error2)[np.isfinite(error2)]
    if not len(e):
        return {"n": 0, "median": math.nan, "mean": math.nan}
    figures = {
        "n": len(e),
        "median": float(np.median(e) / sigmas(0.5) ** 2),
        "mean": float(e.mean() / 3),
    }
    for level in LEVELS:
        figures[f"inside{100 * level:.0f}"] = float((e < sigmas(level) ** 2).mean())
    return figures


def fit(errors: Errors) -> CovarianceModel:
    """The model under which these errors, taken as Gaussian, are likeliest."""
    axes_m2, frames = np.linalg.eigh(errors.covariance_m2)
    along2 = np.einsum("nja,njab->njb", errors.error_m, frames) ** 2  # in the ellipsoid's axes

    def cost(x: np.ndarray) -> float:
        stretch, spread = _model(x).factors(errors.joint_confidence, errors.n_views)
        variance = stretch[..., None] * axes_m2 + spread[..., None]
        surprise = (along2 / variance + np.log(variance)).sum(-1).mean()
        return float(surprise + _PRIOR * (x[[2, 3, 4, 7, 8, 9, 10, 11, 12]] ** 2).sum())

    start = np.array([3.0, 0.8, 0, 0, 0, -7.0, 0.8, 0, 0, 0, 0, 0, 0])
    best = minimize(cost, start, method="L-BFGS-B").x
    return _model(np.round(best, 3))


def _model(x: np.ndarray) -> CovarianceModel:
    a = x.tolist()
    return CovarianceModel(
        (a[0], a[1], a[2], a[3], a[4]), (a[5], a[6], a[7], a[8], a[9]), (0.0, a[10], a[11], a[12])
    )


def rows(errors: Errors, covariance_m2: np.ndarray, name: str) -> list[dict]:
    """Figures over all joints, by group and by number of views."""
    error2 = normalised_error2(errors.error_m, covariance_m2)
    out = [{"name": name, "joints": "all", **against_chi2(error2)}]
    for g, group in enumerate(GROUPS):
        out.append({"name": name, "joints": group, **against_chi2(error2[:, GROUP_OF_JOINT == g])})
    for n in np.unique(errors.n_views):
        label = f"supported by {n} view{'' if n == 1 else 's'}"
        out.append({"name": name, "joints": label, **against_chi2(error2[errors.n_views == n])})
    return out


def markdown_table(rows: Sequence[dict]) -> str:
    """Rows of `rows` as a Markdown table."""
    head = ["scenes", "joints", "number", "median / chi2's", "mean / chi2's"]
    head += [f"inside {100 * level:.0f} %" for level in LEVELS]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for r in rows:
        cells = [r["name"], r["joints"], str(r["n"]), f"{r['median']:.2f}", f"{r['mean']:.2f}"]
        cells += [f"{100 * r.get(f'inside{100 * level:.0f}', math.nan):.1f} %" for level in LEVELS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
