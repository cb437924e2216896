"""Damaged bags, read as `mvssm process` and `mvssm export` read them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from mvssm_ros.bags.message_types import message_types
from mvssm_ros.bags.reader import BagReader
from mvssm_ros.bags.writer import BagWriter
from mvssm_ros.fuzzing.mutate import damage

_TYPE = "mvssm_ros/msg/Keypoints2DArray"
_SQLITE = b"SQLite"


class Bags:
    """mcap and sqlite3 files with bytes changed, cut out, put in and cut off."""

    suffix = ".bag.bin"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mvssm_fuzz_")
        folder = Path(self._folder.name)
        self._good = [_small_bag(folder / f"good{suffix}") for suffix in (".mcap", ".db3")]
        self._paths = folder / "bag.mcap", folder / "bag.db3"

    def make(self, random: Random) -> bytes:
        return damage(random, random.choice(self._good))

    def check(self, data: bytes) -> None:
        path = self._paths[data.startswith(_SQLITE)]
        path.write_bytes(data)
        with BagReader(path) as bag:
            if bag.count < 0 or bag.end_ns < 0:
                raise ValueError("an accepted bag has impossible times")
            for topic, _, message in bag.messages(list(bag.topics)):
                bag.deserialize(topic, message)


def _small_bag(path: Path) -> bytes:
    """Ten messages of two cameras."""
    store = message_types()
    t: Any = store.types
    profile = SimpleNamespace(depth=5, reliability=1, durability=2)
    writer = BagWriter(path)
    for name in ("/left/keypoints", "/right/keypoints"):
        connection = writer.connection(name, _TYPE, profile)
        for index in range(5):
            stamp = t["builtin_interfaces/msg/Time"](sec=index, nanosec=0)
            person = t["mvssm_ros/msg/Keypoints2D"](*np.ones((3, 15), np.float32))
            message = t[_TYPE](
                header=t["std_msgs/msg/Header"](stamp=stamp, frame_id=name),
                skeleton="panoptic15",
                width=640,
                height=480,
                people=[person],
            )
            writer.write(connection, index * 10**8, bytes(store.serialize_cdr(message, _TYPE)))
    writer.close()
    return path.read_bytes()
