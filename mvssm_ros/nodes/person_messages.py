"""Tracked bodies as Person messages."""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3

from mvssm_ros.geometry.output_skeletons import Joints, OutputSkeleton
from mvssm_ros.geometry.skeletons import PANOPTIC15, Skeleton
from mvssm_ros.msg import Joint, Person, SkeletonInfo
from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.tracking.body_frame import body_frame
from mvssm_ros.tracking.identity import TrackState
from mvssm_ros.tracking.tracker import MovingBody

_NAN = math.nan
_MAX_SECONDS = 2**31 - 1  # of a Duration


def duration_msg(duration_ns: int) -> Duration:
    """Nanoseconds as a Duration; beyond 68 years, as stamps on another clock give, the limit."""
    seconds, nanosec = divmod(int(duration_ns), 1_000_000_000)
    return Duration(sec=max(min(seconds, _MAX_SECONDS), -_MAX_SECONDS), nanosec=nanosec)


def skeleton_info_msg(skeleton: Skeleton) -> SkeletonInfo:
    """Names, bones and left-right counterparts of the joints."""
    return SkeletonInfo(
        name=skeleton.name,
        joint_names=list(skeleton.joints),
        edges=[int(joint) for edge in skeleton.edge_indices for joint in edge],
        mirror=[int(joint) for joint in skeleton.mirror],
    )


def person_msg(tracked: MovingBody, output: OutputSkeleton) -> Person:
    """One person; ``tracked`` is in panoptic15, the joints are those of ``output``."""
    body = tracked.body
    person = Person(
        id=tracked.id,
        track_state=int(tracked.state),
        age=duration_msg(tracked.age_ns),
        since_observed=duration_msg(tracked.since_observed_ns),
        confidence=float(body.score),
        velocity=_vector(tracked.velocity_m_s),
        joints=_joint_msgs(tracked, output),
    )
    person.velocity_covariance = _covariance(tracked.velocity_covariance_m2_s2)
    frame = body_frame(body.joints_m, body.covariance_m2, PANOPTIC15)
    if frame is None:
        person.pose = Pose(position=Point(x=_NAN, y=_NAN, z=_NAN))
        person.pose_covariance[0] = -1.0
        return person
    x, y, z, w = (float(q) for q in quaternion_from_matrix(frame.rotation))
    person.pose = Pose(position=_point(frame.origin_m), orientation=Quaternion(x=x, y=y, z=z, w=w))
    person.pose_covariance = _covariance(frame.covariance)
    person.size = Vector3(
        x=float(frame.size_m[0]), y=float(frame.size_m[1]), z=float(frame.size_m[2])
    )
    return person


def _joint_msgs(tracked: MovingBody, output: OutputSkeleton) -> list[Joint]:
    body = tracked.body
    seen_now = tracked.state in (TrackState.TENTATIVE, TrackState.CONFIRMED)
    found = output.apply(
        Joints(
            body.joints_m,
            tracked.joint_velocity_m_s,
            body.covariance_m2,
            body.joint_confidence,
            body.observed,
            body.view_mask,
        )
    )
    joints = []
    for j, position_m in enumerate(found.joints_m):
        joint = Joint(position=_point(position_m), velocity=_vector(found.velocity_m_s[j]))
        if not np.isfinite(position_m).all():
            joint.position = Point(x=_NAN, y=_NAN, z=_NAN)
            joint.velocity = Vector3(x=_NAN, y=_NAN, z=_NAN)
            joint.state = Joint.MISSING
            joint.position_covariance[0] = -1.0
        else:
            joint.state = Joint.OBSERVED if seen_now and found.observed[j] else Joint.PREDICTED
            joint.confidence = float(np.clip(found.confidence[j], 0.0, 1.0))
            joint.position_covariance = _covariance(found.covariance_m2[j])
            joint.view_mask = int(found.view_mask[j])
        joints.append(joint)
    return joints


def _point(position_m: np.ndarray) -> Point:
    return Point(x=float(position_m[0]), y=float(position_m[1]), z=float(position_m[2]))


def _vector(velocity_m_s: np.ndarray) -> Vector3:
    x, y, z = (float(v) for v in velocity_m_s)
    return Vector3(x=x, y=y, z=z)


def _covariance(matrix: np.ndarray) -> np.ndarray:
    """Row-major and flat; -1 in front if it is unknown."""
    flat = np.array(matrix, dtype=np.float64).reshape(-1)
    if not np.isfinite(flat).all():
        flat = np.zeros_like(flat)
        flat[0] = -1.0
    return flat
