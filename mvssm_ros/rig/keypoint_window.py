"""The 2D keypoints that the cameras of a rig sent in the last seconds, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.rig.keypoint_sequence import KeypointSequence, gather

_MOST_PEOPLE = 16  # of one image, the most confident ones
_MOST_IMAGES = 20_000  # of one camera; 16 people in each are 58 MB
_BACK_NS = 1_000_000_000  # a camera's stamps that go back by more than this begin anew


class KeypointWindow:
    """Keeps what each camera saw by its stamp, for so many seconds before the newest stamp of all.

    Not thread-safe.
    """

    def __init__(self, cameras: Iterable[str], keep_s: float) -> None:
        self._seen: dict[str, dict[int, npt.NDArray[np.float32]]] = {name: {} for name in cameras}
        self._last_ns: dict[str, int] = {}
        self._keep_ns = round(keep_s * 1e9)
        self.newest_ns = 0

    def add(self, camera: str, stamp_ns: int, people: npt.NDArray[np.floating[Any]]) -> bool:
        """Take the people [P, 15, 3] of one image (raw px, confidence).

        Returns:
            False if the stamp lies so far back that time must have been set back, and all that was
            kept is gone.
        """
        if len(people) > _MOST_PEOPLE:
            people = people[np.argsort(-people[..., 2].sum(-1))[:_MOST_PEOPLE]]
        back = stamp_ns < self._last_ns.get(camera, 0) - _BACK_NS
        if back:
            for stamped in self._seen.values():
                stamped.clear()
            self._last_ns.clear()
            self.newest_ns = 0
        self._last_ns[camera] = stamp_ns
        self.newest_ns = max(self.newest_ns, stamp_ns)
        self._seen[camera][stamp_ns] = np.asarray(people, np.float32)
        self._forget()
        return not back

    def count(self) -> dict[str, int]:
        """Images kept of each camera."""
        return {name: len(stamped) for name, stamped in self._seen.items()}

    def sequence(self, where: str) -> KeypointSequence:
        """What is kept, put together into frames (see `gather`).

        Raises:
            UserError: fewer than two cameras have sent anything.
        """
        return gather(self._seen, where)

    def _forget(self) -> None:
        oldest_ns = self.newest_ns - self._keep_ns
        for stamped in self._seen.values():
            while stamped:
                first = next(iter(stamped))
                if first >= oldest_ns and len(stamped) <= _MOST_IMAGES:
                    break
                del stamped[first]
