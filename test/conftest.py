"""What all tests share: data that may be absent, and calm, repeatable arithmetic."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch or numpy is imported

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

CHECKOUT = Path(__file__).resolve().parent.parent

# Folders of tests that time can break: each group's run one after the other.
_REAL_TIME = {
    "nodes": "nodes",
    **dict.fromkeys(("demo", "faults", "launch", "soak"), "processes and faults"),
}
_POLITE = 15  # niceness of a process that runs none of them


def _real_time_group(file: str) -> str | None:
    """Of a test file, its path as in the names of tests: test/FOLDER/..."""
    parts = file.split("/")
    return _REAL_TIME.get("soak" if "soak" in parts[-1] else parts[1])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With pytest-xdist each of two groups of tests that run in real time, which mostly wait, goes to
    one worker; the others go by file. (--dist loadgroup of xdist 3.8 groups nothing with pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return _real_time_group(file) or file

    config.option.loadscopereorder = False  # the real-time groups stay first
    return ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real-time tests begin first, those of a group together."""
    items.sort(key=lambda item: _real_time_group(item.nodeid.split("::")[0]) is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """A worker that begins with other tests takes the time that the real-time ones leave."""
    if "PYTEST_XDIST_WORKER" in os.environ and "MVSSM_TEST_NICE" not in os.environ:
        os.environ["MVSSM_TEST_NICE"] = "1"
        if _real_time_group(item.nodeid.split("::")[0]) is None:
            os.nice(_POLITE)


def _cpu_s() -> float:
    """Spent so far by this process and by its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


_counted_s = _cpu_s()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """What each phase of a test spent goes with its report."""
    global _counted_s
    report = yield
    now_s = _cpu_s()
    report.cpu_s, _counted_s = now_s - _counted_s, now_s
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Where the processors' time went, if it was more than a minute: the suite is bound by it."""
    by_file: Counter[str] = Counter()
    for report in (r for reports in terminalreporter.stats.values() for r in reports):
        if hasattr(report, "cpu_s"):
            by_file[report.nodeid.split("::")[0]] += report.cpu_s
    if by_file.total() > 60:
        terminalreporter.section(f"{by_file.total():.0f} s of CPU, children included")
        for file, cpu_s in by_file.most_common(25):
            terminalreporter.line(f"{cpu_s:6.0f}  {file}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with calibrations and ground truth of public data sets, which may not ship.

    MVSSM_SHARED_DATA names it; otherwise it is looked for beside the checkout.
    """
    given = os.environ.get("MVSSM_SHARED_DATA")
    folder = Path(given) if given else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder} (set MVSSM_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Use one thread: the tensors of tests are small, and more threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test from the same seed, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - whoever uses numpy's global generator gets it seeded
    torch.manual_seed(0)
