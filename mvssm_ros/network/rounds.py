"""Rounds: the decoder once more, from what it has found (ours; in the paper it runs once).

A limb that went astray on the way from a distant start pose often comes right from a near one.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .decoder import distinct, same_person
from .pss import LayerOutput

SURE = 0.6  # score


def further_rounds(
    decode: Callable[[Tensor], LayerOutput],
    found: LayerOutput,
    rounds: int,
    score_epsilon: float,
) -> LayerOutput:
    """What `rounds` more rounds make of the candidates found in one scene (B = 1).

    decode: start poses [1, N, J, 3] m -> the last layer's output. Of two people who touch, one may
    slide into the other: so somebody who scored `SURE` and has gone stays as before.
    """
    for _ in range(rounds):
        before = found.pick(distinct(found, score_epsilon)[None])
        if not before.poses_m.shape[1]:
            return before
        now = decode(before.poses_m)
        now = now.pick(distinct(now, score_epsilon)[None])
        there = same_person(now.poses_m[0], before.poses_m[0]).any(0)
        gone = (~there & (before.scores[0] >= SURE)).nonzero().squeeze(1)
        found = now.joined(before.pick(gone[None]))
    return found
