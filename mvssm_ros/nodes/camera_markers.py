"""The cameras for RViz: where each stands, what it looks at, and by its colour how it is doing.

Green: used. Amber: used with a problem, or nothing has come from it yet. Red: silent, or what it
sends cannot be used. Grey: left out, because it disagrees with the other cameras.

Two namespaces: frusta, and names (with the state of a camera that is not OK). Every message has all
cameras, since the topic keeps only its last one for who comes later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from mvssm_ros.msg import CameraStatus
from mvssm_ros.nodes.diagnostics import STATE_NAMES
from mvssm_ros.nodes.rig_summary import CameraState
from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.rig.rig_file import CameraEntry

NAMESPACES = ("frusta", "names")
GREEN = ColorRGBA(r=0.2, g=0.85, b=0.3, a=1.0)
AMBER = ColorRGBA(r=1.0, g=0.65, b=0.0, a=1.0)
RED = ColorRGBA(r=0.95, g=0.15, b=0.15, a=1.0)
GREY = ColorRGBA(r=0.6, g=0.6, b=0.6, a=1.0)
_DEPTH_M = 0.4  # from the centre of the camera to the rectangle that stands for its image
_LINE_M = 0.015
_NAME_HEIGHT_M = 0.12
_NAME_ABOVE_M = 0.2


@dataclass(frozen=True, eq=False)
class ShownCamera:
    """One camera: as it is calibrated, which may be incomplete, and how it is doing."""

    entry: CameraEntry
    state: CameraState

    @property
    def color(self) -> ColorRGBA:
        """See the module."""
        if self.state.state == CameraStatus.DISAGREES:
            return GREY
        if self.state.state == CameraStatus.OK:
            return AMBER if self.state.problems else GREEN
        waits = self.state.state == CameraStatus.WAITING and not self.state.problems
        return AMBER if waits else RED

    @property
    def label(self) -> str:
        name = self.entry.name
        return name if self.state.used else f"{name} {STATE_NAMES[self.state.state]}"


class CameraMarkerWriter:
    """Remembers the cameras as they were shown last."""

    def __init__(self) -> None:
        self._cameras: list[ShownCamera] = []

    def take(self, cameras: list[ShownCamera]) -> bool:
        """Whether they look other than before. ``cameras``: all of the rig, in its order."""
        before = [(c.entry, c.label, c.color) for c in self._cameras]
        self._cameras = cameras
        return before != [(c.entry, c.label, c.color) for c in cameras]

    def message(self, header: Header) -> MarkerArray:
        """All cameras; those that nobody knows the place of are taken off the screen."""
        markers = []
        for number, camera in enumerate(self._cameras):
            action = Marker.DELETE if camera.entry.missing() else Marker.ADD
            frustum = Marker(header=header, ns="frusta", id=number, type=Marker.LINE_LIST)
            name = Marker(header=header, ns="names", id=number, type=Marker.TEXT_VIEW_FACING)
            for marker in (frustum, name):
                marker.action, marker.color = action, camera.color
                marker.pose.orientation.w = 1.0
            if action == Marker.ADD:
                frustum.pose = _pose(camera.entry)
                center = frustum.pose.position
                name.pose.position = Point(x=center.x, y=center.y, z=center.z + _NAME_ABOVE_M)
                frustum.scale.x = _LINE_M
                frustum.points = frustum_lines(camera.entry)
                name.scale.z = _NAME_HEIGHT_M
                name.text = camera.label
            markers += [frustum, name]
        return MarkerArray(markers=markers)

    def clear(self, header: Header) -> MarkerArray:
        """Remove everything, also what an earlier run may have left."""
        self._cameras = []
        return MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])


def frustum_lines(entry: CameraEntry) -> list[Point]:
    """Ends of the lines from a camera's centre to the corners of its image, and around them.

    In its optical frame, m; without the distortion. A small roof marks the image's upper side.
    """
    assert entry.size_px is not None
    assert entry.K is not None
    width, height = entry.size_px
    pixels = np.array(
        [(0, 0), (width, 0), (width, height), (0, height), (width / 2, -0.15 * height)], float
    )
    rays = np.linalg.solve(entry.K, np.column_stack([pixels, np.ones(len(pixels))]).T).T
    *corners, roof = [Point(x=x, y=y, z=z) for x, y, z in (_DEPTH_M * rays).tolist()]
    lines = [end for corner in corners for end in (Point(), corner)]
    for begin, end in zip(corners, [*corners[1:], corners[0]]):
        lines += [begin, end]
    return [*lines, corners[0], roof, roof, corners[1]]


def _pose(entry: CameraEntry) -> Pose:
    """Of the optical frame in the reference frame."""
    assert entry.R is not None
    assert entry.center_m is not None
    x, y, z = entry.center_m.tolist()
    i, j, k, w = quaternion_from_matrix(entry.R.T).tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=i, y=j, z=k, w=w))
