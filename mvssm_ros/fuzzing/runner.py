"""Runs damaged inputs in a process of their own, and tells what is neither accepted nor refused."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Protocol

import torch
from tqdm import tqdm

from mvssm_ros.errors import UserError

MIB = 2**20
_HANGS_AFTER_S = 60.0  # without a finished case
_MOST_FINDINGS = 20  # then it stops


class Target(Protocol):
    """One kind of input."""

    suffix: str

    def make(self, random: Random) -> bytes:
        """A damaged input, by the random numbers alone."""

    def check(self, data: bytes) -> None:
        """Read it. UserError: refused. Anything else raised is a finding."""


@dataclass
class Outcome:
    """What became of the cases of one kind. ``findings`` by case number."""

    accepted: int = 0
    refused: int = 0
    findings: dict[int, str] = field(default_factory=dict)
    growth_mib: float = 0.0  # of the memory in use, from the first tenth to the end
    peak_mib: float = 0.0  # most memory in use above that at the start
    seconds: float = 0.0


def random_of(seed: int, kind: str, number: int) -> Random:
    """The random numbers of one case: it can be made again without those before it."""
    return Random(f"{seed}/{kind}/{number}")


def run_cases(
    kind: str, make_target: Callable[[], Target], numbers: range, seed: int, memory_mib: int
) -> Outcome:
    """Check all cases.

    Args:
        memory_mib: more address space than this above the start is not given (MemoryError), and
            memory in use may not grow by a quarter of it.
    """
    # A fork of a process whose threads have worked waits for them for ever.
    torch.set_num_threads(1)
    context = multiprocessing.get_context("fork")
    at = context.Value("q", numbers.start)
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(
        target=_child, args=(kind, make_target, numbers, seed, memory_mib, at, theirs)
    )
    begin_s = moved_s = time.monotonic()
    child.start()
    theirs.close()
    seen = 0
    quiet = not sys.stderr.isatty()
    with tqdm(total=len(numbers), desc=kind, leave=False, disable=quiet) as bar:
        while not ours.poll(0.5) and child.is_alive():
            done = at.value - numbers.start
            if done > seen:
                moved_s = time.monotonic()
                bar.update(done - seen)
                seen = done
            elif time.monotonic() - moved_s > _HANGS_AFTER_S:
                child.kill()
    outcome = _received(ours)
    child.join()
    if outcome is None:
        why = f"the process ended with signal {-(child.exitcode or 0)} (9: it hung)"
        outcome = Outcome(findings={at.value: why})
    outcome.seconds = time.monotonic() - begin_s
    return outcome


def _received(pipe: Connection) -> Outcome | None:
    try:
        return pipe.recv() if pipe.poll() else None
    except EOFError:
        return None


def _child(
    kind: str,
    make_target: Callable[[], Target],
    numbers: range,
    seed: int,
    memory_mib: int,
    at: Any,
    pipe: Connection,
) -> None:
    target, outcome = make_target(), Outcome()
    used_mib, start_mib = 0.0, _memory_mib()[1]
    limit = int(_memory_mib()[0] * MIB) + memory_mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # whoever waits for this process tells of its end
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libpng and libjpeg grumble there
    for count, number in enumerate(numbers):
        at.value = number
        if count == len(numbers) // 10:
            used_mib = _memory_mib()[1]
        found = _outcome_of(target, target.make(random_of(seed, kind, number)), outcome)
        if found:
            outcome.findings[number] = found
            if len(outcome.findings) >= _MOST_FINDINGS:
                break
    outcome.growth_mib = _memory_mib()[1] - used_mib
    outcome.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - start_mib
    if len(numbers) > 100 and outcome.growth_mib > memory_mib / 4:
        outcome.findings[numbers[-1]] = f"memory grew by {outcome.growth_mib:.0f} MiB"
    pipe.send(outcome)


def _outcome_of(target: Target, data: bytes, outcome: Outcome) -> str | None:
    try:
        target.check(data)
    except UserError as error:
        if "\n" in str(error) or not str(error):
            return f"the refusal is not one line: {str(error)!r}"
        outcome.refused += 1
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    else:
        outcome.accepted += 1
    return None


def _memory_mib() -> tuple[float, float]:
    """Address space and memory in use."""
    space, used = Path("/proc/self/statm").read_text().split()[:2]
    return (int(space) * resource.getpagesize() / MIB, int(used) * resource.getpagesize() / MIB)
