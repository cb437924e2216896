"""An experiment: everything that decides what a training gives, read from one commented YAML file.

The sections are dataclasses, and their fields are the keys. A key that is unknown, of another type or
impossible is one `UserError` that names the file, the key, what was expected and what was given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.learning.losses import LossWeights
from mvssm_ros.network.config import MVSSMConfig, paper_rgb, small_rgb
from mvssm_ros.rig.strict_yaml import Section, read_yaml
from mvssm_ros.share import share_dir

from .values import check_limits, read_section

KINDS = ("keypoints", "rendered", "panoptic", "human36m", "shelf", "campus", "own")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_PRESETS: dict[str, Callable[..., MVSSMConfig]] = {
    "keypoints": MVSSMConfig,
    "small_rgb": small_rgb,
    "paper_rgb": paper_rgb,
}
_FRONTENDS = ("keypoints", "resnet50", "resnet_small")
_TOP = ("data", "network", "training", "loss", "validation")


@dataclass(frozen=True)
class DataConfig:
    """What is seen.

    kind            keypoints (synthetic world, 2D) | rendered (synthetic world, images) | panoptic,
                    human36m, shelf, campus, own (data sets, below `root`)
    root            folder of the data set; where it lies is no part of the experiment
    arrangement     Panoptic's cameras by name, as CMU0, in place of random rigs; `calibration` is
                    the file that has them (keypoints, rendered), no part of the experiment
    views           numbers of views and how often each is drawn, in shares that add up to 1
    view_budget     views a process and step: scenes = view_budget / views
    max_people      in a synthetic scene
    largest_m       longest side of a rendered scene's space
    crop_px         rendered: train heatmaps (loss.decoder: 0) on squares of this side around people, in
                    pixels of the images that the backbone reads; 0: on whole images
    reuse           how often each rendered picture is trained on, never twice the same; 1: once
    sequences, validation_sequences, interval, validation_interval
                    of a data set: recordings to train and to validate on, every how many frames;
                    none: the published ones
    workers         processes that make batches ahead, on the CPU; 0: the training process itself, which
                    renders where it trains
    """

    kind: str = "keypoints"
    root: str = ""
    arrangement: str = ""
    calibration: str = ""
    views: Mapping[int, float] = field(
        default_factory=lambda: {2: 0.15, 3: 0.22, 4: 0.22, 5: 0.23, 6: 0.06, 8: 0.1, 10: 0.02}
    )
    view_budget: int = 20
    max_people: int = 6
    largest_m: float = 6.5
    crop_px: int = 0
    reuse: int = 1
    sequences: tuple[str, ...] = ()
    validation_sequences: tuple[str, ...] = ()
    interval: int = 3
    validation_interval: int = 12
    workers: int = 0


@dataclass(frozen=True)
class TrainingConfig:
    """How it is trained: a linear warm-up, then a cosine to one hundredth of the rate.

    grid, survivors  start poses over each rig's space, whatever its size (columns, rows); candidates
                     that live on after each layer but the last
    later_rounds     share of the steps that begin not at the grid but at what the network makes of it
                     in one or more rounds (images; where network.rounds is above 1)
    optimizer        adamw | muon (the backbone's inner convolutions by Muon, at `muon_rate`)
    clip_norm        of the gradient; a step whose gradient is not finite is left out
    ema_decay        of the running average of the weights, which is what is validated and exported
    precision        32-true | bf16-mixed | 16-mixed (CUDA)
    backbone         trained | frozen (needs a `start_from` that has one)
    backbone_rate    the trained backbone's learning rate as a share of `learning_rate`
    start_from       weights file to begin with, or "shipped": the package's keypoints network; else
                     random weights
    save_every, log_every  steps; not part of what decides the outcome
    """

    steps: int = 6000
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    muon_rate: float = 2e-2
    warmup_steps: int = 100
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    seed: int = 0
    grid: tuple[int, int] = (6, 6)
    survivors: tuple[int, ...] = (24, 14, 12)
    later_rounds: float = 0.0
    precision: str = "32-true"
    backbone: str = "trained"
    backbone_rate: float = 1.0
    start_from: str = ""
    save_every: int = 200
    log_every: int = 20


@dataclass(frozen=True)
class ValidationConfig:
    """Held-out scenes between the steps, and before the first.

    every     steps; 0: never. `scenes` of each number of `views` (with an arrangement: its own), of
              this `seed`
    patience  stop after so many validations without a better AP25 (or an equal one of less MPJPE);
              0: never
    """

    every: int = 1000
    scenes: int = 50
    views: tuple[int, ...] = (3, 5)
    seed: int = 0
    patience: int = 0


@dataclass(frozen=True)
class Experiment:
    """All of a run. Picklable; `name` and paths are no part of what must agree to resume."""

    name: str = "keypoints"
    data: DataConfig = field(default_factory=DataConfig)
    network: MVSSMConfig = field(default_factory=MVSSMConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        """Raises UserError where values do not go together."""
        check(self, f"experiment {self.name}:")

    def settings(self) -> dict[str, dict[str, Any]]:
        """What decides the outcome, in plain values (of JSON), without paths."""
        plain: dict[str, dict[str, Any]] = json.loads(json.dumps(asdict(self)))
        del plain["name"]
        for section, key in (
            ("data", "root"),
            ("data", "calibration"),
            ("data", "workers"),
            ("training", "save_every"),
            ("training", "log_every"),
        ):
            del plain[section][key]
        plain["training"]["start_from"] = Path(self.training.start_from).name
        return plain


# Inclusive, of each number of a key.
_LIMITS: dict[str, dict[str, tuple[float, float]]] = {
    "data": {
        "views": (2, 64), "view_budget": (1, 100_000), "max_people": (1, 64),
        "largest_m": (3, 100), "crop_px": (0, 960), "reuse": (1, 100),
        "interval": (1, 100_000), "validation_interval": (1, 100_000), "workers": (0, 64),
    },
    "training": {
        "steps": (1, 1e9), "learning_rate": (1e-9, 1), "muon_rate": (1e-9, 1), "warmup_steps": (0, 1e9),
        "weight_decay": (0, 1), "clip_norm": (1e-6, 1e6), "ema_decay": (0, 1), "seed": (0, 2**63 - 1),
        "grid": (1, 256), "survivors": (1, 65536), "later_rounds": (0, 1),
        "backbone_rate": (0, 1),
        "save_every": (1, 1e9), "log_every": (1, 1e9),
    },
    "loss": {
        "joints_3d": (1e-6, 1e6), "keypoints_2d": (0, 1e6), "score": (0, 1e6),
        "clamp_m": (1e-3, 100), "clamp_px": (1e-3, 1e5), "quality_m": (1e-3, 100),
        "heatmaps": (0, 1e6), "decoder": (0, 1),
    },
    "validation": {
        "every": (0, 1e9), "scenes": (1, 1e6), "views": (2, 64), "seed": (0, 2**63 - 1),
        "patience": (0, 1e6),
    },
}  # fmt: skip


def check(experiment: Experiment, where: str) -> None:
    """Raises UserError for the first value that is impossible, or does not go with another."""
    for name in _LIMITS:
        check_limits(getattr(experiment, name), _LIMITS[name], f"{where} {name}")
    data, training, network = experiment.data, experiment.training, experiment.network
    _one_of(data.kind, KINDS, f"{where} data.kind")
    _one_of(training.precision, PRECISIONS, f"{where} training.precision")
    _one_of(training.optimizer, ("adamw", "muon"), f"{where} training.optimizer")
    _one_of(training.backbone, ("trained", "frozen"), f"{where} training.backbone")
    _one_of(network.frontend, _FRONTENDS, f"{where} network.frontend")
    total = sum(data.views.values())
    if not data.views or min(data.views.values()) < 0 or abs(total - 1) > 1e-6:
        raise UserError(f"{where} data.views: expected shares that add up to 1, got {total:g}")
    if data.arrangement:
        from mvssm_ros.learning.panoptic_rigs import arrangement_nodes

        nodes = len(arrangement_nodes(data.arrangement))
        if set(data.views) != {nodes}:
            raise UserError(
                f"{where} data.views: {data.arrangement} has {nodes} cameras, expected "
                f"{{{nodes}: 1.0}}, got {dict(data.views)}"
            )
    if (data.kind == "keypoints") != (network.frontend == "keypoints"):
        raise UserError(
            f"{where} data.kind: '{data.kind}' does not go with network.frontend "
            f"'{network.frontend}': keypoints need keypoints, images one of resnet50, resnet_small"
        )
    if training.optimizer == "muon" and network.frontend == "keypoints":
        raise UserError(
            f"{where} training.optimizer: muon is for the convolutions of a backbone, and "
            "network.frontend 'keypoints' has none: expected adamw"
        )
    if len(training.survivors) != network.n_layers - 1:
        raise UserError(
            f"{where} training.survivors: expected {network.n_layers - 1} numbers (one a layer but "
            f"the last), got {len(training.survivors)}"
        )
    if training.later_rounds and network.rounds == 1:
        raise UserError(
            f"{where} training.later_rounds: needs network.rounds above 1 (images), got 1"
        )
    if experiment.validation.patience and not experiment.validation.every:
        raise UserError(
            f"{where} validation.every: 0 is no validation, and validation.patience"
            f" ({experiment.validation.patience}) counts them; set that to 0 too"
        )


def _one_of(value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise UserError(f"{where}: expected {', '.join(known)}, got '{value}'")


def find_experiment(name: str | Path) -> Path:
    """The file of an experiment given by its path or its name (in the package's config/train)."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if not path.is_file():
            raise UserError(f"experiment {path}: there is no such file")
        return path
    folder = share_dir() / "config" / "train"
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if path.name not in known:
        raise UserError(
            f"experiment '{name}': there is none of this name; known are {', '.join(known)}, and "
            "the path of a .yaml file is good too"
        )
    return folder / f"{path.name}.yaml"


def read_experiment(
    path_or_name: str | Path, overrides: Mapping[str, Any] | None = None
) -> Experiment:
    """Read and check an experiment; `overrides` are values by dotted key, {"training.steps": 100}.

    Raises UserError: anything wrong, in one line.
    """
    path = find_experiment(path_or_name)
    content = read_yaml(path, "experiment")
    where = f"experiment {path.name}:"
    for dotted, value in (overrides or {}).items():
        *sections, key = dotted.split(".")
        target = content
        for section in sections:
            if target.get(section) is None:
                target[section] = {}
            target = target[section]
            if not isinstance(target, dict):
                raise UserError(f"{where} {dotted}: '{section}' has no keys below it")
        target[key] = value
    return parse_experiment(content, path.stem, where)


def parse_experiment(content: Mapping[Any, Any], name: str, where: str) -> Experiment:
    """The experiment that a mapping describes; `where` names its source in errors ("x.yaml:")."""
    top = Section(content, where, _TOP)

    def raw(section: str) -> Any:
        return top.value(section) if top.has(section) else {}

    network = raw("network")
    if not isinstance(network, dict):
        raise UserError(f"{where} network: expected a mapping")
    network = dict(network)
    preset = network.pop("preset", "keypoints")
    if preset not in _PRESETS:
        raise UserError(
            f"{where} network.preset: expected {', '.join(_PRESETS)}, got {preset!r:.40}"
        )
    changes = read_section(MVSSMConfig, network, f"{where} network")
    try:
        config = _PRESETS[preset](**changes)
    except ValueError as error:
        raise UserError(f"{where} network.{' '.join(str(error).split())}") from None
    data = DataConfig(**read_section(DataConfig, raw("data"), f"{where} data"))
    training = read_section(TrainingConfig, raw("training"), f"{where} training")
    loss = LossWeights(**read_section(LossWeights, raw("loss"), f"{where} loss"))
    validation = read_section(ValidationConfig, raw("validation"), f"{where} validation")
    parts = (data, config, TrainingConfig(**training), loss, ValidationConfig(**validation))
    try:
        return Experiment(name, *parts)
    except UserError as error:  # the file rather than the name
        raise UserError(str(error).replace(f"experiment {name}:", where, 1)) from None


def with_ablation(experiment: Experiment, ablation: str) -> Experiment:
    """The same with another network of the paper's ablation."""
    return replace(experiment, network=replace(experiment.network, ablation=ablation))
