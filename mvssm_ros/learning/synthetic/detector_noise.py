"""From true projections to what a 2D detector would report.

Pixels here are those of the image scaled to 960 px on its long side ("960-px"); the caller scales.
Rates below are those at severity 1; a scene's severity multiplies rates and jitter.

Two styles of detector: "threshold" leaves out the joints it does not see; "all" (as MediaPipe)
reports every joint of a person, unseen ones displaced and with low confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

JITTER_PX = (0.5, 5.0)  # range of the standard deviation of a joint's jitter, per coordinate
JITTER_SHARE = (0.0025, 0.011)  # of the person's height in the image: log-uniform for each view
BIAS_SHARE = 0.4  # part of a detection's jitter (standard deviation) common to all its joints
OUTLIER_RATE = 0.02  # joints displaced by 10-60 px
OUTLIER_PX = (10.0, 60.0)
OUTLIER_UNNOTICED = 0.2  # of these keep a high confidence
GUESS_HIDDEN = 0.022  # of the person's height: error of an unseen joint that "all" reports
GUESS_OUTSIDE = 0.05  # the same for joints outside the image
MISSED_JOINTS = 0.10
MISSED_PEOPLE = 0.06
HALF_BODIES = 0.12  # people of whom the lower or upper half or one side is missing
SWAPS = (0.01, 0.008, 0.008)  # left and right exchanged: whole body, arms, legs
DOUBT = (0.1, 0.6)  # factor on the confidence of exchanged and of mixed joints
MIXED_LIMBS = 0.05  # of the people who overlap another one in the image
GHOSTS = 0.07  # false people a view
DUPLICATES = 0.04  # second detections of parts of a person, a real person's detection
ADULT_M = 1.7
MIN_JOINTS = 3  # fewer are no detection

# Jitter of each joint against the mean: shoulders and nose are found better than hips and wrists.
_JOINT_FACTOR = np.array([0.8, 0.75, 1.1, 0.85, 0.95, 1.15, 1.2, 0.95, 1.05, 0.85, 0.95, 1.15, 1.2,
                          0.95, 1.05], np.float32)  # fmt: skip
_MIRROR = np.array([0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 6, 7, 8])
_ARMS = np.isin(np.arange(15), (3, 4, 5, 9, 10, 11))
_LEGS = np.isin(np.arange(15), (6, 7, 8, 12, 13, 14))
_HALVES = np.array([  # joints that a half body lacks: lower, upper, left, right
    np.isin(np.arange(15), (7, 8, 13, 14)),
    np.isin(np.arange(15), (0, 1, 3, 4, 5, 9, 10, 11)),
    np.isin(np.arange(15), (3, 4, 5, 6, 7, 8)),
    np.isin(np.arange(15), (9, 10, 11, 12, 13, 14)),
])  # fmt: skip
_HALF_WEIGHTS = (0.6, 0.14, 0.13, 0.13)
_LIMBS = np.array([np.isin(np.arange(15), j) for j in ((4, 5), (10, 11), (7, 8), (13, 14))])


@dataclass(frozen=True)
class Views:
    """True projections of G people in T views of B scenes, in 960-px."""

    pixels: np.ndarray  # [B, T, G, J, 2]
    inside: np.ndarray  # [B, T, G, J] inside the image and in front of the camera
    hidden: np.ndarray  # [B, T, G, J] behind people or things
    height: np.ndarray  # [B, T, G] of an adult at the person's distance, px
    present: np.ndarray  # [B, T, G] the person exists and is in front of the camera
    size: np.ndarray  # [B, T, 2] image size


@dataclass(frozen=True)
class Detections:
    """What the detector reports: one slot a person, then slots of false people."""

    keypoints: np.ndarray  # [B, T, S, J, 3] 960-px and confidence; 0 = missing
    identity: np.ndarray  # [B, T, S] index of the person, -1 false or absent
    present: np.ndarray  # [B, T, S]


def detect(rng: Rng, views: Views, severity: np.ndarray, all_joints: np.ndarray) -> Detections:
    """Detections of every person and of some that are not there.

    severity [B]: 0 gives the exact visible joints, 1 the rates of this module.
    all_joints [B]: style of the scene's detector, True for one that reports unseen joints too.
    """
    B, T, G = views.present.shape
    level = severity[:, None, None]  # [B, 1, 1] against [B, T, G]
    style = all_joints[:, None, None, None]
    noisy = (severity > 0)[:, None, None, None]
    unseen = ~views.inside | views.hidden

    error = _jitter(rng, views, level)
    error, unnoticed = _outliers(rng, views, level, error)
    guess = views.height[..., None] * np.where(views.inside, GUESS_HIDDEN, GUESS_OUTSIDE)
    far = guess[..., None] * rng.normal(size=error.shape)
    loose = 1.5 * _rotated(rng, error)
    error = np.where((views.hidden & noisy)[..., None], error + loose, error)
    error = np.where((unseen & style & noisy)[..., None], error + far, error)
    confidence = _confidence(rng, views, error, unnoticed, unseen, style)
    pixels = views.pixels + error

    # joints outside: threshold detectors drop them or, seldom, put them on the border
    border = rng.random(unseen.shape) < np.where(style, 0.5, 0.06) * noisy
    limit = views.size[:, :, None, None]
    pixels = np.where((~views.inside & border)[..., None], pixels.clip(0, limit - 1), pixels)
    reported = np.where(style, noisy | ~unseen, views.inside | border)
    reported &= style | ~(views.hidden & (rng.random(unseen.shape) < 0.6)) | ~noisy
    reported &= np.abs(pixels - 0.5 * limit).max(-1) < 0.75 * limit.max(-1)  # not wildly outside
    reported &= rng.random(unseen.shape) >= MISSED_JOINTS * level[..., None]
    half = rng.choice(4, (B, T, G), p=_HALF_WEIGHTS)
    halved = rng.random((B, T, G)) < HALF_BODIES * level
    reported &= ~(_HALVES[half] & halved[..., None])

    keypoints = np.concatenate([pixels, (confidence * reported)[..., None]], -1)
    keypoints = _mix_limbs(rng, views, level, keypoints)
    keypoints = _swap_sides(rng, level, keypoints)
    visible = (~unseen).sum(-1)
    found = views.present & (rng.random((B, T, G)) >= MISSED_PEOPLE * level)
    found &= visible >= 4
    identity = np.broadcast_to(np.arange(G), (B, T, G))
    false_people = [_ghosts(rng, views, level, keypoints, found) for _ in range(2)]
    false_people.append(_duplicates(rng, views, level, keypoints, found))
    keypoints = np.concatenate([keypoints, *(k for k, _ in false_people)], 2)
    present = np.concatenate([found, *(p for _, p in false_people)], 2)
    present &= (keypoints[..., 2] > 0).sum(-1) >= MIN_JOINTS
    identity = np.concatenate([identity, np.full((B, T, present.shape[2] - G), -1)], 2)
    keypoints = keypoints * present[..., None, None]
    return Detections(keypoints, np.where(present, identity, -1), present)


def shuffle_and_pack(rng: Rng, found: Detections, cap: int) -> Detections:
    """Present detections first, in random order, in as few slots as hold them (at most cap)."""
    count = int(found.present.sum(-1).max(initial=1))
    keep = max(1, min(count, cap))
    order = np.argsort(rng.random(found.present.shape) + 2 * ~found.present, -1)[..., :keep]
    return Detections(
        np.take_along_axis(found.keypoints, order[..., None, None], 2),
        np.take_along_axis(found.identity, order, 2),
        np.take_along_axis(found.present, order, 2),
    )


def _log_uniform(rng: Rng, ends: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    return np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), shape))


def _jitter(rng: Rng, views: Views, level: np.ndarray) -> np.ndarray:
    """Gaussian error [B, T, G, J, 2] that grows with the person's size, part of it common."""
    B, T, G = views.present.shape
    share = _log_uniform(rng, JITTER_SHARE, (B, T, 1))
    own = rng.normal(1, 0.2, (B, T, G)).clip(0.6, 1.6)
    sigma = ((share * own * views.height)[..., None] * _JOINT_FACTOR).clip(*JITTER_PX)
    alone = rng.normal(size=(B, T, G, 15, 2)) * np.sqrt(1 - BIAS_SHARE**2)
    common = rng.normal(size=(B, T, G, 1, 2)) * BIAS_SHARE
    return (sigma * level[..., None])[..., None] * (alone + common)


