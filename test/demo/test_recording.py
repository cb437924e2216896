"""The demo's bag is read whatever skeleton was published."""

import json

import numpy as np
import pytest
from geometry_msgs.msg import Point
from people_passing import joints_m
from recorded_rigs import START_NS, header, write_bag

from mvssm_ros.demo.recording import read_recording
from mvssm_ros.geometry.output_skeletons import OUTPUT_SKELETONS, Joints, OutputSkeleton
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.msg import Joint, Person, PersonArray


@pytest.mark.parametrize("skeleton", OUTPUT_SKELETONS)
def test_people_are_read_in_panoptic15(tmp_path, skeleton):
    truth = joints_m(np.zeros(1))[0]
    truth[PANOPTIC15.index("neck")] = truth[[3, 9]].mean(0)  # where the others have it
    truth[PANOPTIC15.index("mid_hip")] = truth[[6, 12]].mean(0)
    observed = np.ones(15, bool)
    observed[PANOPTIC15.index("left_knee")] = False
    masks = np.full(15, 3, np.uint64)
    covariance = np.tile(np.eye(3), (15, 1, 1))
    source = Joints(truth, np.zeros((15, 3)), covariance, np.ones(15), observed, masks)
    out = OutputSkeleton(skeleton).apply(source)
    message = PersonArray(header=header(START_NS), skeleton=skeleton, cameras=["a", "b"])
    message.cameras_used = 3
    joints = [
        Joint(position=Point(x=x, y=y, z=z), state=1 if seen else 2, view_mask=int(mask))
        for (x, y, z), seen, mask in zip(out.joints_m, out.observed, out.view_mask)
    ]
    message.people.append(Person(id="p0001", track_state=Person.CONFIRMED, joints=joints))
    bag = write_bag(tmp_path / "bag", [("/people", START_NS, message)])
    frames = tmp_path / "frames.json"
    frames.write_text(json.dumps({"fps": 60, "sent": [{"stamp_ns": START_NS, "frame": 7}]}))
    ((person,),) = [answer.people for answer in read_recording(bag, frames).answers]
    np.testing.assert_allclose(person.joints_m, truth, atol=1e-9)
    assert person.observed.tolist() == observed.tolist()
    assert person.view_mask.tolist() == [3] * 15
