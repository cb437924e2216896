"""Small rigs and networks with random parameters for the network's tests."""

import math

import torch

from mvssm_ros.frontends.keypoints import draw_pyramid
from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.network.candidates import start_pose
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.pyramid import FeaturePyramid

CANVAS = (960, 544)


def ring_of_cameras(n_views: int, dtype=torch.float64, distance_m: float = 4.5) -> Cameras:
    """n cameras around the origin, looking at it from 2 m height, 960x540."""
    R, t = [], []
    for i in range(n_views):
        a = 0.4 + 2 * math.pi * i / n_views
        centre = torch.tensor([distance_m * math.cos(a), distance_m * math.sin(a), 2.0 + 0.1 * i])
        z = torch.tensor([0.0, 0.0, 1.0]) - centre
        z = z / z.norm()
        x = torch.linalg.cross(z, torch.tensor([0.0, 0.0, 1.0]))
        x = x / x.norm()
        r = torch.stack([x, torch.linalg.cross(z, x), z])
        R.append(r)
        t.append(-r @ centre)
    K = torch.tensor([[600.0, 0, 480], [0, 600, 270], [0, 0, 1]]).expand(n_views, 3, 3)
    size = torch.tensor([[960.0, 540.0]]).expand(n_views, 2)
    return Cameras.pinhole(K, torch.stack(R), torch.stack(t), size).to(dtype)


def people(dtype=torch.float64) -> torch.Tensor:
    """[2, 15, 3] m: two standing people."""
    pose = start_pose("relaxed").to(dtype)
    shift = torch.tensor([[0.4, 0.2, 0.0], [-0.9, -0.5, 0.05]], dtype=dtype)
    return pose + shift[:, None]


def keypoints_seen(cameras: Cameras, joints: torch.Tensor) -> torch.Tensor:
    """Exact detections [T, P, 15, 3]."""
    pixels, _ = project(cameras, joints.flatten(0, 1))
    pixels = pixels.view(cameras.n_views, *joints.shape[:2], 2)
    return torch.cat([pixels, torch.full_like(pixels[..., :1], 0.9)], -1)


def keypoints_scene(n_views: int, dtype=torch.float64) -> tuple[Cameras, FeaturePyramid]:
    """One scene (B = 1) of two people seen exactly."""
    cameras = ring_of_cameras(n_views, dtype)
    drawn = keypoints_seen(cameras, people(dtype))
    return Cameras.stack([cameras]), draw_pyramid(drawn[None], CANVAS)


def random_network(seed: int = 0, dtype=torch.float64, **changes) -> MVSSM:
    """A keypoints network none of whose parameters is zero (heads and scans start at zero)."""
    torch.manual_seed(seed)
    settings = {"d_model": 32, "n_layers": 3, "survivors": (12, 8), "grid_from_layer": 1} | changes
    model = MVSSM(MVSSMConfig(**settings))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.to(dtype).eval()