def _outliers(
    rng: Rng, views: Views, level: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Heavy tails: some joints far off; which of them the detector does not notice."""
    shape = error.shape[:-1]
    rate = OUTLIER_RATE * level[..., None] * np.where(views.hidden, 2.5, 1.0)
    off = rng.random(shape) < rate
    length = _log_uniform(rng, OUTLIER_PX, shape)
    length = length * (views.height / 200).clip(0.4, 1.0)[..., None]
    angle = rng.uniform(0, 2 * np.pi, shape)
    jump = length[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    return error + off[..., None] * jump, off & (rng.random(shape) < OUTLIER_UNNOTICED)


def _rotated(rng: Rng, error: np.ndarray) -> np.ndarray:
    """The same lengths in fresh random directions (further noise of the same size)."""
    length = np.linalg.norm(error, axis=-1)
    angle = rng.uniform(0, 2 * np.pi, length.shape)
    return length[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)


def _confidence(
    rng: Rng,
    views: Views,
    error: np.ndarray,
    unnoticed: np.ndarray,
    unseen: np.ndarray,
    style: np.ndarray,
) -> np.ndarray:
    """Confidence [B, T, G, J] in 0.02..1: falls with the error, noisily; low for unseen joints."""
    B, T, G, J = unseen.shape
    relative = np.linalg.norm(error, axis=-1) / views.height[..., None].clip(30)
    relative = np.where(unnoticed, 0.006, relative)
    scene = rng.normal(size=(B, 1, 1, 1))
    logit = np.where(style, 4.2 + 0.8 * scene, 2.5 + 0.6 * scene)
    logit = logit + rng.normal(0, 0.4, (B, T, G, 1)) + rng.normal(0, 0.8, (B, T, G, J))
    logit = logit - 50 * relative - 2.8 * views.hidden - 5.5 * ~views.inside
    return (1 / (1 + np.exp(-logit))).clip(0.02, 1.0) * np.where(style | ~unseen, 1.0, 0.9)


def _mix_limbs(rng: Rng, views: Views, level: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """One limb of a person is taken from the nearest overlapping other person."""
    B, T, G = views.present.shape
    trunk = views.pixels[..., [0, 2], :].mean(-2)  # [B, T, G, 2]
    apart = np.linalg.norm(trunk[:, :, :, None] - trunk[:, :, None], axis=-1)
    apart = apart + 1e6 * (np.eye(G) + ~views.present[:, :, None])
    other = apart.argmin(-1)
    nearest = np.take_along_axis(apart, other[..., None], -1)[..., 0]
    mixed = (nearest < 0.35 * views.height) & (rng.random((B, T, G)) < MIXED_LIMBS * level)
    limb = _LIMBS[rng.integers(4, size=(B, T, G))] & mixed[..., None]
    doubt = rng.uniform(*DOUBT, (B, T, G, 1, 1)) ** np.array([0, 0, 1])
    theirs = np.take_along_axis(keypoints, other[..., None, None], 2) * doubt
    return np.where(limb[..., None], theirs, keypoints)


def _swap_sides(rng: Rng, level: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Left and right exchanged in the whole body, the arms only or the legs only."""
    u = rng.random(keypoints.shape[:3]) / np.maximum(level, 1e-9)
    body, arms, legs = np.cumsum(SWAPS)
    swapped_arms = (u < arms)[..., None] & _ARMS
    swapped_legs = ((u < body) | ((u >= arms) & (u < legs)))[..., None] & _LEGS
    swapped = (swapped_arms | swapped_legs)[..., None]
    doubt = rng.uniform(*DOUBT, (*u.shape, 1, 1)) ** np.array([0, 0, 1])
    return np.where(swapped, keypoints[..., _MIRROR, :] * doubt, keypoints)


def _ghosts(
    rng: Rng, views: Views, level: np.ndarray, keypoints: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A person's shape of another scene at a random place and size, half the views' rate a slot."""
    B, T, G = found.shape
    pick = (np.roll(np.arange(B), 1)[:, None], np.arange(T)[None], rng.integers(G, size=(B, T)))
    shape = keypoints[pick]  # [B, T, J, 3]
    seen = shape[..., 2:] > 0
    middle = (shape[..., :2] * seen).sum(-2) / seen.sum(-2).clip(1)
    scale = _log_uniform(rng, (0.35, 1.1), (B, T, 1, 1))
    place = rng.uniform(0.05, 0.95, (B, T, 2)) * views.size
    pixels = (shape[..., :2] - middle[..., None, :]) * scale + place[..., None, :]
    confidence = shape[..., 2] * rng.uniform(0.3, 0.95, (B, T, 1))
    confidence = confidence * (rng.random(confidence.shape) < 0.75)
    inside = ((pixels > 0) & (pixels < views.size[:, :, None])).all(-1)
    ghost = np.concatenate([pixels, (confidence * inside)[..., None]], -1)
    there = (rng.random((B, T)) < 0.5 * GHOSTS * level[..., 0]) & found[pick]
    return ghost[:, :, None], there[..., None]


def _duplicates(
    rng: Rng, views: Views, level: np.ndarray, keypoints: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A second, worse detection of a part of a person."""
    B, T, G = found.shape
    again = found & (rng.random((B, T, G)) < DUPLICATES * level)
    which = again.argmax(-1)[..., None]  # at most one a view
    shape = np.take_along_axis(keypoints, which[..., None, None], 2)
    height = np.take_along_axis(views.height, which, 2)[..., None, None]
    pixels = shape[..., :2] + 0.03 * height * rng.normal(size=shape[..., :2].shape)
    half = _HALVES[rng.integers(4, size=(B, T, 1))]
    confidence = shape[..., 2] * ~half * rng.uniform(0.4, 1.0, (B, T, 1, 1))
    return np.concatenate([pixels, confidence[..., None]], -1), np.asarray(again.any(-1))[..., None]
