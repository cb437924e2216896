"""How somebody is built: what is left to tell people apart by when they come back, or have come so
near each other that one was taken for the other.

The lengths of limbs differ between people by 40 to 90 mm, and each set of images gives them to about
15 mm where nobody else is near; the network's error goes on for several sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.tracking.body_filter import Array

ALONE_M = 0.4  # with somebody nearer nobody is measured: the network mixes their limbs
MEET_M = 0.9  # from so near one may have been taken for the other
KNOWN_SETS = 12  # after which somebody's build is known
FITS = 28.0  # chi squared, of 8 lengths, of one person measured twice
CLEARER = 20.0  # by which the next best must fit worse
_FIRST_SETS = 3  # measured of somebody new before they are compared
_SAME = 10.0  # chi squared, as above, of 20 sets: 97 of 100 of one person are below
_LATELY_SETS = 20  # of the newest measurements, which are kept apart until they fit the older ones
_ERROR_M = 0.012  # that no number of sets betters
_SET_ERROR_M = 0.025  # of one set, counted as if sets were independent


def _of_both_sides(*names: str) -> tuple[tuple[int, int], ...]:
    return tuple(
        (PANOPTIC15.index(f"{side}_{names[0]}"), PANOPTIC15.index(f"{side}_{names[1]}"))
        for side in ("left", "right")
    )


def _between(a: str, b: str) -> tuple[tuple[int, int], ...]:
    return ((PANOPTIC15.index(a), PANOPTIC15.index(b)),)


_LENGTHS = (
    _of_both_sides("hip", "knee"),
    _of_both_sides("knee", "ankle"),
    _of_both_sides("shoulder", "elbow"),
    _of_both_sides("elbow", "wrist"),
    _between("left_shoulder", "right_shoulder"),
    _between("left_hip", "right_hip"),
    _between("neck", "mid_hip"),
    _between("neck", "nose"),
)


def lengths_m(joints_m: Array) -> Array:
    """[8] m of joints [15, 3]: thigh, shank, upper arm, forearm (means of both sides), shoulders,
    hips, trunk, neck to nose; NaN where a joint is unknown."""
    means = [np.mean([np.linalg.norm(joints_m[a] - joints_m[b]) for a, b in n]) for n in _LENGTHS]
    return np.array(means)


@dataclass
class Build:
    """Mean lengths of one person, each over the sets in which it was known."""

    mean_m: Array = field(default_factory=lambda: np.zeros(len(_LENGTHS)))
    count: Array = field(default_factory=lambda: np.zeros(len(_LENGTHS)))

    @property
    def sets(self) -> float:
        """In how many sets it was measured."""
        return float(np.median(self.count))

    def add(self, joints_m: Array) -> None:
        """Joints [15, 3] m of one set."""
        lengths = lengths_m(joints_m)
        known = np.isfinite(lengths)
        self.count += known
        self.mean_m += np.where(known, lengths - self.mean_m, 0.0) / np.maximum(self.count, 1)

    def join(self, other: Build) -> Build:
        """Of the sets of both."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        return Build(self.mean_m + share * (other.mean_m - self.mean_m), count)

    def apart(self, other: Build) -> float:
        """Chi squared, over the lengths known of both, of the two being one person's."""
        both = (self.count > 0) & (other.count > 0)
        variance = 2 * _ERROR_M**2 + _SET_ERROR_M**2 * (
            1 / np.maximum(self.count, 1) + 1 / np.maximum(other.count, 1)
        )
        return float((np.where(both, self.mean_m - other.mean_m, 0.0) ** 2 / variance).sum())


def who_came_back(new: Build, gone: Mapping[int, Build]) -> int | None:
    """The key of the one of those who are gone whom somebody new is, clearly; None: nobody."""
    if new.sets < _FIRST_SETS:
        return None
    known = {key: build for key, build in gone.items() if build.sets >= KNOWN_SETS}
    by_fit = sorted((new.apart(build), key) for key, build in known.items())
    if not by_fit or by_fit[0][0] > FITS:
        return None
    clear = len(by_fit) == 1 or by_fit[1][0] > by_fit[0][0] + CLEARER
    return by_fit[0][1] if clear else None


@dataclass
class LastingBuild:
    """How a person is built, and how the body that is taken for the person was of late."""

    known: Build = field(default_factory=Build)
    lately: Build = field(default_factory=Build)

    @property
    def whole(self) -> Build:
        """Of all sets."""
        return self.known.join(self.lately)

    def add(self, joints_m: Array) -> bool:
        """Joints [15, 3] m of one set. Returns whether, with it, the body proves to be the person's.

        What does not fit the person is forgotten after `_LATELY_SETS`.
        """
        self.lately.add(joints_m)
        enough = self.lately.sets >= _LATELY_SETS
        fits = enough and self.known.apart(self.lately) <= _SAME
        if fits or self.known.sets < KNOWN_SETS:
            self.known = self.whole
            self.lately = Build()
        elif enough:
            self.lately = Build()
        return fits

    def is_exchanged_with(self, other: LastingBuild) -> bool:
        """Whether the two bodies, as they were of late, are clearly each the other person's."""
        builds = (self.known, self.lately, other.known, other.lately)
        if min(build.sets for build in builds) < KNOWN_SETS:
            return False
        as_is = self.known.apart(self.lately) + other.known.apart(other.lately)
        crossed = self.known.apart(other.lately), other.known.apart(self.lately)
        return max(crossed) <= _SAME and as_is > sum(crossed) + CLEARER
