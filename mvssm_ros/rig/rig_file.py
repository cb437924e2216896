"""The rig file: which cameras there are, how they are calibrated, where people are looked for.

    reference_frame: map
    space: {center_m: [0.0, 0.0], size_m: [5.0, 5.0], floor_m: 0.0}
    cameras:
      cam01:
        image_topic: /cam01/image_raw
        info_topic: /cam01/camera_info
        transport: raw                        # or compressed
        frame_id: cam01_optical_frame
        image_size_px: [1088, 1920]           # width, height
        intrinsics_px: {fx: 1680.0, fy: 1680.0, cx: 543.5, cy: 959.5}
        distortion: {model: plumb_bob, coefficients: [k1, k2, p1, p2, k3]}
        extrinsics:                           # x_cam = rotation x + translation
          rotation: [[...], [...], [...]]
          translation_m: [x, y, z]
      cam02: {}                               # everything by default

Extrinsics may also be the pose of the camera's optical frame in the reference frame, as TF shows
it: {position_m: [x, y, z], quaternion_xyzw: [x, y, z, w]}. What a camera does not say comes from
its camera_info (intrinsics, distortion, size) and from TF (extrinsics).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.strict_yaml import Section, as_numbers, kind, read_yaml
from mvssm_ros.rig.validation import (
    MAX_SIDE_PX,
    check_camera_matrix,
    check_distortion,
    check_rotation,
    distortion_row,
    rotation_from_quaternion,
)

Array = npt.NDArray[np.float64]

TRANSPORTS = ("raw", "compressed")
MAX_CAMERAS = 64  # a joint's view_mask is 64 bits wide
_CAMERA_KEYS = (
    *("image_topic", "info_topic", "transport", "frame_id"),
    *("image_size_px", "intrinsics_px", "distortion", "extrinsics"),
)


@dataclass(frozen=True)
class Space:
    """The part of the floor on which people are looked for, in the reference frame."""

    center_m: tuple[float, float] = (0.0, 0.0)  # x, y
    size_m: tuple[float, float] = (5.0, 5.0)  # along x, along y
    floor_m: float = 0.0  # z
    assumed: tuple[str, ...] = field(default=(), compare=False)  # keys a rig file did not give


@dataclass(frozen=True, eq=False)
class CameraEntry:
    """One camera. None means: comes from camera_info (size, K, distortion) or TF (R, t)."""

    name: str
    image_topic: str
    info_topic: str
    transport: str = "raw"
    frame_id: str = ""
    size_px: tuple[int, int] | None = None  # width, height
    K: Array | None = None  # [3, 3] px
    distortion_model: str = "plumb_bob"  # ROS's names: plumb_bob, rational_polynomial, equidistant
    distortion: Array | None = None  # the model's coefficients
    R: Array | None = None  # [3, 3], x_cam = R x + t
    t_m: Array | None = None  # [3]

    @classmethod
    def bare(cls, name: str) -> CameraEntry:
        """A camera of which only the name is known."""
        return cls(
            name, f"/{name}/image_raw", f"/{name}/camera_info", "raw", f"{name}_optical_frame"
        )

    @property
    def center_m(self) -> Array | None:
        """Where the camera is in the reference frame [3], None if unknown."""
        return None if self.R is None or self.t_m is None else -self.R.T @ self.t_m

    def missing(self) -> list[str]:
        """What is still needed before the camera can be used, in words."""
        needed = {
            "image size (image_size_px, or camera_info)": self.size_px,
            "intrinsics (intrinsics_px, or camera_info)": self.K,
            "extrinsics (extrinsics, or TF)": self.center_m,
        }
        return [what for what, value in needed.items() if value is None]


@dataclass(frozen=True, eq=False)
class Rig:
    """Cameras that see one space, all in one reference frame (metres, z up)."""

    reference_frame: str = "map"
    space: Space = Space()
    cameras: dict[str, CameraEntry] = field(default_factory=dict)

    def to_cameras(
        self, names: Iterable[str] | None = None, dtype: torch.dtype = torch.float32
    ) -> Cameras:
        """The cameras as one batch of T, in the order of ``names`` (default: all, in file order).

        Raises:
            UserError: no such camera, or one whose intrinsics, size or extrinsics are not known.
        """
        wanted = list(self.cameras) if names is None else list(names)
        entries = []
        for name in wanted:
            if name not in self.cameras:
                known = ", ".join(self.cameras)
                raise UserError(f"camera {name}: is not in the rig, which has {known}")
            entry = self.cameras[name]
            if entry.missing():
                raise UserError(f"camera {name}: lacks its {' and its '.join(entry.missing())}")
            entries.append(entry)
        rows = [distortion_row(e.distortion_model, e.distortion) for e in entries]

        def stack(values: Sequence[Any], *shape: int) -> torch.Tensor:
            return torch.tensor(np.array(values, np.float64).reshape(-1, *shape), dtype=dtype)

        return Cameras(
            K=stack([e.K for e in entries], 3, 3),
            distortion=stack([row for row, _ in rows], 8),
            fisheye=torch.tensor([fisheye for _, fisheye in rows], dtype=torch.bool),
            R=stack([e.R for e in entries], 3, 3),
            t=stack([e.t_m for e in entries], 3),
            size_px=stack([e.size_px for e in entries], 2),
        )

    def warnings(self) -> list[str]:
        """What looks odd but is no certain mistake, one sentence each (see `plausibility`)."""
        return plausibility.warnings(self)

    def save(self, path: str | Path, comment: str = "") -> None:
        """Write the rig file. `load_rig` of it gives the same rig, to the last digit.

        Args:
            path: the file; overwritten.
            comment: lines for the top of the file, written as comments.
        """
        lines = [f"# {line}".rstrip() for line in comment.splitlines()]
        space = self.space
        lines += [
            f"reference_frame: {_flow(self.reference_frame)}",
            f"space: {{center_m: {_flow(space.center_m)}, size_m: {_flow(space.size_m)},"
            f" floor_m: {_flow(space.floor_m)}}}",
            "cameras:" if self.cameras else "cameras: {}",
        ]
        for entry in self.cameras.values():
            lines += _camera_lines(entry)
        try:
            Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"rig file {path}: cannot be written ({error.strerror})") from error


def load_rig(path: str | Path) -> Rig:
    """Read and check a rig file (its form is shown at the top of this module).

    Raises:
        UserError: anything wrong in it; one line that names file, camera, key, what was expected,
            what was found, and the fix. Also what contradicts itself: two cameras on one topic, in
            one place, or kilometres apart; a space that fewer than two cameras see.
    """
    path = Path(path)
    where = f"rig file {path}"
    top = Section(read_yaml(path, "rig file"), f"{where}:", ("reference_frame", "space", "cameras"))
    frame = top.text("reference_frame", "map")
    if frame.startswith("/") or re.search(r"\s", frame):
        raise UserError(
            f"{top.at('reference_frame')}: expected a TF frame without '/' at the front and without"
            f" spaces, got {frame!r}"
        )
    space = read_space(top.value("space") if top.has("space") else {}, top.at("space"))
    cameras = _read_cameras(top)
    rig = Rig(frame, space, cameras)
    plausibility.check(rig, where)
    return rig


def read_space(data: Any, where: str) -> Space:
    """The mapping `space` of a rig file. Raises UserError; ``where`` names it."""
    keys = ("center_m", "size_m", "floor_m")
    section = Section(data, where, keys)
    center, size, floor = (0.0, 0.0), (5.0, 5.0), 0.0
    if section.has("center_m"):
        x, y = section.numbers("center_m", (2,), "x, y in m")
        center = (x, y)
    if section.has("size_m"):
        x, y = section.numbers("size_m", (2,), "along x, along y in m")
        if not (0 < x <= 1000 and 0 < y <= 1000):
            raise UserError(
                f"{section.at('size_m')}: expected two lengths above 0 and up to 1000 m, got"
                f" [{x:g}, {y:g}]; the unit is metres"
            )
        size = (x, y)
    if section.has("floor_m"):
        floor = section.number("floor_m")
    return Space(center, size, floor, tuple(key for key in keys if not section.has(key)))


def _read_cameras(top: Section) -> dict[str, CameraEntry]:
    data, where = top.value("cameras"), top.at("cameras")
    if isinstance(data, list):
        raise UserError(f"{where}: is a list; write each camera as 'name:' followed by its keys")
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected one key per camera, got {kind(data)}")
    cameras = {}
    for name, entry in data.items():
        if not isinstance(name, str):
            raise UserError(f"{where}: the name {name!r} is not text; name it like 'cam{name}'")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise UserError(
                f"{where}: the name {name!r} must be letters, digits and '_', a letter first;"
                " parameters and topics are named after it"
            )
        cameras[name] = _read_camera(name, entry, f"{where}.{name}")
    if not 2 <= len(cameras) <= MAX_CAMERAS:
        raise UserError(
            f"{where}: has {len(cameras)} camera{'s' if len(cameras) != 1 else ''}, expected 2 to"
            f" {MAX_CAMERAS}; depth comes from seeing a person in two images at once"
        )
    return cameras


def _read_camera(name: str, data: Any, where: str) -> CameraEntry:
    section = Section(data, where, _CAMERA_KEYS)
    bare = CameraEntry.bare(name)
    transport = section.text("transport", bare.transport)
    if transport not in TRANSPORTS:
        raise UserError(
            f"{section.at('transport')}: expected {' or '.join(TRANSPORTS)}, got {transport!r}"
        )
    size_px = _read_size(section) if section.has("image_size_px") else None
    K, model, distortion, R, t_m = None, bare.distortion_model, None, None, None
    if section.has("intrinsics_px"):
        K = _read_intrinsics(section, size_px)
        distortion = np.zeros(5)
    if section.has("distortion"):
        if K is None:
            raise UserError(
                f"{section.at('distortion')}: is given without intrinsics_px; give both, or"
                " neither to take both from camera_info"
            )
        model, distortion = _read_distortion(section)
    if section.has("extrinsics"):
        R, t_m = _read_extrinsics(section)
    return CameraEntry(
        name=name,
        image_topic=_topic(section, "image_topic", bare.image_topic),
        info_topic=_topic(section, "info_topic", bare.info_topic),
        transport=transport,
        frame_id=section.text("frame_id", bare.frame_id),
        size_px=size_px,
        K=K,
        distortion_model=model,
        distortion=distortion,
        R=R,
        t_m=t_m,
    )


def _topic(section: Section, key: str, default: str) -> str:
    topic = section.text(key, default)
    if not re.fullmatch(r"(~?/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*", topic):
        raise UserError(
            f"{section.at(key)}: {topic!r} is no topic name; expected letters, digits, '_' and"
            " single '/', like /cam01/image_raw"
        )
    return topic


def _read_size(section: Section) -> tuple[int, int]:
    width, height = section.numbers("image_size_px", (2,), "width, height")
    if not (width.is_integer() and height.is_integer() and min(width, height) > 0):
        raise UserError(
            f"{section.at('image_size_px')}: expected width and height in whole pixels, got"
            f" [{width:g}, {height:g}]"
        )
    if max(width, height) > MAX_SIDE_PX:
        raise UserError(
            f"{section.at('image_size_px')}: expected sides up to {MAX_SIDE_PX} px, got"
            f" [{width:g}, {height:g}]"
        )
    return int(width), int(height)


def _read_intrinsics(camera: Section, size_px: tuple[int, int] | None) -> Array:
    where = camera.at("intrinsics_px")
    if size_px is None:
        raise UserError(
            f"{where}: needs image_size_px: [width, height] beside it, the size of the images that"
            " the camera was calibrated with"
        )
    section = Section(camera.value("intrinsics_px"), where, ("fx", "fy", "cx", "cy"))
    fx, fy, cx, cy = (section.number(key) for key in ("fx", "fy", "cx", "cy"))
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return check_camera_matrix(K, size_px, where)


def _read_distortion(camera: Section) -> tuple[str, Array]:
    section = Section(
        camera.value("distortion"), camera.at("distortion"), ("model", "coefficients")
    )
    model = section.text("model", "plumb_bob")
    values = section.value("coefficients")
    count = (len(values),) if isinstance(values, list) else (5,)  # the model knows how many
    numbers = section.numbers("coefficients", count, "k1, k2, p1, p2, k3")
    return model, check_distortion(model, numbers, section.where)


def _read_extrinsics(camera: Section) -> tuple[Array, Array]:
    """R, t of x_cam = R x + t, from either way of writing them."""
    where = camera.at("extrinsics")
    matrix_keys, pose_keys = ("rotation", "translation_m"), ("position_m", "quaternion_xyzw")
    section = Section(camera.value("extrinsics"), where, matrix_keys + pose_keys)
    given = [key for key in matrix_keys + pose_keys if section.has(key)]
    if given == list(matrix_keys):
        rows = section.value("rotation")
        if not isinstance(rows, list) or len(rows) != 3:
            raise UserError(f"{section.at('rotation')}: expected 3 rows of 3, got {kind(rows)}")
        place = section.at("rotation")
        R = [as_numbers(row, (3,), "a row", f"{place}[{i}]") for i, row in enumerate(rows)]
        t = section.numbers("translation_m", (3,), "x, y, z in m")
        return check_rotation(R, place), np.array(t)
    if given == list(pose_keys):
        q = section.numbers("quaternion_xyzw", (4,), "x, y, z, w")
        to_world = rotation_from_quaternion(q, section.at("quaternion_xyzw"))
        position = np.array(section.numbers("position_m", (3,), "x, y, z in m"))
        return to_world.T, -to_world.T @ position
    raise UserError(
        f"{where}: expected either rotation and translation_m (x_cam = R x + t) or position_m and"
        f" quaternion_xyzw (pose of the optical frame), got {', '.join(given) or 'nothing'}"
    )


def _camera_lines(entry: CameraEntry) -> list[str]:
    lines = [
        f"  {entry.name}:",
        f"    image_topic: {_flow(entry.image_topic)}",
        f"    info_topic: {_flow(entry.info_topic)}",
        f"    transport: {entry.transport}",
        f"    frame_id: {_flow(entry.frame_id)}",
    ]
    if entry.size_px is not None:
        lines.append(f"    image_size_px: {_flow(entry.size_px)}")
    if entry.K is not None:
        K = entry.K
        values = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
        text = ", ".join(f"{key}: {_flow(value)}" for key, value in values.items())
        lines.append(f"    intrinsics_px: {{{text}}}")
        if entry.distortion is not None:
            model, coefficients = entry.distortion_model, _flow(entry.distortion)
            lines.append(f"    distortion: {{model: {model}, coefficients: {coefficients}}}")
    if entry.R is not None and entry.t_m is not None:
        lines += ["    extrinsics:", "      rotation:"]
        lines += [f"        - {_flow(row)}" for row in entry.R]
        lines.append(f"      translation_m: {_flow(entry.t_m)}")
    return lines


def _flow(value: Any) -> str:
    """A value as YAML on one line, numbers in full precision."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")
