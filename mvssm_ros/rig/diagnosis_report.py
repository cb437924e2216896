"""`mvssm rig check --people`: what `diagnosis` found, in words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.rig import diagnosis
from mvssm_ros.rig.association import Tolerance
from mvssm_ros.rig.diagnosis import Correction, Finding, diagnose
from mvssm_ros.rig.keypoint_sequence import KeypointSequence, load_keypoints
from mvssm_ros.rig.observed_people import seen_joints
from mvssm_ros.rig.rig_file import Rig

TOLERANCE = Tolerance(np.deg2rad(5.0), 0.2)  # how wrong a calibration may be to be looked at
_MAX_FRAMES = 200
_HEIGHT_M = 1.0  # where people are, roughly, above the floor
_NEARLY = 0.05  # other causes that leave at most so much more than the best are told


def check_with_people(rig: Rig, path: str | Path) -> list[str]:
    """Sentences on how each camera agrees with the people in a keypoints file.

    Raises:
        UserError: the file is wrong, names other cameras than the rig, or shows too few people.
    """
    sequence = load_keypoints(path)
    unknown = [name for name in sequence.cameras if name not in rig.cameras]
    if unknown:
        raise UserError(
            f"keypoints {path}: {', '.join(unknown)} not in the rig, which has"
            f" {', '.join(rig.cameras)}"
        )
    if len(sequence.cameras) < 3:
        raise UserError(
            f"keypoints {path}: are of {len(sequence.cameras)} cameras; with fewer than three it"
            " cannot be told which of them is wrong"
        )
    findings, n_people = find(rig, sequence)
    if not any(finding.joints for finding in findings):
        raise UserError(f"keypoints {path}: nobody in them is seen by three cameras at once")
    sentences = [f"people: up to {n_people} at once in {len(sequence.stamps_ns)} sets"]
    names = sequence.cameras
    for name, finding in zip(names, findings, strict=True):
        sentences.append(f"camera {name}: {_agreement(finding, findings)}")
    return sentences


def find(rig: Rig, sequence: KeypointSequence) -> tuple[list[Finding], int]:
    """`diagnose` for the cameras of a sequence, and how many people are seen at most."""
    cameras = rig.to_cameras(sequence.cameras, dtype=torch.float64)
    joints = seen_joints(sequence, cameras, TOLERANCE, _MAX_FRAMES)
    middle = np.array([*rig.space.center_m, rig.space.floor_m + _HEIGHT_M])
    return diagnose(cameras, joints, middle), joints.n_people


def _agreement(finding: Finding, findings: list[Finding]) -> str:
    if math.isnan(finding.error_px):
        return "saw nobody together with two others; nothing to compare with"
    error = (
        f"{finding.error_px:.1f} px from what the others see (median of {finding.joints} joints)"
    )
    if finding.correction is None:
        if any(f.correction is not None for f in findings):
            return (
                f"{error}; agrees: {finding.left_px:.1f} px once the cameras named here are right"
            )
        return f"{error}; agrees with the others"
    others = [cause for cause, more in finding.others if more < _NEARLY]
    doubt = f"; {' or '.join(others)} would explain it nearly as well" if others else ""
    return (
        f"{error}; likely cause: {describe(finding.correction)} (leaves {finding.left_px:.1f} px)"
        f"{doubt}"
    )


def describe(correction: Correction) -> str:
    """The cause and how to put it right, with units."""
    value = correction.value
    if correction.cause == diagnosis.TIME:
        way = "late" if value[0] < 0 else "early"
        return f"time offset: its stamps are {abs(1000 * value[0]):.0f} ms too {way}"
    if correction.cause == diagnosis.ROTATION:
        angle, axis = np.rad2deg(np.linalg.norm(value)), np.rad2deg(value)
        return (
            f"rotation: turned by {angle:.2f} degrees (about its x, y, z:"
            f" {axis[0]:+.2f}, {axis[1]:+.2f}, {axis[2]:+.2f})"
        )
    if correction.cause == diagnosis.POSITION:
        return (
            f"position: {1000 * np.linalg.norm(value):.0f} mm off (translation_m needs"
            f" {value[0]:+.3f}, {value[1]:+.3f}, {value[2]:+.3f})"
        )
    if correction.cause == diagnosis.PRINCIPAL_POINT:
        return f"principal point: cx, cy need {value[0]:+.1f}, {value[1]:+.1f} px"
    return f"focal length: fx, fy need {100 * value[0]:+.1f} %"
