"""pose_node in a process of its own, and people who walk about in front of simulated cameras."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from mvssm_ros.demo.processes import Child, Children
from mvssm_ros.nodes.soak_rig import SoakRig
from mvssm_ros.soak.walkers import SIZE_PX, Detector, Walkers, ring_rig


class LivingWorld:
    """Four cameras and two people, in real time, in the ROS domain of ROS_DOMAIN_ID.

    Used in a `with` block; the cameras run in a thread of their own.
    """

    def __init__(self, folder: Path, rate_hz: float = 5.0) -> None:
        self.rig = ring_rig(4)
        self.rig_file = folder / "rig.yaml"
        self.rig.save(self.rig_file)
        self.answers = 0  # with both people in them
        self.troubles: list[str] = []
        self.people_are_there = True
        self.silent_cameras: set[str] = set()
        self._period_ns = round(1e9 / rate_hz)
        self._children = Children(folder, os.environ)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._film)

    def start(self, module: str, **parameters: object) -> Child:
        """A node of mvssm_ros.nodes, __ for the dots of its parameters' names."""
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        return self._children.start(module, named)

    def __enter__(self) -> LivingWorld:
        self._children.__enter__()
        self.start("autostart", rig_file=str(self.rig_file), input="keypoints")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()
        self._children.__exit__(*error)

    def _film(self) -> None:
        rig = SoakRig(list(self.rig.cameras), SIZE_PX, self._hear, self.troubles.append)
        walkers, detector = Walkers(0), Detector(self.rig, 0.2, 0)
        begin_ns = next_ns = time.time_ns()
        tick = 0
        try:
            while not self._end.is_set():
                rig.spin(min(max((next_ns - time.time_ns()) * 1e-9, 0.0), 0.02))
                if time.time_ns() < next_ns:
                    continue
                seen = detector.look(walkers.joints_m((next_ns - begin_ns) * 1e-9))
                if not self.people_are_there:
                    seen = [people[:0] for people in seen]
                lost = {name: [_lose] for name in self.silent_cameras}
                rig.send(tick, next_ns, seen, lost)
                tick += 1
                late = max(0, time.time_ns() - next_ns) // self._period_ns
                next_ns += (1 + late) * self._period_ns
        finally:
            rig.close()

    def _hear(self, heard) -> None:
        self.answers += len(heard.people) == 2


def _lose(tick: int, message: object) -> list:
    return []
