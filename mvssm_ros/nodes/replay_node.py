"""A node that plays a bag: its messages as they are, as far apart as they were recorded.

Stamps stay those of the recording. What pose_node itself publishes is left out unless asked for, so
that a pose_node beside it is the only one who answers; what needs the recording's time (another
rate, TF) runs with use_sim_time and the clock that this publishes.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from builtin_interfaces.msg import Time
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.duration import Duration
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from mvssm_ros.bags.reader import BagReader, BagTopic
from mvssm_ros.bags.topics import is_answer, is_of_ros
from mvssm_ros.errors import UserError
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.message_classes import message_class
from mvssm_ros.nodes.spin import run_node

_PARAMETERS = {
    "bag": ("", "Folder of the bag, or an .mcap or .db3 file."),
    "rate": (1.0, "Times real time."),
    "loop": (False, "Begin anew at the end, until the node is stopped."),
    "topics": ([""], "Only these topics. ['']: all."),
    "exclude": ([""], "But for these topics."),
    "answers": (
        False,
        "Play also what pose_node publishes: people, markers, rig_status, feeds ...",
    ),
    "clock": (False, "Publish the bag's time on /clock."),
    "wait": (2.0, "Wait so many seconds for somebody to listen to each topic, then begin."),
}
_DEPTH = 50  # of publishers: messages of many cameras come at once
_IMAGE_DEPTH = 5  # megabytes each
_TICK_S = 0.01  # of /clock, and how soon an end is noticed


class ReplayNode(Node):
    """Publishes the topics of the bag. It ends with the bag."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("replay", **kwargs)
        values = {
            name: self.declare_parameter(
                name, default, ParameterDescriptor(description=description)
            ).value
            for name, (default, description) in _PARAMETERS.items()
        }
        if not values["bag"]:
            raise UserError("parameter 'bag' is empty; give the bag to play")
        if not values["rate"] > 0:
            raise UserError(f"parameter 'rate' is {values['rate']}, expected above 0")
        self._values = values
        with BagReader(values["bag"]) as bag:
            if not bag.count:
                raise UserError(f"bag {values['bag']}: there are no messages in it")
            self._start_ns, self._end_ns = bag.start_ns, bag.end_ns
            chosen = _chosen(bag.topics, values)
        self._outputs: dict[str, Any] = {}
        for topic in chosen:
            found = message_class(topic.type_name)
            if found is None:
                if topic.name in values["topics"]:
                    raise UserError(
                        f"bag {values['bag']}: topic '{topic.name}' cannot be played: the message type"
                        f" {topic.type_name} is not installed here"
                    )
                self.get_logger().warning(
                    f"topic '{topic.name}' is not played: the message type {topic.type_name} is not"
                    " installed here"
                )
                continue
            self._outputs[topic.name] = self._publisher(topic, found)
        if not self._outputs:
            raise UserError(f"bag {values['bag']}: no topic in it can be played")
        self._time = self.create_publisher(Clock, "/clock", 10) if values["clock"] else None
        self.count = 0  # messages published
        self._exit_code: int | None = None
        self._failure = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._thread.start()

    def finish(self) -> int | None:
        """0 once the bag is over, 1 where it broke off."""
        if self._failure:
            self.get_logger().error(self._failure)
            return 1
        return self._exit_code

    def close(self) -> None:
        """Stop playing; let the last messages arrive."""
        self._stop.set()
        self._thread.join()
        for publisher in self._outputs.values():
            publisher.wait_for_all_acked(Duration(seconds=1))
        self.get_logger().info(f"{self.count} messages played from {self._values['bag']}")

    def _publisher(self, topic: BagTopic, message_type: type) -> Any:
        profile = qos.latched_qos() if topic.latched else qos.answer_qos()
        profile.depth = _IMAGE_DEPTH if "Image" in topic.type_name else max(topic.depth, _DEPTH)
        options = {"qos_overriding_options": qos.overridable()}
        return self.create_publisher(message_type, topic.name, profile, **options)

    # --- on the thread ---

    def _run(self) -> None:
        try:
            self._wait_for_listeners()
            while not self._stop.is_set():
                self._play()
                if not self._values["loop"]:
                    break
            self._exit_code = 0
        except UserError as error:
            self._failure = str(error)

    def _wait_for_listeners(self) -> None:
        end_s = time.monotonic() + self._values["wait"]
        while time.monotonic() < end_s and not self._stop.is_set():
            if all(p.get_subscription_count() for p in self._outputs.values()):
                return
            time.sleep(_TICK_S)

    def _play(self) -> None:
        """All of the bag once. What is due late goes out at once, and nothing is left out."""
        duration_s = (self._end_ns - self._start_ns) / 1e9
        began_s = time.monotonic()
        with (
            BagReader(self._values["bag"]) as bag,
            tqdm(
                total=round(duration_s, 2),
                unit="s",
                bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} s",
                disable=not sys.stderr.isatty(),
            ) as bar,
        ):
            for topic, time_ns, data in bag.messages(list(self._outputs)):
                since_start_s = (time_ns - self._start_ns) / 1e9
                for _ in self._until(began_s, since_start_s):
                    bar.update(min(self._bag_s(began_s), since_start_s) - bar.n)
                if self._stop.is_set():
                    return
                self._tell_time(time_ns)
                self._outputs[topic].publish(data)
                self.count += 1
            bar.update(bar.total - bar.n)

    def _until(self, began_s: float, since_start_s: float) -> Iterator[None]:
        """Wait for a moment of the bag, a tick at a time."""
        while not self._stop.is_set():
            missing_s = (since_start_s - self._bag_s(began_s)) / self._values["rate"]
            if missing_s <= 0:
                return
            self._stop.wait(min(missing_s, _TICK_S))
            if missing_s > _TICK_S:
                self._tell_time(self._start_ns + round(self._bag_s(began_s) * 1e9))
            yield

    def _bag_s(self, began_s: float) -> float:
        """Seconds since the bag's start, in its time."""
        return (time.monotonic() - began_s) * self._values["rate"]

    def _tell_time(self, time_ns: int) -> None:
        if self._time is not None:
            seconds, nanosec = divmod(time_ns, 1_000_000_000)
            self._time.publish(Clock(clock=Time(sec=seconds, nanosec=nanosec)))


def _chosen(topics: dict[str, BagTopic], values: dict[str, Any]) -> list[BagTopic]:
    """The topics to play.

    Raises:
        UserError: a topic that is asked for is not in the bag.
    """
    asked = [name for name in values["topics"] if name]
    unknown = [name for name in asked if name not in topics]
    if unknown:
        raise UserError(
            f"bag {values['bag']}: there is no topic '{unknown[0]}' in it; it has"
            f" {', '.join(sorted(topics))}"
        )
    found = []
    for name, topic in sorted(topics.items()):
        wanted = name in asked if asked else values["answers"] or not is_answer(name)
        excluded = {name, name.removeprefix("/")} & set(values["exclude"])
        if wanted and not excluded and not is_of_ros(name):
            found.append(topic)
    return found


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable replay_node."""
    return run_node(ReplayNode, args)


if __name__ == "__main__":
    sys.exit(main())
