"""Which topics of a running rig belong into a bag, and which of a bag may be played again."""

from __future__ import annotations

from mvssm_ros.rig.rig_file import CameraEntry, Rig

# What pose_node publishes, by the last part of the topic's name, beside its feeds.
_ANSWERS = (
    *("people", "markers", "camera_markers", "skeleton_info", "rig_status"),
    *("diagnostics", "transition_event"),
)
_OF_ROS = ("/rosout", "/parameter_events", "/clock", "/diagnostics_agg")


def image_topic(entry: CameraEntry) -> str:
    """The topic of a camera's images, as it is subscribed to."""
    if entry.transport == "compressed" and not entry.image_topic.endswith("compressed"):
        return f"{entry.image_topic}/compressed"
    return entry.image_topic


def keypoints_topic(camera: str) -> str:
    """The topic of a camera's 2D keypoints, unless a parameter says otherwise."""
    return f"/{camera}/keypoints"


def rig_topics(rig: Rig) -> list[str]:
    """All that `mvssm process` or a fresh pose_node may need of a rig, and the truth of a simulation."""
    found = []
    for entry in rig.cameras.values():
        found += [image_topic(entry), entry.info_topic, keypoints_topic(entry.name)]
    return [*found, "/tf", "/tf_static", "/calibration", "/ground_truth"]


def is_answer(topic: str) -> bool:
    """Whether pose_node itself publishes such a topic."""
    return topic.rsplit("/", 1)[-1] in _ANSWERS or "/feeds/" in topic


def is_of_ros(topic: str) -> bool:
    """Whether every node, or the middleware, has such a topic: never to be played again."""
    return topic in _OF_ROS
