"""Scenario files: YAML, read so strictly that each mistake gets one clear error.

config/scenarios/ has examples, with comments.
"""

from __future__ import annotations

import difflib
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import MAX_CAMERAS, Rig, Space, load_rig, read_space
from mvssm_ros.rig.strict_yaml import Section, as_number, as_numbers, kind, read_yaml
from mvssm_ros.rig.validation import MAX_SIDE_PX
from mvssm_ros.share import share_dir
from mvssm_ros.simulation.arm import Arm
from mvssm_ros.simulation.cameras import ring_of_cameras
from mvssm_ros.simulation.scenario import (
    MOTIONS,
    Actor,
    ArmPlan,
    Furniture,
    Motion,
    Scenario,
    Stay,
    Turn,
    Walk,
)

_TOP = ("space", "cameras", "people", "furniture", "arm", "detector")
_RING = ("count", "radius_m", "height_m", "rate_hz", "image_size_px")
_MOST_PEOPLE = 10
_MOST_SECONDS = 600.0
_FOCAL_SHARE = 0.8  # of the image's width: 64 degrees from left to right
_WAY_STEP_M = 0.05  # ways are looked at for furniture so finely


def scenario_names() -> list[str]:
    """Those that ship with the package."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def find_scenario(name: str) -> Path:
    """The file of a scenario that ships with the package, or the path as given.

    Raises:
        UserError: neither.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise UserError(f"scenario {name}: there is no such file")
        return Path(name)
    known = scenario_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(
            f"scenario '{name}': there is none of this name; {hint}known are {', '.join(known)}, and"
            " the path of a file is good too"
        )
    return _folder() / f"{name}.yaml"


def load_scenario(name: str) -> Scenario:
    """Read and check a scenario, by its name or its path.

    Raises:
        UserError: anything wrong in it, in one line that names file, key, what was expected and what
            was found.
    """
    path = find_scenario(name)
    where = f"scenario {path.name if path.parent == _folder() else path}"
    top = Section(read_yaml(path, "scenario"), f"{where}:", _TOP)
    rig, rate_hz = _read_cameras(top, path)
    furniture = _read_furniture(top, rig.space)
    detector = Section(
        top.value("detector") if top.has("detector") else None,
        top.at("detector"),
        ("severity", "false_people"),
    )
    return Scenario(
        name=path.stem,
        rig=rig,
        rate_hz=rate_hz,
        actors=_read_people(top, rig.space, furniture),
        furniture=furniture,
        arm=_read_arm(top),
        severity=_number(detector, "severity", 1.0, 0.0, 2.0),
        false_people=_truth(detector, "false_people", True),
    )


def _folder() -> Path:
    return share_dir() / "config" / "scenarios"


# --- cameras ---


def _read_cameras(top: Section, path: Path) -> tuple[Rig, float]:
    """The rig, and how many images a second each of its cameras sends."""
    data, where = top.value("cameras"), top.at("cameras")
    if isinstance(data, dict) and "rig_file" in data:
        section = Section(data, where, ("rig_file", "rate_hz"))
        if top.has("space"):
            raise UserError(f"{top.at('space')}: is given beside a rig file, which has its own")
        rig = load_rig(path.parent / section.text("rig_file", ""))
        rig.to_cameras()  # all of them must be known
        return rig, _number(section, "rate_hz", 10.0, 0.1, 120.0)
    space = read_space(top.value("space") if top.has("space") else {}, top.at("space"))
    section = Section(data, where, _RING)
    count = section.number("count")
    if not (count.is_integer() and 2 <= count <= MAX_CAMERAS):
        raise UserError(
            f"{section.at('count')}: expected a whole number of cameras, 2 to {MAX_CAMERAS}, got"
            f" {count:g}"
        )
    width, height = _image_size(section)
    cameras = ring_of_cameras(
        int(count),
        space.center_m,
        space.floor_m,
        _number(section, "radius_m", None, 0.5, 50.0),
        (_number(section, "height_m", None, 0.1, 20.0),),
        (width, height),
        _FOCAL_SHARE * width,
    )
    rig = Rig("map", space, cameras)
    return rig, _number(section, "rate_hz", 10.0, 0.1, 120.0)


