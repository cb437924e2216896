"""Articulated people: body proportions, poses as joint angles, forward kinematics.

A pose is a vector of joint angles (`ANGLES`), a heading and a place on the ground; a person is a
set of lengths (`Bodies`). Everything is vectorised over people. Body frame: x forward, y left,
z up; world: z up, ground at z = 0; lengths in metres, angles in radians unless named ``_deg``.

Proportions follow the usual anthropometric tables (segment lengths as a share of stature, e.g.
Drillis and Contini 1966), between surface anatomy and the joint centres that 2D detectors report.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

# Joint limits in degrees, (lowest, highest). Flexion is forward except at the knee, which bends
# backward only. Sides: abduction outward, rotation inward, for the left and right side alike.
LIMITS_DEG: dict[str, tuple[float, float]] = {
    "pelvis_pitch": (-100, 100),  # lean of the pelvis forward (+90: lying face down)
    "pelvis_roll": (-100, 100),
    "spine_flexion": (-25, 75),
    "spine_side": (-30, 30),
    "spine_twist": (-45, 45),
    "head_pitch": (-50, 55),
    "head_yaw": (-75, 75),
    "hip_flexion_left": (-25, 125),
    "hip_abduction_left": (-20, 55),
    "hip_rotation_left": (-45, 45),
    "knee_left": (0, 150),
    "hip_flexion_right": (-25, 125),
    "hip_abduction_right": (-20, 55),
    "hip_rotation_right": (-45, 45),
    "knee_right": (0, 150),
    "shoulder_flexion_left": (-50, 180),
    "shoulder_abduction_left": (-15, 140),
    "shoulder_rotation_left": (-50, 90),
    "elbow_left": (0, 150),
    "shoulder_flexion_right": (-50, 180),
    "shoulder_abduction_right": (-15, 140),
    "shoulder_rotation_right": (-50, 90),
    "elbow_right": (0, 150),
}
ANGLES = tuple(LIMITS_DEG)
_INDEX = {name: i for i, name in enumerate(ANGLES)}
_LIMITS = np.deg2rad(np.array(list(LIMITS_DEG.values()), np.float32)).T  # [2, A]
_LEG = ("hip_flexion", "hip_abduction", "hip_rotation", "knee")
_ARM = ("shoulder_flexion", "shoulder_abduction", "shoulder_rotation", "elbow")
_LEGS = np.array([[_INDEX[f"{name}_{side}"] for name in _LEG] for side in ("left", "right")])
_ARMS = np.array([[_INDEX[f"{name}_{side}"] for name in _ARM] for side in ("left", "right")])
_SIDE = np.array([1.0, -1.0], np.float32)  # left is +y

# Mean and standard deviation in degrees of the angles that a mode of posture fixes; leg entries
# without a side hold for both. Angles not named keep `_COMMON`.
_COMMON: dict[str, tuple[float, float]] = {
    "pelvis_pitch": (2, 4), "pelvis_roll": (0, 3), "spine_flexion": (6, 8), "spine_side": (0, 5),
    "spine_twist": (0, 9), "head_pitch": (8, 14), "head_yaw": (0, 24), "hip_flexion": (3, 6),
    "hip_abduction": (5, 5), "hip_rotation": (-6, 10), "knee": (6, 6),
}  # fmt: skip
MODES: dict[str, tuple[float, dict[str, tuple[float, float]]]] = {  # name: (weight, angles)
    "standing": (0.30, {}),
    "walking": (0.20, {"pelvis_pitch": (4, 4)}),  # legs and arms follow the gait phase
    "sitting": (0.14, {"hip_flexion": (82, 13), "knee": (85, 18), "hip_abduction": (8, 9),
                       "spine_flexion": (12, 14), "pelvis_pitch": (-6, 10)}),
    "bending": (0.09, {"pelvis_pitch": (40, 18), "hip_flexion": (42, 16), "knee": (18, 16),
                       "spine_flexion": (35, 16), "head_pitch": (0, 22)}),
    "crouching": (0.06, {"pelvis_pitch": (15, 12), "hip_flexion": (105, 14), "knee": (125, 15),
                         "hip_abduction": (15, 12), "spine_flexion": (28, 14)}),
    "kneeling": (0.05, {"hip_flexion_left": (5, 12), "knee_left": (88, 10),
                        "hip_flexion_right": (75, 30), "knee_right": (92, 12)}),
    "lunging": (0.11, {"hip_flexion_left": (45, 25), "knee_left": (45, 25),
                       "hip_flexion_right": (-8, 12), "knee_right": (25, 20),
                       "hip_abduction": (14, 12), "spine_side": (0, 12), "spine_twist": (0, 18)}),
    "lying": (0.05, {"pelvis_pitch": (0, 0), "spine_flexion": (8, 12), "hip_flexion": (20, 25),
                     "knee": (25, 25), "head_pitch": (10, 18)}),
}  # fmt: skip
# Arms: flexion, abduction, rotation, elbow as (mean, sd) in degrees.
ARM_MODES: dict[str, tuple[float, tuple[tuple[float, float], ...]]] = {
    "hanging": (0.28, ((2, 12), (9, 7), (12, 20), (16, 12))),
    "forward": (0.16, ((72, 28), (4, 14), (0, 28), (32, 28))),
    "up": (0.10, ((150, 24), (12, 18), (0, 30), (32, 30))),
    "sideways": (0.08, ((5, 22), (80, 22), (0, 40), (22, 24))),
    "crossed": (0.09, ((26, 10), (5, 8), (68, 12), (102, 13))),
    "at the body": (0.14, ((18, 18), (10, 9), (32, 20), (100, 22))),
    "at the head": (0.08, ((75, 28), (40, 25), (35, 30), (132, 12))),
    "on the hip": (0.05, ((-15, 9), (35, 8), (55, 12), (86, 12))),
    "behind": (0.04, ((-35, 10), (14, 8), (35, 20), (40, 20))),
    "down in front": (0.08, ((38, 18), (2, 10), (20, 20), (15, 14))),
}


@dataclass(frozen=True)
class Bodies:
    """Lengths of N people in metres; pairs are (left, right)."""

    stature: np.ndarray  # [N]
    spine: np.ndarray  # [N] mid hip to neck
    shoulder_half: np.ndarray  # [N, 2] half the distance between the shoulders
    hip_half: np.ndarray  # [N, 2]
    upper_arm: np.ndarray  # [N, 2]
    forearm: np.ndarray  # [N, 2]
    thigh: np.ndarray  # [N, 2]
    shank: np.ndarray  # [N, 2]
    ankle_height: np.ndarray  # [N] ankle joint above the sole
    nose: np.ndarray  # [N, 3] nose from the base of the skull, head frame
    head_base: np.ndarray  # [N] base of the skull above the neck joint, along the chest
    neck_offset: np.ndarray  # [N, 3] of the neck from the middle of the shoulders, chest frame


@dataclass(frozen=True)
class Motion:
    """Poses of N people and how they change."""

    angles: np.ndarray  # [N, A] rad, order ANGLES
    angle_rates: np.ndarray  # [N, A] rad/s
    heading: np.ndarray  # [N] rad, direction of the body's x axis
    place_m: np.ndarray  # [N, 2] mid hip on the ground plan
    velocity_mps: np.ndarray  # [N, 2]
    lift_m: np.ndarray  # [N] height of the support under the person (0: the ground)


def sample_bodies(rng: Rng, n: int) -> Bodies:
    """N people: three quarters adults, a quarter children from 1.0 m; sides differ by 1-2 %."""
    adult = rng.random(n) < 0.75
    stature = np.where(adult, rng.normal(1.70, 0.10, n).clip(1.45, 2.0), rng.uniform(1.0, 1.55, n))
    child = ((1.55 - stature) / 0.55).clip(0, 1)  # 1 for a stature of 1.0 m

    def share(mean: float, sd: float, child_factor: float = 1.0) -> np.ndarray:
        factor = 1 + child * (child_factor - 1)
        return stature * mean * factor * rng.normal(1, sd, n).clip(0.85, 1.15)

    def pair(length: np.ndarray) -> np.ndarray:
        return length[:, None] * rng.normal(1, 0.012, (n, 2)).clip(0.96, 1.04)

    head = share(1.0, 0.07, 1.3)  # head size follows stature, larger for children
    nose = np.stack([0.072 * head, 0.0 * head, 0.052 * head], -1)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    bodies = Bodies(
        stature=stature,
        spine=share(0.288, 0.05, 1.03),
        shoulder_half=pair(share(0.104, 0.06)),
        hip_half=pair(share(0.058, 0.12)),
        upper_arm=pair(share(0.168, 0.05, 0.96)),
        forearm=pair(share(0.146, 0.05, 0.96)),
        thigh=pair(share(0.245, 0.045, 0.93)),
        shank=pair(share(0.238, 0.045, 0.93)),
        ankle_height=share(0.046, 0.12),
        nose=nose + rng.normal(0, 0.006, (n, 3)),
        head_base=0.058 * head,
        neck_offset=direction * (rng.uniform(0, 1, (n, 1)) ** 2 * 0.03),
    )
    return Bodies(**{k: v.astype(np.float32) for k, v in vars(bodies).items()})


def sample_motion(rng: Rng, n: int, posture: str | None = None) -> Motion:
    """N poses from the mixture of MODES and ARM_MODES, headings anywhere, places at the origin.

    posture: the name of the only mode to draw from. Angles are clipped to LIMITS_DEG. Three in a
    hundred stand or sit on something 0.1-0.6 m high.
    """
    modes = list(MODES)
    mode = rng.choice(len(modes), n, p=_mode_weights())
    if posture is not None:
        mode[:] = modes.index(posture)
    angles = _MODE_MEAN[mode] + _MODE_SD[mode] * rng.normal(size=(n, len(ANGLES)))
    pitch = _INDEX["pelvis_pitch"]  # the hips make up for a lean, so that the feet stay under it
    angles[:, _LEGS[:, 0]] += (angles - _MODE_MEAN[mode])[:, pitch, None]
    # a posture of the legs with two different sides is taken by either side
    swap = np.flatnonzero(rng.random(n) < 0.5)[:, None, None]
    angles[swap, _LEGS] = angles[swap, _LEGS[::-1]]
    angles[:, _ARMS] = _sample_arms(rng, n)
    rates = rng.normal(0, 0.35, angles.shape)
    rates[:, _ARMS] = rng.normal(0, 0.9, (n, *_ARMS.shape))
    heading = rng.uniform(-np.pi, np.pi, n)
    speed = rng.uniform(0, 0.4, n) * (rng.random(n) < 0.4)
    speed = _walk(rng, angles, rates, speed, mode == modes.index("walking"))
    _lie(rng, angles, mode == modes.index("lying"))
    angles = angles.clip(_LIMITS[0], _LIMITS[1])
    lift = np.where(rng.random(n) < 0.03, rng.uniform(0.1, 0.6, n), 0.0)
    direction = heading + rng.normal(0, 0.15, n)
    velocity = speed[:, None] * np.stack([np.cos(direction), np.sin(direction)], -1)
    return Motion(
        angles=angles.astype(np.float32),
        angle_rates=rates.astype(np.float32),
        heading=heading.astype(np.float32),
        place_m=np.zeros((n, 2), np.float32),
        velocity_mps=velocity.astype(np.float32),
        lift_m=lift.astype(np.float32),
    )


def forward_kinematics(bodies: Bodies, motion: Motion) -> np.ndarray:
    """Joints [N, 15, 3] m in panoptic15 order, standing on the support under them."""
    a = motion.angles
    n = len(a)
    zero = np.zeros(n, np.float32)

    def angle(name: str) -> np.ndarray:
        return a[:, _INDEX[name]]

    pelvis = _rot_z(motion.heading) @ _rot_y(angle("pelvis_pitch")) @ _rot_x(angle("pelvis_roll"))
    bend = (0.5 * angle(f"spine_{k}") for k in ("twist", "side", "flexion"))
    twist, side, flexion = bend
    half = _rot_z(twist) @ _rot_x(side) @ _rot_y(flexion)  # each half of the spine bends by half
    lumbar = pelvis @ half
    chest = lumbar @ half
    head = chest @ _rot_z(angle("head_yaw")) @ _rot_y(angle("head_pitch"))

    shoulders = 0.45 * bodies.spine[:, None] * lumbar[:, :, 2]  # middle of the shoulders
    shoulders = shoulders + 0.55 * bodies.spine[:, None] * chest[:, :, 2]
    neck = shoulders + _apply(chest, bodies.neck_offset)
    nose = shoulders + bodies.head_base[:, None] * chest[:, :, 2] + _apply(head, bodies.nose)

    across = np.stack([zero, zero + 1, zero], -1)[:, None] * _SIDE[:, None]  # [N, 2, 3]
    hip = _apply(pelvis[:, None], across * bodies.hip_half[..., None])
    leg = a[:, _LEGS]  # [N, 2, 4]
    thigh = pelvis[:, None] @ _ball_joint(leg)
    knee = hip - bodies.thigh[..., None] * thigh[..., 2]
    ankle = knee - bodies.shank[..., None] * (thigh @ _rot_y(leg[..., 3]))[..., 2]

    shoulder = shoulders[:, None] + _apply(chest[:, None], across * bodies.shoulder_half[..., None])
    arm = a[:, _ARMS]
    upper = chest[:, None] @ _ball_joint(arm)
    elbow = shoulder - bodies.upper_arm[..., None] * upper[..., 2]
    wrist = elbow - bodies.forearm[..., None] * (upper @ _rot_y(-arm[..., 3]))[..., 2]

    limbs = np.stack([shoulder, elbow, wrist, hip, knee, ankle], 2)  # [N, 2, 6, 3]
    trunk = np.stack([neck, nose, 0.5 * (hip[:, 0] + hip[:, 1])], 1)  # [N, 3, 3]
    joints = np.concatenate([trunk, limbs.reshape(n, 12, 3)], 1)
    lowest = (joints[..., 2] - _flesh_m(bodies)).min(-1)
    joints[..., 2] += (motion.lift_m - lowest)[:, None]
    joints[..., :2] += motion.place_m[:, None]
    return joints.astype(np.float32)


def joint_velocities(bodies: Bodies, motion: Motion, step_s: float = 0.01) -> np.ndarray:
    """Velocity of every joint, [N, 15, 3] m/s, by a forward difference of the parameters."""
    later = Motion(
        angles=(motion.angles + step_s * motion.angle_rates).clip(_LIMITS[0], _LIMITS[1]),
        angle_rates=motion.angle_rates,
        heading=motion.heading,
        place_m=motion.place_m + step_s * motion.velocity_mps,
        velocity_mps=motion.velocity_mps,
        lift_m=motion.lift_m,
    )
    return (forward_kinematics(bodies, later) - forward_kinematics(bodies, motion)) / step_s


def _mode_weights() -> np.ndarray:
    weights = np.array([w for w, _ in MODES.values()])
    return weights / weights.sum()


def _mode_tables() -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every angle in every mode, [M, A] rad."""
    tables = np.zeros((2, len(MODES), len(ANGLES)))
    for i, (_, fixed) in enumerate(MODES.values()):
        for name in ANGLES:
            base = name.removesuffix("_left").removesuffix("_right")
            pair = fixed.get(name, fixed.get(base, _COMMON.get(base, (0.0, 0.0))))
            tables[:, i, _INDEX[name]] = pair
    tables = np.deg2rad(tables)
    return tables[0], tables[1]


