"""Weights on disk: safetensors, with the network's configuration and where they came from.

Tensors are named `network.…` (MV-SSM) and, for RGB front-ends, `backbone.…`. The file's metadata
holds `format`, `config` and `provenance` (JSON). Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor, nn

from mvssm_ros.errors import UserError

from .config import MVSSMConfig
from .mvssm import MVSSM

FORMAT = "mvssm_ros.weights/1"
_FOLDER = Path(__file__).parent.parent / "weights"
SHIPPED = _FOLDER / "keypoints.safetensors"
SHIPPED_RGB = _FOLDER / "rgb_small.safetensors"  # of the front-end resnet_small


@dataclass(frozen=True)
class Weights:
    """What a weights file holds: tensors by name, configuration, provenance (free-form facts)."""

    path: Path
    config: MVSSMConfig
    provenance: dict
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors named `prefix.…`, without the prefix."""
        return {
            k[len(prefix) + 1 :]: v for k, v in self.tensors.items() if k.startswith(prefix + ".")
        }


def save_weights(
    path: str | Path,
    config: MVSSMConfig,
    network: Mapping[str, Tensor],
    provenance: Mapping,
    backbone: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a weights file, whole or not at all. Raises UserError where that cannot be."""
    tensors = {f"network.{k}": v.detach().cpu().contiguous() for k, v in network.items()}
    for name, tensor in (backbone or {}).items():
        tensors[f"backbone.{name}"] = tensor.detach().cpu().contiguous()
    metadata = metadata_of(config, provenance)
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata=metadata)
        temporary.chmod(0o644)  # safetensors writes files that only their owner can read
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        told = getattr(error, "strerror", None) or _one_line(error)
        raise UserError(f"weights file {path} cannot be written: {told}") from None


def metadata_of(config: MVSSMConfig, provenance: Mapping) -> dict[str, str]:
    """What the file says of itself."""
    return {
        "format": FORMAT,
        "config": json.dumps(asdict(config), sort_keys=True),
        "provenance": json.dumps(dict(provenance), sort_keys=True),
    }


def read_weights(path: str | Path) -> Weights:
    """Read a weights file. Raises UserError that says what is wrong with it and what to do."""
    path = Path(path)
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise UserError(
            f"weights file {path} {what}: give the path of a .safetensors file, "
            "or none to use the weights that ship with the package"
        )
    if path.suffix == ".ckpt":
        raise UserError(
            f"weights file {path} is a checkpoint of a training run: write its weights with the "
            "command that trained it and --export FILE.safetensors"
        )
    if path.suffix in (".pt", ".pth", ".tar", ".pkl", ".bin"):
        raise UserError(
            f"weights file {path} is a pickled checkpoint, which is not loaded as it is: "
            f"convert it with 'mvssm weights import {path.name} --out {path.stem}.safetensors'"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UserError(
                    f"weights file {path} is not one of ours: expected format '{FORMAT}' in its "
                    f"metadata, got {metadata.get('format')!r:.60}; convert checkpoints with "
                    "'mvssm weights import'"
                )
        tensors = load(path.read_bytes())  # file.get_tensor loses 3 kB of memory a file
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"weights file {path} cannot be read as safetensors ({error}): "
            "it is none, cut short or damaged; give a .safetensors file, or fetch or make it again"
        ) from None
    config = _config(path, metadata)
    return Weights(path, config, _json(path, metadata, "provenance"), tensors)


def _json(path: Path, metadata: Mapping[str, str], key: str) -> dict:
    try:
        values = json.loads(metadata.get(key) or "{}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"weights file {path} has a damaged {key}: {_one_line(error)}") from None
    if not isinstance(values, dict):
        raise UserError(f"weights file {path} has a damaged {key}: expected a mapping")
    return values


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _config(path: Path, metadata: Mapping[str, str]) -> MVSSMConfig:
    if not metadata.get("config"):
        raise UserError(f"weights file {path} has a damaged config: it is missing")
    values = _json(path, metadata, "config")
    try:
        known = {f.name for f in fields(MVSSMConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(
                f"weights file {path} is of another architecture: this version does not know "
                f"{', '.join(unknown)}; use the version of mvssm_ros that wrote it"
            )
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return MVSSMConfig(**values)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            f"weights file {path} has a damaged configuration: {_one_line(error)}"
        ) from None


def load_state(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load every tensor into `module`; UserError names what is missing, unknown or of another shape."""
    _check_state(module.state_dict(), state, path)
    module.load_state_dict(dict(state))


def _check_state(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    problems = [f"missing {k}" for k in own if k not in state]
    problems += [f"unknown {k}" for k in state if k not in own]
    problems += [
        f"{k}: expected {list(own[k].shape)}, got {list(state[k].shape)}"
        for k in own
        if k in state and own[k].shape != state[k].shape
    ]
    problems += [
        f"{k}: expected {own[k].dtype}, got {state[k].dtype}"
        for k in own
        if k in state and own[k].is_floating_point() != state[k].is_floating_point()
    ]
    problems += [
        f"{k} holds values that are not finite"
        for k in state
        if k in own and own[k].is_floating_point() and not _finite(state[k], own[k].dtype)
    ]
    if problems:
        shown = "; ".join(problems[:3]) + (
            f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        )
        raise UserError(f"weights file {path} does not fit this network ({shown})")


def _finite(values: Tensor, dtype: torch.dtype) -> bool:
    """Whether they are, as the type that they will have."""
    return bool(torch.isfinite(values.to(dtype)).all())


def load_network(weights: Weights) -> MVSSM:
    """The network of a weights file, ready for inference.

    Raises UserError where configuration and tensors do not fit. They are compared before anything
    is allocated.
    """
    if not weights.part("network"):
        raise UserError(
            f"weights file {weights.path} holds a backbone alone and cannot answer: import a "
            "decoder as well ('mvssm weights import … --decoder …'), or train one"
        )
    try:
        with torch.device("meta"):  # shapes alone
            shapes = MVSSM(weights.config).state_dict()
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"weights file {weights.path} has a damaged configuration: {_one_line(error)}"
        ) from None
    _check_state(shapes, weights.part("network"), weights.path)
    model = MVSSM(weights.config)
    model.load_state_dict(weights.part("network"))
    return model.eval()
