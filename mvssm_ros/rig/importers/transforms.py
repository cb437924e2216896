"""Static transforms from a file, chained to the pose of any frame in any other.

The file may hold, in YAML or JSON, a list (or ``transforms:`` with a list, as
``ros2 topic echo --once /tf_static`` prints it) of

    {parent: map, child: left_optical_frame, translation_m: [x, y, z], quaternion_xyzw: [x, y, z, w]}
    {header: {frame_id: map}, child_frame_id: left, transform: {translation: {x: ..}, rotation: {..}}}

or text with the arguments of tf2_ros' static_transform_publisher, one transform a line, in the new
form (--x 1 ... --frame-id map --child-frame-id left) or the old (x y z yaw pitch roll parent child,
x y z qx qy qz qw parent child). All are the pose of the child in the parent: m, rad.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import Array, numbers, values
from mvssm_ros.rig.strict_yaml import parse_documents
from mvssm_ros.rig.text_file import read_text
from mvssm_ros.rig.validation import rotation_from_quaternion

_OPTIONS = ("x", "y", "z", "qx", "qy", "qz", "qw", "roll", "pitch", "yaw")


@dataclass
class Tree:
    """Frames, each with its parent and its pose [4, 4] in it."""

    where: str
    parents: dict[str, tuple[str, Array]] = field(default_factory=dict)

    def put(self, parent: str, child: str, pose: Array, where: str) -> None:
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise UserError(f"{where}: expected two frames, got {parent!r} and {child!r}")
        known = self.parents.get(child)
        if known is not None and not (known[0] == parent and np.allclose(known[1], pose)):
            raise UserError(f"{where}: the frame {child} is given twice; it can have one parent")
        self.parents[child] = parent, pose

    def frames(self) -> list[str]:
        return sorted({*self.parents, *(parent for parent, _ in self.parents.values())})

    def roots(self) -> list[str]:
        return [frame for frame in self.frames() if frame not in self.parents]

    def pose(self, frame: str, reference: str) -> Array:
        """The pose [4, 4] of ``frame`` in ``reference``: x_reference = pose x_frame.

        Raises:
            UserError: one of them is not in the tree, they are not connected, or it has a loop.
        """
        root, from_frame = self._to_root(frame)
        other, from_reference = self._to_root(reference)
        if root != other:
            raise UserError(f"{self.where}: {frame} and {reference} are not connected")
        return np.asarray(np.linalg.inv(from_reference) @ from_frame)

    def _to_root(self, frame: str) -> tuple[str, Array]:
        if frame not in self.frames():
            raise UserError(
                f"{self.where}: has no frame {frame}; it has {', '.join(self.frames())}"
            )
        pose = np.eye(4)
        seen = {frame}
        while frame in self.parents:
            frame, step = self.parents[frame]
            if frame in seen:
                raise UserError(f"{self.where}: its frames go round in a loop at {frame}")
            seen.add(frame)
            pose = step @ pose
        return frame, pose


def read_transforms(path: str) -> Tree:
    """Read the file. Raises UserError where it is none, naming file, entry and fix."""
    where = f"transforms {path}"
    text = read_text(path, where)
    tree = Tree(where)
    if _is_text_of_arguments(text):
        for number, line in _logical_lines(text):
            at = f"{where}: line {number}"
            tree.put(*_from_arguments(line, at), at)
    else:
        entries = [entry for doc in parse_documents(text, where) for entry in _entries(doc, where)]
        for i, entry in enumerate(entries):
            at = f"{where}: transform {i + 1}"
            tree.put(*_from_mapping(entry, at), at)
    if not tree.parents:
        raise UserError(f"{where}: has no transforms")
    return tree


def _is_text_of_arguments(text: str) -> bool:
    first = next((line for _, line in _logical_lines(text)), "")
    return bool(re.search(r"static_transform_publisher|--|^\s*[-+.\d]\S*\s+[-+.\d]", first)) and (
        not first.startswith(("---", "- "))
    )


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines without comments and empty ones; a backslash at the end joins the next."""
    lines: list[tuple[int, str]] = []
    pending: tuple[int, str] | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        start, line = (pending[0], pending[1] + line) if pending else (number, line)
        pending = (start, line[:-1] + " ") if line.endswith("\\") else None
        if line and pending is None:
            lines.append((start, line))
    return [*lines, pending] if pending else lines


