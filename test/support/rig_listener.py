"""Prints what it hears as lines of JSON: answers of pose_node, or the sizes of cameras' images.

python rig_listener.py answers
python rig_listener.py raw|compressed CAMERA...
"""

import json
import sys

import rclpy
from sensor_msgs.msg import CompressedImage, Image

from mvssm_ros.msg import Person, PersonArray, RigStatus
from mvssm_ros.nodes import qos


def say(**what) -> None:
    print(json.dumps(what), flush=True)


def _ids(answer: PersonArray) -> list[str]:
    return [person.id for person in answer.people if person.track_state != Person.LOST]


def main(what: str, *cameras: str) -> None:
    rclpy.init()
    node = rclpy.create_node(f"listener_{what}")
    if what == "answers":
        node.create_subscription(
            PersonArray,
            "people",
            lambda m: say(used=m.cameras_used, ids=_ids(m)),
            qos.answer_qos(),
        )
        node.create_subscription(
            RigStatus,
            "rig_status",
            lambda m: say(states=[c.state for c in m.cameras], summary=m.summary),
            qos.answer_qos(),
        )
    message_type = {"raw": Image, "compressed": CompressedImage}.get(what)
    for camera in cameras:
        topic = f"/{camera}/image_raw" + ("/compressed" if what == "compressed" else "")
        node.create_subscription(
            message_type, topic, lambda m: say(bytes=len(m.data)), qos.camera_qos()
        )
    rclpy.spin(node)


if __name__ == "__main__":
    main(*sys.argv[1:])
