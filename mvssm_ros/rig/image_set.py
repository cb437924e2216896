"""A set of images that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import Any


@dataclass(frozen=True)
class ImageSet:
    """What the cameras saw at one moment. Both dictionaries are in the rig's camera order.

    The stamps are the cameras' own, or with ``compensate`` on the clock of the rig.
    """

    stamps_ns: dict[str, int]
    items: dict[str, Any]

    @property
    def cameras(self) -> list[str]:
        return list(self.items)

    @property
    def stamp_ns(self) -> int:
        """The median stamp; of an even number the lower middle one, so always a real image's."""
        return median_low(self.stamps_ns.values())

    @property
    def spread_ns(self) -> int:
        """Latest minus earliest stamp."""
        return max(self.stamps_ns.values()) - min(self.stamps_ns.values())
