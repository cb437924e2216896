"""Does what is learnt on one arrangement of cameras hold on others: the paper's experiment, on 2D
keypoints of synthetic people.

Every variant of the network is trained on Panoptic's CMU0 alone (experiment keypoints_cmu0), with the
same budget of compute, and measured without fine-tuning on held-out scenes in other arrangements. Runs
lie in RUNS/<variant>-<seed>: weights.safetensors, and evaluation.json with what has been measured, which
is enough to print the table again without the weights (config/train/generalisation has ours).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mvssm_ros.data_sets.campus_shelf import CAMPUS, SHELF
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning.evaluation import Method, answer_oracle, classical_method, network_method
from mvssm_ros.learning.generalisation_cost import measure_cost
from mvssm_ros.learning.held_out import Rectangle, held_out_scenes, measure, plain
from mvssm_ros.learning.panoptic_rigs import SPACE, load_panoptic_rig
from mvssm_ros.network.weights import read_weights
from mvssm_ros.rig.importers import import_campus_shelf

EXPERIMENT = "keypoints_cmu0"
TRAINED_ON = ("CMU0", "CMU0ex5")  # the same cameras
PANOPTIC_RIGS = (
    *(f"CMU0ex{k}" for k in range(3, 8)),
    *("CMU0", "CMU1", "CMU2", "CMU3", "CMU4"),
)
REFERENCES = ("triangulate", "oracle")
WEIGHTS, EVALUATION, LOCK = "weights.safetensors", "evaluation.json", "lock"
_SAME_RIG = {"CMU0ex5": "CMU0"}
_COST_SCENES = 50
_VERSION = 1  # of evaluation.json; raise it when figures or scenes change


@dataclass(frozen=True)
class Variant:
    """steps: of training; network: what differs from the experiment's; ablation: the paper's row."""

    steps: int
    network: Mapping[str, Any]
    ablation: str = ""


# Each variant may use as much compute as the full network: 1,800 core-seconds, a quarter of an hour of
# two cores. What a step (four scenes of five views) costs on one thread differs, in s: full, tree and
# serial 0.51, cross_attention 0.40, no_mamba 0.34, no_gtbs_mamba 0.27, mean 0.20 (AMD EPYC, Zen 5). So
# the cheaper see more scenes; with equal steps they would be trained less than they can be for the money.
CORE_SECONDS = 1800
VARIANTS: dict[str, Variant] = {
    "full": Variant(3500, {}, "full"),
    "no_mamba": Variant(5300, {"ablation": "no_mamba"}, "no_mamba"),
    "no_gtbs_mamba": Variant(6700, {"ablation": "no_gtbs_mamba"}, "no_gtbs_mamba"),
    "cross_attention": Variant(4500, {"ablation": "cross_attention"}, "cross_attention"),
    "mean": Variant(9000, {"ablation": "mean"}, "mean"),
    "tree": Variant(3500, {"tree_order": True}),
    "serial": Variant(3500, {"view_scan": "serial"}),
}
_DEFAULTS = {"ablation": "full", "tree_order": False, "view_scan": "per_view"}


@dataclass(frozen=True)
class Arrangement:
    """An arrangement to test on: cameras [T], and centre and size (x, y) of the floor in m."""

    name: str
    cameras: Cameras
    space: Rectangle = SPACE

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self.space).encode())
        for name in ("K", "distortion", "fisheye", "R", "t", "size_px"):
            digest.update(getattr(self.cameras, name).to(torch.float32).contiguous().numpy())
        return digest.hexdigest()


@dataclass(frozen=True)
class Subject:
    """Something to measure: the network of a run, or a reference ("triangulate", "oracle")."""

    variant: str
    folder: Path
    seed: int | None = None
    weights_sha256: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.variant if self.seed is None else f"{self.variant}-{self.seed}"

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    def method(self) -> Method:
        if self.seed is None:
            return answer_oracle if self.variant == "oracle" else classical_method()
        from mvssm_ros.predictor import Predictor

        return network_method(Predictor.from_pretrained(self.weights))


def arrangements(
    calibration: str | Path, campus: str | Path | None = None, shelf: str | Path | None = None
) -> list[Arrangement]:
    """Panoptic's arrangements, and Campus and Shelf where their calibrations are given."""
    rigs = [Arrangement(name, load_panoptic_rig(calibration, name)) for name in PANOPTIC_RIGS]
    for data, path in ((CAMPUS, campus), (SHELF, shelf)):
        if path:
            names = [f"cam{c}" for c in range(data.n_cameras)]
            cameras = import_campus_shelf(path, data.size_px).to_cameras(names)
            rigs.append(Arrangement(data.name, cameras, data.space))
    return rigs


