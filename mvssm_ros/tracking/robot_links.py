"""Parts of a robot to which distances are measured, as a user writes them down."""

from __future__ import annotations

from dataclasses import dataclass

from mvssm_ros.errors import UserError


@dataclass(frozen=True)
class Link:
    """A capsule between the origins of two frames; a sphere where they are the same."""

    text: str
    first: str
    second: str
    radius_m: float


def parse_link(text: str) -> Link:
    """`frame`, `frame:frame2`, each with `@radius in m` behind (default 0).

    Raises:
        UserError: anything else.
    """
    frames, _, radius = text.partition("@")
    names = [name.strip() for name in frames.split(":")]
    try:
        radius_m = float(radius) if radius else 0.0
    except ValueError:
        radius_m = -1.0
    named = all(name and len(name.split()) == 1 and name[0] != "/" for name in names)
    if len(names) > 2 or not named or not 0 <= radius_m < 100:
        raise UserError(
            f"feeds.min_distance.links has '{text}'; expected FRAME or FRAME:FRAME, and @RADIUS in m"
            " if it is thicker than a line, e.g. 'forearm_link:wrist_1_link@0.08'"
        )
    return Link(text, names[0], names[-1], radius_m)
