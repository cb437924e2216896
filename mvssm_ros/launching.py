"""What the launch files share and that needs no `launch`: files, names, parameters, environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mvssm_ros.errors import UserError
from mvssm_ros.rig.strict_yaml import read_yaml
from mvssm_ros.share import share_dir

BOOLEAN = ["true", "false"]
# Arguments that several launch files have, as DeclareLaunchArgument takes them.
SHARED_ARGUMENTS: dict[str, dict[str, Any]] = {
    "rig_file": {
        "default_value": "",
        "description": "Path of the rig file: cameras, calibration, space.",
    },
    "params_file": {
        "default_value": str(share_dir() / "config" / "mvssm.yaml"),
        "description": "Parameter file; this one has them all, with comments.",
    },
    "namespace": {
        "default_value": "",
        "description": "Namespace of the nodes and of their topics (people, markers, ...).",
    },
    "transport": {
        "default_value": "auto",
        "choices": ["auto", "raw", "compressed"],
        "description": "How all cameras send their images; auto: as the rig file says of each.",
    },
    "use_sim_time": {
        "default_value": "false",
        "choices": BOOLEAN,
        "description": "Take the time from /clock (simulation, or a bag played with --clock).",
    },
    "log_level": {
        "default_value": "info",
        "choices": ["debug", "info", "warn", "error", "fatal"],
        "description": "What the nodes log.",
    },
}
UNSAID = ("", "auto")  # values of a launch argument that leave a parameter as it is
_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"


def config_path(*parts: str) -> str:
    """A file of the folder config/."""
    return str(share_dir().joinpath("config", *parts))


def overrides(values: Mapping[str, str]) -> dict[str, str]:
    """Parameters by name, without those that are to stay as they are."""
    return {name: value for name, value in values.items() if value not in UNSAID}


def camera_list(text: str) -> list[str]:
    """Names from "left,right", or [""], which to nodes means all of the rig file."""
    return [name.strip() for name in text.strip("[]").split(",") if name.strip()] or [""]


def keypoints_node_name(cameras: list[str], host: str) -> str:
    """A name that no other keypoints_node of the rig has: of its cameras, or of its host."""
    words = "_".join(cameras) if cameras != [""] else host
    return "keypoints_" + re.sub(r"\W", "_", words, flags=re.ASCII)


def shared_memory() -> dict[str, str]:
    """Environment in which Fast DDS moves images through shared memory; an own profile stays."""
    return {} if _PROFILE in os.environ else {_PROFILE: config_path("fastdds_shm.xml")}


def fixed_frame(reference_frame: str, rig_file: str) -> str:
    """In which frame RViz shows people; empty: it cannot be known here, and the node says why."""
    if reference_frame or not rig_file:
        return reference_frame
    try:
        return str(read_yaml(Path(rig_file), "rig file").get("reference_frame", ""))
    except UserError:
        return ""


def rviz_remappings(config: str) -> list[tuple[str, str]]:
    """From each topic of RViz's file to the same one in the namespace that RViz is started in."""
    displays = yaml.safe_load(Path(config).read_text("utf-8"))["Visualization Manager"]["Displays"]
    return [(topic, topic.lstrip("/")) for topic in _topics(displays)]


def _topics(displays: list[dict[str, Any]]) -> Iterator[str]:
    for display in displays:
        if "Topic" in display:
            yield display["Topic"]["Value"]
        yield from _topics(display.get("Displays", []))
