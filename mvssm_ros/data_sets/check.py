"""What is missing in a data set on disk, what is corrupt, and how many frames it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mvssm_ros.data_sets import campus_shelf, human36m, own, panoptic
from mvssm_ros.data_sets.frames import NO_FAULT, Sequence, folder
from mvssm_ros.errors import UserError

Opener = Callable[[], Sequence]
LAYOUTS = {
    "panoptic": panoptic.LAYOUT,
    "campus": f"{campus_shelf.CAMPUS.calibration}, actorsGT.mat and Camera0 to 2",
    "shelf": f"{campus_shelf.SHELF.calibration}, actorsGT.mat and Camera0 to 4",
    "human36m": human36m.LAYOUT,
    "own": own.LAYOUT,
}
KINDS = tuple(LAYOUTS)
DECODED = ("all", "some", "none")  # what the command offers of frames.IMAGE_CHECKS


@dataclass(frozen=True)
class Options:
    """What to check. interval, split: None = all that lies there, at the papers' intervals."""

    kind: str | None = None
    arrangement: str | None = None
    images: str = "some"
    split: str | None = None
    sequences: tuple[str, ...] = ()
    interval: int | None = None
    whole: bool = False

    @property
    def panoptic_cameras(self) -> str:
        return self.arrangement or panoptic.DEFAULT_ARRANGEMENT


@dataclass(frozen=True)
class Trouble:
    """count frames, or 0 for a whole sequence, that cannot be used; file: where it was first seen."""

    what: str
    count: int = 0
    file: str = ""
    is_fault: bool = True


@dataclass(frozen=True)
class Row:
    """One sequence; `sequence` is None where it could not be opened."""

    name: str
    sequence: Sequence | None
    troubles: tuple[Trouble, ...]

    @property
    def n_frames(self) -> int:
        return len(self.sequence.frames) if self.sequence else 0


def guess_kind(root: str | Path) -> str:
    """Which data set lies in a folder. Raises UserError if none does, or several do."""
    root = folder(root, _all_layouts())
    found = [kind for kind in KINDS if _looks_like(kind, root)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"data set {root}: could be {' or '.join(found)}; name one with --kind")
    above = " (this is one sequence: name the folder above it)" if _is_sequence(root) else ""
    raise UserError(f"data set {root}: holds none that is known{above}; expected {_all_layouts()}")


def _all_layouts() -> str:
    return "; or ".join(f"{kind}: {layout}" for kind, layout in LAYOUTS.items())


def _is_sequence(root: Path) -> bool:
    return (root / f"calibration_{root.resolve().name}.json").exists()


def _looks_like(kind: str, root: Path) -> bool:
    if kind == "panoptic":
        return bool(panoptic.found_sequences(root))
    if kind == "human36m":
        subjects = (*human36m.SPLITS["train"], *human36m.SPLITS["test"])
        return (root / human36m.CALIBRATION).exists() or bool(human36m.pose_files(root, subjects))
    if kind == "own":
        return (root / own.PEOPLE).exists()
    data = campus_shelf.CAMPUS if kind == "campus" else campus_shelf.SHELF
    return (root / data.calibration).exists()


def resolve(root: str | Path, options: Options) -> tuple[str, list[tuple[str, Opener]]]:
    """The kind of data set and how to open its sequences, by name.

    Raises:
        UserError: no such folder, nothing in it that is known, or an option that does not exist or
            does not fit.
    """
    if options.kind is not None and options.kind not in KINDS:
        raise UserError(f"--kind {options.kind}: expected one of {', '.join(KINDS)}")
    if options.images not in DECODED:
        raise UserError(f"--images {options.images}: expected one of {', '.join(DECODED)}")
    if options.interval is not None and options.interval < 1:
        raise UserError(f"--interval {options.interval}: expected 1 or more")
    if options.split not in (None, *panoptic.SPLITS):
        raise UserError(f"--split {options.split}: expected {' or '.join(panoptic.SPLITS)}")
    kind = options.kind or guess_kind(root)
    _check_fit(kind, options)
    path = folder(root, LAYOUTS[kind])
    asked = kind == "panoptic" and (options.split or options.sequences)  # then it is missed by name
    if not asked and not _looks_like(kind, path):
        raise UserError(f"data set {path}: is no {kind} data set; expected {LAYOUTS[kind]}")
    if kind == "panoptic":
        return kind, _panoptic(path, options)
    if kind == "human36m":
        return kind, _human36m(path, options)
    if kind == "own":
        return kind, _own(path, options)
    opener = campus_shelf.open_campus if kind == "campus" else campus_shelf.open_shelf
    return kind, [(kind, partial(opener, path, options.whole, options.images))]


