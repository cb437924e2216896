"""What a refinement found, in words."""

from __future__ import annotations

from mvssm_ros.rig.checks import REFERENCE_SIDE_PX
from mvssm_ros.rig.refine import Refinement, Settings

_POOR_PX = 8.0  # held-out error, at a long side of 960 px, that no detector alone makes


def error(refined: Refinement) -> str:
    """The held-out reprojection error before and after."""
    return f"{refined.before_px:.2f} -> {refined.after_px:.2f} px"


def table(refined: Refinement, settings: Settings) -> list[str]:
    """What became of each camera, line by line."""
    (used, held), (people, people_held) = refined.n_frames, refined.n_people
    then = "; then adjusted to all" if refined.improved else ""
    width = max(6, *(len(camera.name) for camera in refined.cameras))
    head = f"{'camera':{width}}  held-out px    turned   moved   uncertain by"
    head += "       principal point" if settings.principal_points else ""
    head += "      late" if settings.time_offsets else ""
    lines = [
        f"learnt from {used} frames ({people} times a person in two views or more), checked with"
        f" {held} others ({people_held}){then}",
        head,
    ]
    for camera in refined.cameras:
        if not camera.refined:
            lines.append(f"{camera.name:{width}}  as given: it sees too few people with the others")
            continue
        line = (
            f"{camera.name:{width}}  {camera.before_px:5.1f} -> {camera.after_px:4.1f}"
            f"  {camera.turned_deg:5.2f} deg  {camera.moved_m:.3f} m"
            f"  {camera.sigma_deg:.2f} deg, {camera.sigma_m:.3f} m"
        )
        if settings.principal_points:
            x, y = camera.principal_point_shift_px
            line += f"  ({x:+6.1f}, {y:+6.1f}) px"
        if settings.time_offsets:
            line += f"  {1000 * camera.late_s:+6.1f} ms"
        lines.append(line)
    unseen = [name for name in refined.rig.cameras if name not in {c.name for c in refined.cameras}]
    lines += [f"{name:{width}}  as given: not in the keypoints" for name in unseen]
    poor = [
        c.name
        for c in refined.cameras
        if c.refined and _at_960(c.after_px, refined, c.name) > _POOR_PX
    ]
    if poor:
        lines.append(
            f"{', '.join(poor)}: still far off. Refining mends a few degrees and centimetres: have two"
            " cameras been exchanged, or does a rotation map camera to world?"
        )
    unsure = [camera.name for camera in refined.cameras if camera.unsure]
    if unsure:
        lines.append(
            f"{', '.join(unsure)}: remain uncertain; let people walk longer and over more of the"
            " space, or say with --rough-deg and --rough-m how well the cameras were known"
        )
    lines.append(
        f"place, heading and size of the whole rig: as given (similarity onto the given cameras,"
        f" scale {refined.scale:.4f})"
    )
    return lines


def _at_960(error_px: float, refined: Refinement, name: str) -> float:
    size_px = refined.rig.cameras[name].size_px or (REFERENCE_SIDE_PX, 1)
    return error_px * REFERENCE_SIDE_PX / max(size_px)


def comment(refined: Refinement, settings: Settings) -> str:
    """What the head of the new rig file says."""
    lines = [
        "Refined from people who walked about (mvssm rig refine): held-out reprojection error",
        f"{error(refined)} (median).",
    ]
    if settings.time_offsets:
        late = ", ".join(f"{c.name} {1000 * c.late_s:+.1f} ms" for c in refined.cameras)
        lines.append(f"Images are taken after their stamps by (all but a common delay): {late};")
        lines.append("this file does not correct it.")
    return "\n".join(lines)
