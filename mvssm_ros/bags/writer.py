"""Bags of serialised messages, in the form of rosbag2: mcap or sqlite3.

Nothing of the moment of writing goes into a bag: from the same messages the same bytes come.
"""

from __future__ import annotations

import os
import resource
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from mvssm_ros.bags.message_types import message_types
from mvssm_ros.errors import UserError

STORAGES = ("mcap", "sqlite3")
_SUFFIXES = {".mcap": "mcap", ".db3": "sqlite3"}


class BagWriter:
    """Writes one bag; `close` it, or nothing can read it.

    Args:
        path: a folder, as of `ros2 bag record`; a name that ends in .mcap or .db3 becomes a single
            file instead, of that storage.
        storage: "mcap" or "sqlite3"; None: as the name says, else mcap.

    Raises:
        UserError: the rosbags library is not installed, the path exists or cannot be made, or the
            storage does not fit the name.
    """

    def __init__(self, path: Path, storage: str | None = None) -> None:
        self._types = message_types()
        from rosbags.rosbag2 import StoragePlugin, Writer

        single = _SUFFIXES.get(path.suffix)
        chosen = storage or single or "mcap"
        if chosen not in STORAGES:
            raise UserError(f"bag storage '{chosen}': expected {' or '.join(STORAGES)}")
        if single and single != chosen:
            raise UserError(f"bag {path}: its name says {single}, the storage is to be {chosen}")
        if path.exists():
            raise UserError(f"bag {path} exists already; give another name, or remove it")
        self.path = path
        self._scratch = path.with_name(f"{path.stem}.part") if single else None
        if self._scratch is not None and self._scratch.exists():
            raise UserError(f"{self._scratch} is left from a run that was broken off; remove it")
        self.folder = self._scratch / path.stem if self._scratch else path
        self._writer = Writer(self.folder, version=9, storage_plugin=StoragePlugin[chosen.upper()])
        try:
            self._writer.open()
        except OSError as error:
            raise UserError(f"bag {path} cannot be made: {error.strerror}") from error

    def knows(self, type_name: str) -> bool:
        """Whether the definition of a message type is at hand."""
        return type_name in self._types.types

    def connection(self, topic: str, type_name: str, profile: Any) -> Any:
        """A topic of the bag.

        Args:
            type_name: package/msg/Name.
            profile: what was offered: depth, reliability and durability as rclpy's QoSProfile.
        """
        from rosbags.interfaces import (
            Qos,
            QosDurability,
            QosHistory,
            QosLiveliness,
            QosReliability,
            QosTime,
        )

        forever = QosTime(2147483647, 4294967295)
        offered = Qos(
            history=QosHistory.KEEP_LAST,
            depth=profile.depth,
            reliability=QosReliability(int(profile.reliability)),
            durability=QosDurability(int(profile.durability)),
            deadline=forever,
            lifespan=forever,
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=forever,
            avoid_ros_namespace_conventions=False,
        )
        return self._writer.add_connection(
            topic, type_name, typestore=self._types, offered_qos_profiles=[offered]
        )

    def write(self, connection: Any, time_ns: int, serialized: bytes) -> None:
        """One message in CDR, as it comes off the wire."""
        self._writer.write(connection, time_ns, serialized)

    def write_repeatably(self, connection: Any, time_ns: int, serialized: bytes) -> None:
        """As `write`, with zeros between the fields, where middlewares leave what was in memory."""
        name = connection.msgtype
        message = self._types.deserialize_cdr(serialized, name)
        self.write(connection, time_ns, self._types.serialize_cdr(message, name))

    def room_bytes(self) -> int:
        """What can still be written: room on the disk, and to the largest size a file may have."""
        disk = os.statvfs(self.folder)
        room_bytes = disk.f_bavail * disk.f_frsize
        largest_bytes, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if largest_bytes != resource.RLIM_INFINITY:
            size_bytes = max((p.stat().st_size for p in self.folder.iterdir()), default=0)
            room_bytes = min(room_bytes, largest_bytes - size_bytes)
        return room_bytes

    def close(self) -> None:
        """Finish the bag. Raises OSError where the disk is full."""
        self._writer.close()
        if self._scratch is not None:
            (self.folder / self.path.name).rename(self.path)
            shutil.rmtree(self._scratch)

    def discard(self) -> None:
        """Remove what was written: the work could not be finished."""
        with suppress(Exception):  # a full disk, for one
            self._writer.close()
        shutil.rmtree(self._scratch or self.folder, ignore_errors=True)
