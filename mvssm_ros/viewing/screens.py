"""The cameras in the viewer: where they are, what they see, and how they are doing. No ROS in here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import MIN_DEPTH_M, Cameras, project
from mvssm_ros.rig.rig_file import CameraEntry, Rig
from mvssm_ros.viewing.library import viewer_library
from mvssm_ros.viewing.people import Array, Rgb, SeenPerson, bones, joint_colors

_JPEG_QUALITY = 80
_FRUSTUM = 0.12  # its length, of the side of the space
_KEYPOINT: Rgb = (245, 245, 245)


@dataclass
class _Screen:
    """A camera. ``size_px``: of its images as they come; None: not known yet."""

    entry: CameraEntry
    size_px: tuple[int, int] | None
    camera: Cameras | None = None  # None: not calibrated (yet)


class Screens:
    """Writes frusta, images, keypoints and skeletons of every camera to a recording.

    Images are shown at most ``width_px`` wide; all that is drawn over them is scaled alike.

    Args:
        recording: a rerun RecordingStream, whose time is set by the caller.
    """

    def __init__(self, recording: Any, width_px: int) -> None:
        self._rr = viewer_library()
        self._recording = recording
        self._width_px = width_px
        self._screens: dict[str, _Screen] = {}
        self._frustum_m = 0.5

    @property
    def names(self) -> list[str]:
        return list(self._screens)

    @property
    def sizes_px(self) -> dict[str, tuple[float, float]]:
        """Width and height of the images as shown, where they are known."""
        found = {}
        for name, screen in self._screens.items():
            if screen.size_px is not None:
                scale = self._scale(screen)
                found[name] = (scale * screen.size_px[0], scale * screen.size_px[1])
        return found

    def set_rig(self, rig: Rig) -> None:
        """Its cameras, at their places, from now on."""
        self._frustum_m = _FRUSTUM * max(rig.space.size_m)
        for name, entry in rig.cameras.items():
            size_px = entry.size_px or (self._screens[name].size_px if self.knows(name) else None)
            screen = _Screen(entry, size_px)
            self._screens[name] = screen
            if not entry.missing():
                screen.camera = rig.to_cameras([name], torch.float64)
                self._draw_frustum(name, screen)

    def add(self, names: Iterable[str]) -> bool:
        """Cameras of which only the names are known. Returns whether one of them is new."""
        new = [name for name in names if not self.knows(name)]
        for name in new:
            self._screens[name] = _Screen(CameraEntry.bare(name), None)
        return bool(new)

    def knows(self, name: str) -> bool:
        return name in self._screens

    def show_health(self, name: str, color: Rgb, text: str) -> None:
        """Frustum and frame of the image in this colour."""
        screen, path = self._screens[name], self._path(name)
        if screen.camera is not None:
            self._recording.log(path, self._rr.Pinhole.from_fields(color=color))
        if screen.size_px is None:
            return
        scale = self._scale(screen)
        width, height = scale * screen.size_px[0], scale * screen.size_px[1]
        box = self._rr.Boxes2D(
            array=[[0.0, 0.0, width, height]],
            array_format=self._rr.Box2DFormat.XYWH,
            colors=[color],
            radii=-2.0,  # in points of the screen
        )
        label = self._rr.Points2D(
            [[0.5 * width, 0.04 * height]] if text else [],
            colors=[color],
            radii=-1.0,
            labels=[text],
            show_labels=True,
        )
        self._recording.log(f"{path}/frame", box)
        self._recording.log(f"{path}/frame/state", label)

    def show_image(self, name: str, image: npt.NDArray[np.uint8]) -> bool:
        """An RGB image [H, W, 3]. Returns whether its size is news."""
        screen = self._screens[name]
        news = self._take_size(screen, (image.shape[1], image.shape[0]))
        scale = self._scale(screen)
        if scale < 1.0:
            assert screen.size_px is not None
            size = (round(scale * screen.size_px[0]), round(scale * screen.size_px[1]))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        self._recording.log(
            f"{self._path(name)}/image",
            self._rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg"),
        )
        return news

    def show_keypoints(
        self, name: str, people: npt.NDArray[np.floating], size_px: tuple[int, int]
    ) -> bool:
        """2D people [P, J, 3] (x px, y px, confidence) of an image of this width and height.

        Returns whether its size is news.
        """
        screen = self._screens[name]
        news = min(size_px) > 0 and self._take_size(screen, size_px)
        found = people[people[..., 2] > 0]  # [N, 3]
        shade = (0.35 + 0.65 * found[:, 2:].clip(0.0, 1.0)) * np.array(_KEYPOINT)
        self._recording.log(
            f"{self._path(name)}/keypoints",
            self._rr.Points2D(
                (found[:, :2] + 0.5) * self._scale(screen),
                colors=np.round(shade).astype(np.uint8),
                radii=-2.5,
            ),
        )
        return news

    def forget_keypoints(self, name: str) -> None:
        """Those shown are old."""
        self._recording.log(f"{self._path(name)}/keypoints", self._rr.Clear(recursive=False))

    def show_people(self, people: Sequence[SeenPerson], edges: npt.NDArray[np.int64]) -> None:
        """Their skeletons, projected into the image of every camera that is calibrated."""
        joints_m = np.concatenate([np.zeros((0, 3)), *(p.joints_m for p in people)])
        colors = np.concatenate([np.zeros((0, 3), np.uint8), *map(joint_colors, people)])
        firsts = np.cumsum([0, *(len(p.joints_m) for p in people)])
        own = [edges[(edges < len(p.joints_m)).all(-1)] for p in people]
        lines = np.concatenate([edges[:0], *(e + first for e, first in zip(own, firsts))])
        for name, screen in self._screens.items():
            if screen.camera is None:
                continue
            pixels = (_project(screen.camera, joints_m) + 0.5) * self._scale(screen)
            drawn, shades = bones(pixels, colors, lines)
            strips = self._rr.LineStrips2D(drawn, colors=shades, radii=-1.5)
            self._recording.log(f"{self._path(name)}/people", strips)

    def _draw_frustum(self, name: str, screen: _Screen) -> None:
        entry, rr = screen.entry, self._rr
        assert entry.K is not None  # it is calibrated
        assert entry.R is not None
        assert screen.size_px is not None
        scale = self._scale(screen)
        K = entry.K.copy()
        K[:2, 2] += 0.5  # rerun's pixels begin at their corner
        K[:2] *= scale
        self._recording.log(
            self._path(name),
            rr.Transform3D(translation=entry.center_m, mat3x3=entry.R.T),
            rr.TransformAxes3D(0.0),
            rr.Pinhole(
                image_from_camera=K,
                resolution=[scale * side for side in screen.size_px],
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=self._frustum_m,
                line_width=-1.5,
            ),
            static=True,
        )

    def _take_size(self, screen: _Screen, size_px: tuple[int, int]) -> bool:
        """The size that a calibration gives stays."""
        if screen.size_px == size_px or screen.entry.size_px is not None:
            return False
        screen.size_px = size_px
        return True

    def _scale(self, screen: _Screen) -> float:
        if screen.size_px is None:
            return 1.0
        return min(1.0, self._width_px / screen.size_px[0])

    def _path(self, name: str) -> str:
        return f"world/cameras/{self._rr.escape_entity_path_part(name)}"


def _project(camera: Cameras, joints_m: Array) -> Array:
    """[J, 2] px of the raw image; NaN where the joint is missing or behind the camera."""
    pixels, depth_m = project(camera, torch.from_numpy(np.nan_to_num(joints_m)))
    hidden = (depth_m[0].numpy() < MIN_DEPTH_M) | ~np.isfinite(joints_m).all(-1)
    return np.where(hidden[:, None], np.nan, pixels[0].numpy())
