"""What a 2D detector is: an image in, the joints of the people in it out."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError

MAX_PEOPLE = 64  # in one image: memory and time grow with the square of it


@runtime_checkable
class Detector(Protocol):
    """Finds people in one image. Stateless: the answer depends on the image alone.

    ``skeleton`` names the joints of the answer: a key of ``geometry.skeletons.SKELETONS``.
    """

    skeleton: str

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Find the people of one image.

        Args:
            image_rgb: [H, W, 3] uint8, RGB.

        Returns:
            [P, K, 3] float32: x, y in raw pixels of this image (the centre of the top-left pixel is
            (0, 0)) and confidence 0..1, where 0 means "not seen". Best person first; P may be 0.

        Raises:
            UserError: the array is no RGB image.
        """
        ...


def check_image(image_rgb: npt.NDArray[np.uint8]) -> None:
    """Raise UserError unless the array is an uint8 RGB image [H, W, 3] with at least one pixel."""
    if not isinstance(image_rgb, np.ndarray):
        raise UserError(f"image: expected a numpy array [H, W, 3], got {type(image_rgb).__name__}")
    if image_rgb.dtype != np.uint8:
        raise UserError(
            f"image: expected uint8, got {image_rgb.dtype}; scale it to 0..255 and convert it"
        )
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise UserError(
            f"image: expected the shape [H, W, 3] (RGB), got {list(image_rgb.shape)};"
            " convert grey or RGBA images to RGB first"
        )
    if image_rgb.shape[0] == 0 or image_rgb.shape[1] == 0:
        raise UserError(f"image: has no pixels, shape {list(image_rgb.shape)}")


def check_people_count(count: int, source: str) -> None:
    """Raise UserError where one image has more people than anything here is made for."""
    if count > MAX_PEOPLE:
        raise UserError(
            f"{source}: {count} people in one image, expected up to {MAX_PEOPLE};"
            " raise the detector's threshold, or let it send the best ones only"
        )


def check_keypoints(
    keypoints_px: npt.NDArray[np.float32], n_joints: int, source: str
) -> npt.NDArray[np.float32]:
    """Check the 2D people of one view and return them as float32 [P, n_joints, 3].

    Coordinates that are not finite, or confidences of 0 or less, mean a missing joint: it comes
    back as (0, 0, 0). Confidences above 1 are refused: they are usually percents or logits.

    Args:
        keypoints_px: [P, n_joints, 3] x, y (raw px), confidence.
        n_joints: joints of the skeleton that the source claims.
        source: what to call the source in an error (camera, topic, file).

    Raises:
        UserError: wrong shape, more than MAX_PEOPLE people, or a confidence above 1.
    """
    keypoints = np.array(keypoints_px, dtype=np.float32)  # a copy
    if keypoints.size == 0:
        return np.zeros((0, n_joints, 3), np.float32)
    if keypoints.ndim != 3 or keypoints.shape[1:] != (n_joints, 3):
        raise UserError(
            f"{source}: expected keypoints of the shape [people, {n_joints}, 3]"
            f" (x, y, confidence), got {list(keypoints.shape)}"
        )
    check_people_count(len(keypoints), source)
    missing = ~np.isfinite(keypoints).all(axis=-1) | (keypoints[..., 2] <= 0)
    keypoints[missing] = 0
    highest = float(keypoints[..., 2].max())
    if highest > 1 + 1e-4:
        raise UserError(
            f"{source}: a keypoint confidence is {highest:g}, expected 0..1;"
            " divide percents by 100, pass logits through a sigmoid"
        )
    np.clip(keypoints[..., 2], 0, 1, out=keypoints[..., 2])
    return keypoints
