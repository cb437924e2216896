"""What a network costs a set: arithmetic, time and memory, in a process of its own."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mvssm_ros.learning.evaluation import Scene, network_method
from mvssm_ros.network import gtbs

_FLOP_SCENES = 5


class ScanCounter:
    """Arithmetic of the selective scans while `counting`, which torch's counter does not see.

    As VMamba counts it (its flops_selective_scan_fn, after state-spaces/mamba issue 110): 9 operations
    a sequence, step, channel and state, and one for D u.
    """

    def __init__(self) -> None:
        self.flop = 0

    @contextmanager
    def counting(self, torch_counter: FlopCounterMode) -> Iterator[None]:
        """torch_counter: what it counts inside a scan (a matrix product over states) is not added."""
        plain = gtbs.selective_scan

        def counted(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
            before = torch_counter.get_total_flops()
            y = plain(u, delta, A, B, C, D)
            steps = u.numel()  # sequences x directions x steps x channels
            known = torch_counter.get_total_flops() - before
            self.flop += (9 * A.shape[-1] + 1) * steps - known
            return y

        gtbs.selective_scan = counted
        try:
            yield
        finally:
            gtbs.selective_scan = plain


def measure_cost(weights: str | Path, scenes: Sequence[Scene]) -> dict[str, float]:
    """Costs of the network of a keypoints weights file on scenes, measured in a fresh process.

    Returns parameters; gflop_per_set (torch's FlopCounterMode: products and convolutions) and
    scan_gflop_per_set (see `ScanCounter`), means of a few scenes; ms_per_set, the median on one thread;
    peak_memory_mib of the process, Python and torch included.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(cost_here, str(weights), list(scenes)).result()


def cost_here(weights: str, scenes: list[Scene]) -> dict[str, float]:
    """`measure_cost` in this process."""
    from mvssm_ros.predictor import Predictor

    torch.set_num_threads(1)
    predictor = Predictor.from_pretrained(weights)
    method = network_method(predictor)
    method(scenes[0])  # warm up
    times_s = []
    for scene in scenes:
        start = time.perf_counter()
        method(scene)
        times_s.append(time.perf_counter() - start)
    peak_mib = peak_memory_mib()  # before the counter, which needs memory itself
    scan, counted = ScanCounter(), scenes[:_FLOP_SCENES]
    with FlopCounterMode(display=False) as counter, scan.counting(counter):
        for scene in counted:
            method(scene)
    return {
        "parameters": sum(p.numel() for p in predictor.network.parameters()),
        "gflop_per_set": counter.get_total_flops() / len(counted) / 1e9,
        "scan_gflop_per_set": scan.flop / len(counted) / 1e9,
        "ms_per_set": 1000.0 * float(np.median(times_s)),
        "peak_memory_mib": peak_mib,
    }


def peak_memory_mib() -> float:
    """Most memory that this process has had resident since it began.

    From /proc where there is one: getrusage's figure outlives exec, so that a child of a large
    process has that one's.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
