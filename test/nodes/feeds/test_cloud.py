"""feeds/cloud, as a subscriber reads it."""

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2

from mvssm_ros.msg import Person
from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.cloud import CloudFeed

from .conftest import make_answer, make_person


def points_of(answer, k_sigma=2.0, spacing_m=0.1):
    message = CloudFeed(k_sigma, spacing_m).message(answer, present(answer))
    received = deserialize_message(serialize_message(message), PointCloud2)
    assert received.header == answer.header
    kinds = {7: "<f4", 6: "<u4"}
    layout = np.dtype(
        {
            "names": [f.name for f in received.fields],
            "formats": [kinds[f.datatype] for f in received.fields],
            "offsets": [f.offset for f in received.fields],
            "itemsize": received.point_step,
        }
    )
    points = np.frombuffer(received.data, layout)
    assert received.width * received.height == len(points)
    assert received.row_step == len(received.data)
    return points


def test_each_person_has_a_surface_with_her_id():
    points = points_of(make_answer(make_person(3), make_person(12, x_m=2.0)))
    for number, x_m in ((3, 0.0), (12, 2.0)):
        own = points[points["id"] == number]
        assert len(own) >= 20  # what Nav2's Collision Monitor is given
        assert abs(own["x"].mean() - x_m) < 0.1
        assert own["z"].min() < 0.1
        assert own["z"].max() > 1.6


def test_nobody_is_an_empty_cloud_and_not_none():
    assert len(points_of(make_answer())) == 0


def test_uncertainty_makes_people_larger():
    def width(sigma_m):
        points = points_of(make_answer(make_person(sigma_m=sigma_m)))
        return float(np.ptp(points["y"]))

    assert np.isclose(width(0.05) - width(0.0), 2 * 2 * 0.05, atol=0.01)


def test_those_who_are_lost_or_doubtful_are_not_in_it():
    lost = make_person(1, track_state=Person.LOST)
    doubtful = make_person(2, track_state=Person.TENTATIVE)
    coasting = make_person(3, track_state=Person.COASTING)
    assert set(points_of(make_answer(lost, doubtful, coasting))["id"]) == {3}
