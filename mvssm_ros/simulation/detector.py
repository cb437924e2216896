"""What a 2D detector makes of simulated people, with the noise of `detector_noise`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.learning.synthetic import detector_noise, occlusion

_LONG_SIDE_PX = 960.0  # detector noise is defined for images of this long side
_MOST_PEOPLE = 8  # more than there are: so many are reported of an image, false ones included
_NEAREST_M = 0.2


class Detector:
    """Keypoints of every camera.

    Args:
        cameras: T views.
        severity: of the noise; 0: none, 1: the full rates.
        false_people: report people who are not there, too.
    """

    def __init__(
        self, cameras: Cameras, severity: float, seed: int, false_people: bool = True
    ) -> None:
        self._cameras = cameras
        self._severity = np.array([severity])
        self._seed = seed
        self._false_people = false_people
        sizes_px = cameras.size_px.numpy()
        self._scale = sizes_px.max(-1) / _LONG_SIDE_PX  # [T]

    def views(
        self,
        joints_m: npt.NDArray[np.floating],
        covered: npt.NDArray[np.bool_] | None = None,
    ) -> detector_noise.Views:
        """Where the joints [G, 15, 3] are in the images, and which of them can be seen.

        covered: [T, G, 15] hidden by things; what people hide is found here.
        """
        G, T = len(joints_m), self._cameras.n_views
        points = torch.from_numpy(joints_m.reshape(-1, 3).astype(np.float32))
        pixels_px, depth_m = project(self._cameras, points)
        inside = in_view(self._cameras, pixels_px, depth_m).numpy().reshape(1, T, G, 15)
        depth = depth_m.numpy().reshape(1, T, G, 15)
        inside = inside & (depth > _NEAREST_M)
        scale = self._scale[None, :, None, None, None]
        pixels = pixels_px.numpy().reshape(1, T, G, 15, 2).clip(-2e4, 2e4) / scale
        focal = self._cameras.focal_px.numpy()[None] / self._scale
        hidden = occlusion.behind_people(pixels, depth, focal, np.ones((1, G), bool))
        if covered is not None:
            hidden = hidden | covered[None]
        hip_depth = depth[..., 2]
        return detector_noise.Views(
            pixels=pixels,
            inside=inside,
            hidden=hidden & inside,
            height=focal[..., None] * detector_noise.ADULT_M / hip_depth.clip(0.3),
            present=hip_depth > _NEAREST_M,
            size=self._cameras.size_px.numpy()[None] / self._scale[None, :, None],
        )

    def look(self, views: detector_noise.Views, number: int) -> list[npt.NDArray[np.float64]]:
        """For each camera the people found, [P, 15, 3] (x px, y px, confidence; 0 = missing).

        number: of the set of images; the noise depends on it and the seed alone.
        """
        if not views.present.shape[-1]:
            return [np.zeros((0, 15, 3)) for _ in self._scale]
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(4, number)))
        found = detector_noise.detect(rng, views, self._severity, np.array([False]))
        if not self._false_people:
            found = replace(found, present=found.present & (found.identity >= 0))
        found = detector_noise.shuffle_and_pack(rng, found, views.present.shape[-1] + _MOST_PEOPLE)
        keypoints = found.keypoints[0] * 1.0  # [T, S, 15, 3]
        keypoints[..., :2] *= self._scale[:, None, None, None]
        return [people[present] for people, present in zip(keypoints, found.present[0])]
