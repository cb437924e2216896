"""What the operating system says of a process (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_UTIME = 13  # fields of /proc/<pid>/stat, counted from 0, see proc(5)
_STIME = 14


@dataclass(frozen=True)
class Usage:
    """``memory_mib`` is resident; ``handles`` are open files, sockets and the like."""

    memory_mib: float
    threads: int
    handles: int
    cpu_s: float  # since it began


def usage(pid: int) -> Usage:
    """What a process uses now.

    Raises:
        OSError: there is no such process any more.
    """
    folder = Path("/proc") / str(pid)
    pages = int((folder / "statm").read_text("ascii").split()[1])
    threads = len(list((folder / "task").iterdir()))
    handles = len(list((folder / "fd").iterdir()))
    after_name = (folder / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    ticks = int(after_name[_UTIME - 2]) + int(after_name[_STIME - 2])
    return Usage(pages * _PAGE_BYTES / MIB, threads, handles, ticks / _TICKS_PER_S)
