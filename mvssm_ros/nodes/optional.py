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
    """TF's message, `tf2_msgs.msg`. Without it: the simulated rig publishes no transforms."""
    return _find("tf2_msgs.msg")


def tf_transformations() -> ModuleType | None:
    """Rotation conversions. Without it: the formulas in rotations.py."""
    return _find("tf_transformations")
