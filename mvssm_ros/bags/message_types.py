"""The definitions of messages that bags carry with them, so that any tool can read them."""

from __future__ import annotations

from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.share import share_dir


def message_types() -> Any:
    """The rosbags type store with this package's messages, read from the .msg files it ships.

    Raises:
        UserError: the rosbags library or the .msg files are missing.
    """
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise UserError(
            f"bags need the rosbags library ({error}); run: pip install rosbags"
        ) from error
    store = get_typestore(Stores.ROS2_JAZZY)
    found = sorted((share_dir() / "msg").glob("*.msg"))
    if not found:
        raise UserError(f"no .msg files in {share_dir() / 'msg'}: reinstall the package")
    types: dict[str, Any] = {}
    for path in found:
        types |= get_types_from_msg(path.read_text("utf-8"), f"mvssm_ros/msg/{path.stem}")
    store.register(types)
    return store


def ros_type_name(message_type: type) -> str:
    """`package/msg/Name` of a message class."""
    return f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"
