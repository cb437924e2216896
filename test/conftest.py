"""What all tests share: data that may be absent, and calm, repeatable arithmetic."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch or numpy is imported

import random
from pathlib import Path

import numpy as np
import pytest
import torch

CHECKOUT = Path(__file__).resolve().parent.parent

# Folders of tests that time can break: each group's run one after the other.
_REAL_TIME = {
    "nodes": "nodes",
    **dict.fromkeys(("demo", "faults", "launch", "soak"), "processes and faults"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist: two groups of tests that run in real time, which mostly wait, and the others
    by file."""
    for item in items:
        folder = item.path.relative_to(CHECKOUT / "test").parts[0]
        group = _REAL_TIME.get("soak" if "soak" in item.path.name else folder, item.path.name)
        item.add_marker(pytest.mark.xdist_group(group))


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
