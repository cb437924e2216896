"""Which candidate answers for which person (MODEL: the K nearest candidates of each person)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_NOBODY_M = 1e3  # distance to a padded person


class Match(NamedTuple):
    """person [B, M] long: the person nearest to each candidate; distance_m [B, M] to it (mean over
    joints); positive [B, M] bool: the candidate is to become that person."""

    person: Tensor
    distance_m: Tensor
    positive: Tensor


def pose_distances(poses_m: Tensor, truth_m: Tensor, valid: Tensor) -> Tensor:
    """Mean distance of candidates [B, M, J, 3] to people [B, G, J, 3] over the joints that are known
    (not NaN) of the people: [B, M, G] m."""
    known = known_joints(truth_m)  # [B, G, J]
    gap = (poses_m.unsqueeze(2) - truth_m.nan_to_num().unsqueeze(1)).norm(dim=-1)  # [B, M, G, J]
    count = known.sum(-1).clamp(min=1)
    mean = (gap * known.unsqueeze(1)).sum(-1) / count.unsqueeze(1)
    return mean.masked_fill(~(valid & known.any(-1)).unsqueeze(1), _NOBODY_M)


def known_joints(truth_m: Tensor) -> Tensor:
    """Which joints [..., J, 3] the ground truth has, [..., J] bool."""
    return ~truth_m.isnan().any(-1)


def match_nearest(
    poses_m: Tensor, truth_m: Tensor, valid: Tensor, *, k: int = 5, reach_m: float = 1.0
) -> Match:
    """Each person takes its k nearest candidates within `reach_m`, and its nearest wherever it is.

    A candidate wanted by several people goes to the nearest of them.
    """
    distance = pose_distances(poses_m, truth_m, valid)
    nearest, person = distance.min(-1)  # [B, M]
    k = min(k, distance.shape[1])
    best = distance.topk(k, dim=1, largest=False)  # over candidates: [B, k, G]
    wanted = best.values < reach_m
    wanted[:, 0] = True
    wanted = wanted & valid.unsqueeze(1)
    taken = torch.zeros_like(distance, dtype=torch.bool).scatter(1, best.indices, wanted)
    positive = taken.gather(2, person.unsqueeze(-1)).squeeze(-1)
    return Match(person, nearest, positive)


def survivors(
    out_poses_m: Tensor, scores: Tensor, truth_m: Tensor, valid: Tensor, count: int
) -> Tensor:
    """Training's hierarchical tokens: the 3 best candidates of each person, then the hardest rest.

    Keeping the highest-scored negatives where they are teaches late layers to reject near misses.
    """
    match = match_nearest(out_poses_m, truth_m, valid, k=3)
    rank = scores + 10.0 * match.positive
    return rank.topk(min(count, scores.shape[1]), dim=1).indices
