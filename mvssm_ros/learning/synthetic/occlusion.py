"""Which joints a camera cannot see: behind people, furniture or a band at the image's edge."""

from __future__ import annotations

import numpy as np

Rng = np.random.Generator

# Capsules of a body: ends (panoptic15 indices) and radius in metres of an adult.
_SEGMENTS = np.array([(0, 2), (0, 1), (3, 4), (4, 5), (9, 10), (10, 11), (6, 7), (7, 8), (12, 13),
                      (13, 14)])  # fmt: skip
_RADII_M = np.array([0.14, 0.10, 0.045, 0.04, 0.045, 0.04, 0.075, 0.055, 0.075, 0.055], np.float32)
_DEPTH_MARGIN_M = 0.12  # an occluder is nearer than the joint by at least this
_N_BOXES = 3


def behind_people(
    pixels_px: np.ndarray, depth_m: np.ndarray, focal_px: np.ndarray, present: np.ndarray
) -> np.ndarray:
    """Joints covered by a nearer body part, their own person's included: bool [B, T, G, J].

    pixels_px [B, T, G, J, 2], depth_m [B, T, G, J], focal_px [B, T], present [B, G].
    A body part is a capsule around the segment of two joints; depth along it is interpolated.
    """
    B, T, G, J, _ = pixels_px.shape
    a, b = _SEGMENTS.T

    def ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [B, T, 1, G S] each
        start, end = values[:, :, :, a], values[:, :, :, b]
        return start.reshape(B, T, 1, -1), end.reshape(B, T, 1, -1)

    joint_x, joint_y = (pixels_px[..., i].reshape(B, T, G * J, 1) for i in (0, 1))
    (x0, x1), (y0, y1), (depth_a, depth_b) = (
        ends(v) for v in (pixels_px[..., 0], pixels_px[..., 1], depth_m)
    )
    dx, dy = x1 - x0, y1 - y0
    to_x, to_y = joint_x - x0, joint_y - y0  # [B, T, G J, G S]
    u = ((to_x * dx + to_y * dy) / np.maximum(dx * dx + dy * dy, 1e-3)).clip(0, 1)
    miss = (to_x - u * dx) ** 2 + (to_y - u * dy) ** 2
    depth = depth_a + u * (depth_b - depth_a)
    radius = np.tile(_RADII_M, G) * focal_px[:, :, None, None] / np.maximum(depth, 0.2)
    real = np.repeat(present, len(a), -1)[:, None, None] & (np.minimum(depth_a, depth_b) > 0.2)
    nearer = depth < depth_m.reshape(B, T, G * J, 1) - _DEPTH_MARGIN_M
    return ((miss < radius**2) & nearer & real).any(-1).reshape(B, T, G, J)


def behind_furniture(
    rng: Rng,
    centers_m: np.ndarray,
    joints_m: np.ndarray,
    present: np.ndarray,
    space: tuple[np.ndarray, np.ndarray],
    probability: np.ndarray,
) -> np.ndarray:
    """Joints hidden by up to three boxes or table tops a scene: bool [B, T, G, J].

    centers_m [B, T, 3] of the cameras, joints_m [B, G, J, 3], space: centre and size [B, 2],
    probability [B] that one box stands in the scene. Boxes that would hold a joint are left out.
    """
    B, T, _ = centers_m.shape
    center, size = (s[:, None] for s in space)
    place = center + rng.uniform(-0.55, 0.55, (B, _N_BOXES, 2)) * size
    yaw = rng.uniform(0, np.pi, (B, _N_BOXES))
    half = np.stack([rng.uniform(0.2, 0.9, yaw.shape), rng.uniform(0.15, 0.5, yaw.shape)], -1)
    table = rng.random(yaw.shape) < 0.35
    top = np.where(table, rng.uniform(0.68, 0.78, yaw.shape), rng.uniform(0.35, 1.25, yaw.shape))
    bottom = np.where(table, top - 0.04, 0.0)
    low = np.concatenate([-half, bottom[..., None]], -1)[:, :, None]  # [B, F, 1, 3]
    high = np.concatenate([half, top[..., None]], -1)[:, :, None]

    c, s = np.cos(yaw)[..., None], np.sin(yaw)[..., None]

    def to_box(points: np.ndarray) -> np.ndarray:  # [B, N, 3] -> [B, F, N, 3]
        d = points[:, None, :, :2] - place[:, :, None]
        x, y = d[..., 0], d[..., 1]
        z = np.broadcast_to(points[:, None, :, 2], x.shape)
        return np.stack([c * x + s * y, c * y - s * x, z], -1)

    joints = to_box(joints_m.reshape(B, -1, 3))  # [B, F, N, 3]
    eyes = to_box(centers_m)  # [B, F, T, 3]
    holds = ((joints > low - 0.08) & (joints < high + 0.08)).all(-1)
    holds &= np.repeat(present, joints_m.shape[2], -1)[:, None]
    eye_inside = ((eyes > low - 0.1) & (eyes < high + 0.1)).all(-1).any(-1)
    there = (rng.random(yaw.shape) < probability[:, None]) & ~holds.any(-1) & ~eye_inside
    # slabs: the ray from the eye to the joint, parameter 0..1
    eye = eyes[:, :, :, None]  # [B, F, T, 1, 3]
    ray = joints[:, :, None] - eye
    ray = np.where(np.abs(ray) < 1e-6, 1e-6, ray)
    t0 = (low[:, :, None] - eye) / ray
    t1 = (high[:, :, None] - eye) / ray
    enter = np.minimum(t0, t1).max(-1)
    leave = np.maximum(t0, t1).min(-1)
    hit = (enter < leave) & (leave > 0) & (enter < 1) & there[:, :, None, None]
    return hit.any(1).reshape(B, T, *joints_m.shape[1:3])


def behind_edge(
    rng: Rng, pixels_px: np.ndarray, size_px: np.ndarray, probability: np.ndarray
) -> np.ndarray:
    """Joints in a band along the image's lower edge that something near covers: [B, T, G, J].

    probability [B] that a view has such a band; it takes 5-35 % of the image's height.
    """
    B, T = size_px.shape[:2]
    covered = rng.uniform(0.05, 0.35, (B, T)) * (rng.random((B, T)) < probability[:, None])
    edge = size_px[..., 1] * (1 - covered)
    return (pixels_px[..., 1] > edge[:, :, None, None]) & (covered > 0)[:, :, None, None]
