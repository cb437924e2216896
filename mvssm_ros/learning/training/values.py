"""Values of a YAML section as the fields of a dataclass, strictly."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.rig.strict_yaml import Section, as_number, kind


def read_section(cls: type, content: Any, where: str) -> dict[str, Any]:
    """The keys given in `content`, as `cls` takes them; the others keep their defaults.

    Raises UserError that names `where` and the key: unknown, or of another type.
    """
    types = typing.get_type_hints(cls)
    Section(content, where, [f.name for f in fields(cls)])
    return {
        key: _value(item, types[key], f"{where}.{key}") for key, item in (content or {}).items()
    }


def _value(value: Any, wanted: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is bool:
        if not isinstance(value, bool):
            raise UserError(f"{where}: expected true or false, got {kind(value)}")
        return value
    if wanted is float:
        return as_number(value, where)
    if wanted is int:
        number = as_number(value, where)
        if not number.is_integer():
            raise UserError(f"{where}: expected a whole number, got {number:g}")
        return value if isinstance(value, int) else int(number)
    if wanted is str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise UserError(f"{where}: expected text, got {kind(value)}; put it in quotes")
        return value
    if origin is tuple:
        many = arguments[-1] is Ellipsis
        if not isinstance(value, list | tuple) or not (many or len(value) == len(arguments)):
            expected = "a list" if many else f"a list of {len(arguments)}"
            raise UserError(f"{where}: expected {expected}, got {kind(value)}")
        return tuple(_value(item, arguments[0], f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise UserError(f"{where}: expected a mapping, got {kind(value)}")
        return {
            _value(key, arguments[0], f"{where} (a key)"): _value(
                item, arguments[1], f"{where}.{key}"
            )
            for key, item in value.items()
        }
    raise TypeError(f"{where}: no reader for {wanted}")


def check_limits(section: Any, limits: Mapping[str, tuple[float, float]], where: str) -> None:
    """Raises UserError for the first number of `section` outside its inclusive limits.

    Of a mapping the keys are meant.
    """
    for key, (low, high) in limits.items():
        value = getattr(section, key)
        numbers = list(value) if isinstance(value, tuple | Mapping) else [value]
        for number in numbers:
            if not low <= number <= high:  # also when it is NaN
                raise UserError(f"{where}.{key}: expected {low:g} to {high:g}, got {number:g}")
