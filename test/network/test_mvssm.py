"""The network as a whole: what it must not depend on, compaction, ablations."""

from dataclasses import replace

import pytest
import torch
from network_scenes import keypoints_scene, people, random_network, ring_of_cameras

from mvssm_ros.network.config import ABLATIONS, MVSSMConfig, paper_rgb
from mvssm_ros.network.decoder import crowding, suppress_duplicates
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.pyramid import FeaturePyramid


def start(model, b=1, grid=(3, 3)):
    centre, size = torch.zeros(b, 2).double(), torch.full((b, 2), 3.0).double()
    return model.start_poses(centre, size, grid=grid)


def keep_all(layer, out):
    return torch.arange(out.poses_m.shape[1]).expand(len(out.poses_m), -1)


def views(pyramid, index):
    return FeaturePyramid(
        tuple(x[:, index] for x in pyramid.levels), pyramid.strides, pyramid.mirror
    )


@pytest.mark.parametrize("n_views", [2, 3, 5, 10])
def test_any_number_of_views(n_views):
    cameras, pyramid = keypoints_scene(n_views)
    model = random_network()
    outputs = model(pyramid, cameras, start(model))
    assert len(outputs) == 3
    assert torch.isfinite(outputs[-1].poses_m).all()
    assert outputs[-1].keypoints_px.shape[1] == n_views


def test_one_view_is_refused():
    cameras, pyramid = keypoints_scene(1)
    model = random_network()
    with pytest.raises(ValueError, match="at least 2 views, got 1"):
        model(pyramid, cameras, start(model))


def test_permuting_the_views_permutes_the_answer():
    cameras, pyramid = keypoints_scene(4)
    model = random_network()
    order = torch.tensor([2, 0, 3, 1])
    a = model(pyramid, cameras, start(model), keep_all)
    b = model(views(pyramid, order), cameras.select(order), start(model), keep_all)
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(y.poses_m, x.poses_m, atol=1e-8, rtol=0)
        torch.testing.assert_close(y.keypoints_px, x.keypoints_px[:, order], atol=1e-6, rtol=0)
        torch.testing.assert_close(y.confidence, x.confidence[:, order], atol=1e-10, rtol=0)


def test_moving_the_world_with_its_cameras_moves_the_answer():
    cameras, pyramid = keypoints_scene(4)
    model = random_network()
    Q, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    Q = Q * Q.det()
    shift = torch.tensor([12.0, -7.0, 3.0], dtype=torch.float64)
    moved = replace(cameras, R=cameras.R @ Q.T, t=cameras.t - cameras.R @ Q.T @ shift)
    s = start(model)
    a = model(pyramid, cameras, s, keep_all)[-1]
    b = model(pyramid, moved, s @ Q.T + shift, keep_all)[-1]
    torch.testing.assert_close(b.poses_m, a.poses_m @ Q.T + shift, atol=1e-4, rtol=0)
    torch.testing.assert_close(b.joint_logits, a.joint_logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(b.covariance_m2, Q @ a.covariance_m2 @ Q.T, atol=1e-4, rtol=1e-3)


def test_scenes_of_a_batch_do_not_meet():
    model = random_network()
    c3, p3 = keypoints_scene(3)
    other = FeaturePyramid(tuple(torch.roll(x, 3, -1) for x in p3.levels), p3.strides, p3.mirror)
    both = FeaturePyramid(
        tuple(torch.cat([a, b]) for a, b in zip(p3.levels, other.levels, strict=True)),
        p3.strides,
        p3.mirror,
    )
    stacked = type(c3)(**{k: torch.cat([getattr(c3, k)] * 2) for k in c3.__dataclass_fields__})
    together = model(both, stacked, start(model, 2), keep_all)[-1]
    torch.testing.assert_close(
        together.poses_m[:1], model(p3, c3, start(model), keep_all)[-1].poses_m
    )
    torch.testing.assert_close(
        together.poses_m[1:], model(other, c3, start(model), keep_all)[-1].poses_m
    )


def test_compaction_drops_candidates_and_leaves_survivors_untouched():
    cameras, pyramid = keypoints_scene(4)
    model = random_network()
    everyone = model(pyramid, cameras, start(model, grid=(5, 5)), keep_all)
    chosen = model(pyramid, cameras, start(model, grid=(5, 5)))
    index = model.decoder.hierarchical_selection(0, everyone[0])
    assert chosen[1].poses_m.shape[1] <= 12
    assert chosen[2].poses_m.shape[1] <= 8
    torch.testing.assert_close(chosen[1].poses_m, everyone[1].pick(index).poses_m)


def test_candidates_below_epsilon_are_dropped():
    cameras, pyramid = keypoints_scene(3)
    model = random_network(score_epsilon=1.1)  # nobody scores so high: one lives on
    assert model(pyramid, cameras, start(model))[1].poses_m.shape[1] == 1


def test_a_crowd_at_one_person_does_not_crowd_out_another():
    first, second = people()
    poses = torch.stack([first + 0.01 * i for i in range(6)] + [second])[None]
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2]]).double()
    rank = scores - crowding(poses, scores, 0.4)
    assert sorted(rank.topk(2).indices[0].tolist()) == [0, 6]
    assert sorted(rank.topk(3).indices[0].tolist()) == [0, 1, 6]


