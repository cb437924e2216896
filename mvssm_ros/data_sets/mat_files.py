"""Reading MATLAB files. Data only: scipy neither runs nor builds what functions or objects lie in them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from scipy.io import loadmat

from mvssm_ros.errors import UserError


def read_mat(path: Path, variable: str) -> Any:
    """One variable of a MATLAB file (up to version 7).

    Raises:
        UserError: no such file, not a MATLAB file of these versions, or no such variable.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        content = loadmat(io.BytesIO(data), variable_names=[variable])
    except Exception as error:  # a broken file makes scipy raise whatever its parser meets
        first = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"{path}: is broken, or no MATLAB file up to version 7 ({type(error).__name__}: {first})"
        ) from None
    if variable not in content:
        raise UserError(f"{path}: has no variable '{variable}'; is this another file?")
    return content[variable]
