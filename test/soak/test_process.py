"""What the operating system says of this very process."""

import mmap
import os
import subprocess
import threading

import pytest

from mvssm_ros.soak.process import usage


def test_handles_threads_and_memory_are_seen(tmp_path):
    before = usage(os.getpid())
    stop = threading.Event()
    waiting = threading.Thread(target=stop.wait)
    waiting.start()
    block = mmap.mmap(-1, 64 * 2**20)  # new pages, whatever Python has at hand
    block.write(bytes(len(block)))
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        after = usage(os.getpid())
    stop.set()
    waiting.join()
    assert after.handles == before.handles + 2
    assert after.threads == before.threads + 1
    assert after.memory_mib > before.memory_mib + 50
    assert after.cpu_s >= before.cpu_s > 0
    block.close()


def test_a_process_that_is_gone():
    ended = subprocess.Popen(["true"])
    ended.wait()
    with pytest.raises(OSError, match="No such"):
        usage(ended.pid)