def test_at_initialisation_scans_are_silent():
    """Zero-init makes the full network equal the one without Mamba."""
    torch.manual_seed(0)
    full = MVSSM(MVSSMConfig(d_model=32)).double()
    plain = MVSSM(MVSSMConfig(d_model=32, ablation="no_mamba")).double()
    plain.load_state_dict({k: v for k, v in full.state_dict().items() if k in plain.state_dict()})
    cameras, pyramid = keypoints_scene(3)
    a = full(pyramid, cameras, start(full), keep_all)[-1]
    b = plain(pyramid, cameras, start(plain), keep_all)[-1]
    torch.testing.assert_close(a.poses_m, b.poses_m)
    torch.testing.assert_close(a.joint_logits, b.joint_logits)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_ablations_run_and_differ(ablation):
    cameras, pyramid = keypoints_scene(3)
    model = random_network(ablation=ablation)
    out = model(pyramid, cameras, start(model), keep_all)[-1]
    assert torch.isfinite(out.poses_m).all()
    out.poses_m.sum().backward()
    names = {
        n.split(".")[3] for n, _ in model.named_parameters() if n.startswith("decoder.layers.1")
    }
    assert ("keypoint_gtbs" in names) == (ablation == "full")
    assert ("attention" in names) == (ablation != "mean")
    assert ("cross_attention" in names) == (ablation == "cross_attention")
    if ablation != "full":
        full = random_network()
        assert not torch.allclose(
            full(pyramid, cameras, start(full), keep_all)[-1].poses_m, out.poses_m
        )


@pytest.mark.parametrize(
    "changes", [{"view_scan": "serial"}, {"scan_directions": 4}, {"d_state": 4, "gated": True}]
)
def test_scan_options_run(changes):
    cameras, pyramid = keypoints_scene(3)
    model = random_network(**changes)
    assert torch.isfinite(model(pyramid, cameras, start(model))[-1].poses_m).all()


