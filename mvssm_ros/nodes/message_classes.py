"""Message classes by the names of their types."""

from __future__ import annotations

import importlib


def message_class(type_name: str) -> type | None:
    """The class of package/msg/Name; None where it is not installed."""
    package, _, rest = type_name.partition("/")
    kind, _, name = rest.partition("/")
    if kind != "msg" or not name.isidentifier() or not package.isidentifier():
        return None
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None
