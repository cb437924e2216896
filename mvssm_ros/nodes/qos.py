"""Quality of service of every endpoint, overridable by parameters, mismatches told plainly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo

from mvssm_ros.errors import UserError

_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
# What a parameter that overrides a policy may be.
_VALUES = {
    "history": ("keep_last", "keep_all", "system_default"),
    "depth": ("a whole number above 0",),
    "reliability": ("reliable", "best_effort", "best_available", "system_default"),
    "durability": ("volatile", "transient_local", "best_available", "system_default"),
}


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


def fitting_all(offered: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """What connects to all of these publishers and loses least: reliable and latched if all are."""
    reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in offered)
    latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in offered)
    return _profile(
        depth,
        ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def overridable() -> QoSOverridingOptions:
    """Declare ``qos_overrides.<topic>.<publisher|subscription>.<policy>`` for an endpoint."""
    return QoSOverridingOptions(policy_kinds=_OVERRIDABLE)


def check_overrides(node: Node) -> None:
    """Refuse values that no policy has, before an endpoint is made with them.

    Raises:
        UserError: naming the parameter and what it may be.
    """
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no public way to ask
    for name, parameter in given.items():
        policy = name.rpartition(".")[2]
        if not name.startswith("qos_overrides.") or policy not in _VALUES:
            continue
        value, expected = parameter.value, _VALUES[policy]
        fits = isinstance(value, str) and value.lower() in expected
        if policy == "depth":
            fits = type(value) is int and value > 0
        if not fits:
            raise UserError(f"parameter '{name}' is '{value}', expected {' or '.join(expected)}")


def publisher_options() -> dict[str, Any]:
    """For the publishers of a node that looks after misfits itself: see `misfit`."""
    return {
        "event_callbacks": PublisherEventCallbacks(use_default_callbacks=False),
        "qos_overriding_options": overridable(),
    }


def subscription_options() -> dict[str, Any]:
    """For the subscriptions of a node that looks after misfits itself: see `misfit`."""
    return {
        "event_callbacks": SubscriptionEventCallbacks(use_default_callbacks=False),
        "qos_overriding_options": overridable(),
    }


def misfit(node: Node, topic: str, endpoint: str) -> str:
    """Who cannot talk with an endpoint of the node, now; empty if everybody can.

    The events of the middleware tell when a misfit begins, never when it is over; this can be asked
    again and again.

    Args:
        topic: its full name.
        endpoint: "publisher" or "subscription": which of the two the node has.

    Returns:
        One line that names the topic, the others, the policy (or the type) and what to do.
    """
    publishers = node.get_publishers_info_by_topic(topic)
    subscriptions = node.get_subscriptions_info_by_topic(topic)
    mine, others = (
        (publishers, subscriptions) if endpoint == "publisher" else (subscriptions, publishers)
    )
    identity = (node.get_name(), node.get_namespace())
    ours = next((i for i in mine if (i.node_name, i.node_namespace) == identity), None)
    if ours is None:
        return ""
    names: dict[str, list[str]] = defaultdict(list)  # by what is wrong
    for other in others:
        for wrong in _what_is_wrong(ours, other, topic, endpoint):
            names[wrong].append(f"'{other.node_name}'")
    return "; ".join(
        f"topic '{topic}': {_OTHERS[endpoint]} {', '.join(sorted(set(who)))} {wrong}"
        for wrong, who in names.items()
    )


_OTHERS = {"publisher": "the subscriber", "subscription": "the publisher"}


def _what_is_wrong(
    ours: TopicEndpointInfo, other: TopicEndpointInfo, topic: str, endpoint: str
) -> Iterator[str]:
    sending = endpoint == "publisher"
    if other.topic_type != ours.topic_type:
        verbs = ("expects", "sent") if sending else ("sends", "expected")
        yield (
            f"{verbs[0]} {other.topic_type}, {verbs[1]} is {ours.topic_type}; give each type a topic"
            " of its own" + ("" if sending else ", or set the camera's transport")
        )
        return
    offered, requested = (ours, other) if sending else (other, ours)
    for policy in _misfitting_policies(offered.qos_profile, requested.qos_profile):
        theirs = _value(other.qos_profile, policy)
        mine = _value(ours.qos_profile, policy)
        if sending:
            found = f"requests {policy.upper()} {theirs}, offered is {mine}: it receives nothing"
        else:
            found = f"offers {policy.upper()} {theirs}, requested is {mine}: nothing comes from it"
        override = f"qos_overrides.{topic}.{endpoint}.{policy}"
        yield f"{found}; change {'its' if sending else 'that'} QoS, or set the parameter {override}"


def _misfitting_policies(offered: QoSProfile, requested: QoSProfile) -> list[str]:
    """Policies for which the middleware does not connect the two."""
    if qos_check_compatible(offered, requested)[0] != QoSCompatibility.ERROR:
        return []
    found = []
    for policy in ("reliability", "durability", "deadline", "liveliness"):
        asked = copy(offered)  # all alike but for this policy
        setattr(asked, policy, getattr(requested, policy))
        if qos_check_compatible(offered, asked)[0] == QoSCompatibility.ERROR:
            found.append(policy)
    return found


def _value(profile: QoSProfile, policy: str) -> str:
    value = getattr(profile, policy)
    return str(getattr(value, "name", value)).lower()


def _profile(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )
