"""How commands start a node in their own process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.share import share_dir

_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"


def ros_arguments(name: str, parameters: Mapping[str, Any]) -> list[str]:
    """The command line of a node with these parameters."""
    words = [name, "--ros-args"]
    for parameter, value in parameters.items():
        words += ["-p", f"{parameter}:={json.dumps(value)}"]
    return words


def prepare_middleware() -> None:
    """Shared memory wide enough for images, as for `mvssm run`."""
    os.environ.setdefault(_PROFILE, str(share_dir() / "config" / "fastdds_shm.xml"))


def no_ros(error: ImportError) -> UserError:
    """What to tell where a node cannot be imported."""
    return UserError(
        f"ROS 2 is not here ({error}): source a ROS 2 installation, or run 'make setup' and use"
        " .venv/bin/mvssm"
    )
