"""The ROS side of `mvssm soak`: simulated cameras, requests to pose_node, and what it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from visualization_msgs.msg import MarkerArray

from mvssm_ros.msg import Joint, Keypoints2DArray, Person, PersonArray, RigStatus
from mvssm_ros.nodes import parameters, qos
from mvssm_ros.nodes.conversions import keypoints_to_message
from mvssm_ros.soak.faults import Fault

TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


@dataclass(frozen=True)
class HeardPerson:
    """A person seen in a set: joints [15, 3] m (NaN: missing), observed [15]."""

    id: str
    joints_m: npt.NDArray[np.float64]
    observed: npt.NDArray[np.bool_]
    confirmed: bool  # not tentative


@dataclass(frozen=True)
class Heard:
    """One answer; people who are coasting or lost are left out."""

    stamp_ns: int
    latency_s: float
    cameras: int  # how many were used
    people: list[HeardPerson]


@dataclass
class _Request:
    """A call of a service. ``expected``: of its answer, whether it is the right one."""

    what: str
    client: Any
    message: Any
    expected: Callable[[Any], bool]
    future: Any = None


class SoakRig:
    """Cameras, listener and operator in one node.

    Args:
        cameras: names; each sends on /<name>/keypoints.
        size_px: of their images, width and height.
        on_answer: called with every answer to a set.
        on_trouble: called with a line when a request is not answered as expected.
    """

    def __init__(
        self,
        cameras: list[str],
        size_px: tuple[int, int],
        on_answer: Callable[[Heard], None],
        on_trouble: Callable[[str], None],
        pose_node: str = "mvssm",
    ) -> None:
        self._cameras = cameras
        self._size_px = size_px
        self._on_answer = on_answer
        self._on_trouble = on_trouble
        self._pending: list[tuple[int, str, Any]] = []  # when to send (ns), camera, message
        self._requests: deque[_Request] = deque()
        self._guests: list[Any] = []  # subscriptions that come and go
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("soak", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._change = self._node.create_client(ChangeState, f"{pose_node}/change_state")
        self._set = self._node.create_client(SetParameters, f"{pose_node}/set_parameters")
        self._enable = self._node.create_client(SetBool, f"{pose_node}/enable")
        self._node.create_subscription(PersonArray, "people", self._hear, 50)
        self._publishers: dict[str, Any] = {}
        for name in cameras:
            self.plug_in(name)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def spin(self, for_s: float) -> None:
        """Hear what comes, for so long at most, and send what has become due."""
        self._executor.spin_once(timeout_sec=max(for_s, 0.0))
        self._send_due()
        self._serve_requests()

    def now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    # --- cameras ---

    def plug_in(self, camera: str) -> None:
        self._publishers[camera] = self._node.create_publisher(
            Keypoints2DArray, f"/{camera}/keypoints", qos.camera_qos()
        )

    def unplug(self, camera: str) -> None:
        self._node.destroy_publisher(self._publishers.pop(camera))

    def all_connected(self) -> bool:
        """pose_node listens to every camera."""
        return all(p.get_subscription_count() for p in self._publishers.values())

    def send(
        self,
        tick: int,
        stamp_ns: int,
        keypoints: list[npt.NDArray[np.float64]],
        faults: dict[str, list[Fault]],
    ) -> None:
        """One image of every camera, changed by the faults of each.

        Args:
            keypoints: by camera, [P, 15, 3] (x px, y px, confidence).
        """
        now_ns = self.now_ns()
        for camera, people in zip(self._cameras, keypoints):
            sending = [(0.0, self._message(stamp_ns, people))]
            for fault in faults.get(camera, []):
                sending = [
                    (wait_s + more_s, changed)
                    for wait_s, message in sending
                    for more_s, changed in fault(tick, message)
                ]
            self._pending += [(now_ns + round(w * 1e9), camera, m) for w, m in sending]
        self._send_due()

    def _message(self, stamp_ns: int, people: npt.NDArray[np.float64]) -> Keypoints2DArray:
        header = Header(stamp=Time(nanoseconds=stamp_ns).to_msg())
        return keypoints_to_message(people, "panoptic15", self._size_px, header)

    def _send_due(self) -> None:
        now_ns = self.now_ns()
        due = [p for p in self._pending if p[0] <= now_ns]
        self._pending = [p for p in self._pending if p[0] > now_ns]
        for _, camera, message in due:
            if camera in self._publishers:
                self._publishers[camera].publish(message)

    # --- listeners ---

    def bring_guests(self) -> None:
        """More subscribers, to all that is published."""
        for message_type, topic in (
            (PersonArray, "people"),
            (MarkerArray, "markers"),
            (RigStatus, "rig_status"),
            (DiagnosticArray, "/diagnostics"),
        ):
            self._guests.append(
                self._node.create_subscription(message_type, topic, lambda message: None, 5)
            )

    def dismiss_guests(self) -> None:
        while self._guests:
            self._node.destroy_subscription(self._guests.pop())

    def _hear(self, message: PersonArray) -> None:
        if not message.cameras_used:  # a farewell, not the answer to a set
            return
        people = [
            _heard_person(p)
            for p in message.people
            if p.track_state in (Person.TENTATIVE, Person.CONFIRMED)
        ]
        latency = message.latency
        self._on_answer(
            Heard(
                stamp_ns=Time.from_msg(message.header.stamp).nanoseconds,
                latency_s=latency.sec + latency.nanosec * 1e-9,
                cameras=bin(message.cameras_used).count("1"),
                people=people,
            )
        )

    # --- requests, one after the other ---

    @property
    def busy(self) -> bool:
        """Requests are not yet answered."""
        return bool(self._requests)

    def pose_node_is_there(self) -> bool:
        return all(c.service_is_ready() for c in (self._change, self._set))

    def transition(self, name: str) -> None:
        """Ask pose_node for a transition of its life cycle."""
        message = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
        self._ask(f"transition '{name}'", self._change, message, lambda answer: answer.success)

    def enable(self, enabled: bool) -> None:
        message = SetBool.Request(data=enabled)
        what = f"~/enable {str(enabled).lower()}"
        self._ask(what, self._enable, message, lambda answer: answer.success)

    def set_parameter(self, name: str, value: Any, accepted: bool = True) -> None:
        """accepted: whether pose_node ought to take it."""
        parameter = Parameter(name, value=value).to_parameter_msg()
        self._ask(
            f"parameter '{name}' = {value!r}, {'good' if accepted else 'nonsense'}",
            self._set,
            SetParameters.Request(parameters=[parameter]),
            lambda answer: answer.results[0].successful is accepted,
        )

    def reset_parameter(self, name: str) -> None:
        """Give it its default again."""
        (default,) = (spec.default for spec in parameters.SPECS if spec.name == name)
        self.set_parameter(name, default)

    def _ask(self, what: str, client: Any, message: Any, expected: Callable[[Any], bool]) -> None:
        self._requests.append(_Request(what, client, message, expected))
        self._serve_requests()

    def _serve_requests(self) -> None:
        while self._requests:
            request = self._requests[0]
            if request.future is None:
                if not request.client.service_is_ready():
                    return
                request.future = request.client.call_async(request.message)
            if not request.future.done():
                return
            self._requests.popleft()
            if not request.expected(request.future.result()):
                self._on_trouble(f"{request.what}: the answer was {request.future.result()}")


def _heard_person(person: Person) -> HeardPerson:
    return HeardPerson(
        id=person.id,
        joints_m=np.array([[j.position.x, j.position.y, j.position.z] for j in person.joints]),
        observed=np.array([j.state == Joint.OBSERVED for j in person.joints]),
        confirmed=person.track_state == Person.CONFIRMED,
    )