def _from_arguments(line: str, where: str) -> tuple[str, str, Array]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UserError(f"{where}: cannot be split into words ({error})") from None
    if "static_transform_publisher" in words:
        words = words[words.index("static_transform_publisher") + 1 :]
    if "--ros-args" in words:
        words = words[: words.index("--ros-args")]
    if not any(word.startswith("--") for word in words):
        return _from_positions(words, where)
    given: dict[str, str] = {}
    rest = list(words)
    while rest:
        key, _, value = rest.pop(0).partition("=")
        name = key.removeprefix("--")
        if not key.startswith("--") or name not in (*_OPTIONS, "frame-id", "child-frame-id"):
            raise UserError(f"{where}: {key!r} is no argument of static_transform_publisher")
        if not value and not rest:
            raise UserError(f"{where}: {key} has no value")
        given[name] = value or rest.pop(0)
    for name in ("frame-id", "child-frame-id"):
        if name not in given:
            raise UserError(f"{where}: --{name} is missing")
    n = {k: _number(v, f"{where}: --{k}") for k, v in given.items() if k in _OPTIONS}
    angles, quaternion = {"roll", "pitch", "yaw"} & n.keys(), {"qx", "qy", "qz", "qw"} & n.keys()
    if angles and quaternion:
        raise UserError(f"{where}: has angles and a quaternion, expected one of them")
    if quaternion:
        q = [n.get("qx", 0), n.get("qy", 0), n.get("qz", 0), n.get("qw", 1.0)]
        R = rotation_from_quaternion(q, f"{where}: the quaternion")
    else:
        R = _from_angles(n.get("roll", 0), n.get("pitch", 0), n.get("yaw", 0))
    position = [n.get("x", 0), n.get("y", 0), n.get("z", 0)]
    return given["frame-id"], given["child-frame-id"], _pose(R, position)


def _from_positions(words: list[str], where: str) -> tuple[str, str, Array]:
    """The old form: x y z, yaw pitch roll or a quaternion, parent, child, perhaps a period."""
    n_numbers = next((i for i, word in enumerate(words) if not _is_number(word)), len(words))
    if n_numbers not in (6, 7) or len(words) - n_numbers not in (2, 3):
        raise UserError(
            f"{where}: expected x y z yaw pitch roll PARENT CHILD, or x y z qx qy qz qw PARENT"
            f" CHILD, got {' '.join(words)!r}"
        )
    n = [float(word) for word in words[:n_numbers]]
    if n_numbers == 6:
        R = _from_angles(roll=n[5], pitch=n[4], yaw=n[3])
    else:
        R = rotation_from_quaternion(n[3:], f"{where}: the quaternion")
    return words[n_numbers], words[n_numbers + 1], _pose(R, n[:3])


def _entries(document: Any, where: str) -> list[Any]:
    if document is None:
        return []
    if isinstance(document, dict):
        document = document.get("transforms", [document])
    if not isinstance(document, list):
        raise UserError(f"{where}: expected a list of transforms")
    return document


def _from_mapping(entry: Any, where: str) -> tuple[str, str, Array]:
    if not isinstance(entry, dict):
        raise UserError(f"{where}: expected parent, child, translation_m and quaternion_xyzw")
    if "transform" in entry:  # geometry_msgs/TransformStamped
        header, transform = entry.get("header"), entry["transform"]
        if not isinstance(header, dict) or not isinstance(transform, dict):
            raise UserError(f"{where}: expected header, child_frame_id and transform")
        parent, child = header.get("frame_id"), entry.get("child_frame_id")
        position = _components(transform.get("translation"), "xyz", f"{where}: translation")
        quaternion = _components(transform.get("rotation"), "xyzw", f"{where}: rotation")
    else:
        parent, child = entry.get("parent"), entry.get("child")
        position, quaternion = values(entry, {"translation_m": 3, "quaternion_xyzw": 4}, where)
    if not isinstance(parent, str) or not isinstance(child, str):
        raise UserError(f"{where}: expected the names of two frames, got {parent!r} and {child!r}")
    return parent, child, _pose(rotation_from_quaternion(quaternion, where), position)


def _components(mapping: Any, names: str, where: str) -> Array:
    if not isinstance(mapping, dict):
        raise UserError(f"{where}: expected {', '.join(names)}")
    return np.concatenate(values(mapping, dict.fromkeys(names, 1), where))


def _from_angles(roll: float, pitch: float, yaw: float) -> Array:
    """ROS's order: about the fixed x, then y, then z."""
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (np.cos, np.sin))
    Rx = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    Ry = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    Rz = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return np.asarray(Rz @ Ry @ Rx)


def _pose(R: Array, position_m: Any) -> Array:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = R, position_m
    return pose


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _number(word: str, where: str) -> float:
    value = float(numbers(word, where, f"a number, got {word!r}")[0])
    if not np.isfinite(value):
        raise UserError(f"{where}: expected a finite number, got {word!r}")
    return value
