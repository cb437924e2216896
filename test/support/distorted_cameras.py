"""A few cameras with every kind of distortion, for tests."""

import cv2
import numpy as np
import torch

from mvssm_ros.geometry.cameras import Cameras


def make_cameras(distortion, fisheye=False, n=3, seed=0):
    rng = np.random.default_rng(seed)
    R = np.stack([cv2.Rodrigues(rng.normal(size=3) * 0.3)[0] for _ in range(n)])
    t = np.stack([np.array([0.1 * i, -0.2, 4.0]) for i in range(n)])
    K = np.array([[700.0, 0, 640], [0, 720.0, 360], [0, 0, 1]])
    d = np.zeros(8)
    d[: len(distortion)] = distortion
    return Cameras(
        K=torch.tensor(np.stack([K] * n)),
        distortion=torch.tensor(np.stack([d] * n)),
        fisheye=torch.full((n,), fisheye),
        R=torch.tensor(R),
        t=torch.tensor(t),
        size_px=torch.tensor([[1280.0, 720.0]] * n, dtype=torch.float64),
    )


MODELS = {
    "pinhole": [],
    "plumb_bob": [-0.28, 0.09, 0.001, -0.0007, -0.01],
    "rational": [0.4, -0.2, 0.0004, 0.0002, 0.01, 0.75, -0.1, 0.02],
}
