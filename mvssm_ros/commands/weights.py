"""`mvssm weights`: import public checkpoints, look into a weights file, halve its size."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.resnet import RESNET50, PoseResNet
from mvssm_ros.network.checkpoints import (
    Checkpoint,
    load_into,
    mvgformer_network,
    read_checkpoint,
)
from mvssm_ros.network.config import MVSSMConfig, paper_rgb
from mvssm_ros.network.weights import SHIPPED, read_weights, save_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="import|show|halve")
    importer = actions.add_parser(
        "import",
        help="turn a VoxelPose, MvP or MVGFormer checkpoint into weights for the RGB front-end",
        description="The backbone (PoseResNet-50) is taken from any of the three; the decoder from "
        "MVGFormer, which is MV-SSM without Mamba. A file with a backbone alone cannot answer yet: "
        "a decoder is to be trained on it.",
    )
    importer.add_argument("checkpoint", type=Path, help="the checkpoint that has the backbone")
    importer.add_argument(
        "--decoder", type=Path, help="an MVGFormer checkpoint to take the decoder from instead"
    )
    importer.add_argument("--out", type=Path, required=True, help="weights file, .safetensors")
    importer.add_argument(
        "--with-mamba",
        action="store_true",
        help="put fresh Mamba blocks in, for training; until then they add time and nothing else",
    )
    shower = actions.add_parser(
        "show", help="print a weights file's configuration, parameters and provenance"
    )
    shower.add_argument(
        "file", type=Path, nargs="?", default=SHIPPED, help="default: the weights of the package"
    )
    halver = actions.add_parser(
        "halve",
        help="write the same weights in 16 bits a number, which is what a file to ship needs",
    )
    halver.add_argument("file", type=Path)
    halver.add_argument("--out", type=Path, required=True, help="weights file, .safetensors")


def run(args: argparse.Namespace) -> int:
    if args.action == "show":
        return _show(args.file)
    if args.out.suffix != ".safetensors":
        raise UserError(f"--out {args.out}: expected a name that ends in .safetensors")
    if args.action == "import":
        return _import(args.checkpoint, args.decoder, args.out, args.with_mamba)
    return _halve(args.file, args.out)


def _halve(source: Path, out: Path) -> int:
    weights = read_weights(source)
    if out.exists() and out.samefile(source):
        raise UserError(f"--out {out}: is the file that is read; give another name")
    parts = [
        {k: v.half() if v.is_floating_point() else v for k, v in weights.part(name).items()}
        for name in ("network", "backbone")
    ]
    for name, value in (pair for part in parts for pair in part.items()):
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(f"{source}: {name} has values that 16 bits cannot hold")
    network, backbone = parts
    save_weights(out, weights.config, network, weights.provenance, backbone)
    print(
        f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB ({source.stat().st_size / 1e6:.1f} MB before)"
    )
    return 0


def _import(source: Path, decoder_source: Path | None, out: Path, with_mamba: bool) -> int:
    checkpoint = read_checkpoint(source)
    if not checkpoint.backbone:
        raise UserError(f"{source.name}: a {checkpoint.kind} checkpoint without a backbone")
    decoder = read_checkpoint(decoder_source) if decoder_source else checkpoint
    ablation = "full" if with_mamba else "no_mamba"
    config: MVSSMConfig = paper_rgb("resnet50", ablation=ablation)
    network: dict[str, Tensor] = {}
    if decoder_source or decoder.decoder:
        model = mvgformer_network(decoder, ablation)
        config, network = model.config, model.state_dict()
    backbone = PoseResNet(RESNET50)
    load_into(backbone, checkpoint.backbone, source.name, may_lack=("final_layer",))

    sources = {"backbone": checkpoint} | ({"decoder": decoder} if network else {})
    provenance = {"imported": {part: _origin(found) for part, found in sources.items()}}
    save_weights(out, config, network, provenance, backbone.state_dict())
    for found in {id(c): c for c in sources.values()}.values():
        _report(found)
    print(f"wrote {out}")
    if not network:
        print(
            "It holds a backbone alone and answers nothing yet: import a decoder as well "
            "(--decoder, an MVGFormer checkpoint), or train one."
        )
    return 0


def _origin(found: Checkpoint) -> dict[str, str]:
    digest = hashlib.sha256()
    with found.path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"kind": found.kind, "file": found.path.name, "sha256": digest.hexdigest()}


def _report(found: Checkpoint) -> None:
    taken = [f"backbone ({len(found.backbone)} tensors)"] if found.backbone else []
    taken += [f"decoder ({len(found.decoder)} tensors)"] if found.decoder else []
    print(f"{found.path.name}: {found.kind}; read {' and '.join(taken)}")
    for reason, count in Counter(found.unused.values()).items():
        print(f"  {count:4d} keys unused: {reason}")


def _show(path: Path) -> int:
    weights = read_weights(path)
    print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
    print("parameters and buffers")
    parts = Counter[str]()
    for name, tensor in weights.tensors.items():
        parts[name.split(".")[0]] += tensor.numel()
    for part, count in sorted(parts.items()):
        print(f"  {part:24s}{count:>14,d}")
    print(f"  {'all':24s}{parts.total():>14,d}")
    if "network" not in parts:
        print("  no decoder: a backbone alone answers nothing, import or train a decoder")
    print("configuration")
    for name, value in asdict(weights.config).items():
        print(f"  {name:24s}{value}")
    print("provenance")
    for line in json.dumps(weights.provenance, indent=2, ensure_ascii=False).splitlines():
        print(f"  {line}")
    return 0
