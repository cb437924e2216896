"""Keypoints from bags as ros2 bag and the package's own nodes write them."""

from pathlib import Path

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.rig.keypoint_bag import load_keypoint_bag

pytest.importorskip("rosbags")

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

MSG = Path(__file__).resolve().parents[2] / "msg"
TYPE = "mvssm_ros/msg/Keypoints2DArray"
PERIOD_NS = 100_000_000


@pytest.fixture
def write(tmp_path):
    """A function that writes {topic: [(stamp_ns, skeleton, people [P, J, 3]), ...]} as a bag."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for name in ("Keypoints2D", "Keypoints2DArray"):
        types |= get_types_from_msg((MSG / f"{name}.msg").read_text(), f"mvssm_ros/msg/{name}")
    store.register(types)
    t = store.types

    def make(topics, plugin=StoragePlugin.MCAP):
        with Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as bag:
            for topic, messages in topics.items():
                connection = bag.add_connection(topic, TYPE, typestore=store)
                for stamp_ns, skeleton, people in messages:
                    stamp = t["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
                    message = t[TYPE](
                        header=t["std_msgs/msg/Header"](stamp=stamp, frame_id=""),
                        skeleton=skeleton,
                        width=0,
                        height=0,
                        people=[
                            t["mvssm_ros/msg/Keypoints2D"](*np.ascontiguousarray(person.T))
                            for person in people
                        ],
                    )
                    bag.write(connection, stamp_ns, store.serialize_cdr(message, TYPE))
        return tmp_path / "bag"

    return make


def people(n, joints=15, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, (n, joints, 3)).astype(np.float32)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_frames_are_put_together_by_stamp(write, plugin):
    left = [(i * PERIOD_NS, "panoptic15", people(i % 3, seed=i)) for i in range(8)]
    right = [(s + 20_000_000, name, p) for s, name, p in left if s != 3 * PERIOD_NS]
    bag = write({"/left/keypoints": left, "/ns/right/keypoints": right}, plugin)
    sequence = load_keypoint_bag(bag, ["right", "left", "spare"])
    assert sequence.cameras == ("left", "right")
    assert sequence.stamps_ns.tolist() == [s for s, _, _ in left]
    assert sequence.keypoints.shape == (8, 2, 2, 15, 3)
    np.testing.assert_array_equal(sequence.keypoints[5, 0], left[5][2])
    np.testing.assert_array_equal(sequence.keypoints[5, 1], left[5][2])
    assert not sequence.keypoints[3, 1].any()  # it was not sent
    assert not sequence.keypoints[6].any()  # nobody was there


def test_other_skeletons_are_mapped(write):
    coco = [(i * PERIOD_NS, "coco17", people(1, 17)) for i in range(3)]
    sequence = load_keypoint_bag(write({"/a/keypoints": coco, "/b/keypoints": coco}), ["a", "b"])
    np.testing.assert_allclose(sequence.keypoints[0, 0, 0, 1], coco[0][2][0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ({"/a/keypoints": 15}, "topics of 1 of the rig's cameras, expected two or more"),
        ({"/c/keypoints": 15, "/d/keypoints": 15}, "found /c/keypoints, /d/keypoints"),
        ({"/a/keypoints": 15, "/a/more": 15, "/b/keypoints": 15}, "camera a: has several topics"),
        ({"/a/keypoints": 15, "/b/keypoints": 14}, "14, 14 and 14 elements, expected 15"),
    ],
)
def test_mistakes_are_named(write, topics, expected):
    bag = write({k: [(0, "panoptic15", people(1, n))] for k, n in topics.items()})
    with pytest.raises(UserError, match=expected):
        load_keypoint_bag(bag, ["a", "b"])


@pytest.mark.parametrize("content", [None, "rubbish"])
def test_folders_that_are_no_bag(tmp_path, content):
    if content:
        (tmp_path / "metadata.yaml").write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        load_keypoint_bag(tmp_path, ["a", "b"])


def test_a_bag_cut_short(write):
    bag = write({name: [(0, "panoptic15", people(3))] for name in ("/a/keypoints", "/b/keypoints")})
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(UserError, match="cannot be read"):
        load_keypoint_bag(bag, ["a", "b"])


def test_one_message_with_very_many_people_does_not_fill_the_memory(write):
    """Every frame would get as many places as the fullest one."""
    crowd = np.zeros((20_000, 15, 3), np.float32)
    left = [(i * PERIOD_NS, "panoptic15", crowd if i == 5 else people(1)) for i in range(400)]
    right = [(i * PERIOD_NS, "panoptic15", people(1)) for i in range(400)]
    bag = write({"/a/keypoints": left, "/b/keypoints": right})
    with pytest.raises(UserError, match="720000000 numbers are too many"):
        load_keypoint_bag(bag, ["a", "b"])
