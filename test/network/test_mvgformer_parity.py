"""An imported decoder without Mamba computes what MVGFormer computes.

Random numbers in the published layout; ours in float32 against `mvgformer_reference`, plain loops
in float64 that share no code with the package.
"""

import mvgformer_reference as reference
import numpy as np
import pytest
import torch
from public_layouts import D, mvgformer_layout
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.network.checkpoints import mvgformer_network, read_checkpoint
from mvssm_ros.network.pyramid import FeaturePyramid

N_CANDIDATES, RAW_PX, CANVAS_PX, SCALE = 3, (960, 640), (192, 128), 0.2
WIDE_PX, NARROW_PX = 620.0, 2600.0  # focal lengths: everybody in every image, or not


def random_mvgformer() -> dict[str, Tensor]:
    """Numbers that are lively, but leave people in the images."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for key, shape in mvgformer_layout(n_instances=N_CANDIDATES).items():
        value = torch.randn(shape, generator=generator)
        if len(shape) == 2 and "embedding" not in key:
            value *= 0.5 / shape[1] ** 0.5
        elif len(shape) == 1:
            value *= 0.1
        if "norm" in key and key.endswith("weight"):
            value += 1.0
        if "sampling_offsets.bias" in key:
            value *= 20.0  # cells
        if "pose_embed.MLP.layers.2" in key:
            value *= 20.0  # px
            value[2] *= 5.0  # the logit
        state[key] = value
    return state


def ring_of_cameras(focal_px: float) -> list[reference.Camera]:
    cameras = []
    for view in range(3):
        angle = 2 * np.pi * view / 3 + 0.3
        C = np.array([4500 * np.cos(angle), 4500 * np.sin(angle), 2500.0 - 400 * view])  # mm
        forward = np.array([100.0, -50.0, 900.0]) - C
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        cameras.append(
            reference.Camera(
                R=np.stack([right, np.cross(forward, right), forward]),
                C=C,
                f=np.full(2, focal_px * (1 + 0.06 * view)),
                c=np.array([470.0 + 9 * view, 326.0 - 5 * view]),
                k=np.array([-0.2 + 0.03 * view, 0.08, -0.01]),
                p=np.array([1e-3, -5e-4 * view]),
                size_px=np.array(RAW_PX),
                scale=SCALE,
                offset_px=np.full(2, 0.5 * SCALE - 0.5),
            )
        )
    return cameras


def as_ours(cameras: list[reference.Camera]) -> Cameras:
    """The same cameras in metres, x_cam = R x + t, network pixels; one scene, [1, T]."""

    def rows(values) -> Tensor:
        return torch.as_tensor(np.stack([np.asarray(v) for v in values]), dtype=torch.float32)

    raw = Cameras(
        K=rows([[c.f[0], 0, c.c[0]], [0, c.f[1], c.c[1]], [0, 0, 1]] for c in cameras),
        distortion=rows([c.k[0], c.k[1], *c.p, c.k[2], 0, 0, 0] for c in cameras),
        fisheye=torch.zeros(len(cameras), dtype=torch.bool),
        R=rows(c.R for c in cameras),
        t=rows(-c.R @ c.C / 1000 for c in cameras),
        size_px=rows(c.size_px for c in cameras),
    )
    net = raw.affine(rows(c.scale for c in cameras), rows(c.offset_px for c in cameras))
    return Cameras.stack([net])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "mvgformer.pth"
    torch.save(random_mvgformer(), path)
    return read_checkpoint(path)


@pytest.fixture(scope="module")
def network(checkpoint):
    return mvgformer_network(checkpoint)


@pytest.fixture(scope="module")
def features() -> list[Tensor]:
    """Feature maps of three views at strides 4, 8 and 16."""
    generator = torch.Generator().manual_seed(2)
    width, height = CANVAS_PX
    return [torch.randn(3, D, height // s, width // s, generator=generator) for s in (4, 8, 16)]


@pytest.fixture(scope="module")
def joints_mm() -> np.ndarray:
    """Start poses [N, 15, 3]."""
    places = np.array([[0, 0, 900], [500, -600, 1000], [-600, 300, 800]], float)
    spread = np.random.default_rng(3).normal(scale=250, size=(N_CANDIDATES, 15, 3))
    return places[:, None] + spread


def expect(features, cameras, joints_mm, n_layers) -> list[reference.Layer]:
    return reference.forward(
        {key: value.double().numpy() for key, value in random_mvgformer().items()},
        [maps.double().numpy() for maps in features],
        cameras,
        joints_mm,
        CANVAS_PX,
        np.arange(N_CANDIDATES),
        n_layers,
    )


def compute(network, features, cameras, joints_mm):
    everybody = torch.arange(N_CANDIDATES)[None]
    with torch.no_grad():
        return network(
            FeaturePyramid(tuple(maps[None] for maps in features), (4, 8, 16)),
            as_ours(cameras),
            torch.as_tensor(joints_mm / 1000, dtype=torch.float32)[None],
            select=lambda layer, out: everybody,
        )


def close(ours: Tensor, theirs: np.ndarray, atol: float = 1e-4) -> None:
    torch.testing.assert_close(ours.double(), torch.as_tensor(theirs), atol=atol, rtol=1e-4)


def test_all_layers_where_every_view_sees_everybody(network, features, joints_mm):
    cameras = ring_of_cameras(WIDE_PX)
    found = compute(network, features, cameras, joints_mm)
    for ours, theirs in zip(found, expect(features, cameras, joints_mm, 4), strict=True):
        assert (ours.confidence > 0).all()
        close(ours.tokens[0], theirs.tokens)
        close(ours.scores[0], theirs.score)
        close(ours.keypoints_px[0], theirs.refined_px, atol=1e-3)
        close(ours.confidence[0], theirs.confidence)
        close(ours.poses_m[0], theirs.joints / 1000)


def test_a_view_that_does_not_see_a_joint_counts_as_zero_in_the_mean(network, features, joints_mm):
    cameras = ring_of_cameras(NARROW_PX)
    ours = compute(network, features, cameras, joints_mm)[0]
    theirs = expect(features, cameras, joints_mm, 1)[0]
    seen = (ours.confidence[0] > 0).numpy()
    assert 0.5 < seen.mean() < 0.95
    close(ours.tokens[0], theirs.tokens)
    close(ours.scores[0], theirs.score)
    close(ours.keypoints_px[0][torch.as_tensor(seen)], theirs.refined_px[seen], atol=1e-3)
    # MVGFormer's softmax is over all views, those that see nothing included; ours leaves them out.
    among_seen = theirs.confidence * seen
    close(ours.confidence[0], among_seen / among_seen.sum(0).clip(1e-9))


def test_the_scene_tells_right_from_wrong(features, joints_mm):
    """The numbers move what the other tests compare, so that they cannot agree by chance."""
    cameras = ring_of_cameras(WIDE_PX)
    first = expect(features, cameras, joints_mm, 1)[0]
    anchors = np.stack(
        [
            [[c.project(x) * c.scale + c.offset_px for x in person] for person in joints_mm]
            for c in cameras
        ]
    )
    assert np.median(np.linalg.norm(first.refined_px - anchors, axis=-1)) > 0.3
    assert first.confidence.std() > 0.05
    assert np.ptp(first.score) > 0.005
    assert np.median(np.linalg.norm(first.joints - joints_mm, axis=-1)) > 10


def test_least_squares_is_near_the_singular_vector_that_mvgformer_takes(joints_mm):
    cameras = ring_of_cameras(WIDE_PX)
    rng = np.random.default_rng(0)
    for joint in joints_mm.reshape(-1, 3):
        exact = np.stack([c.project(joint) for c in cameras])
        pixels = exact + rng.normal(scale=1.0, size=exact.shape)  # raw px, a detector's best
        network_px = np.stack([c.scale * u + c.offset_px for c, u in zip(cameras, pixels)])
        ours, theirs = reference.triangulate(cameras, network_px, np.full(3, 1 / 3))
        assert np.linalg.norm(ours - joint) > 0.1  # mm: the noise shows
        assert np.linalg.norm(ours - theirs) < 0.5  # mm


def test_fresh_mamba_blocks_add_nothing(checkpoint, network, features, joints_mm):
    full = mvgformer_network(checkpoint, ablation="full")
    sizes = [sum(p.numel() for p in net.parameters()) for net in (network, full)]
    assert sizes[1] > 1.5 * sizes[0]
    cameras = ring_of_cameras(WIDE_PX)
    plain = compute(network, features, cameras, joints_mm)[-1]
    with_mamba = compute(full, features, cameras, joints_mm)[-1]
    torch.testing.assert_close(with_mamba.poses_m, plain.poses_m)
    torch.testing.assert_close(with_mamba.tokens, plain.tokens)
