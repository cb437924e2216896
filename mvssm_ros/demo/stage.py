"""Runs the demo's nodes as processes on the real middleware, from first image to last answer."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mvssm_ros.demo.processes import Child, Children
from mvssm_ros.demo_data import FPS
from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import load_rig
from mvssm_ros.share import share_dir

if TYPE_CHECKING:
    from mvssm_ros.nodes.demo_conductor import Conductor

FILM_FRAMES = 100
ANSWER_WITHIN_S = 60.0
_DEADLINE_S = 10.0  # of a set, without --rate
_LOOK_AROUND_S = 5.0  # for nodes of others
_COUNTS_WITHIN_S = 10.0  # pose_node reports once a second
KEPT = {"durability": "transient_local", "depth": 10}  # for whoever is matched a little late


@dataclass(frozen=True)
class Play:
    """How the film is played.

    rig_file: for pose_node. calibration: of camera_info, "corrected" or "shipped".
    sets: at least so many sets, evenly spread over the film. rate_hz: sets a second; None: the next
    set is sent when the last one is answered. frontend: as pose_node's model.frontend. weights: "" =
    those of the package.
    """

    rig_file: Path
    calibration: str = "corrected"
    sets: int = FILM_FRAMES
    rate_hz: float | None = None
    frontend: str = "keypoints"
    weights: str = ""
    time_limit_s: float = 1800.0

    @property
    def stride(self) -> int:
        """From one frame of the film that is sent to the next."""
        return max(1, FILM_FRAMES // self.sets)

    def show(self) -> Show:
        """The film, played by player_node."""
        return Show(
            source="player_node",
            sets=len(range(0, FILM_FRAMES, self.stride)),
            source_parameters=_player_parameters(self),
            pose_parameters=_pose_parameters(self),
            time_limit_s=self.time_limit_s,
        )


@dataclass(frozen=True)
class Show:
    """What is on the stage.

    source: the module of mvssm_ros.nodes that sends the sets, and ends; it takes the parameter
    `frames_file`. sets: how many it will send.
    """

    source: str
    sets: int
    source_parameters: Mapping[str, object]
    pose_parameters: Mapping[str, object]
    time_limit_s: float


@dataclass(frozen=True)
class Played:
    """What a run has left: the recorder's bag, the source's list of frames, pose_node's warnings."""

    bag: Path
    frames_file: Path
    warnings: list[str]


def play(show: Show, folder: Path, say: Callable[[str], None] = print) -> Played:
    """Start pose_node, recorder and the source, see all of it, end them.

    Args:
        folder: gets `bag/`, `frames.json` and `log/`; must not have them yet.

    Raises:
        UserError: a node did not start or ended early, the time limit passed, or another pose_node
            runs in the ROS domain asked for.
    """
    domain = os.environ.get("ROS_DOMAIN_ID")
    log = folder / "log"
    log.mkdir(parents=True)
    os.environ.update(_environment(log))
    # Imported here, once the environment that the middleware reads is complete.
    from mvssm_ros.nodes.demo_conductor import Conductor

    if domain:  # else it is one of our own
        with Conductor(lambda: None) as conductor:
            if conductor.wait_until(conductor.pose_node_is_seen, _LOOK_AROUND_S):
                raise UserError(
                    f"demo: a node 'mvssm' runs already in ROS domain {domain}: end it, or unset"
                    " ROS_DOMAIN_ID, then the demo takes a domain of its own"
                )
    bag, frames_file = folder / "bag", folder / "frames.json"
    with Children(log, os.environ) as children:
        pose = children.start("pose_node", show.pose_parameters)
        recorder = children.start(
            "recorder_node",
            {"bag": str(bag), "qos_overrides": {"/people": {"subscription": KEPT}}},
        )
        player = children.start(
            show.source, {**show.source_parameters, "frames_file": str(frames_file)}
        )
        deadline_s = time.monotonic() + show.time_limit_s

        def check() -> None:
            for child in children.all:
                if child.exit_code is not None and not (child is player and child.exit_code == 0):
                    raise UserError(f"demo: {child.name} ended early: {child.reason()}")
            if time.monotonic() > deadline_s:
                raise UserError(
                    f"demo: not finished within the time limit of {show.time_limit_s:g} s;"
                    f" give more with --time-limit, or fewer sets with --sets (logs: {log})"
                )

        with Conductor(check) as conductor:
            _bring_up(conductor, pose, say)
            _see_through(conductor, player, show.sets, frames_file)
            conductor.transition(conductor.DEACTIVATE)
            conductor.transition(conductor.CLEANUP)  # returns when all answers have arrived
        recorder.stop()
        if recorder.exit_code != 0:
            raise UserError(f"demo: the recorder failed: {recorder.reason()}")
        return Played(bag, frames_file, pose.said("WARN", "ERROR"))


