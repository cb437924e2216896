"""Damaged rig files and weights files, read as the package reads them."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from mvssm_ros.fuzzing.mutate import damage, json_value, number
from mvssm_ros.fuzzing.skeletons import Skeletons
from mvssm_ros.geometry.cameras import project
from mvssm_ros.network.candidates import start_pose
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import load_network, metadata_of, read_weights
from mvssm_ros.rig.rig_file import load_rig

_RIG = """reference_frame: map
space: {center_m: [0.0, 0.0], size_m: [5.0, 5.0], floor_m: 0.0}
cameras:
  left:
    image_topic: /left/image_raw
    transport: compressed
    image_size_px: [1280, 720]
    intrinsics_px: {fx: 900.0, fy: 900.0, cx: 640.0, cy: 360.0}
    extrinsics: {position_m: [2.5, 2.0, 2.2], quaternion_xyzw: [0.356, 0.7408, -0.5134, -0.2468]}
  right:
    image_size_px: [1280, 720]
    intrinsics_px: {fx: 900.0, fy: 900.0, cx: 640.0, cy: 360.0}
    distortion: {model: plumb_bob, coefficients: [0.0, 0.0, 0.0, 0.0, 0.0]}
    extrinsics:
      rotation: [[0.6247, 0.7809, 0.0], [0.2741, -0.2193, -0.9364], [-0.7312, 0.585, -0.351]]
      translation_m: [0.0, 0.936, 3.77]
"""
_TOKENS = (
    *("null", "true", "nan", ".nan", ".inf", "-.inf", "1e400", "1e3", "0x7f", "0o17", "1:30:00"),
    *("2001-01-01", "2001-13-45", "!!binary x", "!!python/name:os.system", "!!set {a}", "<<: *a"),
    *("&a", "*a", "{}", "[]", "[[[[", "}}}}", "? a", "---", "...", "%YAML 9.9", "|", ">", "@", "`"),
    *("'", '"', "\t", "\u2028", "\x00", "-1", "0", "99999999999999999999", "é", "~", "1_000", "- "),
)


class RigFiles:
    """YAML text with characters, words and lines changed.

    With some of the accepted rigs the network looks at what the cameras of the good rig see.
    """

    suffix = ".yaml"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mvssm_fuzz_")
        self._path = Path(self._folder.name) / "rig.yaml"
        self._skeletons = Skeletons(one_in=20)
        self._path.write_text(_RIG, encoding="utf-8")
        rig = load_rig(self._path)
        standing = start_pose("relaxed")  # [15, 3] m, feet at the origin
        pixels, _ = project(rig.to_cameras(), standing)
        self._views = {
            name: np.concatenate([view, np.full((15, 1), 0.9)], -1)[None].astype(np.float32)
            for name, view in zip(rig.cameras, pixels.numpy())
        }

    def make(self, random: Random) -> bytes:
        if random.random() < 0.3:
            return damage(random, _RIG.encode())
        if random.random() < 0.3:  # a number or two: most are good rigs
            words = re.split(r"([0-9.]+)", _RIG)
            for _ in range(random.randint(1, 2)):
                at = random.randrange(1, len(words), 2)
                try:
                    words[at] = repr(number(random, float(words[at])))
                except ValueError:
                    words[at] = "."
            return "".join(words).encode()
        lines = _RIG.splitlines()
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(lines))
            words = lines[at].split(" ")
            word = random.randrange(len(words))
            kind = random.randrange(6)
            if kind == 0:
                words[word] = random.choice(_TOKENS)
            elif kind == 1:
                words[word] += random.choice(_TOKENS)
            elif kind == 2:
                words[word] = json.dumps(json_value(random))
            elif kind == 3:
                words.insert(word, random.choice(_TOKENS))
            elif kind == 4:
                words.pop(word)
            lines[at] = " ".join(words)
            if kind == 5:
                lines.insert(at, random.choice(lines))
        return "\n".join(lines).encode()

    def check(self, data: bytes) -> None:
        self._path.write_bytes(data)
        rig = load_rig(self._path)
        rig.warnings()
        complete = [name for name, entry in rig.cameras.items() if not entry.missing()]
        cameras = rig.to_cameras(complete) if complete else None
        if cameras and set(complete) == set(self._views) and self._skeletons.wanted(data):
            self._skeletons.check(cameras, [self._views[name] for name in complete], rig.space)
        for tensor in (cameras.K, cameras.R, cameras.t, cameras.distortion) if cameras else ():
            if not torch.isfinite(tensor).all():
                raise ValueError("an accepted rig has a calibration that is not finite")


class WeightsFiles:
    """safetensors files with bytes, tensors' headers and the configuration changed."""

    suffix = ".safetensors"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mvssm_fuzz_")
        self._path = Path(self._folder.name) / "w.safetensors"
        torch.manual_seed(0)
        config = MVSSMConfig(d_model=8, n_layers=1, survivors=(), n_points=2)
        tensors = {f"network.{k}": v for k, v in MVSSM(config).state_dict().items()}
        self._good = save(tensors, metadata=metadata_of(config, {"seed": 0}))
        length = int.from_bytes(self._good[:8], "little")
        self._header = json.loads(self._good[8 : 8 + length])
        self._body = self._good[8 + length :]

    def make(self, random: Random) -> bytes:
        choice = random.random()
        if choice < 0.15:
            return damage(random, self._good)
        if choice < 0.35:
            return damage(random, self._good, within=len(self._good) - len(self._body))
        header = json.loads(json.dumps(self._header))
        metadata = header["__metadata__"]
        if choice < 0.75:
            config = json.loads(metadata["config"])
            for _ in range(random.randint(1, 3)):
                config[random.choice([*config, "unheard_of"])] = json_value(random)
            metadata["config"] = json.dumps(config)
        elif choice < 0.9:
            key = random.choice(list(metadata))
            damaged = damage(random, metadata[key].encode()).decode("latin-1")
            other = json.dumps(json_value(random))
            metadata[key] = random.choice((damaged, other, "", "[" * 100_000))
        else:
            entry: dict[str, Any] = header[random.choice([k for k in header if k[0] != "_"])]
            entry[random.choice(list(entry))] = random.choice(
                (json_value(random), "F16", "I64", "F64", "BOOL", "F8_E4M3", "C64", [2, 4], [0])
            )
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + self._body

    def check(self, data: bytes) -> None:
        self._path.write_bytes(data)
        weights = read_weights(self._path)
        network = load_network(weights)
        for name, value in network.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise ValueError(f"accepted weights hold a {name} that is not finite")
        if not isinstance(weights.provenance, dict):
            raise ValueError("accepted weights have a provenance that is no mapping")