def find_subject(runs: str | Path, variant: str, seed: int) -> Subject | None:
    """A run with weights or with figures, None where there are neither yet.

    Raises UserError where the weights are damaged or those of another variant.
    """
    folder = Path(runs) / f"{variant}-{seed}"
    path = folder / WEIGHTS
    if not path.is_file():
        kept = _read_json(folder / EVALUATION)
        if not kept.get("weights_sha256") or not isinstance(kept.get("provenance"), dict):
            return None
        return Subject(variant, folder, seed, kept["weights_sha256"], kept["provenance"])
    found = read_weights(path)
    wanted = _DEFAULTS | dict(VARIANTS[variant].network)
    wrong = {
        k: getattr(found.config, k) for k, v in wanted.items() if getattr(found.config, k) != v
    }
    if wrong or found.config.frontend != "keypoints":
        raise UserError(
            f"{path} is no '{variant}': expected {wanted}, got {wrong or found.config.frontend}"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Subject(variant, folder, seed, digest, found.provenance)


def references(runs: str | Path) -> list[Subject]:
    return [Subject(name, Path(runs) / name) for name in REFERENCES]


class Evaluation:
    """What has been measured of a subject, on disk from rig to rig.

    Figures that are of other scenes, another seed or other weights are forgotten.
    """

    def __init__(self, subject: Subject, n_scenes: int, seed: int) -> None:
        self.subject, self.path = subject, subject.folder / EVALUATION
        key: dict[str, Any] = {"version": _VERSION, "scenes": n_scenes, "seed": seed}
        key["weights_sha256"] = subject.weights_sha256
        found = _read_json(self.path)
        same = all(found.get(name) == value for name, value in key.items())
        self.content: dict[str, Any] = key | {
            "provenance": dict(subject.provenance),
            "rigs": dict(found.get("rigs", {})) if same else {},
            "cost": found.get("cost") if same else None,
        }

    def figures(self, rig: Arrangement) -> dict[str, Any] | None:
        """What was measured on a rig, None: nothing yet."""
        kept = self.content["rigs"].get(rig.name)
        if not isinstance(kept, dict) or kept.get("cameras_sha256") != rig.fingerprint:
            return None
        return {k: v for k, v in kept.items() if k != "cameras_sha256"}

    def keep(self, rig: Arrangement, figures: Mapping[str, Any]) -> None:
        self.content["rigs"][rig.name] = {"cameras_sha256": rig.fingerprint, **figures}
        self._write()

    def keep_cost(self, cost: Mapping[str, float]) -> None:
        self.content["cost"] = dict(cost)
        self._write()

    def _write(self) -> None:
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(plain(self.content), indent=1), encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None


def _read_json(path: Path) -> dict[str, Any]:
    """Empty where it cannot be read: then it is measured again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _measured(path: Path) -> str:
    kept = _read_json(path)
    return f"--scenes {kept.get('scenes')} --seed {kept.get('seed')}"


def evaluate_all(
    subjects: Sequence[Subject], rigs: Sequence[Arrangement], n_scenes: int, seed: int
) -> dict[str, Evaluation]:
    """Measures what is not measured yet, all subjects on the same scenes; by the subjects' names.

    Raises UserError where that needs weights that are not there.
    """
    found = {subject.name: Evaluation(subject, n_scenes, seed) for subject in subjects}
    methods: dict[str, Method] = {}
    for rig in rigs:
        alias = next((r for r in rigs if r.name == _SAME_RIG.get(rig.name)), None)
        if alias is not None:
            continue  # below
        lacking = [one for one in found.values() if one.figures(rig) is None]
        if not lacking:
            continue
        scenes = held_out_scenes(n_scenes, rig.cameras.n_views, seed, rig.cameras, rig.space)
        for one in lacking:
            name = one.subject.name
            if name not in methods:
                if one.subject.seed is not None and not one.subject.weights.is_file():
                    raise UserError(
                        f"{one.path} has no figures for {rig.name} with these cameras, {n_scenes} "
                        f"scenes and seed {seed}, and the weights are not beside it: ask for what was "
                        f"measured ({_measured(one.path)}, the same calibrations), or train elsewhere "
                        "(--train --runs FOLDER)"
                    )
                methods[name] = one.subject.method()
            bar = tqdm(scenes, desc=f"{rig.name}, {name}", leave=False)
            one.keep(rig, measure(methods[name], scenes, bar))
    by_name = {rig.name: rig for rig in rigs}
    for name, other in _SAME_RIG.items():
        if name in by_name and other in by_name:
            for one in found.values():
                if one.figures(by_name[name]) is None:
                    one.keep(by_name[name], one.figures(by_name[other]) or {})
    return found


def measure_costs(evaluations: Mapping[str, Evaluation], rig: Arrangement, seed: int) -> None:
    """Costs of one network a variant, the first that there is, on scenes of a rig."""
    first: dict[str, Evaluation] = {}
    for one in evaluations.values():
        known = one.content["cost"] or one.subject.weights.is_file()
        if one.subject.seed is not None and known:
            first.setdefault(one.subject.variant, one)
    lacking = [one for one in first.values() if not one.content["cost"]]
    if not lacking:
        return
    count = min(_COST_SCENES, evaluations[lacking[0].subject.name].content["scenes"])
    scenes = held_out_scenes(count, rig.cameras.n_views, seed, rig.cameras, rig.space)
    for one in tqdm(lacking, desc="costs", leave=False):
        one.keep_cost(measure_cost(one.subject.weights, scenes))


def scenes_seen(provenance: Mapping[str, Any]) -> int | None:
    """How many scenes a network saw in training, from its weights' provenance; None: it does not say."""
    try:
        settings = provenance["training"]
        data = settings.get("data", settings)
        budget = int(data["view_budget"])
        a_step = sum(share * max(1, budget // int(n)) for n, share in data["views"].items())
        return round(provenance["step"] * provenance.get("world", 1) * a_step)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def deviations(subject: Subject) -> list[str]:
    """In what a network's training was not the experiment's, as far as its provenance says."""
    wanted, found = VARIANTS[subject.variant].steps, subject.provenance.get("step")
    settings = subject.provenance.get("training")
    settings = settings if isinstance(settings, dict) else {}
    data = settings.get("data", settings)
    arrangement, views = data.get("arrangement", TRAINED_ON[0]), data.get("views", {"5": 1.0})
    told = [] if found == wanted else [f"{found} steps instead of {wanted}"]
    if arrangement != TRAINED_ON[0] or [int(n) for n, share in views.items() if share] != [5]:
        told.append(f"not trained on {TRAINED_ON[0]} alone")
    return told


def train_variant(
    runs: str | Path,
    variant: str,
    seed: int,
    calibration: str | Path,
    overrides: Mapping[str, Any] | None = None,
) -> int | None:
    """Train a variant in RUNS/<variant>-<seed> by one process, from where it stands; write its weights.

    overrides: of the experiment, beside those of the variant.

    Returns 0 when done, the signal that stopped it, None where another process is at it.
    """
    from mvssm_ros.learning.training.experiment import read_experiment
    from mvssm_ros.learning.training.run import export, train

    chosen = VARIANTS[variant]
    settings: dict[str, Any] = {
        "training.steps": chosen.steps,
        "training.seed": seed,
        "data.calibration": str(calibration),
        **{f"network.{key}": value for key, value in chosen.network.items()},
    }
    experiment = read_experiment(EXPERIMENT, settings | dict(overrides or {}))
    folder = Path(runs) / f"{variant}-{seed}"
    with _locked(folder) as alone:
        if not alone:
            return None
        outcome = train(experiment, folder, 1, device="cpu")
        if outcome.finished:
            export(folder, folder / WEIGHTS)
        return outcome.signal


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether this process alone is at a run; several may share the work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
