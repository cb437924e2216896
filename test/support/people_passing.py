"""People who walk through a ring of cameras, projected with a detector's noise; nothing learned."""

from dataclasses import replace

import numpy as np
import torch

from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.rig.keypoint_sequence import KeypointSequence
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space

# panoptic15 joints of somebody who stands, m: x to the left, y back, z up
_BODY_M = np.array(
    [
        [0, 0, 1.45], [0, -0.1, 1.65], [0, 0, 0.95], [0.18, 0, 1.42], [0.25, 0, 1.15],
        [0.27, -0.1, 0.9], [0.1, 0, 0.93], [0.12, 0, 0.5], [0.12, 0, 0.08], [-0.18, 0, 1.42],
        [-0.25, 0, 1.15], [-0.27, -0.1, 0.9], [-0.1, 0, 0.93], [-0.12, 0, 0.5], [-0.12, 0, 0.08],
    ]
)  # fmt: skip
FRAMES_PER_S = 30


def ring_rig(n_views=4, radius_m=4.5):
    """1280 x 960 px cameras on a ring, at different heights, which look at the middle."""
    cameras = {}
    for i in range(n_views):
        angle = 2 * np.pi * i / n_views + 0.4 + 0.15 * (i % 2)
        center = np.array([radius_m * np.cos(angle), radius_m * np.sin(angle), 1.8 + 0.5 * (i % 3)])
        forward = np.array([0.1 * i, -0.1 * i, 0.9]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        cameras[f"cam{i + 1}"] = replace(
            CameraEntry.bare(f"cam{i + 1}"),
            size_px=(1280, 960),
            K=np.array([[800.0, 0, 642], [0, 800, 478], [0, 0, 1]]),
            distortion=np.array([-0.08, 0.03, 0, 0, 0]),
            R=R,
            t_m=-R @ center,
        )
    return Rig("map", Space((0.0, 0.0), (5.0, 5.0)), cameras)


def joints_m(seconds, person=0):
    """[F, 15, 3]: round the room and up and down, arms and legs swinging, at about 1 m/s."""
    phase = 0.6 * seconds + 2.1 * person
    place = np.stack([1.6 * np.cos(phase), (1.2 + 0.2 * person) * np.sin(1.7 * phase)], -1)
    heading = phase + 0.8 * np.sin(seconds)
    swing = 0.25 * np.sin(5 * seconds + person)
    body = np.tile(_BODY_M, (len(seconds), 1, 1))
    for joints, share in (([4, 7], 0.5), ([5, 8], 1.0), ([10, 13], -0.5), ([11, 14], -1.0)):
        body[:, joints, 1] += share * swing[:, None]
    body[..., 2] *= 1 - 0.12 * (1 + np.sin(1.3 * seconds + person))[:, None]
    c, s = np.cos(heading), np.sin(heading)
    turn = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    body[..., :2] = np.einsum("fab,fjb->fja", turn, body[..., :2])
    body[..., :2] += place[:, None]
    return body


def people_seen(rig, n_frames=60, n_people=1, noise_px=1.5, late_s=None, seed=0):
    """What the cameras of a rig see. late_s: by how much the images of a camera are later than
    their stamps, by its name. 5 % of the joints are missed and 2 % are wildly wrong."""
    rng = np.random.default_rng(seed)
    stamps_ns = (np.arange(n_frames) * 1e9 / FRAMES_PER_S * 4).astype(np.int64) // 4
    cameras = rig.to_cameras(dtype=torch.float64)
    out = np.zeros((n_frames, len(rig.cameras), n_people, 15, 3))
    for view, name in enumerate(rig.cameras):
        seconds = stamps_ns * 1e-9 + (late_s or {}).get(name, 0.0)
        order = rng.permutation(n_people)
        for slot, person in enumerate(order):
            points = torch.from_numpy(joints_m(seconds, person))
            pixels, depth = project(cameras, points)
            good = in_view(cameras, pixels, depth)[:, view].numpy()
            px = pixels[:, view].numpy() + rng.normal(0, noise_px, (n_frames, 15, 2))
            wild = rng.random((n_frames, 15)) < 0.02
            px[wild] += rng.normal(0, 80, (int(wild.sum()), 2))
            good &= rng.random(good.shape) > 0.05
            out[:, view, slot] = np.where(
                good[..., None], np.concatenate([px, np.full((*good.shape, 1), 0.9)], -1), 0
            )
    return KeypointSequence(tuple(rig.cameras), stamps_ns, out)
