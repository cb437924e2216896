"""One person as a BVH file.

Every bone is as long as it was in the median; the rotations point it where the joints are. A joint
with several bones has one helper of no length for each, since pelvis and shoulders are not rigid in
the data: so forward kinematics gives the joints back, but for bones that were longer or shorter.
Bones turn the shortest way from the rest pose (a T, facing +z); the twist of a limb cannot be known
from joints. Centimetres, y up (x stays, y is the height, z is -y of the reference frame), channels
in the order that they apply: Z, X, Y. Gaps: frames are even in time and joints are interpolated
linearly over gaps of any length; before a joint is first known, and after it is last known, it has
its first or last value; a joint that is never known keeps the rest pose.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from mvssm_ros.errors import UserError
from mvssm_ros.export.even_frames import at_even_times, even_times_s, rate_of, y_up
from mvssm_ros.export.tracks import Track
from mvssm_ros.geometry.skeletons import PANOPTIC15

Array = npt.NDArray[np.float64]

_CM = 100.0
_ROOT = "mid_hip"
# Bones of panoptic15: from, to, and where it points in the rest pose (x left, y up, z forward).
_BONES = (
    ("mid_hip", "neck", (0.0, 1.0, 0.0)),
    ("neck", "nose", (0.0, 0.8, 0.6)),
    *(
        (parent if parent in ("mid_hip", "neck") else side + parent, side + child, (x, y, 0.0))
        for side, sign in (("left_", 1.0), ("right_", -1.0))
        for parent, child, x, y in (
            ("neck", "shoulder", sign, 0.0),
            ("shoulder", "elbow", sign, 0.0),
            ("elbow", "wrist", sign, 0.0),
            ("mid_hip", "hip", sign, 0.0),
            ("hip", "knee", 0.0, -1.0),
            ("knee", "ankle", 0.0, -1.0),
        )
    ),
)


@dataclass
class _Node:
    """A joint of the file: where it is from its parent at rest (m), and the bone it points."""

    name: str
    offset_m: Array
    bone: tuple[str, str] | None = None  # that its rotation aims
    rest: Array | None = None
    children: list[_Node] = field(default_factory=list)


def bvh_text(track: Track) -> str:
    """The file's text.

    Raises:
        UserError: the person was seen in one set only, or the hips or a bone never.
    """
    where = f"person '{track.id}'"
    rate_hz = rate_of(track.stamps_ns, where)
    times_s = even_times_s(track.stamps_ns, rate_hz)
    sparse_m = y_up(track.panoptic15_m())
    lengths_m = _bone_lengths_m(sparse_m, where)
    joints_m = _without_gaps(at_even_times(track.stamps_ns, sparse_m, times_s, np.inf))
    at = {name: joints_m[:, j] for j, name in enumerate(PANOPTIC15.joints)}
    if not np.isfinite(at[_ROOT]).all():
        raise UserError(f"{where}: the hips were never seen; BVH needs them")
    root = _tree(lengths_m)
    columns = [_CM * at[_ROOT], _euler_deg(identity := _identity(len(times_s)))]
    for child in root.children:
        _rotate(child, identity, at, columns)
    lines = ["HIERARCHY", *_hierarchy(root, 0), "MOTION"]
    lines += [f"Frames: {len(times_s)}", f"Frame Time: {1 / rate_hz:.8f}"]
    for row in np.concatenate(columns, axis=1):
        lines.append(" ".join(f"{value:.6f}" for value in row))
    return "\n".join(lines) + "\n"


def _bone_lengths_m(joints_m: Array, where: str) -> dict[tuple[str, str], float]:
    """Medians over the frames; of a bone that was never seen, its mirror image's."""
    index = PANOPTIC15.index
    found = {}
    for a, b, _ in _BONES:
        lengths = np.linalg.norm(joints_m[:, index(b)] - joints_m[:, index(a)], axis=-1)
        known = lengths[np.isfinite(lengths)]
        found[a, b] = float(np.median(known)) if len(known) else float("nan")
    for (a, b), length in list(found.items()):
        if not np.isfinite(length):
            mirrored = (_mirrored(a), _mirrored(b))
            found[a, b] = found[mirrored]
            if not np.isfinite(found[a, b]):
                raise UserError(f"{where}: the bone from {a} to {b} was never seen; BVH needs it")
    return found


