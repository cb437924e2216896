"""The demo's film as sets of images, with the keypoints network's people in place of ground truth.

The film has none. How far a network on images is from the keypoints network, which reads a 2D detector
trained on real people, says whether it works on real images at all; it is no measure of accuracy.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from mvssm_ros.demo_data import demo_rig, find_demo, read_frames
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.learning.image_evaluation import ImageSet
from mvssm_ros.predictor import Predictor


def film_sets(count: int, people: str = "single") -> list[ImageSet]:
    """`count` sets of the film's 100, evenly over it; sure people only (score of at least 0.5).

    Raises UserError where the film or the detector is not installed.
    """
    rig, demo = demo_rig(people), find_demo(people)
    cameras = rig.to_cameras()
    reference = Predictor.from_pretrained(detector=MediaPipeDetector())
    films = [list(read_frames(demo.videos[name])) for name in rig.cameras]
    length = min(len(film) for film in films)
    sets = []
    for i in tqdm(_evenly(length, count), desc="keypoints network", leave=False):
        images = tuple(film[i] for film in films)
        found = reference.predict_images(cameras, images, rig.space)
        sure = found.joints_m[found.score >= 0.5].astype(np.float32)
        sets.append(ImageSet(images, cameras, rig.space, sure))
    return sets


def _evenly(length: int, count: int) -> list[int]:
    rows = np.linspace(0, length - 1, min(length, count)).round().astype(int)
    return [int(i) for i in rows]
