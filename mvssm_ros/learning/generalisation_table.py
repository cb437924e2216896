"""The table of the generalisation experiment: a row a variant, mean and spread over its seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from mvssm_ros.learning.generalisation import (
    REFERENCES,
    TRAINED_ON,
    VARIANTS,
    Arrangement,
    Evaluation,
    scenes_seen,
)
from mvssm_ros.learning.published import ABLATION, PAPER

Figures = dict[str, Any]
_NONE = "–"
_JOINT_FIGURES = ("mean_mm", "median_mm")
UNSEEN = "other Panoptic rigs"


def rows_of(evaluations: Mapping[str, Evaluation], rigs: Sequence[Arrangement]) -> list[Figures]:
    """A row a variant: variant, seeds, rigs {name: figures with spread}, cost, training, paper.

    Under rigs there is also `UNSEEN`, the mean over Panoptic's arrangements that were not trained on.
    Each figure is the mean over the seeds, spread half of the range between the least and the most.
    """
    rows = []
    for variant in (*VARIANTS, *REFERENCES):
        group = [one for one in evaluations.values() if one.subject.variant == variant]
        if not group:
            continue
        per_seed = [
            _with_unseen({rig.name: one.figures(rig) or {} for rig in rigs}) for one in group
        ]
        rows.append(
            {
                "variant": variant,
                "seeds": [one.subject.seed for one in group if one.subject.seed is not None],
                "rigs": {name: _over_seeds([p[name] for p in per_seed]) for name in per_seed[0]},
                "cost": next((one.content["cost"] for one in group if one.content["cost"]), None),
                "training": [
                    {
                        "seed": one.subject.seed,
                        "steps": one.subject.provenance.get("step"),
                        "scenes": scenes_seen(one.subject.provenance),
                        "hours": one.subject.provenance.get("hours"),
                        "weights_sha256": one.subject.weights_sha256,
                    }
                    for one in group
                    if one.subject.seed is not None
                ],
                "paper": _paper(variant),
            }
        )
    return rows


def _paper(variant: str) -> Figures | None:
    ablation = VARIANTS[variant].ablation if variant in VARIANTS else ""
    return {**ABLATION[ablation].figures, "source": ABLATION[ablation].source} if ablation else None


def _with_unseen(by_rig: dict[str, Figures]) -> dict[str, Figures]:
    unseen = [f for name, f in by_rig.items() if name.startswith("CMU") and name not in TRAINED_ON]
    return by_rig | {
        UNSEEN: {
            key: _mean([f.get(key) for f in unseen]) for key in ("AP25", "AP50", "mAP", "MPJPE_mm")
        }
    }


def _mean(values: Sequence[Any]) -> float | None:
    known = [float(v) for v in values if _is_known(v)]
    return sum(known) / len(known) if known else None


def _is_known(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _over_seeds(figures: Sequence[Figures]) -> Figures:
    """Means of every figure, under spread half of their ranges, and of the errors joint by joint."""
    out: Figures = {"spread": {}}
    for key in figures[0]:
        if key == "joints":
            continue
        values = [f.get(key) for f in figures]
        known = [float(v) for v in values if _is_known(v)]
        out[key] = _mean(values)
        out["spread"][key] = (max(known) - min(known)) / 2 if known else None
    joints = [f["joints"] for f in figures if f.get("joints")]
    if joints:
        out["joints"] = {
            joint: {key: _number([j[joint][key] for j in joints]) for key in _JOINT_FIGURES}
            for joint in joints[0]
        }
    return out


def _number(values: Sequence[Any]) -> float:
    mean = _mean(values)
    return math.nan if mean is None else mean


def markdown(rows: Sequence[Figures], rigs: Sequence[Arrangement]) -> str:
    """The compact table, cells "AP25 / MPJPE mm", and what its columns mean."""
    names = [*(rig.name for rig in rigs), UNSEEN]
    count = {rig.name: f" ({rig.cameras.n_views})" for rig in rigs}
    head = ["variant", "seeds", "steps", "scenes", "parameters M", "GFLOP", "ms", "MiB"]
    head += ["paper CMU0", *(name + count.get(name, "") for name in names)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cost, training = row["cost"] or {}, row["training"]
        cells = [
            row["variant"],
            ", ".join(map(str, row["seeds"])) or _NONE,
            _cell([run["steps"] for run in training], "{:.0f}"),
            _cell([run["scenes"] for run in training], "{:.0f}"),
            _cell([cost.get("parameters")], "{:.2f}", lambda v: v / 1e6),
            _cell([_total_gflop(cost)], "{:.2f}"),
            _cell([cost.get("ms_per_set")], "{:.0f}"),
            _cell([cost.get("peak_memory_mib")], "{:.0f}"),
            _pair(row["paper"] or {}, 0),
            *(_pair(row["rigs"].get(name, {}), len(row["seeds"])) for name in names),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_remarks()])


def _remarks() -> list[str]:
    return [
        "Cells of rigs (their numbers of cameras): AP25 / MPJPE mm, means over the seeds, ± half of the "
        "range between them; without ± there is one seed.",
        f"{UNSEEN}: mean over Panoptic's arrangements but for CMU0, and CMU0ex5, which is the same. "
        "Campus, Shelf: their cameras, the people and detections are synthetic as everywhere here.",
        "GFLOP: multiplications and additions a set of five views of products, convolutions and "
        "selective scans; ms: median a set, one thread; MiB: peak of a process of its own.",
        f"paper CMU0: {PAPER}, ablation on real images of Panoptic: to be compared by order, not size.",
    ]


def _total_gflop(cost: Mapping[str, Any]) -> float | None:
    parts = [cost.get("gflop_per_set"), cost.get("scan_gflop_per_set")]
    return sum(parts) if all(_is_known(p) for p in parts) else None  # type: ignore[arg-type]


def _cell(values: Sequence[Any], form: str, convert: Callable[[float], float] = float) -> str:
    """One number, or several where the seeds differ."""
    shown = dict.fromkeys(form.format(convert(v)) for v in values if _is_known(v))
    return ", ".join(shown) or _NONE


def _pair(figures: Mapping[str, Any], n_seeds: int) -> str:
    cells = []
    for key in ("AP25", "MPJPE_mm"):
        value, spread = figures.get(key), figures.get("spread", {}).get(key)
        if not _is_known(value):
            cells.append(_NONE)
        elif n_seeds > 1 and _is_known(spread):
            cells.append(f"{value:.1f} ± {spread:.1f}")
        else:
            cells.append(f"{value:.1f}")
    return " / ".join(cells) if cells != [_NONE, _NONE] else _NONE


def plot_rows(rows: Sequence[Figures], rigs: Sequence[Arrangement]) -> list[Figures]:
    """Rows for `plots`, with errors by joint for the rig trained on, the smallest and foreign ones."""
    with_joints = ("CMU0", "CMU0ex3", "campus", "shelf")
    made = []
    for row in rows:
        for rig in rigs:
            figures = row["rigs"].get(rig.name)
            if not figures:
                continue
            one = {
                "rigs": rig.name,
                "views": rig.cameras.n_views,
                "method": row["variant"],
                **figures,
            }
            if rig.name not in with_joints:
                one.pop("joints", None)
            if len(row["seeds"]) < 2:
                one.pop("spread", None)
            made.append(one)
    return made
