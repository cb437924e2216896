"""How long each stage takes, over the recent sets."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Mapping

import numpy as np

_SETS_KEPT = 1000


class StageTimes:
    """Collects milliseconds by stage; thread-safe."""

    def __init__(self) -> None:
        self._ms: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_SETS_KEPT))
        self._lock = threading.Lock()

    def add(self, stages_ms: Mapping[str, float]) -> None:
        """Take the times of one set."""
        with self._lock:
            for stage, ms in stages_ms.items():
                self._ms[stage].append(ms)

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Stage -> (median, 95th percentile), ms, over the last 1000 sets."""
        with self._lock:
            kept = {stage: list(times) for stage, times in self._ms.items()}
        return {s: tuple(float(v) for v in np.percentile(t, (50, 95))) for s, t in kept.items()}
