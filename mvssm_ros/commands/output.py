"""What commands write for the user."""

from __future__ import annotations

from pathlib import Path

from mvssm_ros.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write a file and the folders it is in; UserError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
