"""The rates of the synthetic detector's faults are the documented ones.

All people here are fully visible unless a test hides them, so that each fault is counted alone.
"""

from __future__ import annotations

import numpy as np
import pytest

from mvssm_ros.learning.synthetic import detector_noise as noise

B, T, G, J = 200, 5, 3, 15
HEIGHT_PX = 250.0
MIRROR = [0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 6, 7, 8]


def views(seed: int = 0, apart_px: float = 300.0) -> noise.Views:
    """Three people side by side, each joint at a place of its own in a 250 px tall figure."""
    rng = np.random.default_rng(seed)
    figure = rng.uniform(-0.5, 0.5, (J, 2)) * (100.0, HEIGHT_PX)
    pixels = np.broadcast_to(figure, (B, T, G, J, 2)).copy()
    pixels[..., 0] += 180.0 + apart_px * np.arange(G)[:, None]
    pixels[..., 1] += 270.0
    every = np.ones((B, T, G, J), bool)
    return noise.Views(
        pixels=pixels,
        inside=every,
        hidden=~every,
        height=np.full((B, T, G), HEIGHT_PX),
        present=every[..., 0],
        size=np.broadcast_to(np.array([960.0, 540.0]), (B, T, 2)),
    )


def detect(v: noise.Views, severity: float = 1.0, all_joints: bool = False) -> noise.Detections:
    return noise.detect(np.random.default_rng(1), v, np.full(B, severity), np.full(B, all_joints))


@pytest.fixture
def only(monkeypatch):
    """Switch off every fault but those named."""

    def switch_off_all_but(*kept: str) -> None:
        for name in ("OUTLIER_RATE", "MISSED_JOINTS", "MISSED_PEOPLE", "HALF_BODIES",
                     "MIXED_LIMBS", "GHOSTS", "DUPLICATES"):  # fmt: skip
            if name not in kept:
                monkeypatch.setattr(noise, name, 0.0)
        if "SWAPS" not in kept:
            monkeypatch.setattr(noise, "SWAPS", (0.0, 0.0, 0.0))

    return switch_off_all_but


def test_without_severity_the_detector_is_exact():
    v = views()
    for all_joints in (False, True):
        found = detect(v, severity=0.0, all_joints=all_joints)
        np.testing.assert_allclose(found.keypoints[:, :, :G, :, :2], v.pixels)
        assert (found.keypoints[:, :, :G, :, 2] > 0).all()
        assert found.present[:, :, :G].all()
        assert not found.present[:, :, G:].any()
        assert (found.identity[:, :, :G] == np.arange(G)).all()


def test_jitter_is_between_half_a_pixel_and_five_and_grows_with_size(only):
    only()
    v = views()
    error = detect(v).keypoints[:, :, :G, :, :2] - v.pixels
    spread = error.std((0, 1, 2)).mean()
    assert 0.8 < spread < 2.5
    by_view = error.std((2, 3, 4))
    assert by_view.min() > 0.25  # a sample of 90 of a deviation of at least 0.5
    assert by_view.max() < 6.5
    small = noise.Views(**{**vars(v), "height": v.height / 4})
    assert (detect(small).keypoints[:, :, :G, :, :2] - v.pixels).std() < 0.55 * error.std()
    large = noise.Views(**{**vars(v), "height": v.height * 50})
    big = detect(large).keypoints[:, :, :G, :, :2] - v.pixels
    assert 4.7 < big.std() < 5.3  # clipped
    twice = detect(v, severity=2.0).keypoints[:, :, :G, :, :2] - v.pixels
    assert twice.std() == pytest.approx(2 * error.std(), rel=0.05)


def test_a_detections_joints_share_a_part_of_the_error(only):
    only()
    v = views()
    error = detect(v).keypoints[:, :, :G, :, 0] - v.pixels[..., 0]
    correlation = np.corrcoef(error[..., 4].ravel(), error[..., 14].ravel())[0, 1]
    assert 0.08 < correlation < 0.4