def _mirrored(joint: str) -> str:
    return PANOPTIC15.joints[PANOPTIC15.mirror[PANOPTIC15.index(joint)]]


def _without_gaps(joints_m: Array) -> Array:
    """Before the first known value that, after the last the last; NaN where there is none."""
    out = joints_m.copy()
    for j in range(joints_m.shape[1]):
        known = np.flatnonzero(np.isfinite(joints_m[:, j]).all(-1))
        if len(known):
            out[: known[0], j] = joints_m[known[0], j]
            out[known[-1] + 1 :, j] = joints_m[known[-1], j]
    return out


def _tree(lengths_m: dict[tuple[str, str], float]) -> _Node:
    """The hierarchy from the hips: a joint of several bones gets a helper for each."""

    def grow(name: str, offset_m: Array) -> _Node:
        node = _Node(name, offset_m)
        bones = [(b, np.array(rest)) for a, b, rest in _BONES if a == name]
        for child, rest in bones:
            rest = rest / np.linalg.norm(rest)
            end = grow(child, lengths_m[name, child] * rest)
            if len(bones) == 1:
                node.bone, node.rest, node.children = (name, child), rest, [end]
            else:
                helper = _Node(f"{name}_to_{child}", np.zeros(3), (name, child), rest, [end])
                node.children.append(helper)
        return node

    return grow(_ROOT, np.zeros(3))


def _identity(n: int) -> Rotation:
    return Rotation.from_matrix(np.tile(np.eye(3), (n, 1, 1)))


def _rotate(node: _Node, parent: Rotation, at: dict[str, Array], columns: list[Array]) -> None:
    """Append the angles of a node and of all below; ``parent`` is the rotation above, in the world."""
    if not node.children:
        return
    world = parent
    if node.bone is not None and node.rest is not None:
        a, b = node.bone
        world = _aimed(parent.apply(node.rest), at[b] - at[a]) * parent
    columns.append(_euler_deg(parent.inv() * world))
    for child in node.children:
        _rotate(child, world, at, columns)


def _aimed(start: Array, goal: Array) -> Rotation:
    """The shortest turns from directions [F, 3] to others; none where either is unknown."""
    goal = goal / np.maximum(np.linalg.norm(goal, axis=-1, keepdims=True), 1e-9)
    axis = np.cross(start, goal)
    sine = np.linalg.norm(axis, axis=-1)
    cosine = np.einsum("fi,fi->f", start, goal)
    helper = np.eye(3)[np.argmin(np.abs(start), axis=-1)]
    across = np.cross(start, helper)  # any axis serves to turn right round
    axis = np.where(sine[:, None] > 1e-9, axis, across)
    axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    turn = axis * np.arctan2(sine, cosine)[:, None]
    return Rotation.from_rotvec(np.where(np.isfinite(turn).all(-1)[:, None], turn, 0.0))


def _euler_deg(rotation: Rotation) -> Array:
    """[F, 3] degrees, Z then X then Y, each about the axis the ones before have turned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gimbal lock: one of the angles is free, the turn is right
        return np.asarray(rotation.as_euler("ZXY", degrees=True), np.float64)


def _hierarchy(node: _Node, depth: int) -> list[str]:
    pad = "\t" * depth
    offset = " ".join(f"{_CM * value:.6f}" for value in node.offset_m)
    if not node.children:
        return [f"{pad}End Site", f"{pad}{{", f"{pad}\tOFFSET {offset}", f"{pad}}}"]
    kind = "JOINT" if depth else "ROOT"
    channels = "3 Zrotation Xrotation Yrotation"
    if not depth:
        channels = "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    lines = [f"{pad}{kind} {node.name}", f"{pad}{{", f"{pad}\tOFFSET {offset}"]
    lines.append(f"{pad}\tCHANNELS {channels}")
    for child in node.children:
        lines += _hierarchy(child, depth + 1)
    return [*lines, f"{pad}}}"]
