"""Reading ROS 2 bags: mcap and sqlite3, folders of `ros2 bag record` and single files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mvssm_ros.bags.message_types import message_types
from mvssm_ros.errors import UserError


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag. ``reliable`` and ``latched`` (transient local): as its publisher offered."""

    name: str
    type_name: str  # package/msg/Name
    count: int  # of its messages
    reliable: bool
    latched: bool
    depth: int


class BagReader:
    """Reads one bag, from `__enter__` to `__exit__`, on one thread.

    Args:
        path: the bag's folder, or a single .mcap or .db3 file.

    Raises:
        UserError: on entering or reading: there is no such bag, it is of ROS 1, broken, or of an
            unknown storage.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._where = f"bag {path}"
        self._reader: Any = None
        self.topics: dict[str, BagTopic] = {}

    def __enter__(self) -> BagReader:
        self._check_path()
        types = message_types()
        from rosbags.highlevel import AnyReader

        try:
            self._reader = AnyReader([self.path], default_typestore=types)
            self._reader.open()
            self.topics = _topics(self._reader.connections)
        except Exception as error:  # rosbags lets through whatever a damaged bag brings about
            raise self._broken(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()

    @property
    def count(self) -> int:
        """All messages."""
        return int(self._reader.message_count)

    @property
    def start_ns(self) -> int:
        """Bag time of the first message; with `end_ns` meaningful where there is one."""
        return int(self._reader.start_time)

    @property
    def end_ns(self) -> int:
        return int(self._reader.end_time)

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, bag time (ns) and CDR of the messages of some topics, in the order of bag time.

        Raises:
            UserError: the bag is broken.
        """
        wanted = [c for c in self._reader.connections if c.topic in topics]
        if not wanted:
            return
        found = self._reader.messages(wanted)
        while True:
            try:
                connection, time_ns, data = next(found)
            except StopIteration:
                return
            except Exception as error:
                raise self._broken(error) from error
            yield connection.topic, time_ns, bytes(data)

    def deserialize(self, topic: str, data: bytes) -> Any:
        """A message by the definition that the bag carries.

        Raises:
            UserError: the bytes are not of this type.
        """
        try:
            return self._reader.deserialize(data, self.topics[topic].type_name)
        except Exception as error:
            what = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{self._where}: a message on '{topic}' is not"
                f" {self.topics[topic].type_name}: {what}"
            ) from error

    def _check_path(self) -> None:
        if not self.path.exists():
            raise UserError(f"{self._where}: there is no such bag")
        if self.path.suffix == ".bag":
            raise UserError(
                f"{self._where} is of ROS 1; convert it: rosbags-convert --src {self.path} --dst NEW"
            )
        if self.path.is_dir() and not (self.path / "metadata.yaml").is_file():
            raise UserError(
                f"{self._where} cannot be read: there is no metadata.yaml in this folder, so it is no"
                " ROS 2 bag, or its recording was broken off; give the .mcap or .db3 file in it, or"
                " run 'ros2 bag reindex'"
            )
        if self.path.is_file() and self.path.suffix not in (".mcap", ".db3"):
            raise UserError(f"{self._where}: expected a bag's folder, or an .mcap or .db3 file")

    def _broken(self, error: Exception) -> UserError:
        what = " ".join(str(error).split()) or type(error).__name__
        remedy = ""
        if "magic" in what:  # of the file's end
            remedy = "; its recording was broken off: mend it with 'mcap recover' (mcap.dev)"
        return UserError(f"{self._where} cannot be read: {what}{remedy}")


def _topics(connections: list[Any]) -> dict[str, BagTopic]:
    found: dict[str, BagTopic] = {}
    for connection in connections:
        profiles = connection.ext.offered_qos_profiles
        before = found.get(connection.topic)
        if before is not None and before.type_name != connection.msgtype:
            raise ValueError(f"topic '{connection.topic}' has messages of two types")
        found[connection.topic] = BagTopic(
            name=connection.topic,
            type_name=connection.msgtype,
            count=connection.msgcount + (before.count if before else 0),
            reliable=all(int(p.reliability.value) != 2 for p in profiles),
            latched=bool(profiles) and all(int(p.durability.value) == 1 for p in profiles),
            depth=max((int(p.depth) for p in profiles), default=10) or 10,
        )
    return found
