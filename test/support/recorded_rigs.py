"""Bags of people who walk through a rig, as a recorder would have written them."""

from __future__ import annotations

import numpy as np
import people_passing
from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from mvssm_ros.bags.message_types import ros_type_name
from mvssm_ros.bags.writer import BagWriter
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.conversions import intrinsics_to_info, keypoints_to_message

START_NS = 1_700_000_000_000_000_000


def write_bag(path, messages, storage=None):
    """messages: (topic, bag time ns, message), in any order."""
    writer = BagWriter(path, storage)
    topics = {}
    for topic, time_ns, message in sorted(messages, key=lambda m: m[1]):
        if topic not in topics:
            name = ros_type_name(type(message))
            topics[topic] = writer.connection(topic, name, qos.answer_qos())
        writer.write(topics[topic], time_ns, bytes(serialize_message(message)))
    writer.close()
    return path


def header(stamp_ns, frame_id=""):
    seconds, nanosec = divmod(int(stamp_ns), 10**9)
    return Header(stamp=Time(sec=seconds, nanosec=nanosec), frame_id=frame_id)


def keypoints_of_walkers(rig, n_frames=20, n_people=2, seed=0):
    """(topic, bag time, Keypoints2DArray) of every camera: 10 to 25 ms late, in any order."""
    rng = np.random.default_rng(seed)
    seen = people_passing.people_seen(rig, n_frames, n_people, seed=seed)
    for frame, stamp_ns in enumerate(seen.stamps_ns + START_NS):
        for view, name in enumerate(seen.cameras):
            message = keypoints_to_message(
                seen.keypoints[frame, view],
                "panoptic15",
                rig.cameras[name].size_px,
                header(stamp_ns),
            )
            time_ns = int(stamp_ns) + int(rng.uniform(10e6, 25e6))
            yield f"/{name}/keypoints", time_ns, message


def camera_infos(rig, time_ns=START_NS):
    """(topic, bag time, CameraInfo) of every camera, once."""
    for name, entry in rig.cameras.items():
        info: CameraInfo = intrinsics_to_info(entry)
        yield f"/{name}/camera_info", time_ns, info
