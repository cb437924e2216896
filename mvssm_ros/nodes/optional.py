"""Packages a full ROS install has and a pip one lacks, each behind one import.

Every function returns the module, or None where it is not installed; what the caller does then is
written beside the call.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def _find(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def message_filters() -> ModuleType | None:
    """Subscribers that other filters can connect to. Without it: plain rclpy subscriptions."""
    return _find("message_filters")


def cv_bridge() -> ModuleType | None:
    """Conversion of every encoding ROS knows. Without it: those of conversions.py."""
    return _find("cv_bridge")


def tf2_ros() -> ModuleType | None:
    """Extrinsics from TF. Without it: extrinsics from the rig file."""
    return _find("tf2_ros")


def tf2_msgs() -> ModuleType | None:
    """Messages of /tf. Without it: no frames of bodies, no transforms of the simulated rig."""
    return _find("tf2_msgs.msg")


def tf_transformations() -> ModuleType | None:
    """Rotation conversions. Without it: the formulas in rotations.py."""
    return _find("tf_transformations")


def hri_msgs() -> ModuleType | None:
    """Messages of REP-155. Without it: no /humans/bodies/tracked."""
    return _find("hri_msgs.msg")


def moveit_msgs() -> ModuleType | None:
    """Messages of MoveIt. Without it: no planning_scene."""
    return _find("moveit_msgs.msg")


def shape_msgs() -> ModuleType | None:
    """Shapes in MoveIt's messages, which depend on it. Without it: no planning_scene."""
    return _find("shape_msgs.msg")


def nav2_dynamic_msgs() -> ModuleType | None:
    """Messages of Nav2's dynamic obstacles. Without it: no feeds/obstacles."""
    return _find("nav2_dynamic_msgs.msg")


def vision_msgs() -> ModuleType | None:
    """Detections. Without it: no feeds/detections."""
    return _find("vision_msgs.msg")
