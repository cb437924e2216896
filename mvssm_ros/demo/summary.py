"""One page of figures about a run of the demo."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mvssm_ros.demo.comparison import FOUND_WITHIN_M, SAME_PLACE_M, Comparison, is_bystander
from mvssm_ros.demo.recording import Recording
from mvssm_ros.geometry.skeletons import SKELETONS

_MIRROR = SKELETONS["panoptic15"].mirror
_SET_DROPS = {
    "sets_dropped_no_quorum": "too few cameras in time",
    "sets_dropped_overwritten": "overtaken by a newer set (machine too slow for the rate)",
    "sets_dropped_unusable": "too few usable images",
    "sets_failed": "inference failed",
}
_IMAGE_DROPS = "images_dropped_"
_STAGES = ("read", "detect", "draw", "backbone", "network", "finish", "publish", "total")


@dataclass(frozen=True)
class Figures:
    """What came out of one run. Times in ms, errors in raw px."""

    sets_sent: int
    sets_answered: int
    sets_with_people: int
    people: int  # person-sets
    sets_by_id: dict[str, int]  # in how many sets each id was seen
    copies: dict[str, str]  # id -> the id it stands in the same place as
    bystanders: set[str]  # ids of the woman at the back
    drops: dict[str, int]  # by reason, in words; sets
    image_drops: dict[str, int]  # by reason; single images
    stages_ms: dict[str, tuple[float, float]]  # p50, p95
    reprojection_px: dict[str, float]
    limit_px: dict[str, float]
    warnings: list[str] = field(default_factory=list)

    @property
    def main_id(self) -> str:
        """The id seen in most sets; "" if nobody was seen."""
        return max(self.sets_by_id, key=lambda k: self.sets_by_id[k], default="")

    @property
    def high_cameras(self) -> list[str]:
        """Cameras whose reprojection error is above the limit."""
        return [
            name
            for name, error_px in self.reprojection_px.items()
            if error_px > self.limit_px.get(name, np.inf)
        ]


def figures(
    recording: Recording, limit_px: dict[str, float], warnings: Sequence[str] = ()
) -> Figures:
    """Count and time a recording. ``limit_px``: reprojection limit of each camera, raw px."""
    seen: Counter[str] = Counter(p.id for answer in recording.answers for p in answer.seen)
    counts = recording.counts
    return Figures(
        sets_sent=len(recording.sent),
        sets_answered=len(recording.answers),
        sets_with_people=sum(bool(answer.seen) for answer in recording.answers),
        people=sum(seen.values()),
        sets_by_id=dict(sorted(seen.items())),
        copies=_copies(recording),
        bystanders={p.id for answer in recording.answers for p in answer.seen if is_bystander(p)},
        drops={words: int(counts[key]) for key, words in _SET_DROPS.items() if counts.get(key)},
        image_drops={
            key.removeprefix(_IMAGE_DROPS): int(value)
            for key, value in counts.items()
            if key.startswith(_IMAGE_DROPS) and value
        },
        stages_ms={
            stage: (counts[f"{stage}_p50_ms"], counts[f"{stage}_p95_ms"])
            for stage in _STAGES
            if f"{stage}_p50_ms" in counts
        },
        reprojection_px=recording.reprojection_px,
        limit_px=limit_px,
        warnings=list(dict.fromkeys(warnings)),  # each once
    )


def _copies(recording: Recording) -> dict[str, str]:
    """Ids that stand where a better-scoring person of the same set stands, in most of their sets."""
    inside: dict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    for answer in recording.answers:
        ranked = sorted(answer.seen, key=lambda p: -p.confidence)
        for i, person in enumerate(ranked):
            total[person.id] += 1
            for better in ranked[:i]:
                if _gap_m(person.joints_m, better.joints_m) < SAME_PLACE_M:
                    inside[person.id][better.id] += 1
                    break
    return {
        person_id: hosts.most_common(1)[0][0]
        for person_id, hosts in inside.items()
        if sum(hosts.values()) > total[person_id] / 2
    }


def _gap_m(a: np.ndarray, b: np.ndarray) -> float:
    """Mean joint distance, left and right taken either way round, whichever is less."""
    plain = np.linalg.norm(a - b, axis=-1)
    mirrored = np.linalg.norm(a[_MIRROR] - b, axis=-1)
    known = np.isfinite(plain) & np.isfinite(mirrored)
    return float(min(plain[known].mean(), mirrored[known].mean())) if known.any() else np.inf


def summary_markdown(
    numbers: Figures, comparison: Comparison | None, *, title: str, files: dict[str, str]
) -> str:
    """The page. ``files``: name -> what it is."""
    lines = [f"# {title}", "", *outcome_lines(numbers), "", *_people(numbers), ""]
    if comparison is not None:
        lines += [*_comparison(comparison), ""]
    lines += [*stages_lines(numbers), "", *reprojection_lines(numbers), ""]
    if numbers.warnings:
        lines += ["## Warnings of pose_node", "", *(f"- {text}" for text in numbers.warnings), ""]
    lines += ["## Files", "", *(f"- `{name}`: {what}" for name, what in files.items()), ""]
    return "\n".join(lines)


def outcome_lines(numbers: Figures) -> list[str]:
    """Sets in, sets answered, and what became of the rest."""
    dropped = numbers.sets_sent - numbers.sets_answered
    lines = [
        f"- sets of images in: {numbers.sets_sent}",
        f"- sets answered: {numbers.sets_answered}, of which {numbers.sets_with_people} with people",
        f"- people out: {numbers.people} (one person in one set counts once)",
        f"- sets without an answer: {dropped}",
    ]
    lines += [f"  - {reason}: {count}" for reason, count in numbers.drops.items()]
    if numbers.image_drops:
        each = ", ".join(f"{reason} {count}" for reason, count in numbers.image_drops.items())
        lines.append(f"- single images dropped: {each}")
    return lines


def _people(numbers: Figures) -> list[str]:
    lines = ["## People", "", "| id | sets | |", "| --- | ---: | --- |"]
    for person_id, sets in numbers.sets_by_id.items():
        note = ""
        if person_id == numbers.main_id:
            note = "seen most"
        elif person_id in numbers.copies:
            host = numbers.copies[person_id]
            note = f"false: a second pose of {host}, in the same place"
        elif person_id in numbers.bystanders:
            note = "real: the masked bystander at the back"
        lines.append(f"| {person_id} | {sets} | {note} |")
    if not numbers.bystanders:
        lines += [
            "",
            "The masked bystander at the back, whom cam01 and cam02 see, is real. She stands outside"
            " the rig's space and is not reported.",
        ]
    return lines


def _comparison(comparison: Comparison) -> list[str]:
    return [
        "## Against the pseudo ground truth",
        "",
        "Triangulated, cleaned BlazePose: the same person, place and pose, not an accuracy to"
        " publish.",
        "",
        f"- the man is found in {comparison.found_sets} of {comparison.compared_sets} sets"
        f" (mean joint distance within {1000 * FOUND_WITHIN_M:.0f} mm)",
        f"- joint distance over valid joints and sets: median {comparison.quantile_mm(0.5):.1f} mm,"
        f" 90 % within {comparison.quantile_mm(0.9):.1f} mm",
        f"- people beside him: {comparison.false_person_sets} person-sets, the longest stands for"
        f" {comparison.longest_false_sets} sets in a row",
    ]


def stages_lines(numbers: Figures) -> list[str]:
    """How long each stage took."""
    lines = ["## Time per set", "", "| stage | p50, ms | p95, ms |", "| --- | ---: | ---: |"]
    lines += [f"| {s} | {p50:.1f} | {p95:.1f} |" for s, (p50, p95) in numbers.stages_ms.items()]
    return lines


def reprojection_lines(numbers: Figures) -> list[str]:
    """How well the answers fit the keypoints of each camera; nothing where there are no keypoints."""
    if not np.isfinite(list(numbers.reprojection_px.values())).any():
        return []
    lines = [
        "## Reprojection error",
        "",
        "Median distance between the joints of the 2D detector and the reprojected 3D joints, in"
        " pixels of the raw image.",
        "",
        "| camera | px | limit, px |",
        "| --- | ---: | ---: |",
    ]
    for name, error_px in numbers.reprojection_px.items():
        lines.append(f"| {name} | {error_px:.1f} | {numbers.limit_px.get(name, np.nan):.1f} |")
    if numbers.high_cameras:
        which = ", ".join(numbers.high_cameras)
        lines += [
            "",
            f"WARNING: the reprojection error of {which} is high: the calibration of the rig does"
            " not fit its images.",
        ]
    return lines