def test_missed_joints_have_their_rate(only):
    v = views()
    only("MISSED_JOINTS")
    assert (detect(v).keypoints[:, :, :G, :, 2] == 0).mean() == pytest.approx(0.10, abs=0.01)


def test_missed_people_have_their_rate(only):
    only("MISSED_PEOPLE")
    found = detect(views())
    assert (~found.present[:, :, :G]).mean() == pytest.approx(0.06, abs=0.02)
    assert (found.identity[:, :, :G][~found.present[:, :, :G]] == -1).all()


def test_half_bodies_have_their_rate(only):
    only("HALF_BODIES")
    seen = detect(views()).keypoints[:, :, :G, :, 2] > 0
    lacking = ~seen.all(-1)
    assert lacking.mean() == pytest.approx(0.12, abs=0.025)
    lower = ~seen[..., [7, 8, 13, 14]].any(-1) & seen[..., [0, 1, 3, 9]].all(-1)
    assert lower.mean() == pytest.approx(0.6 * 0.12, abs=0.02)


def test_outliers_are_ten_to_sixty_pixels_off_and_mostly_doubted(only):
    only("OUTLIER_RATE")
    v = views()
    keypoints = detect(v).keypoints[:, :, :G]
    error = np.linalg.norm(keypoints[..., :2] - v.pixels, axis=-1)
    off = error > 15
    assert 0.008 < off.mean() < 0.025
    assert error.max() < 60 + 20
    assert np.median(keypoints[off, 2]) < 0.5 * np.median(keypoints[~off, 2])
    assert (keypoints[off, 2] > 0.8).mean() > 0.05  # some are not noticed


@pytest.mark.parametrize("all_joints", [False, True])
def test_confidence_falls_with_the_error(all_joints: bool, only):
    only("OUTLIER_RATE")
    v = views()
    keypoints = detect(v, all_joints=all_joints).keypoints[:, :, :G]
    error = np.linalg.norm(keypoints[..., :2] - v.pixels, axis=-1)
    confidence = keypoints[..., 2]
    assert confidence.min() > 0
    assert confidence.max() <= 1
    assert np.corrcoef(error.ravel(), confidence.ravel())[0, 1] < -0.15


def test_swaps_exchange_left_and_right(only):
    only("SWAPS")
    v = views()
    pixels = detect(v).keypoints[:, :, :G, :, :2]
    to_own = np.linalg.norm(pixels - v.pixels, axis=-1)
    to_mirror = np.linalg.norm(pixels - v.pixels[..., MIRROR, :], axis=-1)
    swapped = (to_mirror < to_own) & (np.arange(J) > 2)
    arms, legs = swapped[..., [3, 4, 5]].all(-1), swapped[..., [6, 7, 8]].all(-1)
    body_rate, arms_rate, legs_rate = noise.SWAPS
    assert (arms & legs).mean() == pytest.approx(body_rate, abs=0.006)
    assert (arms & ~legs).mean() == pytest.approx(arms_rate, abs=0.006)
    assert (legs & ~arms).mean() == pytest.approx(legs_rate, abs=0.006)
    assert swapped.any(-1).mean() == pytest.approx(sum(noise.SWAPS), abs=0.01)


def test_limbs_are_mixed_between_overlapping_people_only(only):
    only("MIXED_LIMBS")
    apart, close = views(apart_px=300.0), views(apart_px=60.0)
    for v, low, high in ((apart, 0.0, 0.0), (close, 0.03, 0.07)):
        error = np.linalg.norm(detect(v).keypoints[:, :, :G, :, :2] - v.pixels, axis=-1)
        taken = (error > 40).sum(-1)
        assert low <= (taken > 0).mean() <= high
        assert set(np.unique(taken)) <= {0, 2}  # a limb is two joints
        assert (error[..., [0, 1, 2, 3, 6, 9, 12]] < 40).all()  # the trunk stays its owner's


