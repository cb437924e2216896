"""Quality of service of every endpoint, overridable by parameters, mismatches told plainly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.exceptions import ParameterException
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions

from mvssm_ros.errors import UserError

_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


def camera_qos() -> QoSProfile:
    """Images, camera_info and keypoints: sensor data. Connects to every publisher's reliability."""
    return _profile(5, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)


def answer_qos() -> QoSProfile:
    """People, markers, status: reliable, the last five."""
    return _profile(5, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)


def kept_answer_qos() -> QoSProfile:
    """Answers that the publisher keeps (by its qos_overrides) for who is matched a little late."""
    return _profile(10, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def latched_qos() -> QoSProfile:
    """Skeleton_info: whoever comes later gets it too."""
    return _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def overridable() -> QoSOverridingOptions:
    """Declare ``qos_overrides.<topic>.<publisher|subscription>.<policy>`` for an endpoint."""
    return QoSOverridingOptions(policy_kinds=_OVERRIDABLE)


@contextmanager
def checked_overrides(topic: str) -> Iterator[None]:
    """Around the making of an `overridable` endpoint.

    Raises:
        UserError: a parameter ``qos_overrides.<topic>...`` has a value that cannot be.
    """
    try:
        yield
    except (InvalidQosOverridesError, ParameterException, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"topic '{topic}': it cannot be set up with its parameters qos_overrides.{topic}.*:"
            f" {reason}; correct them, and start the node again"
        ) from error


def subscription_events(topic: str, warn: Callable[[str], None]) -> SubscriptionEventCallbacks:
    """Warn, naming topic and policy, when a publisher's QoS does not fit this subscription."""

    def incompatible(event) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        warn(
            f"topic '{topic}': a publisher offers an incompatible {policy}, nothing will be"
            " received from it; change the publisher's QoS, or set the parameter"
            f" {_override(topic, 'subscription', policy)}"
        )

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)


def publisher_events(topic: str, warn: Callable[[str], None]) -> PublisherEventCallbacks:
    """Warn, naming topic and policy, when a subscriber's QoS does not fit this publisher."""

    def incompatible(event) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        warn(
            f"topic '{topic}': a subscriber requests an incompatible {policy}, it will receive"
            " nothing; change the subscriber's QoS, or set the parameter"
            f" {_override(topic, 'publisher', policy)}"
        )

    return PublisherEventCallbacks(incompatible_qos=incompatible)


def _profile(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


def _override(topic: str, endpoint: str, policy: str) -> str:
    """The name of the parameter that overrides a policy (policies are called X or X_QOS_POLICY)."""
    name = policy.lower().removesuffix("_qos_policy")
    return f"qos_overrides.{topic}.{endpoint}.{name}"