def test_shared_maps_as_from_rgb():
    model = MVSSM(
        paper_rgb(d_model=32, feature_channels=32, n_heads=4, n_points=4, n_layers=2, survivors=(6,),
                  n_candidates=9, d_state=2)
    ).double()  # fmt: skip
    cameras = type(c := ring_of_cameras(3)).stack([c, c])
    levels = tuple(torch.randn(2, 3, 32, 512 // s, 960 // s).double() for s in (4, 8, 16))
    outputs = model(FeaturePyramid(levels, (4, 8, 16)), cameras, start(model, 2))
    assert torch.isfinite(outputs[-1].poses_m).all()
    assert torch.allclose(
        outputs[-1].confidence.sum(1)[outputs[-1].solved], torch.ones(()).double()
    )


@pytest.mark.parametrize(("count", "grid"), [(12, (3, 4)), (7, (1, 7))])
def test_the_weights_say_how_many_start_poses(count, grid):
    model = random_network(n_candidates=count)
    places = start(model, grid=None)[0, :, 2, :2]
    assert len(places) == count
    assert (len(places[:, 0].unique()), len(places[:, 1].unique())) == grid


def test_the_number_of_start_poses_must_fit_the_weights():
    model = MVSSM(paper_rgb(d_model=32, feature_channels=32, n_heads=4, n_candidates=9, n_layers=1,
                            survivors=()))  # fmt: skip
    levels = tuple(torch.randn(1, 2, 32, 512 // s, 960 // s) for s in (4, 8, 16))
    cameras = type(c := ring_of_cameras(2, torch.float32)).stack([c])
    with pytest.raises(ValueError, match="9 candidates, got 4"):
        model(FeaturePyramid(levels, (4, 8, 16)), cameras, torch.zeros(1, 4, 15, 3))


def test_duplicates_are_suppressed_and_people_are_not():
    two = people()
    poses = torch.cat([two, two + 0.05, two[:1] + torch.tensor([0.5, 0, 0])])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.7, 0.6]).double()
    assert suppress_duplicates(poses, scores).tolist() == [1, 2, 4]
    assert suppress_duplicates(poses[:0], scores[:0]).tolist() == []


def test_suppression_does_not_chain():
    """A dropped pose drops nobody: b is near a, c is near b but not near a."""
    a = people()[0]
    poses = torch.stack([a, a + torch.tensor([0.2, 0, 0]), a + torch.tensor([0.4, 0, 0])])
    assert suppress_duplicates(poses, torch.tensor([0.9, 0.8, 0.7])).tolist() == [0, 2]


def test_detect_applies_threshold_and_most_people():
    cameras, pyramid = keypoints_scene(3)
    model = random_network()
    everyone = model.detect(pyramid, cameras, start(model), score_threshold=0.0)[0]
    assert (everyone.scores[:-1] >= everyone.scores[1:]).all()
    assert (
        len(
            model.detect(pyramid, cameras, start(model), score_threshold=0.0, max_people=1)[
                0
            ].scores
        )
        == 1
    )
    assert len(model.detect(pyramid, cameras, start(model), score_threshold=1.1)[0].scores) == 0


def in_rounds(model, rounds):
    model.config = replace(model.config, rounds=rounds)
    return model


def test_every_further_round_begins_at_what_the_last_one_found():
    cameras, pyramid = keypoints_scene(3)
    model = random_network()
    least, poses = model.config.score_epsilon, start(model)
    for rounds in (1, 2, 3):
        in_rounds(model, 1)
        found = model.detect(pyramid, cameras, poses, score_threshold=least)[0]
        in_rounds(model, rounds)
        whole = model.detect(pyramid, cameras, start(model), score_threshold=least)[0]
        torch.testing.assert_close(whole.poses_m, found.poses_m)
        torch.testing.assert_close(whole.scores, found.scores)
        poses = found.poses_m[None]
    first = in_rounds(model, 1).detect(pyramid, cameras, start(model), score_threshold=least)[0]
    assert first.poses_m.shape != whole.poses_m.shape or not torch.equal(
        first.poses_m, whole.poses_m
    )


def test_scenes_with_other_numbers_of_people_do_not_disturb_each_other_in_later_rounds():
    cameras, pyramid = keypoints_scene(3)
    model = in_rounds(random_network(), 3)
    starts = torch.cat([start(model), start(model) + torch.tensor([4.0, 3.0, 0.0])])
    both = model.detect(
        FeaturePyramid(
            tuple(x.expand(2, *x.shape[1:]) for x in pyramid.levels),
            pyramid.strides,
            pyramid.mirror,
        ),
        cameras.select([0, 1, 2]).at([0, 0]),
        starts,
        score_threshold=0.0,
    )
    alone = [model.detect(pyramid, cameras, one[None], score_threshold=0.0)[0] for one in starts]
    assert len(alone[0].scores) != len(alone[1].scores)
    for one, other in zip(both, alone, strict=True):
        torch.testing.assert_close(one.poses_m, other.poses_m)


def test_rounds_of_nobody_end_with_nobody():
    cameras, pyramid = keypoints_scene(3)
    model = random_network(score_epsilon=1.1, rounds=3)
    assert len(model.detect(pyramid, cameras, start(model), score_threshold=0.99)[0].scores) == 0


def test_configuration_is_checked():
    with pytest.raises(ValueError, match="rounds must be 1 where n_candidates is fixed"):
        paper_rgb(rounds=2)
    with pytest.raises(ValueError, match="ablation must be one of"):
        MVSSMConfig(ablation="nothing")
    with pytest.raises(ValueError, match="survivors needs 3"):
        MVSSMConfig(survivors=(4,))
