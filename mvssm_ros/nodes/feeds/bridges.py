"""Feeds in the messages of other packages: asked for by parameters, made where those are installed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import optional
from mvssm_ros.nodes.feeds.base import Feed
from mvssm_ros.nodes.feeds.bodies import BodiesFeed, BodyFramesFeed
from mvssm_ros.nodes.feeds.detections import DetectionsFeed
from mvssm_ros.nodes.feeds.obstacles import ObstaclesFeed
from mvssm_ros.nodes.feeds.planning_scene import PlanningSceneFeed


def make_bridges(values: dict[str, Any], logger: Any) -> list[Feed]:
    """Those that the parameters bridges.* and rep155.enable ask for.

    Raises:
        UserError: the package that one needs is not installed.
    """
    feeds: list[Feed] = []
    k_sigma = values["feeds.k_sigma"]
    if values["bridges.moveit"]:
        messages = _needed("bridges.moveit", "moveit_msgs", optional.moveit_msgs())
        shapes = _needed("bridges.moveit", "shape_msgs", optional.shape_msgs())
        feeds.append(PlanningSceneFeed(messages, shapes, k_sigma))
    if values["bridges.nav2_dynamic"]:
        messages = _needed(
            "bridges.nav2_dynamic", "nav2_dynamic_msgs", optional.nav2_dynamic_msgs()
        )
        feeds.append(ObstaclesFeed(messages, k_sigma))
    if values["bridges.detection3d"]:
        messages = _needed("bridges.detection3d", "vision_msgs", optional.vision_msgs())
        feeds.append(DetectionsFeed(messages, k_sigma))
    if values["rep155.enable"]:
        feeds += _rep155(logger)
    return feeds


def _rep155(logger: Any) -> list[Feed]:
    """What of REP-155 can be published; a line for what cannot."""
    ids, frames = optional.hri_msgs(), optional.tf2_msgs()
    if ids is None and frames is None:
        raise UserError(
            "parameter 'rep155.enable' is true, but neither hri_msgs nor tf2_msgs is installed:"
            f" install {_package('hri_msgs')} and {_package('tf2_msgs')}, or set it to false"
        )
    if ids is None:
        logger.warning(
            "rep155.enable: hri_msgs is not installed, so /humans/bodies/tracked is not published,"
            f" only TF; install {_package('hri_msgs')}"
        )
    if frames is None:
        logger.warning(
            "rep155.enable: tf2_msgs is not installed, so TF frames body_<id> are not published,"
            f" only /humans/bodies/tracked; install {_package('tf2_msgs')}"
        )
    found: list[Feed] = [BodiesFeed(ids)] if ids is not None else []
    return found + ([BodyFramesFeed(frames)] if frames is not None else [])


def _needed(parameter: str, package: str, messages: ModuleType | None) -> ModuleType:
    if messages is None:
        raise UserError(
            f"parameter '{parameter}' is true, but {package} is not installed: install"
            f" {_package(package)}, or set it to false"
        )
    return messages


def _package(package: str) -> str:
    """What to install; nav2_dynamic_msgs is in no ROS distribution."""
    if package == "nav2_dynamic_msgs":
        return "it from source, github.com/ros-navigation/navigation2_dynamic"
    return f"ros-<distro>-{package.replace('_', '-')}"
