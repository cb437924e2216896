"""What is said of one parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spec:
    """One parameter. ``low`` and ``high`` are inclusive; ``choices`` are the only legal values;
    ``check`` raises UserError for a value that cannot be."""

    name: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False
    check: Callable[[Any], object] | None = None
