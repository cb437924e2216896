"""The predictor without trained weights: what it refuses, and what it makes of an answer."""

import numpy as np
import pytest
import torch
from network_scenes import keypoints_seen, people, ring_of_cameras

from mvssm_ros.errors import UserError
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM, Detections3D
from mvssm_ros.network.weights import SHIPPED, save_weights
from mvssm_ros.predictor import Predictor
from mvssm_ros.rig.rig_file import Space

SPACE = Space((0.0, 0.0), (4.0, 4.0), 0.0)
SMALL = MVSSMConfig(d_model=16, n_layers=1, survivors=())


def small_predictor(**options):
    torch.manual_seed(0)
    return Predictor(MVSSM(SMALL), **options)


def views(cameras, joints):
    return [v.numpy().astype(np.float32) for v in keypoints_seen(cameras, joints)]


@pytest.mark.skipif(not SHIPPED.exists(), reason="no weights in this checkout")
@pytest.mark.parametrize("n_views", [2, 3, 4])
def test_shipped_weights_find_two_people(n_views):
    cameras, truth = ring_of_cameras(n_views, torch.float32), people(torch.float32)
    found = Predictor.from_pretrained().predict_keypoints(cameras, views(cameras, truth), SPACE)
    assert len(found.score) == 2
    error = np.linalg.norm(found.joints_m[:, None] - truth.numpy()[None], axis=-1).mean(-1).min(0)
    assert (error < (0.1 if n_views == 2 else 0.05)).all()
    assert found.observed.all()
    assert (found.reprojection_px < 8).all()
    assert set(found.timings_ms) >= {"draw", "network", "total"}


@pytest.mark.skipif(not SHIPPED.exists(), reason="no weights in this checkout")
def test_shipped_weights_see_nobody_where_nobody_is():
    cameras = ring_of_cameras(3, torch.float32)
    nothing = [np.zeros((0, 15, 3), np.float32)] * 3
    found = Predictor.from_pretrained().predict_keypoints(cameras, nothing, SPACE)
    assert found.joints_m.shape == (0, 15, 3)
    assert np.isnan(found.reprojection_px).all()


@pytest.mark.skipif(not SHIPPED.exists(), reason="no weights in this checkout")
def test_one_view_alone_makes_no_person():
    cameras, truth = ring_of_cameras(3, torch.float32), people(torch.float32)
    seen = views(cameras, truth)
    seen[1] = seen[2] = np.zeros((0, 15, 3), np.float32)
    assert len(Predictor.from_pretrained().predict_keypoints(cameras, seen, SPACE).score) == 0


def test_a_second_answer_for_the_same_person_is_dropped():
    predictor = small_predictor()
    cameras, truth = ring_of_cameras(3, torch.float32), people(torch.float32)
    poses = torch.cat([truth, truth[:1] + 0.02])
    answer = Detections3D(
        poses, torch.eye(3).expand(3, 15, 3, 3), torch.tensor([0.9, 0.8, 0.7]),
        torch.full((3, 15), 0.9), torch.ones(3, 3, 15),
    )  # fmt: skip
    predictor._run = lambda *_: answer
    found = predictor.predict_keypoints(cameras, views(cameras, truth), SPACE)
    assert found.score.tolist() == pytest.approx([0.9, 0.8])
    assert found.view_used.all()


def predictor_that_finds(poses):
    """Whose network answers these poses, whatever it is shown."""
    n = len(poses)
    answer = Detections3D(
        poses, torch.eye(3).expand(n, 15, 3, 3), torch.full((n,), 0.9),
        torch.full((n, 15), 0.9), torch.ones(n, 4, 15),
    )  # fmt: skip
    predictor = small_predictor()
    predictor._run = lambda *_: answer
    return predictor


def test_what_each_view_saw_of_a_person_is_told_in_its_own_pixels():
    truth = people(torch.float32)[:1]
    cameras = ring_of_cameras(4, torch.float32)
    half = cameras.affine(torch.full((4,), 0.5), torch.full((4, 2), -0.25))
    seen = views(half, truth)
    seen[1][0, 4] = 0.0
    found = predictor_that_finds(truth).predict_keypoints(half, seen, SPACE)
    for t in range(4):
        np.testing.assert_array_equal(found.keypoints_px[0, :, t], seen[t][0])


@pytest.mark.parametrize(
    ("trusted", "agreed"),
    [((1, 1, 1, 1), False), ((1, 1, 1, 0), True), ((1, 1, 0, 0), True)],
)
def test_views_agree_on_a_person_whom_more_than_half_of_the_trusted_ones_see(trusted, agreed):
    truth, cameras = people(torch.float32)[:1], ring_of_cameras(4, torch.float32)
    seen = views(cameras, truth)
    two = [seen[0], seen[1], seen[2][:0], seen[3][:0]]
    found = predictor_that_finds(truth).predict_keypoints(
        cameras, two, SPACE, np.array(trusted, bool)
    )
    assert found.agreed.tolist() == [agreed]


def test_one_view_is_refused():
    cameras = ring_of_cameras(1, torch.float32)
    with pytest.raises(UserError, match="at least 2 views"):
        small_predictor().predict_keypoints(cameras, views(cameras, people(torch.float32)), SPACE)


def test_images_without_a_detector():
    with pytest.raises(UserError, match="has no 2D detector"):
        small_predictor().predict_images(
            ring_of_cameras(2), [np.zeros((540, 960, 3), np.uint8)] * 2, SPACE
        )


def test_keypoints_of_another_skeleton():
    with pytest.raises(UserError, match="15"):
        small_predictor().predict_keypoints(
            ring_of_cameras(2), [np.ones((1, 17, 3), np.float32)] * 2, SPACE
        )


def test_a_device_that_is_not_there():
    with pytest.raises(UserError, match="not a torch device"):
        small_predictor(device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="sees no CUDA"):
            small_predictor(device="cuda")


def test_rgb_weights_need_their_backbone(tmp_path):
    config = MVSSMConfig(frontend="resnet_small", d_model=16, n_layers=1, survivors=())
    save_weights(tmp_path / "w.safetensors", config, MVSSM(config).state_dict(), {})
    with pytest.raises(UserError, match="missing conv1"):
        Predictor.from_pretrained(tmp_path / "w.safetensors")


def test_rgb_images_go_all_the_way(tmp_path):
    from mvssm_ros.frontends.resnet import CONFIGS, PoseResNet
    from mvssm_ros.network.config import paper_rgb

    config = paper_rgb(
        "resnet_small", n_layers=2, survivors=(4,),
        n_candidates=9, d_state=1, gated=False,
    )  # fmt: skip
    backbone = PoseResNet(CONFIGS["resnet_small"])
    path = tmp_path / "w.safetensors"
    save_weights(path, config, MVSSM(config).state_dict(), {}, backbone.state_dict())
    predictor = Predictor.from_pretrained(path, score_threshold=0.0)
    images = [np.random.default_rng(i).integers(0, 255, (270, 480, 3), np.uint8) for i in range(3)]
    cameras = ring_of_cameras(3, torch.float32)
    half = cameras.affine(torch.full((3,), 0.5), torch.full((3, 2), -0.25))
    found = predictor.predict_images(half, images, SPACE)
    assert np.isfinite(found.joints_m).all()
    assert {"backbone", "network"} <= set(found.timings_ms)
    with pytest.raises(UserError, match="needs images"):
        predictor.predict_keypoints(half, views(half, people(torch.float32)), SPACE)