def _image_size(section: Section) -> tuple[int, int]:
    if not section.has("image_size_px"):
        return 640, 480
    width, height = section.numbers("image_size_px", (2,), "width, height")
    if not all(side.is_integer() and 64 <= side <= MAX_SIDE_PX for side in (width, height)):
        raise UserError(
            f"{section.at('image_size_px')}: expected width and height in whole pixels, 64 to"
            f" {MAX_SIDE_PX}, got [{width:g}, {height:g}]"
        )
    return int(width), int(height)


# --- people ---


def _read_people(top: Section, space: Space, furniture: tuple[Furniture, ...]) -> tuple[Actor, ...]:
    people = _named(top, "people", "person")
    if len(people) > _MOST_PEOPLE:
        raise UserError(f"{top.at('people')}: {len(people)} people, expected up to {_MOST_PEOPLE}")
    return tuple(
        _read_actor(name, data, f"{top.at('people')}.{name}", space, furniture)
        for name, data in people.items()
    )


def _read_actor(
    name: str, data: Any, where: str, space: Space, furniture: tuple[Furniture, ...]
) -> Actor:
    section = Section(data, where, ("start_m", "speed_m_s", "then"))
    start = _place(section.value("start_m"), section.at("start_m"), space, furniture)
    listed = section.value("then") if section.has("then") else []
    if not isinstance(listed, list):
        raise UserError(
            f"{section.at('then')}: expected a list of motions such as '- walk_to_m: [1, 0]', got"
            f" {kind(listed)}"
        )
    motions = tuple(
        _read_motion(motion, f"{section.at('then')}[{i}]", space, furniture)
        for i, motion in enumerate(listed)
    )
    places = [start, *(m.to_m for m in motions if isinstance(m, Walk)), start]
    for here, there in pairwise(places):
        _check_way(here, there, where, furniture)
    return Actor(name, start, _number(section, "speed_m_s", 1.0, 0.2, 2.5), motions)


def _read_motion(data: Any, where: str, space: Space, furniture: tuple[Furniture, ...]) -> Motion:
    if not isinstance(data, dict) or len(data) != 1:
        raise UserError(
            f"{where}: expected one motion and its value, such as 'stand_s: 2', got {kind(data)}"
        )
    ((name, value),) = data.items()
    if name not in MOTIONS:
        near = difflib.get_close_matches(str(name), MOTIONS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(MOTIONS)}"
        raise UserError(f"{where}: unknown motion {name!r}; {hint}")
    where = f"{where}.{name}"
    if name == "walk_to_m":
        return Walk(_place(value, where, space, furniture))
    number = as_number(value, where)
    if name == "turn_to_deg":
        return Turn(number)
    if not 0 < number <= _MOST_SECONDS:
        raise UserError(
            f"{where}: expected seconds above 0 and up to {_MOST_SECONDS:g}, got {number:g}"
        )
    return Stay(name.removesuffix("_s"), number)


def _place(
    value: Any, where: str, space: Space, furniture: tuple[Furniture, ...]
) -> tuple[float, float]:
    """A place on the floor, in the space and beside the furniture."""
    x, y = as_numbers(value, (2,), "x, y in m", where)
    low = np.subtract(space.center_m, np.divide(space.size_m, 2))
    high = np.add(space.center_m, np.divide(space.size_m, 2))
    if not (low[0] <= x <= high[0] and low[1] <= y <= high[1]):
        raise UserError(
            f"{where}: [{x:g}, {y:g}] is outside the space, which goes from [{low[0]:g}, {low[1]:g}]"
            f" to [{high[0]:g}, {high[1]:g}]; move the person, or enlarge space.size_m"
        )
    for piece in furniture:
        if piece.holds(x, y):
            raise UserError(f"{where}: [{x:g}, {y:g}] is in the furniture '{piece.name}'")
    return x, y