def _bring_up(conductor: Conductor, pose: Child, say: Callable[[str], None]) -> None:
    """Everybody is there, pose_node is configured and active."""
    say("starting pose_node, recorder and the cameras ...")
    conductor.wait_until(
        lambda: (
            conductor.pose_node_is_there()
            and conductor.listens("recorder", "people")
            and conductor.listens("recorder", "/diagnostics")
        )
    )
    say("configuring pose_node ...")
    if not conductor.transition(conductor.CONFIGURE):
        raise UserError(f"demo: pose_node cannot be configured: {pose.reason()}")
    if not conductor.transition(conductor.ACTIVATE):
        raise UserError(f"demo: pose_node cannot be activated: {pose.reason()}")


def _see_through(conductor: Conductor, player: Child, total: int, frames_file: Path) -> None:
    """Until the source has ended and every set is answered or counted as dropped."""
    with tqdm(total=total, unit="set", disable=not sys.stderr.isatty()) as bar:

        def over() -> bool:
            bar.update(len(conductor.answered_ns) - bar.n)
            return player.exit_code is not None

        conductor.wait_until(over)
        sent = json.loads(frames_file.read_text("utf-8"))["sent"]
        last_ns = max(each["stamp_ns"] for each in sent)
        conductor.wait_until(
            lambda: last_ns in conductor.answered_ns or conductor.accounted_sets >= len(sent),
            timeout_s=ANSWER_WITHIN_S,
        )
        bar.update(len(conductor.answered_ns) - bar.n)
    conductor.wait_until(lambda: conductor.counts_are_up_to_date, timeout_s=_COUNTS_WITHIN_S)


def _pose_parameters(settings: Play) -> dict[str, object]:
    """Reliable images. At the pace of the answers no set may be lost, and answers are kept for
    subscribers that the middleware has not matched yet."""
    topics = [camera.image_topic for camera in load_rig(settings.rig_file).cameras.values()]
    return {
        **common_pose_parameters(
            settings.rig_file, topics, settings.frontend, settings.weights, settings.rate_hz
        ),
        "calibration.leave_out": False,  # all four views, also with the shipped calibration
        "model.tiles": False,  # the man fills these images: nothing smaller is looked for
    }


def common_pose_parameters(
    rig_file: Path, topics: Iterable[str], frontend: str, weights: str, rate_hz: float | None
) -> dict[str, object]:
    """Nothing is lost on the way from the topics, nor from pose_node; rate_hz None: at the pace of
    the answers, all cameras are waited for."""
    overrides = {topic: {"subscription": {"reliability": "reliable"}} for topic in topics}
    parameters: dict[str, object] = {
        "rig_file": str(rig_file),
        "model.frontend": frontend,
        "model.weights": weights,
        "qos_overrides": {**overrides, "/people": {"publisher": KEPT}},
    }
    if rate_hz is None:
        parameters["sync.deadline"] = _DEADLINE_S
    return parameters


def _player_parameters(settings: Play) -> dict[str, object]:
    sets_per_s = FPS / settings.stride  # at the film's own speed
    return {
        "calibration": settings.calibration,
        "rate_hz": sets_per_s,
        "slow_down": 1.0 if settings.rate_hz is None else sets_per_s / settings.rate_hz,
        "lockstep": settings.rate_hz is None,
        "answer_within_s": ANSWER_WITHIN_S,
        "subscribers_within_s": settings.time_limit_s,
        "qos_overrides": {"/people": {"subscription": KEPT}},
    }


def _environment(log: Path) -> Mapping[str, str]:
    """For all processes: images through shared memory, a domain of our own on this machine."""
    defaults = {
        "FASTDDS_DEFAULT_PROFILES_FILE": str(share_dir() / "config" / "fastdds_shm.xml"),
        "ROS_DOMAIN_ID": str(random.SystemRandom().randint(61, 100)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    chosen = {key: os.environ.get(key) or value for key, value in defaults.items()}
    return {**chosen, "ROS_LOG_DIR": str(log), "PYTHONUNBUFFERED": "1"}
