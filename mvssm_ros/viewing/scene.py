"""All that the viewer shows, written to one recording as the messages come. No ROS in here.

Messages are read by their fields, so those of rclpy and those of a bag do alike.
"""

from __future__ import annotations

import colorsys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.rig.rig_file import Rig
from mvssm_ros.viewing import health
from mvssm_ros.viewing.layout import layout
from mvssm_ros.viewing.library import TIMELINE, viewer_library
from mvssm_ros.viewing.people import (
    LOST,
    Rgb,
    SeenPerson,
    arrow,
    bones,
    ellipsoids,
    joint_colors,
    person_color,
    seen_person,
)
from mvssm_ros.viewing.screens import Screens

WIDTH_PX = 640  # of the images as shown
_BACK_NS = 1_000_000_000  # stamps that go back by more begin anew
_BONE_M, _JOINT_M, _ARROW_M = 0.02, 0.032, 0.014  # radii
_HAZE = 70  # alpha of the ellipsoids
_FLOOR = (110, 118, 134)
_LATENCY = (96, 165, 250)
_SLACK_NS = 20_000_000  # images of one set differ by their stamps
_WAIT_NS = 1_000_000_000  # for the people in an image
_WAITING = 500  # images and keypoints at most


class Scene:
    """People, cameras and diagnostics of one rig.

    Args:
        recording: a rerun RecordingStream.
        rig: its cameras and space; cameras it lacks are added as messages name them.
        live: whether the viewer is to follow the newest, or to play from the beginning.
    """

    def __init__(self, recording: Any, rig: Rig, live: bool, width_px: int = WIDTH_PX) -> None:
        self._rr = viewer_library()
        self._recording = recording
        self._live = live
        self._rig = rig
        self._screens = Screens(recording, width_px)
        self._edges: dict[str, npt.NDArray[np.int64]] = {
            name: skeleton.edge_indices for name, skeleton in SKELETONS.items()
        }
        self._shown: set[str] = set()
        self._changes = health.StatusChanges()
        self._images_time = OnwardTime()  # stamps of images, and of all that is found in them
        self._node_time = OnwardTime()  # stamps of what the node says of itself
        self._plots: set[str] = set()
        # what waits for the people in it: its stamp, when it came, and what is to be done
        self._waiting: deque[tuple[int, int, Callable[[], None]]] = deque()
        recording.log("world", self._rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        self.set_rig(rig)
        self._lay_out()

    @property
    def rig(self) -> Rig:
        return self._rig

    @property
    def cameras(self) -> list[str]:
        """Names of all cameras that are known so far."""
        return self._screens.names

    def set_rig(self, rig: Rig) -> None:
        """A new calibration of the rig."""
        known = self._screens.sizes_px
        self._rig = rig
        self._screens.set_rig(rig)
        (x, y), (w, h), z = rig.space.center_m, rig.space.size_m, rig.space.floor_m
        corners = [(x + sx * w / 2, y + sy * h / 2, z)
                   for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]  # fmt: skip
        floor = self._rr.LineStrips3D([corners], colors=[_FLOOR], radii=-1.5)
        self._recording.log("world/space", floor, static=True)
        if self._screens.sizes_px != known:
            self._lay_out()

    def name_cameras(self, names: Iterable[str]) -> None:
        """Cameras that a message speaks of; those not known yet get a place."""
        if self._screens.add(names):
            self._lay_out()

    # --- what comes ---

    def take_skeleton(self, info: Any) -> None:
        """A SkeletonInfo."""
        self._edges[info.name] = np.array(info.edges, np.int64).reshape(-1, 2)

    def take_people(self, array: Any) -> None:
        """A PersonArray: who is in it is drawn, who is no longer in it disappears."""
        self.name_cameras(array.cameras)
        answered_ns = _stamp_ns(array) + _SLACK_NS
        self._release(lambda stamp_ns, came_ns: stamp_ns <= answered_ns)
        self._go_on(self._images_time, array)
        everybody = [seen_person(p) for p in array.people if p.track_state != LOST]
        people = [p for p in everybody if np.isfinite(p.joints_m).all(-1).any()]
        edges = self._edges.get(array.skeleton, np.zeros((0, 2), np.int64))
        for gone in sorted(self._shown - {person.id for person in people}):
            self._recording.log(self._path(gone), self._rr.Clear(recursive=True))
        for person in people:
            self._draw(person, edges)
        self._shown = {person.id for person in people}
        self._screens.show_people(people, edges)
        if array.cameras_used:  # else it is a farewell, not the answer to a set
            latency = array.latency.sec * 1e3 + array.latency.nanosec * 1e-6
            self._plot("latency/people", latency, "people, ms", _LATENCY)

    def take_keypoints(
        self,
        camera: str,
        stamp_ns: int,
        people: npt.NDArray[np.floating],
        size_px: tuple[int, int],
    ) -> None:
        """2D people [P, J, 3] (x px, y px, confidence) of one image; a size of 0: not known."""
        self._with_its_people(
            stamp_ns, lambda: self._screens.show_keypoints(camera, people, size_px)
        )

    def take_image(self, camera: str, stamp_ns: int, image: npt.NDArray[np.uint8]) -> None:
        """An RGB image [H, W, 3]."""
        self._with_its_people(stamp_ns, lambda: self._screens.show_image(camera, image))

    def show_waiting(self) -> None:
        """Images in which no people have been found for a while; call it now and then."""
        self._release(lambda stamp_ns, came_ns: time.monotonic_ns() - came_ns > _WAIT_NS)

    def take_status(self, status: Any) -> None:
        """A RigStatus."""
        self.name_cameras(camera.name for camera in status.cameras)
        self._go_on(self._node_time, status)
        for camera in status.cameras:
            color = health.camera_color(camera)
            text = "" if color == health.GOOD else health.state_name(camera.state)
            self._screens.show_health(camera.name, color, text)
            if health.is_silent(camera):
                self._screens.forget_keypoints(camera.name)
            hue = (0.55 + self._screens.names.index(camera.name) / len(self._screens.names)) % 1.0
            rgb = colorsys.hsv_to_rgb(hue, 0.55, 1.0)
            line = (round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2]))
            self._plot(f"rate/{camera.name}", health.rate_hz(camera), camera.name, line)
        self._write_status(health.status_page(status))

    def take_diagnostics(self, array: Any) -> None:
        """A DiagnosticArray: what it says that it has not said before."""
        self._go_on(self._node_time, array)
        for level, line in self._changes.news(array):
            self.log(level, line)

    def forget_people(self, silent_ns: int) -> None:
        """No PersonArray has come for so long: nobody is shown any more."""
        last_ns = self._images_time.last_ns
        if last_ns is None:
            return
        self._set_time(self._images_time.mended(last_ns) + silent_ns)
        for person_id in sorted(self._shown):
            self._recording.log(self._path(person_id), self._rr.Clear(recursive=True))
        self._shown = set()
        self._screens.show_people([], np.zeros((0, 2), np.int64))

    def forget_status(self, now_ns: int, text: str) -> None:
        """The node says nothing (any more): how the cameras are is not known.

        Args:
            now_ns: by the clock that the node stamps with.
            text: what to tell the user.
        """
        self._set_time(self._node_time.mended(now_ns))
        for name in self._screens.names:
            self._screens.show_health(name, health.UNKNOWN, "not known")
        self._write_status(f"**Not known**\n\n{text}")
        self.log("ERROR", text)

    def log(self, level: str, line: str) -> None:
        """A line of the log, at the time of what came last."""
        self._recording.log("log", self._rr.TextLog(line, level=level))

    # --- images wait until the people in them are known, so that a picture shows one moment ---

    def _with_its_people(self, stamp_ns: int, show: Callable[[], bool]) -> None:
        def show_now() -> None:
            self._set_time(self._images_time.mended(stamp_ns))
            if show():
                self._lay_out()

        if not self._live:  # the viewer goes by the stamps
            show_now()
            return
        self._waiting.append((stamp_ns, time.monotonic_ns(), show_now))
        while len(self._waiting) > _WAITING:
            self._waiting.popleft()[2]()

    def _release(self, is_due: Callable[[int, int], bool]) -> None:
        waiting, self._waiting = self._waiting, deque()
        for stamp_ns, came_ns, show in waiting:
            if is_due(stamp_ns, came_ns):
                show()
            else:
                self._waiting.append((stamp_ns, came_ns, show))

    # --- how it is drawn ---

    def _draw(self, person: SeenPerson, edges: npt.NDArray[np.int64]) -> None:
        rr, path = self._rr, self._path(person.id)
        color, colors = person_color(person.id), joint_colors(person)
        known = np.isfinite(person.joints_m).all(-1)
        lines, shades = bones(person.joints_m, colors, edges)
        centers, half_m, quaternions = ellipsoids(person)
        origins, vectors = arrow(person)
        parts: Mapping[str, Any] = {
            "bones": rr.LineStrips3D(lines, colors=shades, radii=_BONE_M),
            "joints": rr.Points3D(person.joints_m[known], colors=colors[known], radii=_JOINT_M),
            "label": rr.Points3D(
                [person.label_m],
                colors=[color],
                radii=0.001,
                labels=[person.label],
                show_labels=True,
            ),
            "velocity": rr.Arrows3D(
                origins=origins, vectors=vectors, colors=[color], radii=_ARROW_M
            ),
            "uncertainty": rr.Ellipsoids3D(
                centers=centers,
                half_sizes=half_m,
                quaternions=quaternions,
                colors=[(*color, _HAZE)],
                fill_mode="solid",
            ),
        }
        for name, part in parts.items():
            self._recording.log(f"{path}/{name}", part)

    def _write_status(self, markdown: str) -> None:
        rr = self._rr
        self._recording.log("status", rr.TextDocument(markdown, media_type=rr.MediaType.MARKDOWN))

    def _plot(self, name: str, value: float, label: str, color: Rgb) -> None:
        group, _, part = name.partition("/")
        path = f"plots/{group}/{self._rr.escape_entity_path_part(part)}"
        if path not in self._plots:
            self._plots.add(path)
            lines = self._rr.SeriesLines(names=[label], colors=[color])
            self._recording.log(path, lines, static=True)
        self._recording.log(path, self._rr.Scalars([float(value)]))

    def _lay_out(self) -> None:
        blueprint = layout(self._rig, self._screens.names, self._screens.sizes_px, self._live)
        self._recording.send_blueprint(blueprint)

    def _path(self, person_id: str) -> str:
        return f"world/people/{self._rr.escape_entity_path_part(person_id)}"

    def _go_on(self, clock: OnwardTime, message: Any) -> None:
        """To the stamp of a message."""
        stamp_ns = _stamp_ns(message)
        news = clock.note(stamp_ns)
        self._set_time(clock.mended(stamp_ns))
        if news:
            self.log("WARN", news)

    def _set_time(self, time_ns: int) -> None:
        self._recording.set_time(TIMELINE, timestamp=np.datetime64(time_ns, "ns"))


class OnwardTime:
    """Stamps of one clock, mended where they go back (a bag begins anew): the viewer's go on.

    The viewer shows the newest by its stamp; what came after a step back would never be seen.
    """

    def __init__(self) -> None:
        self.last_ns: int | None = None  # as it came
        self._added_ns = 0

    def mended(self, stamp_ns: int) -> int:
        """A stamp as the viewer gets it."""
        return stamp_ns + self._added_ns

    def note(self, stamp_ns: int) -> str:
        """The next stamp. Returns a line for the log where it went back, else nothing."""
        last_ns, self.last_ns = self.last_ns, stamp_ns
        if last_ns is None or stamp_ns >= last_ns - _BACK_NS:
            return ""
        self._added_ns += last_ns - stamp_ns + _BACK_NS
        return (
            f"stamps have gone back by {(last_ns - stamp_ns) * 1e-9:.1f} s; from here on"
            f" {self._added_ns * 1e-9:.1f} s are added to them"
        )


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
