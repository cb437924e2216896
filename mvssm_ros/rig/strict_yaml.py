"""Reads a small YAML file so strictly that each mistake gets one error: file, key, fix."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from mvssm_ros.errors import UserError
from mvssm_ros.rig.text_file import read_text

MAX_BYTES = 1_000_000
_MAX_DEPTH = 50  # of nested collections


class _Loader(yaml.SafeLoader):
    """yaml.SafeLoader that refuses a key given twice (PyYAML keeps the last one silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.append(key)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth = getattr(self, "_depth", 0) + 1
        if self._depth > _MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, "the file is nested too deeply", self.peek_event().start_mark
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def read_yaml(path: Path, what: str) -> dict[Any, Any]:
    """Read a YAML file whose top level is a mapping.

    Args:
        path: the file.
        what: what the file is, for errors ("rig file").

    Raises:
        UserError: no such file, a folder, too large, empty, not text, not YAML, tags, a key given
            twice, or something else than a mapping at the top.
    """
    where = f"{what} {path}"
    return parse_yaml(read_text(path, where, MAX_BYTES), where)


def parse_yaml(text: str, where: str) -> dict[Any, Any]:
    """Read YAML whose top level is a mapping. ``where`` names its source in errors.

    Raises:
        UserError: as `read_yaml`.
    """
    documents = parse_documents(text, where)
    if len(documents) > 1:
        raise UserError(f"{where}: has {len(documents)} documents ('---'), expected one")
    data = documents[0] if documents else None
    if data is None:
        raise UserError(f"{where}: is empty")
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected keys and values at the top level, got {kind(data)}")
    return data


def parse_documents(text: str, where: str) -> list[Any]:
    """The documents of a YAML (or JSON) text, read as strictly as `read_yaml`."""
    try:
        return list(yaml.load_all(text, Loader=_Loader))  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        raise UserError(f"{where}: {_yaml_problem(error)}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise UserError(f"{where}: is not valid YAML ({_one_line(error)})") from None


class Section:
    """One mapping of the file, read key by key; errors name it as ``source: a.b.key``."""

    def __init__(self, data: Any, where: str, keys: Collection[str]) -> None:
        """Check that ``data`` is a mapping with no other keys than ``keys``. None counts as {}.

        ``where``: "file:" for the top level, "file: path.to.key" below it.
        """
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise UserError(f"{where}: expected a mapping with {_list(keys)}, got {kind(data)}")
        for key in data:
            if key not in keys:
                near = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {_list(keys)}"
                raise UserError(f"{where.removesuffix(':')}: unknown key {key!r}; {hint}")
        self.where = where
        self._data = data

    def at(self, key: str) -> str:
        """How errors name a key of this section."""
        return f"{self.where} {key}" if self.where.endswith(":") else f"{self.where}.{key}"

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._data.get(key) is not None

    def value(self, key: str) -> Any:
        """The raw value. Raises UserError if the key is missing."""
        if not self.has(key):
            raise UserError(f"{self.where.removesuffix(':')}: the key '{key}' is missing")
        return self._data[key]

    def text(self, key: str, default: str) -> str:
        if not self.has(key):
            return default
        value = self._data[key]
        if not isinstance(value, str):
            raise UserError(f"{self.at(key)}: expected text, got {kind(value)}; put it in quotes")
        if not value.strip():
            raise UserError(f"{self.at(key)}: is empty")
        return value

    def number(self, key: str) -> float:
        return as_number(self.value(key), self.at(key))

    def numbers(self, key: str, counts: Collection[int], meaning: str) -> list[float]:
        """A list of finite numbers whose length is one of ``counts``."""
        return as_numbers(self.value(key), counts, meaning, self.at(key))


def as_number(value: Any, where: str) -> float:
    """A finite number. Also takes 1e-3, which YAML 1.1 reads as text for want of a dot."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise UserError(f"{where}: expected a number, got the text {value!r}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: expected a number, got {kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UserError(f"{where}: expected a finite number, got {number}")
    return number


def as_numbers(value: Any, counts: Collection[int], meaning: str, where: str) -> list[float]:
    """A list of finite numbers whose length is one of ``counts``; ``meaning`` says of what."""
    expected = f"expected {' or '.join(str(n) for n in counts)} numbers [{meaning}]"
    if not isinstance(value, list):
        raise UserError(f"{where}: {expected}, got {kind(value)}")
    if len(value) not in counts:
        raise UserError(f"{where}: {expected}, got {len(value)}")
    return [as_number(item, f"{where}[{i}]") for i, item in enumerate(value)]


def kind(value: Any) -> str:
    """What a value is, in a user's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping"
    return f"a {type(value).__name__}"


def _list(keys: Collection[str]) -> str:
    return ", ".join(keys)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = " ".join((error.problem or "not valid YAML").split())
    if "could not determine a constructor for the tag" in problem:
        return f"{place}YAML tags (!...) are not allowed here; write plain values"
    if problem.startswith("the "):  # our own: given twice, nested too deeply
        return place + problem
    return f"{place}is not valid YAML ({problem})"
