"""Training on images: rendered people, or the frames of a data set. See `training.task.Task`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.frontends.resnet import CONFIGS, fold_batchnorm
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning.image_batch import ImageBatch
from mvssm_ros.learning.image_evaluation import evaluate_images, rendered_sets
from mvssm_ros.learning.image_loss import image_loss
from mvssm_ros.learning.panoptic_rigs import SPACE, load_panoptic_rig
from mvssm_ros.learning.rendered.variation import Reuse
from mvssm_ros.learning.rendered.world import RenderedConfig, RenderedWorld
from mvssm_ros.learning.synthetic.world import WorldConfig as PeopleConfig
from mvssm_ros.learning.training.keypoints_task import views_at

if TYPE_CHECKING:
    from mvssm_ros.learning.training.experiment import Experiment


class ImagesTask:
    """An `ImageNetwork` on rendered scenes (`data.kind: rendered`) or on a data set."""

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.config = experiment.network
        data, loss = experiment.data, experiment.loss
        if self.config.frontend not in CONFIGS:
            raise UserError(f"network.frontend: expected {', '.join(CONFIGS)} for images")
        if self.config.per_joint_maps and loss.heatmaps <= 0 and not experiment.training.start_from:
            raise UserError(
                "loss.heatmaps: a network that reads heatmaps needs them trained: expected above 0, "
                "or training.start_from"
            )
        if data.kind == "own" and not experiment.training.start_from:
            raise UserError(
                "training.start_from: one's own recordings are too few to begin with; give weights "
                "(--start-from FILE)"
            )
        if data.crop_px % 32:
            raise UserError(f"data.crop_px: expected a multiple of 32, got {data.crop_px}")
        self.on_cuda = False  # where the last batch went
        self._reuse: Reuse | None = None  # made where batches are: a lambda cannot be pickled
        self.arrangement: Cameras | None = None
        if data.crop_px and loss.decoder:
            raise UserError(
                f"data.crop_px: {data.crop_px} is for heatmaps alone (loss.decoder: 0): squares of "
                "each view around somebody else have no geometry"
            )
        if data.reuse > 1 and data.kind != "rendered":
            raise UserError(
                f"data.reuse: {data.reuse} is for rendered pictures (data.kind: rendered)"
            )
        self.trained_on = "mvssm_ros rendered world (images)"
        if data.kind == "rendered":
            if data.arrangement:
                if not data.calibration:
                    raise UserError(
                        f"data.arrangement: {data.arrangement} needs data.calibration "
                        "(--calibration): the path of Panoptic's calibration_<sequence>.json"
                    )
                self.arrangement = load_panoptic_rig(data.calibration, data.arrangement)
        else:
            from mvssm_ros.learning.frames_source import FramesSource

            self.frames = FramesSource(data, self.config.image_stride)
            self.trained_on = f"{data.kind} ({data.arrangement or 'all cameras'})"

    def build(self) -> ImageNetwork:
        return ImageNetwork(self.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch(self, step: int, rank: int, world: int) -> ImageBatch:
        """Batch `step * world + rank` of the run's seed; with `data.reuse` another, but always the same."""
        data, seed = self.experiment.data, self.experiment.training.seed
        number = step * world + rank
        if data.kind != "rendered":
            return self.frames.batch(number, seed)
        if data.reuse == 1:
            return self._rendered(number, views_at(self.experiment, step))
        if self._reuse is None:
            self._reuse = Reuse(  # each process has its own pictures
                lambda k: self._rendered(k * world + rank, views_at(self.experiment, k)),
                data.reuse,
                seed,
                rank,
                mirror=data.crop_px > 0,  # views of squares are not one scene
            )
        return self._reuse.batch(step)

    def _rendered(self, number: int, views: int) -> ImageBatch:
        """Batch `number` of the rendered world."""
        data, seed = self.experiment.data, self.experiment.training.seed
        people = PeopleConfig(split=0, min_people=0, max_people=data.max_people, crowding=0.3)
        config = RenderedConfig(0, people, largest_m=data.largest_m, crop_px=data.crop_px)
        # in the training process itself: on the GPU that trains; a worker has the CPU
        cuda = data.workers == 0 and self.on_cuda
        device = torch.device("cuda", torch.cuda.current_device()) if cuda else "cpu"
        scenes = RenderedWorld(config, seed, self.config.image_stride, device)
        scenes.batch_index = number
        space = None if self.arrangement is None else SPACE
        return scenes.training_batch(
            max(1, data.view_budget // views), views, self.arrangement, space
        )

    def to_device(self, batch: ImageBatch, device: torch.device) -> ImageBatch:
        self.on_cuda = device.type == "cuda"
        return batch if batch.images.device == device else batch.to(device)

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        assert isinstance(model, ImageNetwork)
        training, weights = self.experiment.training, self.experiment.loss
        loss, log, outputs = image_loss(
            model, batch, training.grid, training.survivors, weights, self._rounds_before(step)
        )
        if outputs:
            last = log[f"joints_3d/{len(outputs) - 1}"]
            log["error_mm"] = 1000.0 * last / weights.joints_3d
        return loss, log

    def _rounds_before(self, step: int) -> int:
        """How many rounds a step's start poses have been through: drawn, the same for every process."""
        training = self.experiment.training
        rng = np.random.default_rng([training.seed, step, 1])
        later = rng.random() < training.later_rounds
        return int(rng.integers(1, self.config.rounds)) if later else 0

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """The figures of `mvssm evaluate --world rendered` but for its times."""
        from mvssm_ros.predictor import Predictor

        assert isinstance(model, ImageNetwork)
        config, data = self.experiment.validation, self.experiment.data
        if data.kind == "rendered":
            views: Sequence[int] = config.views
            if self.arrangement is not None:
                views = (self.arrangement.n_views,)
            sets = [
                one
                for n in views
                for one in rendered_sets(config.scenes, n, config.seed, self.arrangement)
            ]
        else:
            sets = self.frames.validation_sets(config.scenes)
        device = next(model.parameters()).device
        backbone = fold_batchnorm(model.backbone)
        predictor = Predictor(model.network, backbone=backbone, device=str(device))
        return evaluate_images(predictor, sets)

    def weights(
        self, state: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
        def part(name: str) -> dict[str, Tensor]:
            prefix = f"{name}."
            return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}

        return part("network"), part("backbone")
