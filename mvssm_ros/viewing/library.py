"""The viewer library (rerun), imported when it is needed: it is an optional part of the install."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mvssm_ros.errors import UserError

TIMELINE = "stamp"


def viewer_library() -> Any:
    """The module `rerun`.

    Raises:
        UserError: it is not installed; says how to.
    """
    try:
        import rerun
    except (ImportError, RuntimeError) as error:  # RuntimeError: a Python that it does not support
        raise UserError(
            f"viewing needs rerun, a viewer for the browser ({error}); run: pip install"
            " 'mvssm_ros[view]' (Python 3.11 or later)"
        ) from None
    return rerun


def viewer_program() -> Path:
    """The program of the same wheel, which holds the pages of the viewer.

    Raises:
        UserError: the wheel is not installed, or lacks it.
    """
    viewer_library()
    spec = importlib.util.find_spec("rerun_cli")
    program = Path(spec.origin).parent / "rerun" if spec and spec.origin else None
    if program is None or not program.is_file():
        raise UserError(
            "the rerun that is installed has no viewer for the browser; run: pip install"
            " --force-reinstall rerun-sdk"
        )
    return program
