"""The fuzzer finds what it must: every kind of misbehaviour, each by a reader that misbehaves."""

import ctypes
import subprocess
import sys

import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.fuzzing.runner import random_of, run_cases


class Reader:
    """Accepts even numbers and refuses odd ones, but does ``bad`` with number 7."""

    suffix = ".txt"

    def __init__(self, bad=lambda: None):
        self.bad = bad
        self.kept = []

    def make(self, random):
        return random.randbytes(4)

    def check(self, data):
        if data == random_of(0, "test", 7).randbytes(4):
            self.bad()
        if data[0] % 2:
            raise UserError("odd")


def outcome_with(bad, count=20):
    return run_cases("test", lambda: Reader(bad), range(count), seed=0, memory_mib=256)


def raises(error):
    def bad():
        raise error

    return bad


def test_what_is_accepted_or_refused_is_counted_and_nothing_found():
    outcome = outcome_with(lambda: None)
    odd = sum(random_of(0, "test", i).randbytes(4)[0] % 2 for i in range(20))
    assert (outcome.accepted, outcome.refused, outcome.findings) == (20 - odd, odd, {})


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (raises(KeyError("k")), "KeyError: 'k'"),
        (raises(SystemExit(3)), "SystemExit: 3"),
        (raises(UserError("two\nlines")), "the refusal is not one line"),
        # more than earlier tests may have left free in this process's heap
        (lambda: bytearray(2**33), "MemoryError"),
        (lambda: ctypes.string_at(0), "ended with signal 11"),
    ],
    ids=["exception", "exit", "two lines", "absurd allocation", "crash"],
)
def test_misbehaviour_is_found_with_the_number_of_its_case(bad, found):
    outcome = outcome_with(bad)
    assert list(outcome.findings) == [7]
    assert found in outcome.findings[7]


LEAK = """
from mvssm_ros.fuzzing.runner import run_cases
kept = []
class Leaks:
    suffix = ".txt"
    def make(self, random):
        return random.randbytes(4)
    def check(self, data):
        kept.append(bytearray(2**19))
outcome = run_cases("test", Leaks, range(200), seed=0, memory_mib=256)
assert outcome.growth_mib > 64, outcome.growth_mib
assert "memory grew" in outcome.findings[199], outcome.findings
"""


def test_memory_that_is_never_given_back_is_found():
    """In a process of its own: this one may have freed memory to give."""
    result = subprocess.run([sys.executable, "-c", LEAK], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