def _check_way(
    here: tuple[float, float],
    there: tuple[float, float],
    where: str,
    furniture: tuple[Furniture, ...],
) -> None:
    steps = max(2, math.ceil(math.dist(here, there) / _WAY_STEP_M))
    for share in np.linspace(0, 1, steps):
        x, y = (1 - share) * np.array(here) + share * np.array(there)
        for piece in furniture:
            if piece.holds(x, y):
                raise UserError(
                    f"{where}: the way from [{here[0]:g}, {here[1]:g}] to [{there[0]:g},"
                    f" {there[1]:g}] goes through the furniture '{piece.name}'; walk around it (after"
                    " the last motion people walk straight back to start_m)"
                )


# --- things ---


def _read_furniture(top: Section, space: Space) -> tuple[Furniture, ...]:
    made = []
    for name, data in _named(top, "furniture", "piece of furniture").items():
        keys = ("kind", "center_m", "size_m", "height_m")
        section = Section(data, f"{top.at('furniture')}.{name}", keys)
        what = section.text("kind", "table")
        if what not in ("table", "box"):
            raise UserError(f"{section.at('kind')}: expected table or box, got {what!r}")
        x, y = section.numbers("center_m", (2,), "x, y in m")
        along_x, along_y = section.numbers("size_m", (2,), "along x, along y in m")
        if not (0.1 <= along_x <= 20 and 0.1 <= along_y <= 20):
            raise UserError(
                f"{section.at('size_m')}: expected two lengths from 0.1 to 20 m, got"
                f" [{along_x:g}, {along_y:g}]"
            )
        height_m = _number(section, "height_m", 0.75, 0.1, 3.0)
        made.append(Furniture(name, what, (x, y), (along_x, along_y), height_m))
    return tuple(made)


def _read_arm(top: Section) -> ArmPlan | None:
    if not top.has("arm"):
        return None
    keys = ("base_m", "visits_m", "move_s", "rest_s")
    section = Section(top.value("arm"), top.at("arm"), keys)
    x, y, z = section.numbers("base_m", (3,), "x, y, z in m")
    listed = section.value("visits_m")
    if not isinstance(listed, list) or not 1 <= len(listed) <= 100:
        raise UserError(
            f"{section.at('visits_m')}: expected a list of 1 to 100 places [x, y, z], got"
            f" {kind(listed)}"
        )
    visits = []
    for i, place in enumerate(listed):
        a, b, c = as_numbers(place, (3,), "x, y, z in m", f"{section.at('visits_m')}[{i}]")
        visits.append((a, b, c))
    plan = ArmPlan(
        (x, y, z),
        tuple(visits),
        _number(section, "move_s", 2.0, 0.2, 60.0),
        _number(section, "rest_s", 1.0, 0.0, 60.0),
    )
    Arm(plan, section.where)  # tells what it cannot reach
    return plan


# --- keys ---


def _named(top: Section, key: str, what: str) -> dict[str, Any]:
    """A mapping from names to things."""
    if not top.has(key):
        return {}
    data, where = top.value(key), top.at(key)
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected one key per {what}, got {kind(data)}")
    for name in data:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise UserError(
                f"{where}: the name {name!r} must be letters, digits and '_', a letter first"
            )
    return data


def _number(section: Section, key: str, default: float | None, low: float, high: float) -> float:
    if default is not None and not section.has(key):
        return default
    number = section.number(key)
    if not low <= number <= high:
        raise UserError(f"{section.at(key)}: expected {low:g} to {high:g}, got {number:g}")
    return number


def _truth(section: Section, key: str, default: bool) -> bool:
    if not section.has(key):
        return default
    value = section.value(key)
    if not isinstance(value, bool):
        raise UserError(f"{section.at(key)}: expected true or false, got {kind(value)}")
    return value
