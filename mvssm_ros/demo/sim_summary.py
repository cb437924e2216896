"""One page of figures about the demo with a simulated rig."""

from __future__ import annotations

from mvssm_ros.demo.summary import Figures, outcome_lines, reprojection_lines, stages_lines
from mvssm_ros.demo.truth import FOUND_WITHIN_M, AgainstTruth


def sim_summary_markdown(
    numbers: Figures, truth: AgainstTruth, frontend: str, *, title: str, files: dict[str, str]
) -> str:
    """The page. ``files``: name -> what it is."""
    lines = [f"# {title}", "", *outcome_lines(numbers), "", *_truth_lines(truth, frontend), ""]
    lines += [*stages_lines(numbers), "", *reprojection_lines(numbers), ""]
    if numbers.warnings:
        lines += ["## Warnings of pose_node", "", *(f"- {text}" for text in numbers.warnings), ""]
    lines += ["## Files", "", *(f"- `{name}`: {what}" for name, what in files.items()), ""]
    return "\n".join(lines)


_READS_KEYPOINTS = (
    "keypoints with the simulated detector's noise: how good it is on real cameras depends on the"
    " real detector"
)
_READS_IMAGES = "rendered images, of the kind that the network was trained on: real ones are harder"


def _truth_lines(truth: AgainstTruth, frontend: str) -> list[str]:
    lines = [
        "## Against the ground truth",
        "",
        "The distance of each reported joint from where the simulated one is, at the same stamp. Of"
        f" {_READS_KEYPOINTS if frontend == 'keypoints' else _READS_IMAGES}.",
        "",
        f"- mean joint error: {truth.mean_mm:.1f} mm (median {truth.quantile_mm(0.5):.1f} mm, 90 %"
        f" within {truth.quantile_mm(0.9):.1f} mm)",
        f"- people who are nobody: {sum(truth.strangers.values())} (in {len(truth.strangers)} of"
        f" {truth.sets} sets)",
        f"- changes of id: {sum(person.switches for person in truth.people)}",
        "",
        "| person | found in sets | ids (sets) | changes of id | mean, mm | median, mm | 90 %, mm |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for person in truth.people:
        ids = ", ".join(f"{name} ({count})" for name, count in person.id_counts.items()) or "none"
        lines.append(
            f"| {person.name} | {len(person.sets)} of {truth.sets} | {ids} | {person.switches} |"
            f" {person.mean_mm:.1f} | {person.quantile_mm(0.5):.1f} | {person.quantile_mm(0.9):.1f} |"
        )
    lines += ["", f"Found: the joints are on average within {FOUND_WITHIN_M:g} m."]
    return lines
