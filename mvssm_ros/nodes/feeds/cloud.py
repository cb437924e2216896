"""feeds/cloud: people as points, for Nav2's obstacle and voxel layers and the Collision Monitor.

NOT SAFETY-RATED. An empty cloud says that nobody was seen; when nothing is known none is sent.
"""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.tracking.body_volume import surface_points

_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("id", "<u4")])


class CloudFeed(Feed):
    """The surfaces of everybody's capsules, inflated by k sigma. Empty when nobody is there."""

    topic = "feeds/cloud"
    message_type = PointCloud2

    def __init__(self, k_sigma: float, spacing_m: float) -> None:
        self.k_sigma = k_sigma
        self.spacing_m = spacing_m

    def message(self, answer: PersonArray, people: list[PersonArrays]) -> PointCloud2:
        """Fields x, y, z (m, float32) and id (uint32, the number in the person's id)."""
        surfaces = [surface_points(p.capsules(self.k_sigma), self.spacing_m) for p in people]
        points = np.zeros(sum(len(s) for s in surfaces), _POINT)
        if len(points):
            x, y, z = np.concatenate(surfaces).T
            points["x"], points["y"], points["z"] = x, y, z
            points["id"] = np.repeat([p.number for p in people], [len(s) for s in surfaces])
        kinds = {"f4": PointField.FLOAT32, "u4": PointField.UINT32}
        return PointCloud2(
            header=answer.header,
            height=1,
            width=len(points),
            fields=[
                PointField(name=name, offset=offset, datatype=kinds[kind.str[1:]], count=1)
                for name, (kind, offset) in _POINT.fields.items()
            ],
            is_bigendian=False,
            point_step=_POINT.itemsize,
            row_step=_POINT.itemsize * len(points),
            data=array.array("B", points.tobytes()),
            is_dense=True,
        )
