"""What a saved recording (.rrd) of the viewer holds, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One thing that was logged. ``stamp_ns``: None if it holds for all times."""

    path: str
    stamp_ns: int | None
    values: dict[str, Any]


def rows_of(file: Path) -> list[Row]:
    """Of all paths, in no particular order."""
    from rerun.chunk import RrdReader

    found = []
    for chunk in RrdReader(str(file)).stream():
        table = chunk.to_record_batch().to_pydict()
        for row in range(chunk.num_rows):
            values = {
                name: column[row] for name, column in table.items() if column[row] is not None
            }
            stamp = values.pop("stamp", None)
            stamp_ns = None if stamp is None else stamp.value
            found.append(Row(chunk.entity_path, stamp_ns, values))
    return found


def values_at(rows: list[Row], path: str, component: str) -> dict[int | None, Any]:
    """What was logged of a component of a path, by stamp."""
    return {
        r.stamp_ns: r.values[component] for r in rows if r.path == path and component in r.values
    }
