"""What all tests share: data that may be absent, and calm, repeatable arithmetic."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch or numpy is imported

import random
from pathlib import Path

import numpy as np
import pytest
import torch

CHECKOUT = Path(__file__).resolve().parent.parent

_REAL_TIME = ("demo", "faults", "nodes", "soak", "launch")  # folders of tests that time can break


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist: tests that run in real time one after the other, the others by file."""
    for item in items:
        folder = item.path.relative_to(CHECKOUT / "test").parts[0]
        real_time = folder in _REAL_TIME or "soak" in item.path.name
        item.add_marker(pytest.mark.xdist_group("real time" if real_time else item.path.name))


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
