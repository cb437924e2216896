"""`mvssm data from-bag`: a data set to train on, from a recorded bag and what is known of the people."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.commands.ros_arguments import no_ros
from mvssm_ros.data_sets.frames import NOT_METRES, OUTSIDE, Array, Candidate, usable
from mvssm_ros.data_sets.label_files import read_label_file
from mvssm_ros.data_sets.label_topic import read_label_topic
from mvssm_ros.data_sets.labels import Labels, People3D, seen_by_two
from mvssm_ros.data_sets.own import doubt
from mvssm_ros.data_sets.own_writer import OwnWriter
from mvssm_ros.errors import UserError
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.rig_file import Rig, load_rig

if TYPE_CHECKING:
    from mvssm_ros.nodes.bag_images import BagImages

_SOURCES = ("people", "people_topic", "keypoints", "keypoints_topics")
_TOLERANCE_S, _TOLERANCE_2D_S = 0.05, 0.02
_MOST_S = 4e9  # also from stamps that begin at 0
_NOT_SEEN = "nobody whom two cameras see"
_NOWHERE = (OUTSIDE, NOT_METRES)


def add_arguments(actions: Any) -> None:
    """The sub-command, on the subparsers of `mvssm data`."""
    parser = actions.add_parser(
        "from-bag",
        help="make a data set of a recorded bag, with people from elsewhere or from 2D labels",
        description="Puts the images of a bag into synchronous sets and writes them with the people in"
        " them: ROOT/rig.yaml, people.jsonl and images. The people are those of another system, in"
        " metres in the rig's frame, or are triangulated from 2D labels. Sets that cannot be used are"
        " left out and counted.",
    )
    parser.add_argument("bag", help="a bag's folder, or an .mcap or .db3 file")
    parser.add_argument("--rig", required=True, metavar="rig.yaml", help="the rig file")
    parser.add_argument("--out", required=True, metavar="ROOT", help="the folder to make")
    who = parser.add_argument_group("where people are from (one of these)")
    who.add_argument("--people", metavar="FILE",
                     help="3D people, .jsonl or .csv (as of mvssm export)")  # fmt: skip
    who.add_argument("--people-topic", metavar="TOPIC",
                     help="3D people of a PersonArray in the bag, such as /ground_truth")  # fmt: skip
    who.add_argument("--keypoints", metavar="FILE",
                     help="2D people, .npz (as of mvssm rig keypoints)")  # fmt: skip
    who.add_argument("--keypoints-topics", action="store_true",
                     help="2D people on /<camera>/keypoints (Keypoints2DArray) in the bag")  # fmt: skip
    parser.add_argument("--skeleton", default="panoptic15", metavar="NAME",
                        help="of the joints in --people, unless it says (default: %(default)s)")  # fmt: skip
    parser.add_argument("--tolerance", type=float, metavar="S",
                        help="labels may be so far from an image in time; 3D ones, before and after"
                        f" it, in the mean (default: {_TOLERANCE_S} s, 2D: {_TOLERANCE_2D_S} s)")  # fmt: skip
    parser.add_argument("--time-offset", type=float, default=0.0, metavar="S",
                        help="add this to the stamps of the labels (default: 0)")  # fmt: skip
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="only these of the rig")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="use every N-th set (default: %(default)s)")  # fmt: skip
    parser.add_argument("--slop", type=float, default=0.012, metavar="S",
                        help="largest spread of the stamps in a set (default: %(default)s)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace such a data set in ROOT")


@dataclass
class _Counts:
    """sets: all that were looked at; written: the people of each that was, [G, 15, 3] m; unseen: left out
    of these; left_out: sets, by reason; examples: what was wrong with the first, where there is more
    to say."""

    sets: int = 0
    unseen: int = 0
    written: list[Array] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reason: str, example: str = "") -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1
        self.examples.setdefault(reason, example)

    def lines(self) -> list[str]:
        """One for every reason."""
        return [
            f"{count:7d} {reason}"
            + (f"; first: {self.examples[reason]}" if self.examples[reason] else "")
            for reason, count in self.left_out.items()
        ]


def run(args: argparse.Namespace) -> int:
    source = _check(args)
    rig = _chosen(load_rig(args.rig), args.cameras)
    try:
        from mvssm_ros.nodes.bag_images import BagImages
    except ImportError as error:
        raise no_ros(error) from None
    torch.set_num_threads(1)  # more make the network's small tensors slower
    with BagReader(args.bag) as bag:
        images = BagImages(bag, rig, round(args.slop * 1e9))
        plausibility.check(images.rig, f"rig file {args.rig}")
        labels = _labels(args, source, bag, images.rig)
        with OwnWriter(args.out, images.rig, args.overwrite) as writer:
            counts = _write(images, labels, writer, args.every)
            if not writer.count:
                raise UserError(_nothing(args, counts, images, labels))
            writer.finish(f"The cameras of {Path(args.bag).name}; made by 'mvssm data from-bag'.")
        recalibrated = bag.topics.get("/calibration")
    people = [person for moment in counts.written for person in moment]
    print(
        f"{args.out}: {writer.count} moments of {len(images.rig.cameras)} cameras, {len(people)}"
        f" people in them, from {counts.sets} sets of images"
    )
    if told := doubt(people):
        print(f"warning: {told}")
    left_out = sum(counts.left_out.values())
    if left_out:
        print(f"sets left out: {left_out}", *counts.lines(), sep="\n")
    if counts.unseen:
        print(f"people left out whom fewer than two cameras see: {counts.unseen}")
    if images.drops:
        drops = ", ".join(f"{reason} {n}" for reason, n in images.drops.items())
        print(f"images without a set: {drops}")
    if recalibrated is not None and recalibrated.count:
        print(
            f"warning: the bag has {recalibrated.count} calibrations on /calibration, which are not"
            f" used: {args.rig} must hold for all of it"
        )
    return 0


def _check(args: argparse.Namespace) -> str:
    """Which of `_SOURCES` is given. Raises UserError: none, two, or a number that cannot be."""
    given = [name for name in _SOURCES if getattr(args, name)]
    options = [f"--{name.replace('_', '-')}" for name in _SOURCES]
    if len(given) != 1:
        got = " and ".join(f"--{name.replace('_', '-')}" for name in given) or "none"
        raise UserError(
            f"where are the people from? expected one of {', '.join(options)}, got {got}"
        )
    if args.every < 1:
        raise UserError(f"--every {args.every}: expected 1 or more")
    for name, low, high in (
        ("tolerance", 0.0, 1.0),
        ("slop", 0.0, 1.0),
        ("time_offset", -_MOST_S, _MOST_S),
    ):
        value = getattr(args, name)
        if value is not None and not low <= value <= high:  # NaN is neither
            raise UserError(
                f"--{name.replace('_', '-')} {value:g}: expected seconds, {low:g} to {high:g}"
            )
    return given[0]


def _chosen(rig: Rig, names: list[str] | None) -> Rig:
    """The rig with these cameras only."""
    if names is None:
        return rig
    for name in names:
        if name not in rig.cameras:
            raise UserError(f"--cameras {name}: the rig has {', '.join(rig.cameras)}")
    chosen = {name: entry for name, entry in rig.cameras.items() if name in names}
    if len(chosen) < 2:
        raise UserError("--cameras: expected two or more")
    return replace(rig, cameras=chosen)


def _labels(args: argparse.Namespace, source: str, bag: BagReader, rig: Rig) -> Any:
    offset_ns = round(args.time_offset * 1e9)
    if source in ("people", "people_topic"):
        tolerance_s = _TOLERANCE_S if args.tolerance is None else args.tolerance
        if source == "people":
            where = f"labels {args.people}"
            moments = read_label_file(args.people, args.skeleton)
        else:
            where = f"bag {bag.path}, topic '{args.people_topic}'"
            moments = read_label_topic(bag, args.people_topic, rig.reference_frame)
        moved = [replace(moment, stamp_ns=moment.stamp_ns + offset_ns) for moment in moments]
        return People3D(moved, round(tolerance_s * 1e9), where)
    from mvssm_ros.data_sets.labels_2d import People2D, sequence_of

    tolerance_s = _TOLERANCE_2D_S if args.tolerance is None else args.tolerance
    from_bag = source == "keypoints_topics"
    sequence = sequence_of(bag.path if from_bag else args.keypoints, from_bag, rig)
    return People2D(sequence, rig, round(tolerance_s * 1e9), offset_ns)


def _write(images: BagImages, labels: Labels, writer: OwnWriter, every: int) -> _Counts:
    counts, number = _Counts(), 0
    with tqdm(total=images.n_messages, unit="image", disable=not sys.stderr.isatty()) as bar:
        for image_set in images.sets():
            if image_set is None:
                bar.update()
                continue
            if number % every == 0:
                counts.sets += 1
                _take(image_set, images, labels, writer, counts)
            number += 1
    return counts


def _take(
    image_set: ImageSet, images: BagImages, labels: Labels, writer: OwnWriter, counts: _Counts
) -> None:
    """Write a set, or count why not."""
    rig = images.rig
    lacking = [name for name in rig.cameras if name not in image_set.items]
    if lacking:
        counts.leave_out(f"without an image of {', '.join(lacking)}")
        return
    joints, reason = labels.at(image_set.stamp_ns)
    reason = reason or _outside(joints, rig)
    if reason:
        middle = np.nanmean(joints, (0, 1)) if reason in _NOWHERE else np.zeros(0)
        where = f"the middle of its people is ({', '.join(f'{x:.2f}' for x in middle)}) m"
        counts.leave_out(reason, where if len(middle) else "")
        return
    seen = seen_by_two(rig.to_cameras(), joints)
    if not seen.any():
        counts.leave_out(_NOT_SEEN)
        return
    try:
        files = {name: images.jpeg(name, message) for name, message in image_set.items.items()}
    except UserError as error:
        counts.leave_out("with an image that cannot be used", str(error))
        return
    writer.add(image_set.stamp_ns, files, joints[seen])
    counts.written.append(joints[seen])
    counts.unseen += int((~seen).sum())


def _outside(joints: Array, rig: Rig) -> str:
    """What the reader of data sets would say of these people, "" if nothing."""
    names, space = tuple(rig.cameras), (rig.space.center_m, rig.space.size_m)
    lowered = joints - (0.0, 0.0, rig.space.floor_m)
    one = Candidate("", (), lowered, Path())
    skipped = usable("", rig.to_cameras(), names, [one], space, images="none").skipped
    return next(iter(skipped), "")


def _nothing(args: argparse.Namespace, counts: _Counts, images: BagImages, labels: Any) -> str:
    """Why not one set could be used."""
    reasons = "; ".join(" ".join(line.split()) for line in counts.lines())
    text = f"bag {args.bag}: not one of its {counts.sets} sets of images can be used: {reasons}"
    if not counts.sets:
        drops = ", ".join(f"{reason} {n}" for reason, n in images.drops.items()) or "none came"
        text = (
            f"bag {args.bag}: no two images belong together ({drops}); are the cameras' stamps"
            f" further apart than --slop {args.slop:g} s?"
        )
    if any("near in time" in reason for reason in counts.left_out):
        first, last = (ns / 1e9 for ns in labels.span_ns)
        text += (
            f"; the labels are from {first:.3f} to {last:.3f} s: their clock must be that of the"
            " images (--time-offset), and they must be close enough together (--tolerance)"
        )
    if any(reason in counts.left_out for reason in _NOWHERE):
        text += f"; lengths must be metres in the frame '{images.rig.reference_frame}', z up"
    return text
