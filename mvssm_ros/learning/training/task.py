"""What a run trains on what: the seam between the runner and keypoints, images or data sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from mvssm_ros.errors import UserError
from mvssm_ros.network.config import MVSSMConfig

if TYPE_CHECKING:
    from .experiment import Experiment


class Task(Protocol):
    """One kind of training. Made from an `Experiment`; pickled to every process of a run.

    The constructor checks what it can (files are there, the arrangement is known, the front-end fits)
    and raises UserError; it reads nothing large, `batch` and `validate` may, once.
    """

    config: MVSSMConfig  # of the network
    trained_on: str  # for the provenance of exported weights; no paths

    def build(self) -> nn.Module:
        """The model with fresh weights. Called after torch.manual_seed(training.seed).

        An `MVSSM`, or an `ImageNetwork` (attributes `backbone` and `network`). Warm start and frozen
        parts are the runner's.
        """

    def batch(self, step: int, rank: int, world: int) -> Any:
        """What process `rank` of `world` sees at `step` (from 0), on the CPU.

        A function of its arguments and the experiment alone: no generator that other calls move on,
        so that an interrupted run sees the same. May be called in a worker process.
        """

    def to_device(self, batch: Any, device: torch.device) -> Any:
        """The batch on a device; the very same object where it is there already."""

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss [] of a step's batch, and plain numbers for the log; `error_mm` shows in the bar.

        The model is in training mode but for its frozen parts.
        """

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """Figures on held-out scenes, the same every time: AP25, mAP, recall500 (per cent) and
        MPJPE_mm at least. The model holds the averaged weights and is in evaluation mode; on the
        first process only."""

    def weights(
        self, state: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
        """(network, backbone or None) of the model's state dict, as `save_weights` takes them."""


def make_task(experiment: Experiment) -> Task:
    """The task that `data.kind` asks for. Raises UserError where its data do not do."""
    if experiment.data.kind == "keypoints":
        from .keypoints_task import KeypointsTask

        return KeypointsTask(experiment)
    try:
        from mvssm_ros.learning.image_task import ImagesTask
    except ModuleNotFoundError:
        raise UserError(
            f"data.kind: '{experiment.data.kind}' is not part of this version; expected keypoints"
        ) from None
    task: Task = ImagesTask(experiment)
    return task


def move(value: Any, device: torch.device) -> Any:
    """Tensors in dataclasses, mappings, lists and tuples, on a device; other things as they are."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: move(item, device) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(move(item, device) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(move(item, device) for item in value)
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        return type(value)(**{name: move(getattr(value, name), device) for name in fields})
    return value
