"""The built-in 2D detector: BlazePose for several people, without the MediaPipe framework.

Two networks run one after the other (Bazarevsky et al. 2020, arXiv 2006.10204): a detector finds
people in the whole image and in square tiles of it; a landmark network sees one upright crop per
person. Each image is seen afresh. MediaPipe's own pipeline follows one person from frame to frame
instead, which saves the detector's time, but then an answer depends on what came before and two
people who cross keep each other's crops.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.blazepose_boxes import (
    DETECTOR_SIZE_PX,
    Array,
    Region,
    blend_overlapping,
    crop_to_image,
    decode_detections,
    detector_anchors,
    refine_by_heatmaps,
    region_from_points,
    same_person,
    search_windows,
)
from mvssm_ros.frontends.blazepose_models import TfliteModel, find_model_files
from mvssm_ros.frontends.detector import check_image

N_LANDMARKS = 33
_N_OUTPUTS = 39  # the landmark network's points: 33 landmarks and 6 helpers
_MAX_BOX_IOU = 0.3  # more overlap: one detection
_MIN_CROP_SCORE = 0.5  # the landmark network's own "there is a person in this crop"
_MAX_SAME_DISTANCE = 0.06  # of the region's side: landmark sets nearer than this are one person


class MediaPipeDetector:
    """Finds people with MediaPipe's two BlazePose networks. Implements `Detector`.

    Not safe to call from two threads at a time: give each thread its own instance (30 MB).
    """

    skeleton = "blazepose33"

    def __init__(
        self, max_people: int = 5, min_score: float = 0.5, tiles: bool = True, n_threads: int = 1
    ) -> None:
        """Load the networks.

        Args:
            max_people: at most so many people an image, the best ones.
            min_score: least score of the person detector, 0..1. Lower finds more people and more
                things that are none.
            tiles: also look at square tiles of an oblong image: finds people down to a quarter of
                the image's SHORT side instead of the long one, for two more detector runs on 16:9.
            n_threads: threads of the network runtime.

        Raises:
            UserError: the models or their runtime are not installed (the message says how), or an
                argument is out of range.
        """
        if max_people < 1:
            raise UserError(f"detector mediapipe: max_people is {max_people}, expected 1 or more")
        if not 0 < min_score < 1:
            raise UserError(f"detector mediapipe: min_score is {min_score}, expected 0 < score < 1")
        if n_threads < 1:
            raise UserError(f"detector mediapipe: n_threads is {n_threads}, expected 1 or more")
        files = find_model_files()
        self.max_people = max_people
        self.min_score = min_score
        self.tiles = tiles
        self._anchors = detector_anchors()
        self._detector = TfliteModel(files.detector, n_threads)
        self._landmarks = TfliteModel(files.landmarks, n_threads)

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Find people in an RGB image [H, W, 3] uint8.

        Returns:
            [P, 33, 3] float32: x, y in raw pixels, confidence = visibility * presence (0..1; 0
            where the landmark lies outside the image); surest detection first.

        Raises:
            UserError: the array is no RGB image.
        """
        check_image(image_rgb)
        people: list[Array] = []
        for region in self._find_regions(image_rgb):
            person = self._find_landmarks(image_rgb, region)
            if person is None:
                continue
            if any(same_person(person, p, region.size_px, _MAX_SAME_DISTANCE) for p in people):
                continue
            people.append(person)
            if len(people) == self.max_people:
                break
        return np.array(people, np.float32).reshape(-1, N_LANDMARKS, 3)

    def _find_regions(self, image: npt.NDArray[np.uint8]) -> list[Region]:
        """The regions of possible people, best first: step one."""
        height, width = image.shape[:2]
        scores, boxes, points = [], [], []
        for x, y, w, h in search_windows(width, height, self.tiles):
            found = self._detect_in_window(image[y : y + h, x : x + w])
            scores.append(found[0])
            boxes.append(found[1] + (x, y, x, y))
            points.append(found[2] + (x, y))
        _, best = blend_overlapping(
            np.concatenate(scores), np.concatenate(boxes), np.concatenate(points), _MAX_BOX_IOU
        )
        regions = (region_from_points(p[0], p[1]) for p in best)  # hips, body circle
        return [region for region in regions if region is not None]

    def _detect_in_window(self, window: npt.NDArray[np.uint8]) -> tuple[Array, Array, Array]:
        """Scores [D], boxes [D, 4] and points [D, 4, 2] in the window's pixels."""
        height, width = window.shape[:2]
        side = DETECTOR_SIZE_PX
        scale = side / max(width, height)
        w, h = max(1, round(scale * width)), max(1, round(scale * height))
        left, top = (side - w) // 2, (side - h) // 2
        # plain bilinear, also where it aliases: the networks were trained so, and an antialiased
        # image finds fewer people on the demo videos
        small = cv2.resize(window, (w, h), interpolation=cv2.INTER_LINEAR)
        square = np.full((1, side, side, 3), -1, np.float32)  # black is -1
        square[0, top : top + h, left : left + w] = small / np.float32(127.5) - 1
        output = self._detector(square)
        n = len(self._anchors)
        scores, boxes, points = decode_detections(
            output[1, n, 12][0], output[1, n, 1][0, :, 0], self._anchors, self.min_score
        )
        to_px = np.array([width / w, height / h])
        boxes = ((boxes.reshape(-1, 2, 2) * side - (left, top)) * to_px - 0.5).reshape(-1, 4)
        return scores, boxes, (points * side - (left, top)) * to_px - 0.5

    def _find_landmarks(self, image: npt.NDArray[np.uint8], region: Region) -> Array | None:
        """Landmarks [33, 3] of the person in a region, None if there is none: step two."""
        size = self._landmarks.input_shape[1]
        to_image = crop_to_image(region, size)
        crop = cv2.warpAffine(
            image,
            to_image,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        output = self._landmarks(crop[None] / np.float32(255))
        if output[1, 1][0, 0] < _MIN_CROP_SCORE:
            return None
        values = output[1, _N_OUTPUTS * 5].reshape(_N_OUTPUTS, 5)[:N_LANDMARKS].astype(np.float64)
        at = refine_by_heatmaps(values[:, :2], output[1, 64, 64, _N_OUTPUTS][0], size) - 0.5
        at_px = at @ to_image[:, :2].T + to_image[:, 2]
        confidence = (1 / (1 + np.exp(-np.clip(values[:, 3:5], -50, 50)))).prod(axis=1)
        height, width = image.shape[:2]
        inside = (at_px > -0.5).all(axis=1) & (at_px < (width - 0.5, height - 0.5)).all(axis=1)
        return np.concatenate([at_px, (confidence * inside)[:, None]], axis=1)
