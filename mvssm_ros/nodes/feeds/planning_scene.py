"""planning_scene: people as collision objects of MoveIt. Not safety-rated.

MoveIt has no capsule: every limb is an object of a cylinder and two spheres, `<id>_<joint>_<joint>`.
Objects are added once and then moved; only where a limb's size has changed by more than its margin is
the object added anew, which replaces it. They are removed when a set that tells something no longer
shows the person, or when the node stops. While nothing is known they stay where they were last seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point, Pose, Quaternion

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays, stamp_s

Array = npt.NDArray[np.float64]

_EVERY_S = 0.0999  # MoveIt checks all its plans again after every change
_MARGIN_M = 0.02  # by which objects are larger than limbs, so that limbs may grow a little
_LARGEST_MARGIN_M = 0.06  # a limb that has shrunk further gets a smaller object


@dataclass(frozen=True)
class _Size:
    length_m: float
    radius_m: float

    def holds(self, other: _Size) -> bool:
        """Without being much too large."""
        over = self.radius_m - other.radius_m
        grown = (other.length_m - self.length_m) / 2
        return max(grown, 0.0) <= over <= _LARGEST_MARGIN_M and grown >= -_LARGEST_MARGIN_M


class PlanningSceneFeed(Feed):
    """Changes of the planning scene, ten times a second at most.

    Args:
        messages: moveit_msgs.msg.
        shapes: shape_msgs.msg.
        k_sigma: limbs grow by so many standard deviations.
    """

    topic = "planning_scene"

    def __init__(self, messages: ModuleType, shapes: ModuleType, k_sigma: float) -> None:
        self._messages = messages
        self._shapes = shapes
        self.message_type = messages.PlanningScene
        self.k_sigma = k_sigma
        self._objects: dict[str, _Size | None] = {}  # None: to be added anew
        self._last_s: float | None = None

    def begin(self) -> None:
        """Add everybody anew; remove who has gone meanwhile."""
        self._objects = dict.fromkeys(self._objects)
        self._last_s = None

    def message(self, answer: PersonArray, people: list[PersonArrays]):
        """None where nothing changes, or too soon after the last change."""
        now_s = stamp_s(answer)
        soon = self._last_s is not None and 0 <= now_s - self._last_s < _EVERY_S
        if (people and soon) or not (people or self._objects):
            return None
        self._last_s = now_s
        objects = [each for person in people for each in self._limbs(answer, person)]
        named = {each.id for each in objects}
        for name in sorted(self._objects.keys() - named):
            objects.append(self._object(answer, name, self._messages.CollisionObject.REMOVE))
            del self._objects[name]
        scene = self.message_type(is_diff=True)
        scene.robot_state.is_diff = True
        scene.world.collision_objects = objects
        return scene

    def _limbs(self, answer: PersonArray, person: PersonArrays):
        capsules = person.capsules(self.k_sigma)
        names = person.skeleton.joints
        kind = self._messages.CollisionObject
        for start, end, radius, joints in zip(
            capsules.starts_m, capsules.ends_m, capsules.radii_m, capsules.joints
        ):
            name = f"{person.person.id}_{names[joints[0]]}_{names[joints[1]]}"
            size = _Size(float(np.linalg.norm(end - start)), float(radius))
            known = self._objects.get(name)
            if known is not None and known.holds(size):
                limb = self._object(answer, name, kind.MOVE)
            else:
                known = _Size(size.length_m, size.radius_m + _MARGIN_M)
                self._objects[name] = known
                limb = self._object(answer, name, kind.ADD)
                limb.primitives, limb.primitive_poses = self._primitives(known)
            limb.pose = _pose_between(start, end)
            yield limb

    def _object(self, answer: PersonArray, name: str, operation: bytes):
        return self._messages.CollisionObject(header=answer.header, id=name, operation=operation)

    def _primitives(self, size: _Size):
        """A cylinder along z and a sphere at each of its ends."""
        solid, half_m = self._shapes.SolidPrimitive, size.length_m / 2
        cylinder = solid(type=solid.CYLINDER)
        dimensions = [0.0, 0.0]
        dimensions[solid.CYLINDER_HEIGHT] = max(size.length_m, 1e-3)
        dimensions[solid.CYLINDER_RADIUS] = size.radius_m
        cylinder.dimensions = dimensions
        ball = solid(type=solid.SPHERE, dimensions=[size.radius_m])
        return [cylinder, ball, ball], [_at(0.0), _at(-half_m), _at(half_m)]


def _at(z_m: float) -> Pose:
    return Pose(position=Point(z=z_m), orientation=Quaternion(w=1.0))


def _pose_between(start_m: Array, end_m: Array) -> Pose:
    """In the middle, z from one to the other."""
    along = end_m - start_m
    length_m = float(np.linalg.norm(along))
    x, y, z = (along / length_m).tolist() if length_m > 1e-6 else (0.0, 0.0, 1.0)
    q = np.array([-y, x, 0.0, 1.0 + z])  # the shortest turn that takes (0, 0, 1) there
    q = q / np.linalg.norm(q) if z > -1 + 1e-9 else np.array([1.0, 0.0, 0.0, 0.0])
    qx, qy, qz, qw = q.tolist()
    mx, my, mz = ((start_m + end_m) / 2).tolist()
    return Pose(position=Point(x=mx, y=my, z=mz), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