def test_ghosts_and_duplicates_have_their_rates_and_belong_to_nobody(only):
    only("GHOSTS")
    found = detect(views())
    false = found.present[:, :, G:]
    assert false.sum(-1).mean() == pytest.approx(noise.GHOSTS, abs=0.03)
    assert (found.identity[:, :, G:] == -1).all()
    inside = (found.keypoints[:, :, G:, :, 0] >= 0) & (found.keypoints[:, :, G:, :, 0] <= 960)
    assert inside[found.keypoints[:, :, G:, :, 2] > 0].all()


def test_duplicates_lie_on_a_person(only):
    only("DUPLICATES")
    v = views()
    found = detect(v)
    extra = found.present[:, :, -1]
    assert extra.mean() == pytest.approx(1 - (1 - noise.DUPLICATES) ** G, abs=0.035)
    kp = found.keypoints[:, :, -1]
    distance = np.linalg.norm(kp[:, :, None, :, :2] - v.pixels, axis=-1)  # [B, T, G, J]
    seen = np.broadcast_to((kp[..., 2] > 0)[:, :, None], distance.shape)
    mean = (distance * seen).sum(-1) / seen.sum(-1).clip(1)
    assert mean.min(-1)[extra].max() < 0.12 * HEIGHT_PX


def test_a_threshold_detector_leaves_out_what_it_does_not_see_and_an_all_joints_one_guesses(only):
    only()
    v = views()
    hidden = v.hidden.copy()
    hidden[..., [7, 8]] = True
    inside = v.inside.copy()
    inside[..., [13, 14]] = False
    v = noise.Views(**{**vars(v), "hidden": hidden, "inside": inside})
    threshold = detect(v, all_joints=False).keypoints[:, :, :G]
    assert 0.5 < (threshold[..., [7, 8], 2] == 0).mean() < 0.7
    assert (threshold[..., [13, 14], 2] == 0).mean() > 0.9
    guessing = detect(v, all_joints=True).keypoints[:, :, :G]
    assert (guessing[..., 2] > 0).mean() > 0.98
    seen, unseen = guessing[..., [0, 1, 4], 2], guessing[..., [7, 8, 13, 14], 2]
    assert np.median(unseen) < 0.6 * np.median(seen)
    error = np.linalg.norm(guessing[..., :2] - v.pixels, axis=-1)
    assert error[..., [7, 8]].mean() > 2 * error[..., [4, 10]].mean()
    exact = detect(v, severity=0.0, all_joints=True).keypoints[:, :, :G]
    assert (exact[..., [7, 8, 13, 14], 2] == 0).all()  # a clean scene shows visible joints only


def test_people_of_whom_little_is_visible_are_not_found(only):
    only()
    v = views()
    hidden = np.ones_like(v.hidden)
    hidden[..., :3] = False
    found = detect(noise.Views(**{**vars(v), "hidden": hidden}))
    assert not found.present.any()


def test_packing_keeps_every_detection_once_and_shuffles():
    v = views()
    found = detect(v)
    packed = noise.shuffle_and_pack(np.random.default_rng(2), found, cap=20)
    assert packed.present.shape[2] == found.present.sum(-1).max()
    np.testing.assert_array_equal(packed.present.sum(-1), found.present.sum(-1))
    np.testing.assert_allclose(packed.keypoints.sum((2, 3)), found.keypoints.sum((2, 3)))
    counts = packed.present.sum(-1, keepdims=True)
    slots = np.arange(packed.present.shape[2])
    np.testing.assert_array_equal(packed.present, slots < counts)  # present ones first
    first = packed.identity[..., 0]
    assert min((first == g).mean() for g in range(G)) > 0.2
    for g in range(G):  # a person's slot still holds that person's joints
        here = packed.identity == g
        where_found = found.identity[:, :, g] == g
        np.testing.assert_allclose(packed.keypoints[here], found.keypoints[:, :, g][where_found])
    assert noise.shuffle_and_pack(np.random.default_rng(2), found, cap=2).present.shape[2] == 2
