"""Reads a text file, or says in one line why it is none."""

from __future__ import annotations

from pathlib import Path

from mvssm_ros.errors import UserError


def read_text(path: str | Path, where: str, most_bytes: int = 20_000_000) -> str:
    """The text of a file.

    Args:
        where: names the file in errors.
        most_bytes: larger files are refused unread.

    Raises:
        UserError: no such file, a folder, too large, not text (UTF-8), or not readable.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(f"{where}: is a folder; name the file in it")
        size = path.stat().st_size
        if size > most_bytes:
            raise UserError(
                f"{where}: has {size / 1e6:.1f} MB, expected less than {most_bytes / 1e6:.0f} MB;"
                " is this another file?"
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{where}: is not a text file (UTF-8); is this another file?") from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror})") from error
