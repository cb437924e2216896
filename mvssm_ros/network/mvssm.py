"""MV-SSM (Chharia et al., CVPR 2025): multi-view, multi-person 3D pose with state space models."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mvssm_ros.geometry.cameras import Cameras

from .candidates import grid_size, start_poses
from .config import MVSSMConfig
from .decoder import Decoder, Selection, distinct
from .pss import LayerOutput
from .pyramid import FeaturePyramid
from .rounds import further_rounds


@dataclass(frozen=True)
class Detections3D:
    """The people of one scene, best first.

    poses_m [P, J, 3], covariance_m2 [P, J, 3, 3], scores [P], joint_scores [P, J] 0..1,
    confidence [P, T, J] weights of the triangulation (0 where a view does not see the joint).
    """

    poses_m: Tensor
    covariance_m2: Tensor
    scores: Tensor
    joint_scores: Tensor
    confidence: Tensor


class MVSSM(nn.Module):
    """Feature pyramids of T calibrated views -> 3D people.

    Any number of views >= 2, which may differ from call to call. Cameras are in network pixels (raw
    pixels scaled as the images were) and share one metric frame with z up.
    """

    def __init__(self, config: MVSSMConfig):
        super().__init__()
        self.config = config
        self.decoder = Decoder(config)

    def forward(
        self,
        pyramid: FeaturePyramid,
        cameras: Cameras,
        start_m: Tensor,
        select: Selection | None = None,
    ) -> list[LayerOutput]:
        """All layers' outputs; pyramid and cameras [B, T], start_m [B, N, J, 3] m."""
        if cameras.n_views < 2:
            raise ValueError(f"MV-SSM needs at least 2 views, got {cameras.n_views}")
        return self.decoder(start_m, cameras, pyramid, select)

    def start_poses(
        self,
        center_m: Tensor,
        size_m: Tensor,
        floor_m: float | Tensor = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Start poses over the spaces center, size [B, 2] m, a `grid` of columns and rows.

        By default the weights say how many, or else the largest space does.
        """
        c = self.config
        if grid is not None:
            pass
        elif c.n_candidates:
            side = max(
                n for n in range(1, math.isqrt(c.n_candidates) + 1) if c.n_candidates % n == 0
            )
            grid = (side, c.n_candidates // side)
        else:
            grid = grid_size(tuple(size_m.amax(0).tolist()), c.grid_pitch_m)
        return start_poses(center_m, size_m, grid, c.start_pose, floor_m)

    @torch.no_grad()
    def detect(
        self,
        pyramid: FeaturePyramid,
        cameras: Cameras,
        start_m: Tensor,
        *,
        score_threshold: float | None = None,
        max_people: int | None = None,
    ) -> list[Detections3D]:
        """Threshold (by default `config.score_threshold`) and non-maximum suppression after the last
        layer, one answer a scene.

        With `config.rounds` more than one each scene has `further_rounds`.
        """
        last = self(pyramid, cameras, start_m)[-1]
        least = self.config.score_threshold if score_threshold is None else score_threshold
        return [
            self._people(self._refined(last.scene(b), pyramid, cameras, b), least, max_people)
            for b in range(len(start_m))
        ]

    def _refined(
        self, found: LayerOutput, pyramid: FeaturePyramid, cameras: Cameras, b: int
    ) -> LayerOutput:
        """After all rounds, what has been found in scene b."""
        if self.config.rounds == 1:
            return found
        maps, views = pyramid.scene(b), cameras.at(slice(b, b + 1))

        def decode(start_m: Tensor) -> LayerOutput:
            return self(maps, views, start_m)[-1]

        return further_rounds(decode, found, self.config.rounds - 1, self.config.score_epsilon)

    @staticmethod
    def _people(found: LayerOutput, least: float, max_people: int | None) -> Detections3D:
        kept = distinct(found, least)[:max_people]
        return Detections3D(
            poses_m=found.poses_m[0, kept],
            covariance_m2=found.covariance_m2[0, kept],
            scores=found.scores[0, kept],
            joint_scores=found.joint_logits[0, kept].sigmoid(),
            confidence=found.confidence[0][:, kept].transpose(0, 1),
        )
