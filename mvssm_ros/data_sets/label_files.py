"""3D labels from a file: JSON lines, or CSV as `mvssm export` writes it.

JSON lines (.jsonl), a line a moment; lengths in metres in the rig's frame, z up:
    {"stamp_ns": 1700000000000000000,            or "stamp_s": seconds with a decimal point
     "skeleton": "coco17",                       order of the joints; or "joints": ["neck", ...]
     "people": [{"id": "anna", "joints_m": [[0.1, 2.0, 1.4], null, ...]}]}
``joints_m`` may also be {"neck": [0.1, 2.0, 1.4], ...}, and a person only the list of her joints;
``id`` may be left out; null and NaN are joints that are not known. people.jsonl of an own data set is
such a file.

CSV, a line a joint, with a heading: stamp_ns (or stamp_s), person, joint, x_m, y_m, z_m, and of
trackers joint_state (missing, observed, predicted), sigma_m, track_state. Other columns are ignored.
"""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.data_sets.frames import Array
from mvssm_ros.data_sets.labels import (
    TRACK_STATES,
    UNSURE,
    LabelledMoment,
    check_joint_names,
    is_known,
    panoptic15_m,
    skeleton_joints,
)
from mvssm_ros.errors import UserError
from mvssm_ros.rig.text_file import read_text

_MOST_BYTES = 500_000_000
_MOST_PEOPLE = 64
_NEEDED = ("person", "joint", "x_m", "y_m", "z_m")


def read_label_file(path: str | Path, skeleton: str = "panoptic15") -> list[LabelledMoment]:
    """The moments of a file, its form by its name's ending.

    Args:
        skeleton: order of joints that come as a list, where the file does not say it.

    Raises:
        UserError: no such file, another ending, or a line that cannot be used, with its number.
    """
    path = Path(path)
    where = f"labels {path}"
    skeleton_joints(skeleton, where)
    if path.suffix not in (".jsonl", ".csv"):
        raise UserError(f"{where}: expected a file .jsonl or .csv")
    text = read_text(path, where, _MOST_BYTES)
    if path.suffix == ".csv":
        return _csv_moments(text, where)
    lines = enumerate(text.splitlines(), 1)
    return [
        _json_moment(line, skeleton, f"{where}, line {number}") for number, line in lines if line
    ]


