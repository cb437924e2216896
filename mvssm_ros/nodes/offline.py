"""A recorded bag through the parts of pose_node, in the bag's own time.

Nothing is waited for and nothing is left out: the images are put into sets by the same synchroniser,
with the time at which each was recorded as its clock, and every set is solved before the next image
is looked at. From the same bag the same answers come, byte for byte.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time

from mvssm_ros.bags.message_types import ros_type_name
from mvssm_ros.bags.reader import BagReader
from mvssm_ros.bags.writer import BagWriter
from mvssm_ros.errors import UserError
from mvssm_ros.msg import PersonArray, RigCalibration, SkeletonInfo
from mvssm_ros.nodes import parameters, qos
from mvssm_ros.nodes.answer_writer import AnswerWriter
from mvssm_ros.nodes.assembly import assemble, make_synchronizer
from mvssm_ros.nodes.calibration_changes import CalibrationChanges
from mvssm_ros.nodes.message_classes import message_class
from mvssm_ros.nodes.person_messages import duration_msg, skeleton_info_msg
from mvssm_ros.nodes.pipeline import GIVE_UP_AFTER_S
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.rig_watch import RigWatch
from mvssm_ros.rig.image_set import ImageSet

_TF_AHEAD_NS = 200_000_000  # TF comes after its image, and pose_node waits for it: taken early here
_ON_TIME = 90  # % of the period: stamps are not quite even
_TF = ("/tf", "/tf_static")


@dataclass
class Counts:
    """What came of a bag.

    sets: of images that belong together; skipped: of these, those that were not asked for; drops:
    images (for no_quorum sets), by reason; people: ids that were confirmed at least once.
    """

    images: int = 0
    sets: int = 0
    skipped: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    answers: int = 0
    people: int = 0


class OfflineRun:
    """One bag, one answer a set.

    Args:
        node: has the parameters of pose_node (`parameters.declare`), and logs; is not spun.
        bag: open.
        out: the answers go here, on /people; what the joints are, on /skeleton_info.
        set_rate_hz: at most so many sets a second of the recording are solved; None: all.

    Raises:
        UserError: parameters, rig or weights; the bag lacks the topics of the rig, or has them with
            other types.
    """

    def __init__(
        self, node: Node, bag: BagReader, out: BagWriter, set_rate_hz: float | None
    ) -> None:
        values = parameters.read(node)
        self._node = node
        self._bag = bag
        self._out = out
        self.counts = Counts()
        self._now_ns = bag.start_ns if bag.count else 0
        self._period_ns = 0 if set_rate_hz is None else round(1e9 / set_rate_hz)
        self._next_stamp_ns = 0  # sets before it are skipped
        self._last_set_ns: int | None = None  # bag time; None: nobody can be there
        self._confirmed: set[str] = set()
        self._parts = assemble(node, values, self._image_arrived)
        cameras = list(self._parts.inputs.values())
        self._tf_classes = self._check_topics()
        self._sync = make_synchronizer(
            values, list(self._parts.inputs), self._solve, self._time_was_set_back
        )
        self._problems = Problems("process", node.get_logger())
        self._watch = RigWatch(cameras, self._sync, self._parts.inference, values, self._problems)
        self._calibration = CalibrationChanges(node, self._parts.rig, self._parts.inputs, values)
        self._answers = AnswerWriter(list(self._parts.inputs), self._parts.rig.reference_frame)
        self._answers.apply(values)
        self._people = self._connection("/people", PersonArray, qos.answer_qos())
        self._info = self._connection("/skeleton_info", SkeletonInfo, qos.latched_qos())

    def messages(self) -> int:
        """How many there are to take."""
        return sum(self._bag.topics[topic].count for topic in self._topics)

    def run(self, rate: float | None) -> Iterator[None]:
        """Take the messages one by one, each yielded for.

        Args:
            rate: times real time, at most; None: as fast as the machine can.

        Raises:
            UserError: the bag is broken.
        """
        self._write(self._info, skeleton_info_msg(self._answers.output.skeleton))
        self._take_what_holds_throughout()
        started_s, start_ns = time.monotonic(), self._now_ns
        for time_ns, topic, data in self._in_order():
            if rate is not None:
                due_s = started_s + (time_ns - start_ns) / 1e9 / rate
                time.sleep(max(0.0, due_s - time.monotonic()))
            self._expire_until(time_ns)
            self._now_ns = time_ns
            self._take(topic, data)
            yield
        self._expire_until(2**63 - 1)
        self._give_up()
        self.counts.people = len(self._confirmed)
        self.counts.drops = {reason: n for reason, n in sorted(self._sync.drops.items()) if n}

    def close(self) -> None:
        """Free the network."""
        self._calibration.close()
        self._parts.close()

    # --- what the bag holds ---

    def _check_topics(self) -> dict[str, type]:
        """The cameras' topics must be there, with their types. Returns the classes of TF topics."""
        bag, inputs = self._bag, self._parts.inputs
        self._owners = {camera.topic: camera for camera in inputs.values()}
        self._infos = {c.info_topic: c for c in inputs.values() if c.needs_info}
        missing = [topic for topic in self._owners if topic not in bag.topics]
        where = f"bag {bag.path}"
        if len(inputs) - len(missing) < 2:
            found = ", ".join(f"{t.name} ({t.type_name})" for t in bag.topics.values())
            raise UserError(
                f"{where}: it has not enough of the rig's topics: expected {', '.join(self._owners)};"
                f" found {found or 'none'}; set --input, the topics in the rig file, or --param"
                " cameras.<name>.image_topic:=..."
            )
        for topic in missing:
            self._node.get_logger().warning(f"{where}: there is no topic '{topic}' in it")
        expected = {t: c.message_type for t, c in self._owners.items()}
        for topic, message_type in expected.items():
            self._check_type(topic, ros_type_name(message_type))
        for topic, camera in self._infos.items():
            if camera.topic not in missing and topic not in bag.topics:
                raise UserError(
                    f"{where}: there is no topic '{topic}' in it, and the rig file has no"
                    f" intrinsics_px of camera '{camera.name}'"
                )
            self._check_type(topic, "sensor_msgs/msg/CameraInfo")
        self._calibration_topic = self._node.resolve_topic_name("calibration")
        self._check_type(self._calibration_topic, ros_type_name(RigCalibration))
        wanted = {*self._owners, *self._infos, self._calibration_topic}
        classes: dict[str, type] = {}
        if self._parts.tf is not None:
            for topic in _TF:
                found_class = message_class("tf2_msgs/msg/TFMessage")
                if topic in bag.topics and found_class is not None:
                    classes[topic] = found_class
            if not classes:
                raise UserError(
                    f"{where}: cameras have no extrinsics in the rig file, and there is neither /tf nor"
                    " /tf_static in the bag"
                )
        self._topics = sorted(topic for topic in {*wanted, *classes} if topic in bag.topics)
        return classes

    def _check_type(self, topic: str, expected: str) -> None:
        found = self._bag.topics.get(topic)
        if found is not None and found.type_name != expected:
            raise UserError(
                f"bag {self._bag.path}: topic '{topic}' has {found.type_name}, expected {expected}"
            )

    def _in_order(self) -> Iterator[tuple[int, str, bytes]]:
        """Bag time, topic and message, in the order of bag time; TF a little ahead."""
        ahead = [
            (max(time_ns - _TF_AHEAD_NS, self._now_ns), topic, data)
            for topic, time_ns, data in self._bag.messages(list(self._tf_classes))
        ]
        rest = [topic for topic in self._topics if topic not in self._tf_classes]
        others = ((time_ns, topic, data) for topic, time_ns, data in self._bag.messages(rest))
        yield from heapq.merge(ahead, others, key=lambda message: message[0])

    def _take_what_holds_throughout(self) -> None:
        """The first camera_info of each camera, and what is on /tf_static: also for images before."""
        for topic in (*self._infos, "/tf_static"):
            if topic in self._topics:
                for _, _, data in self._bag.messages([topic]):
                    self._take(topic, data)
                    if topic in self._infos:
                        break

    # --- one message ---

    def _take(self, topic: str, data: bytes) -> None:
        if topic in self._owners:
            self.counts.images += 1
            camera = self._owners[topic]
            camera.take_message(self._message(topic, data, camera.message_type))
        elif topic in self._infos:
            from sensor_msgs.msg import CameraInfo

            self._infos[topic].take_info(self._message(topic, data, CameraInfo))
        elif topic == self._calibration_topic:
            self._calibration.take_message(self._message(topic, data, RigCalibration))
        else:
            tf: Any = self._parts.tf
            take = tf.set_transform_static if topic == "/tf_static" else tf.set_transform
            for transform in self._message(topic, data, self._tf_classes[topic]).transforms:
                take(transform, "bag")

    def _message(self, topic: str, data: bytes, message_type: type) -> Any:
        try:
            return deserialize_message(data, message_type)
        except Exception as error:  # whatever the middleware makes of bytes that are none
            raise UserError(
                f"bag {self._bag.path}: a message on '{topic}' is broken: it is no"
                f" {ros_type_name(message_type)}"
            ) from error

    def _image_arrived(self, camera: str, stamp_ns: int, message: Any) -> None:
        self._sync.add(camera, stamp_ns, message, self._now_ns)
        while self._sync.catch_up():
            pass

    def _expire_until(self, time_ns: int) -> None:
        """Let the sets go whose deadline comes before the next message, each at its own."""
        while True:
            due_ns = self._sync.next_deadline_ns
            if due_ns is None or due_ns >= time_ns:
                break
            self._now_ns = max(self._now_ns, due_ns)
            self._sync.expire(self._now_ns)
        last_ns = self._last_set_ns
        give_up_ns = round(GIVE_UP_AFTER_S * 1e9)
        if last_ns is not None and min(time_ns, self._bag.end_ns) - last_ns > give_up_ns:
            self._now_ns = last_ns + give_up_ns
            self._give_up()

    # --- one set ---

    def _solve(self, image_set: ImageSet) -> None:
        self.counts.sets += 1
        if image_set.stamp_ns < self._next_stamp_ns:
            self.counts.skipped += 1
            return
        self._next_stamp_ns = image_set.stamp_ns + _ON_TIME * self._period_ns // 100
        self._calibration.begin_set()
        expected = self._answers.expected_poses_m(image_set.stamp_ns)
        solved = self._parts.inference.solve(image_set, expected)
        if solved is None:
            return  # what is wrong with each camera has been told
        people = solved.people if self._watch.can_tell else None
        message, confirmed = self._answers.answer(solved.used, people)
        self._answer(message)
        self.counts.answers += 1
        self._last_set_ns = self._now_ns
        self._watch.note_set(solved, confirmed)
        self._watch.report_parties()

    def _time_was_set_back(self) -> None:
        self._next_stamp_ns = 0
        self._problems.happened("time", "time was set back: everybody is lost, ids start anew")
        self._give_up()

    def _give_up(self) -> None:
        self._last_set_ns = None
        farewell = self._answers.give_up()
        if farewell is not None:
            self._answer(farewell)

    def _answer(self, message: PersonArray) -> None:
        """``latency`` is how long the set took to come together: computing takes no bag time."""
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        message.latency = duration_msg(self._now_ns - stamp_ns)
        confirmed = {p.id for p in message.people if p.track_state == p.CONFIRMED}
        self._confirmed |= confirmed
        self._write(self._people, message)

    def _connection(self, topic: str, message_type: type, profile: Any) -> Any:
        return self._out.connection(topic, ros_type_name(message_type), profile)

    def _write(self, connection: Any, message: Any) -> None:
        try:
            serialized = bytes(serialize_message(message))
            self._out.write_repeatably(connection, self._now_ns, serialized)
        except OSError as error:
            raise UserError(f"bag {self._out.path} cannot be written: {error.strerror}") from error


def process(
    bag_path: Path,
    out_path: Path,
    storage: str | None,
    node: Node,
    rate: float | None,
    set_rate_hz: float | None,
    bar: Any,
) -> Counts:
    """All of a bag into a new one. Nothing is left of the new one where it fails.

    Args:
        rate, set_rate_hz: as of `OfflineRun`.
        bar: called with the number of messages for a progress bar with `update`.
    """
    with BagReader(bag_path) as bag:
        out = BagWriter(out_path, storage)
        run = None
        try:
            run = OfflineRun(node, bag, out, set_rate_hz)
            with bar(run.messages()) as progress:
                for _ in run.run(rate):
                    progress.update()
            out.close()
        except OSError as error:
            out.discard()
            raise UserError(f"bag {out_path} cannot be written: {error.strerror}") from error
        except BaseException:
            out.discard()
            raise
        finally:
            if run is not None:
                run.close()
    return run.counts
