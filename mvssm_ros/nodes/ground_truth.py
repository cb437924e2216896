"""The simulated world as it truly is, as a PersonArray."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from std_msgs.msg import Header

from mvssm_ros.geometry.output_skeletons import OutputSkeleton
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.person_messages import person_msg
from mvssm_ros.simulation.simulator import Moment
from mvssm_ros.tracking.identity import Body, TrackState
from mvssm_ros.tracking.tracker import MovingBody

_HIP = PANOPTIC15.index("mid_hip")
_OUTPUT = OutputSkeleton("panoptic15")


def ground_truth_msg(
    moment: Moment,
    names: Sequence[str],
    seen: npt.NDArray[np.bool_],
    cameras: Sequence[str],
    lost: Sequence[str],
    header: Header,
) -> PersonArray:
    """Everybody's joints and velocities, exact: covariances are zero, ids the scenario's names.

    Args:
        seen: [T, G, 15] which joints each camera could see; a joint that fewer than two see counts
            as predicted, as it would in `people`.
        cameras: names of all T.
        lost: those that send nothing at this moment.
    """
    bits = np.array([0 if c in lost else 1 << i for i, c in enumerate(cameras)], np.uint64)
    array = PersonArray(
        header=header,
        skeleton="panoptic15",
        cameras=list(cameras),
        cameras_used=int(bits.sum(dtype=np.uint64)),
    )
    for g, name in enumerate(names):
        masks = np.where(seen[:, g], bits[:, None], np.uint64(0)).sum(0, dtype=np.uint64)
        body = Body(
            joints_m=moment.joints_m[g],
            covariance_m2=np.zeros((15, 3, 3)),
            joint_confidence=np.ones(15),
            observed=np.array([int(mask).bit_count() >= 2 for mask in masks]),
            view_mask=masks,
            score=1.0,
        )
        moving = MovingBody(
            number=g + 1,
            state=TrackState.CONFIRMED,
            age_ns=round(moment.time_s * 1e9),
            since_observed_ns=0,
            body=body,
            index=g,
            joint_velocity_m_s=moment.velocities_m_s[g],
            joint_velocity_covariance_m2_s2=np.zeros((15, 3, 3)),
            velocity_m_s=moment.velocities_m_s[g, _HIP],
            velocity_covariance_m2_s2=np.zeros((3, 3)),
        )
        person = person_msg(moving, _OUTPUT)
        person.id = name
        array.people.append(person)
    return array