def _json_moment(line: str, skeleton: str, where: str) -> LabelledMoment:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: is no JSON ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("people"), list):
        raise UserError(f'{where}: expected {{"stamp_ns": ..., "people": [...]}}')
    stamp_ns = _stamp_ns(content, where)
    if "joints" in content:
        names = content["joints"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{where}: joints: expected a list of names")
        check_joint_names(names, where)
    else:
        names = list(skeleton_joints(str(content.get("skeleton", skeleton)), where))
    if len(content["people"]) > _MOST_PEOPLE:
        raise UserError(
            f"{where}: has {len(content['people'])} people, expected {_MOST_PEOPLE} at most"
        )
    ids, people = [], []
    for person in content["people"]:
        given = person.get("joints_m") if isinstance(person, dict) else person
        joints = panoptic15_m(_json_joints(given, names, where))
        if np.isfinite(joints).any():
            ids.append(str(person.get("id", "")) if isinstance(person, dict) else "")
            people.append(joints)
    if len(set(filter(None, ids))) < len([name for name in ids if name]):
        raise UserError(f"{where}: two people have one id")
    return LabelledMoment(stamp_ns, tuple(ids), np.array(people).reshape(-1, 15, 3))


def _json_joints(given: Any, names: list[str], where: str) -> dict[str, Array]:
    if isinstance(given, dict):
        check_joint_names(list(given), where)
        pairs = list(given.items())
    elif isinstance(given, list):
        if len(given) != len(names):
            raise UserError(
                f"{where}: a person has {len(given)} joints, expected {len(names)}; name their"
                ' skeleton ("skeleton", or --skeleton)'
            )
        pairs = list(zip(names, given))
    else:
        raise UserError(f"{where}: expected joints_m of every person, a list or joints by name")
    joints = {}
    for name, place in pairs:
        if place is None:
            continue
        try:
            values = np.array(place, np.float64)
        except (ValueError, TypeError, OverflowError):
            values = np.zeros(0)
        if values.shape != (3,):
            raise UserError(f"{where}: {name}: expected [x, y, z] in m or null, got {place!r:.40}")
        if np.isfinite(values).all():
            joints[name] = values
    return joints


def _stamp_ns(content: dict[str, Any], where: str) -> int:
    """From stamp_ns, or stamp_s; numbers, or text of numbers."""
    if ("stamp_ns" in content) == ("stamp_s" in content):
        raise UserError(f"{where}: expected stamp_ns (a whole number) or stamp_s (seconds)")
    try:
        if "stamp_ns" in content:
            stamp_ns = int(content["stamp_ns"])
            if isinstance(content["stamp_ns"], float):
                raise ValueError("no whole number")
        else:
            stamp_ns = round(float(content["stamp_s"]) * 1e9)
    except (ValueError, TypeError, OverflowError):
        stamp_ns = -1
    if not 0 <= stamp_ns < 2**62:  # room for an offset
        got = content.get("stamp_ns", content.get("stamp_s"))
        raise UserError(f"{where}: a stamp cannot be {got!r:.40}; expected time since 1970")
    return stamp_ns


def _csv_moments(text: str, where: str) -> list[LabelledMoment]:
    reader = csv.DictReader(io.StringIO(text), restval="")
    columns = reader.fieldnames or []
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking or not {"stamp_ns", "stamp_s"} & set(columns):
        needed = ", ".join(("stamp_ns", *_NEEDED))
        raise UserError(f"{where}: expected a heading with {needed}, got {', '.join(columns):.80}")
    found: dict[int, dict[str, dict[str, Array]]] = {}
    unsure: set[int] = set()
    lost: set[tuple[int, str]] = set()
    try:
        for row in reader:
            place = f"{where}, line {reader.line_num}"
            key = "stamp_ns" if "stamp_ns" in columns else "stamp_s"
            stamp_ns = _stamp_ns({key: row[key]}, place)
            state = row.get("track_state") or "confirmed"
            if state not in TRACK_STATES:
                raise UserError(f"{place}: track_state: expected {', '.join(TRACK_STATES)}")
            person = found.setdefault(stamp_ns, {}).setdefault(row["person"], {})
            if state == "lost":
                lost.add((stamp_ns, row["person"]))
            elif state != "confirmed":
                unsure.add(stamp_ns)
            check_joint_names([row["joint"]], place)
            joint = _csv_joint(row, place)
            if joint is not None:
                person[row["joint"]] = joint
    except csv.Error as error:
        raise UserError(f"{where}: is no CSV ({error})") from None
    moments = []
    for stamp_ns, people in found.items():
        bodies = {
            name: panoptic15_m(joints)
            for name, joints in people.items()
            if (stamp_ns, name) not in lost
        }
        bodies = {name: body for name, body in bodies.items() if np.isfinite(body).any()}
        joints = np.array(list(bodies.values())).reshape(-1, 15, 3)
        fault = UNSURE if stamp_ns in unsure else ""
        moments.append(LabelledMoment(stamp_ns, tuple(bodies), joints, fault))
    return moments


def _csv_joint(row: dict[str, Any], where: str) -> Array | None:
    """[3] m, None where the joint is not known."""
    state = row.get("joint_state") or "observed"
    if state not in ("missing", "observed", "predicted"):
        raise UserError(f"{where}: joint_state: expected missing, observed or predicted")
    try:
        x, y, z = (float(row[name]) if row[name] else math.nan for name in ("x_m", "y_m", "z_m"))
        sigma_m = float(row.get("sigma_m") or math.nan)
    except (ValueError, TypeError):
        raise UserError(f"{where}: expected numbers in x_m, y_m, z_m (and sigma_m)") from None
    known = is_known(state, sigma_m) and all(map(math.isfinite, (x, y, z)))
    return np.array([x, y, z]) if known else None
