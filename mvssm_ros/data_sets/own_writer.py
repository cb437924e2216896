"""Writes a data set in the layout of `own`, all of it or nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mvssm_ros.data_sets.frames import Array
from mvssm_ros.data_sets.own import IMAGES, PEOPLE, RIG
from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import Rig

_SCRATCH = "unfinished"  # in ROOT, so that the last step is a renaming on the same disk
_MADE = (RIG, PEOPLE, IMAGES)
_DIGITS = 6  # after the comma: micrometres


class OwnWriter:
    """A data set that is being written, in ROOT/unfinished; `finish` puts it into its place.

    `with OwnWriter(...)` removes what was written where it is left by an error.

    Args:
        root: the folder; made if it is not there.
        rig: with intrinsics and extrinsics of all cameras.
        overwrite: a data set of this kind that lies there is replaced; not before `finish`.

    Raises:
        UserError: the folder is a file, has something in it, or cannot be made.
    """

    def __init__(self, root: str | Path, rig: Rig, overwrite: bool = False) -> None:
        self.root = Path(root)
        self.count = 0  # moments written
        self._rig = rig
        self._was_there = self.root.is_dir()
        _check_free(self.root, overwrite)
        self._scratch = self.root / _SCRATCH
        self._lines: TextIO | None = None
        with self._writing():
            for name in rig.cameras:
                (self._scratch / IMAGES / name).mkdir(parents=True)
            self._lines = (self._scratch / PEOPLE).open("w", encoding="utf-8")

    def __enter__(self) -> OwnWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            self.discard()

    def add(self, stamp_ns: int, images: Mapping[str, bytes], joints_m: Array) -> None:
        """One moment.

        Args:
            images: JPEG files, by camera.
            joints_m: [G, 15, 3] in the rig's frame, panoptic15, NaN where not known.

        Raises:
            UserError: the disk is full, or cannot be written for another reason.
        """
        paths = {name: f"{IMAGES}/{name}/{self.count:06d}.jpg" for name in images}
        people = [
            [
                [round(float(x), _DIGITS) for x in joint] if np.isfinite(joint).all() else None
                for joint in person
            ]
            for person in joints_m
        ]
        line = json.dumps({"stamp_ns": int(stamp_ns), "images": paths, "people": people})
        assert self._lines is not None
        with self._writing():
            for name, data in images.items():
                (self._scratch / paths[name]).write_bytes(data)
            self._lines.write(line + "\n")
        self.count += 1

    def finish(self, comment: str) -> None:
        """Put the data set into its place. comment: lines at the top of its rig file."""
        assert self._lines is not None
        with self._writing():
            self._lines.close()
            self._rig.save(self._scratch / RIG, comment)
            for name in _MADE:
                _remove(self.root / name)
                (self._scratch / name).rename(self.root / name)
            self._scratch.rmdir()

    def discard(self) -> None:
        """Remove what was written."""
        if self._lines is not None:
            with suppress(OSError):  # the disk is full
                self._lines.close()
        shutil.rmtree(self.root if not self._was_there else self._scratch, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise UserError(
                f"data set {self.root}: cannot be written: {error.strerror or error}"
            ) from error


def _check_free(root: Path, overwrite: bool) -> None:
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f"data set {root}: is a file, expected a folder")
    try:
        lies = sorted(path.name for path in root.iterdir())
    except OSError as error:
        raise UserError(f"data set {root}: cannot be read ({error.strerror})") from None
    if _SCRATCH in lies:
        raise UserError(
            f"data set {root}: '{_SCRATCH}' is left in it from a run that was broken off, or one"
            " writes there now; remove it, or give another folder"
        )
    if not lies or (overwrite and PEOPLE in lies):
        return
    if PEOPLE in lies:
        raise UserError(f"data set {root}: is there already; give another folder, or --overwrite")
    raise UserError(
        f"data set {root}: the folder holds something else ({', '.join(lies[:3])}); give another"
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
