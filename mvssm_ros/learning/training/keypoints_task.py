"""2D keypoints of the synthetic world: random rigs, or one fixed arrangement of cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.keypoints import canvas_scale, canvas_size, draw_pyramid
from mvssm_ros.frontends.proposals import two_view_proposals
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning.evaluation import Scene, evaluate, network_method
from mvssm_ros.learning.held_out import held_out_scenes
from mvssm_ros.learning.losses import decoder_loss
from mvssm_ros.learning.matching import survivors
from mvssm_ros.learning.panoptic_rigs import SPACE, load_panoptic_rig
from mvssm_ros.learning.synthetic.world import SceneBatch, SyntheticWorld, WorldConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.pss import LayerOutput

from .task import move

if TYPE_CHECKING:
    from .experiment import Experiment


def prepare(batch: SceneBatch) -> tuple[Cameras, Tensor, tuple[int, int]]:
    """Scenes in network pixels: cameras [B, T], keypoints [B, T, D, 15, 3], canvas (w, h)."""
    scale = canvas_scale(batch.cameras.size_px)  # [B, T]
    cameras = batch.cameras.affine(scale, torch.zeros_like(batch.cameras.size_px))
    keypoints = batch.keypoints_px.clone()
    keypoints[..., :2] *= scale[..., None, None, None]
    return cameras, keypoints, canvas_size(batch.cameras.size_px)


def training_loss(
    model: MVSSM, batch: SceneBatch, experiment: Experiment
) -> tuple[Tensor, dict[str, float], list[LayerOutput]]:
    """Loss of one batch, its log, and the layers' outputs."""
    cameras, keypoints, canvas = prepare(batch)
    pyramid = draw_pyramid(keypoints, canvas)
    space = batch.space_center_m, batch.space_size_m
    start = model.start_poses(*space, grid=experiment.training.grid)
    if model.config.n_proposals:
        proposals, _ = two_view_proposals(cameras, keypoints, *space, model.config.n_proposals)
        start = torch.cat([start, proposals], 1)
    truth, valid = batch.joints_m, batch.person_valid
    inputs = [start]

    def select(layer: int, out: LayerOutput) -> Tensor:
        poses = out.poses_m.detach()
        count = experiment.training.survivors[layer]
        index = survivors(poses, out.scores.detach(), truth, valid, count)
        inputs.append(out.pick(index).poses_m.detach())
        return index

    outputs = model(pyramid, cameras, start, select)
    loss, log = decoder_loss(outputs, inputs, cameras, truth, valid, experiment.loss)
    return loss, log, outputs


def views_at(experiment: Experiment, step: int) -> int:
    """How many views the scenes of a step have: drawn, and the same for every process."""
    rng = np.random.default_rng([experiment.training.seed, step])
    views = sorted(experiment.data.views)
    return int(rng.choice(views, p=[experiment.data.views[n] for n in views]))


class KeypointsTask:
    """See `task.Task`."""

    trained_on = "mvssm_ros synthetic world (2D keypoints)"

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.config = experiment.network
        self.arrangement: Cameras | None = None
        self._held_out: list[Scene] = []
        data = experiment.data
        if data.arrangement:
            if not data.calibration:
                raise UserError(
                    f"data.arrangement: {data.arrangement} needs data.calibration (--calibration): "
                    "the path of Panoptic's calibration_<sequence>.json"
                )
            self.arrangement = load_panoptic_rig(data.calibration, data.arrangement)

    def build(self) -> MVSSM:
        return MVSSM(self.config)

    def batch(self, step: int, rank: int, world: int) -> SceneBatch:
        """Scenes of the training split; batch `step * world + rank` of the run's seed."""
        data, seed = self.experiment.data, self.experiment.training.seed
        scenes = SyntheticWorld(WorldConfig.training(data.max_people), seed)
        scenes.batch_index = step * world + rank
        views = views_at(self.experiment, step)
        return self._draw(scenes, max(1, data.view_budget // views), views)

    def _draw(self, world: SyntheticWorld, n_scenes: int, views: int) -> SceneBatch:
        space = None if self.arrangement is None else SPACE
        return world.batch(n_scenes, views, self.arrangement, space)

    def to_device(self, batch: SceneBatch, device: torch.device) -> SceneBatch:
        if device.type == "cpu":
            return batch
        moved: SceneBatch = move(batch, device)
        return moved

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        assert isinstance(model, MVSSM)
        loss, log, outputs = training_loss(model, batch, self.experiment)
        last = log[f"joints_3d/{len(outputs) - 1}"]
        log["error_mm"] = 100.0 * last * 10 / self.experiment.loss.joints_3d
        return loss, log

    def validation_scenes(self) -> list[Scene]:
        """Those of `mvssm evaluate` with the same seed, number of scenes and views."""
        if self._held_out:
            return self._held_out
        config = self.experiment.validation
        views = config.views if self.arrangement is None else (self.arrangement.n_views,)
        for n_views in views:
            self._held_out += held_out_scenes(config.scenes, n_views, config.seed, self.arrangement)
        return self._held_out

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The figures of `mvssm evaluate` but for its times."""
        from mvssm_ros.predictor import Predictor

        assert isinstance(model, MVSSM)
        device = next(model.parameters()).device
        predictor = Predictor(model, device=str(device))
        figures = evaluate(network_method(predictor), self.validation_scenes())
        del figures["ms_per_set"]
        return figures

    def weights(
        self, state: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
        return dict(state), None
