"""What commands write for the user."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mvssm_ros.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write a file and the folders it is in; UserError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def check_writable(*paths: str | Path | None) -> None:
    """UserError where these files cannot be written, before hours are spent on what they are for.

    Nothing is made. None, for an option that was not given, is left out.
    """
    given = [Path(path) for path in paths if path is not None]
    for path in given:
        if given.count(path) > 1:
            raise UserError(f"cannot write {path}: it is named twice, for two things")
        if path.is_dir():
            raise UserError(f"cannot write {path}: it is a folder, expected the name of a file")
        place = path.parent
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None


def make_room(out: Path, made: Iterable[str]) -> None:
    """Make the folder of --out; remove what an earlier run made in it, and nothing else.

    Args:
        made: names of files and folders, with wildcards.

    Raises:
        UserError: it is a file, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file, expected a folder")
    for path in [path for name in made for path in out.glob(name)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} cannot be made: {error.strerror}") from error
