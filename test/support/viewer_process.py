"""`mvssm view` as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys


def free_ports() -> int:
    """The first of two neighbours."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError("no two free ports are neighbours")


def view(world, *arguments: str) -> subprocess.Popen:
    """`mvssm view` in the test's domain, with no browser opened."""
    code = "import sys; from mvssm_ros.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, "view", "--no-open", *arguments],
        env={**os.environ, "ROS_DOMAIN_ID": str(world.domain_id), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process, signal_number=signal.SIGINT) -> str:
    """What it said; it has ended cleanly."""
    process.send_signal(signal_number)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "error" not in output.lower(), output
    return output


def refused(process) -> str:
    """The one line it ended with."""
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 2, output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("mvssm: error: ")]
    return line