_MODE_MEAN, _MODE_SD = _mode_tables()
_ARM_TABLE = np.deg2rad(np.array([v for _, v in ARM_MODES.values()]))  # [M, 4, 2]


def _sample_arms(rng: Rng, n: int) -> np.ndarray:
    """Arm angles [N, 2, 4]; both arms share their mode in six of ten."""
    weights = np.array([w for w, _ in ARM_MODES.values()])
    mode = rng.choice(len(weights), (n, 2), p=weights / weights.sum())
    mode[:, 1] = np.where(rng.random(n) < 0.6, mode[:, 0], mode[:, 1])
    table = _ARM_TABLE[mode]  # [N, 2, 4, 2]
    return table[..., 0] + table[..., 1] * rng.normal(size=(n, 2, 4))


def _walk(
    rng: Rng, angles: np.ndarray, rates: np.ndarray, speed: np.ndarray, walking: np.ndarray
) -> np.ndarray:
    """Set legs (and in eight of ten the arms) to a gait phase; returns speeds with the walkers'."""
    n = len(angles)
    walk_speed = rng.uniform(0.6, 2.0, n)
    phase = rng.uniform(-np.pi, np.pi, n)
    cadence = 2 * np.pi * (0.55 + 0.25 * walk_speed)  # rad/s
    stride = np.deg2rad(10 + 13 * walk_speed) * rng.normal(1, 0.12, n)

    def legs_and_arms(phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        swing = np.sin(phase)[:, None] * _SIDE  # [N, 2]
        forward = np.maximum(np.cos(phase)[:, None] * _SIDE, 0)
        legs = np.stack([0.12 + stride[:, None] * swing, 0.1 + 0.9 * forward**2], -1)
        arms = np.stack([-0.8 * stride[:, None] * swing, 0.3 + 0.3 * np.maximum(-swing, 0)], -1)
        return legs, arms

    now, later = legs_and_arms(phase), legs_and_arms(phase + 1e-3)
    w = np.flatnonzero(walking)
    swinging = np.flatnonzero(walking & (rng.random(n) < 0.8))
    for who, columns, start, end in (
        (w, _LEGS[:, [0, 3]], now[0], later[0]),
        (swinging, _ARMS[:, [0, 3]], now[1], later[1]),
    ):
        index = (who[:, None, None], columns[None])
        angles[index] = start[who] + rng.normal(0, 0.06, start[who].shape)
        rates[index] = (end - start)[who] / 1e-3 * cadence[who, None, None]
    hang = (swinging[:, None, None], _ARMS[None, :, [1, 2]])
    angles[hang] = np.array([0.14, 0.2]) + rng.normal(0, 0.12, (len(swinging), 2, 2))
    return np.where(walking, walk_speed, speed)


def _lie(rng: Rng, angles: np.ndarray, lying: np.ndarray) -> None:
    """Turn the pelvis of those who lie: on the back, the front or a side."""
    n = len(angles)
    on_side = rng.random(n) < 0.35
    sign = np.where(rng.random(n) < 0.65, -1.0, 1.0)  # two thirds on the back
    quarter = sign * (np.pi / 2 + rng.normal(0, 0.08, n))
    pitch, roll = _INDEX["pelvis_pitch"], _INDEX["pelvis_roll"]
    angles[:, pitch] = np.where(lying, np.where(on_side, 0, quarter), angles[:, pitch])
    angles[:, roll] = np.where(lying, np.where(on_side, quarter, 0), angles[:, roll])


def _flesh_m(bodies: Bodies) -> np.ndarray:
    """How far each joint is from the surface that touches the ground, [N, 15] m."""
    share = [0.05, 0.05, 0.055, 0.05, 0.025, 0.02, 0.055, 0.032, 0, 0.05, 0.025, 0.02, 0.055,
             0.032, 0]  # fmt: skip
    flesh = bodies.stature[:, None] * np.array(share, np.float32)
    flesh[:, [8, 14]] = bodies.ankle_height[:, None]
    return flesh


def _ball_joint(limb: np.ndarray) -> np.ndarray:
    """Rotations [N, 2, 3, 3] of thighs or upper arms; limb [N, 2, 4] as in _LEG or _ARM."""
    flexion, abduction, inward = limb[..., 0], _SIDE * limb[..., 1], _SIDE * limb[..., 2]
    return _rot_y(-flexion) @ _rot_x(abduction) @ _rot_z(-inward)


def _apply(R: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (R @ v[..., None])[..., 0]


def _rot(i: int, j: int, angle: np.ndarray) -> np.ndarray:
    """Rotation from axis i towards axis j, [..., 3, 3]."""
    out = np.zeros((*angle.shape, 3, 3), np.float32)
    out[..., [0, 1, 2], [0, 1, 2]] = 1.0
    out[..., i, i] = out[..., j, j] = np.cos(angle)
    out[..., j, i] = np.sin(angle)
    out[..., i, j] = -out[..., j, i]
    return out


def _rot_x(angle: np.ndarray) -> np.ndarray:
    return _rot(1, 2, angle)


def _rot_y(angle: np.ndarray) -> np.ndarray:
    return _rot(2, 0, angle)


def _rot_z(angle: np.ndarray) -> np.ndarray:
    return _rot(0, 1, angle)