def _check_fit(kind: str, options: Options) -> None:
    """Raise UserError for options that other kinds of data sets have."""
    single = kind in ("campus", "shelf")
    strange = {
        "--arrangement": options.arrangement is not None and kind != "panoptic",
        "--sequences": options.sequences and kind != "panoptic",
        "--whole": options.whole and not single,
        "--split": options.split and single,
        "--interval": options.interval and single,
    }
    for option in (name for name, is_strange in strange.items() if is_strange):
        raise UserError(f"{option} does not go with {kind}: leave it out")


def _panoptic(root: Path, options: Options) -> list[tuple[str, Opener]]:
    panoptic.arrangement_nodes(options.panoptic_cameras)
    names = options.sequences or (
        panoptic.split_sequences(root, options.split)
        if options.split
        else panoptic.found_sequences(root)
    )
    openers: list[tuple[str, Opener]] = []
    for name in names:
        split = options.split or ("test" if name in panoptic.SPLITS["test"] else "train")
        interval = options.interval or panoptic.INTERVALS[split]
        openers.append(
            (
                name,
                partial(
                    panoptic.open_sequence,
                    root / name,
                    options.panoptic_cameras,
                    interval,
                    options.images,
                ),
            )
        )
    return openers


def _human36m(root: Path, options: Options) -> list[tuple[str, Opener]]:
    openers: list[tuple[str, Opener]] = []
    for split, subjects in human36m.SPLITS.items():
        if options.split in (None, split):
            for file in human36m.pose_files(root, subjects):
                interval = options.interval or human36m.INTERVALS[split]
                opener = partial(human36m.open_sequence, root, file, interval, options.images)
                openers.append((human36m.sequence_name(file), opener))
    if not openers:
        raise UserError(f"Human3.6M data set {root}: no poses; expected {human36m.LAYOUT}")
    return openers


def _own(root: Path, options: Options) -> list[tuple[str, Opener]]:
    def opener(split: str) -> Opener:
        return lambda: own.open_own(root, split, options.images, options.interval or 1)[0]

    return [(split, opener(split)) for split in own.SPLITS if options.split in (None, split)]


def check(openers: list[tuple[str, Opener]]) -> Iterator[Row]:
    """Each sequence as it is done. What is wrong with the data is in the rows, not raised."""
    for name, opener in openers:
        try:
            sequence = opener()
        except UserError as error:
            yield Row(name, None, (Trouble(str(error)),))
            continue
        troubles = [
            Trouble(reason, count, sequence.examples.get(reason, ""), reason not in NO_FAULT)
            for reason, count in sequence.skipped.items()
        ]
        if not sequence.frames:
            troubles.append(Trouble("no frame can be used"))
        yield Row(name, sequence, tuple(troubles))


def heading(width: int) -> str:
    return f"{'sequence':{width}s}  {'frames':>7s}  {'cameras':>7s}  {'people':>7s}"


def table_lines(row: Row, width: int) -> list[str]:
    """A row of the table, and below it a line for each kind of trouble."""
    if row.sequence is None:
        cells = ("-", "-", "-")
    else:
        people = sorted(frame.n_people for frame in row.sequence.frames)
        span = "-".join(dict.fromkeys(str(n) for n in (people[0], people[-1]))) if people else "-"
        cells = (str(row.n_frames), str(len(row.sequence.camera_names)), span)
    lines = [f"{row.name:{width}s}  " + "  ".join(f"{cell:>7s}" for cell in cells)]
    for trouble in row.troubles:
        count = f"{trouble.count:7d}" if trouble.count else " " * 7
        what = trouble.what if trouble.is_fault else f"{trouble.what} (no fault)"
        where = f"; first: {trouble.file}" if trouble.file else ""
        lines.append(f"{count} {what}{where}")
    return lines


def summary(rows: list[Row], kind: str, options: Options) -> list[str]:
    """What the table comes to, in sentences."""
    frames = sum(row.n_frames for row in rows)
    faults = [t for row in rows for t in row.troubles if t.is_fault]
    left_out = sum(t.count for t in faults)
    closed = sum(row.sequence is None for row in rows)
    lines = [f"frames that can be used: {frames}"]
    if left_out:
        lines[0] += f"; left out for faults: {left_out}"
    if closed:
        lines[0] += f"; sequences that cannot be opened: {closed} of {len(rows)}"
    if kind == "own":
        frames_of = [row.sequence.frames for row in rows if row.sequence]
        told = own.doubt(
            person for part in frames_of for frame in part for person in frame.joints_m
        )
        lines += [told] * bool(told)
    if kind == "panoptic" and not options.split and not options.sequences:
        names = {row.name for row in rows}
        for split, wanted in panoptic.SPLITS.items():
            lacking = [n for n in wanted if n not in names and n not in panoptic.OPTIONAL]
            if lacking:
                lines.append(f"not here, of the papers' {split} split: {', '.join(lacking)}")
    return lines


def is_usable(rows: list[Row]) -> bool:
    """Nothing is missing or corrupt."""
    return bool(rows) and not any(t.is_fault for row in rows for t in row.troubles)
