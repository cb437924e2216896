"""`mvssm fuzz`: damaged messages and files; all must be accepted or refused with one clear line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from mvssm_ros.errors import UserError
from mvssm_ros.fuzzing.runner import Outcome, Target, random_of, run_cases

KINDS = (
    *("image", "camera_info", "compressed", "calibration", "keypoints", "rig", "weights"),
    "bag",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", type=int, default=100_000, help="cases of each kind (default: %(default)s)"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0, help="of all cases (default: %(default)s)")
    parser.add_argument(
        "--what", default=",".join(KINDS), help="kinds, by commas (default: %(default)s)"
    )
    parser.add_argument(
        "--out", default="out/fuzz", help="where inputs that are findings go (default: %(default)s)"
    )
    parser.add_argument(
        "--memory-mib",
        type=int,
        default=1024,
        help="a case that wants more than this is a finding (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """0: every input was accepted or refused. 1: there are findings."""
    kinds = args.what.split(",")
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise UserError(f"--what names {', '.join(unknown)}: expected some of {', '.join(KINDS)}")
    if args.count < 1 or args.first < 0 or args.memory_mib < 1:
        raise UserError("--count and --memory-mib are at least 1, --first is at least 0")
    numbers = range(args.first, args.first + args.count)
    found = 0
    print("| input | cases | accepted | refused | findings | s | memory growth, peak MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind in kinds:
        make_target = _target(kind)
        outcome = run_cases(kind, make_target, numbers, args.seed, args.memory_mib)
        print(
            f"| {kind} | {outcome.accepted + outcome.refused + len(outcome.findings)}"
            f" | {outcome.accepted} | {outcome.refused} | {len(outcome.findings)}"
            f" | {outcome.seconds:.0f} | {outcome.growth_mib:.0f}, {outcome.peak_mib:.0f} |",
            flush=True,
        )
        if outcome.findings:
            _save(kind, make_target(), outcome, args)
        found += len(outcome.findings)
    return 1 if found else 0


def _target(kind: str) -> Callable[[], Target]:
    if kind == "bag":
        from mvssm_ros.fuzzing.bags import Bags

        return Bags
    if kind in ("rig", "weights"):
        from mvssm_ros.fuzzing.files import RigFiles, WeightsFiles

        return RigFiles if kind == "rig" else WeightsFiles
    try:
        from mvssm_ros.nodes.fuzz_calibrations import Calibrations
        from mvssm_ros.nodes.fuzz_keypoints import KeypointArrays
        from mvssm_ros.nodes.fuzz_messages import CameraInfos, CompressedImages, Images
    except ImportError as error:
        raise UserError(
            f"fuzz of {kind} needs ROS ({error}); source it, or fuzz --what rig,weights,bag"
        ) from error
    targets: dict[str, Callable[[], Target]] = {
        "image": Images,
        "camera_info": CameraInfos,
        "compressed": CompressedImages,
        "calibration": Calibrations,
        "keypoints": KeypointArrays,
    }
    return targets[kind]


def _save(kind: str, target: Target, outcome: Outcome, args: argparse.Namespace) -> None:
    """Print the findings, and keep their inputs."""
    for number, what in outcome.findings.items():
        path = Path(args.out) / f"{kind}_{args.seed}_{number}{target.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.make(random_of(args.seed, kind, number)))
        print(
            f"finding: {what}\n  input: {path}\n  again: mvssm fuzz --what {kind} --seed {args.seed}"
            f" --first {number} --count 1"
        )
