"""Where the viewer gets its data from: a server on this machine, a file, or both."""

from __future__ import annotations

import socket
import time
import uuid
from pathlib import Path
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.viewing.library import viewer_library
from mvssm_ros.viewing.page import Page, check_port, viewer_files

LOCALHOST = "127.0.0.1"
_UP_WITHIN_S = 20.0
LIVE_MEMORY, BAG_MEMORY = "256MiB", "2GiB"  # of the server; then the oldest is forgotten


class Outlet:
    """A rerun recording and who can see it.

    Args:
        host: address to listen on; empty: no server.
        port: of the page; its data comes from the next one.
        save: file (.rrd) that gets everything too; None: none.
        memory: what the server keeps for browsers that come late.

    Raises:
        UserError: the viewer library is not installed, a port is taken, or the file cannot be
            written.
    """

    def __init__(self, host: str, port: int, save: Path | None, memory: str = LIVE_MEMORY) -> None:
        rr = viewer_library()
        self.recording = rr.RecordingStream("mvssm", recording_id=uuid.uuid4())
        rr.set_log_time_enabled(False, recording=self.recording)
        rr.set_log_tick_enabled(False, recording=self.recording)
        self._page: Page | None = None
        self.url = ""
        self.warning = ""
        sinks: list[Any] = []
        if save is not None:
            sinks.append(_file_sink(rr, save))
        if host:
            check_port(host, port)
            check_port(host, port + 1)
            self._page = Page(viewer_files(), host, port, port + 1)
            # the page, by whatever name it was called; localhost is allowed anyway
            allowed = [] if host == LOCALHOST else [f"http://*:{port}"]
            sinks.append(
                rr.GrpcServerSink(
                    host, port + 1, server_memory_limit=memory, cors_allow_origin=allowed
                )
            )
            self.url = f"http://{_reachable(host)}:{port}"
            if host not in (LOCALHOST, "localhost"):
                self.warning = (
                    f"the viewer listens on {host}, ports {port} and {port + 1}, and asks nobody for"
                    " a password: whoever reaches it sees all images and people"
                )
        self.recording.set_sinks(*sinks)
        if host:
            _wait_for(_reachable(host), port + 1)

    def close(self) -> None:
        """All that was logged is in the file, and nobody listens any more."""
        self.recording.flush()
        self.recording.disconnect()
        if self._page is not None:
            self._page.close()


def _file_sink(rr: Any, path: Path) -> Any:
    try:
        path.open("wb").close()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return rr.FileSink(str(path))


def _reachable(host: str) -> str:
    """What to call an address from this machine."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _wait_for(host: str, port: int) -> None:
    """Until the data's server is up: its own thread opens it, and tells no mistakes."""
    end_s = time.monotonic() + _UP_WITHIN_S
    while True:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError as error:
            if time.monotonic() > end_s:
                raise UserError(
                    f"the viewer's data server does not come up on port {port} of {host}"
                    f" ({error.strerror}); give another port (--port)"
                ) from None
            time.sleep(0.05)
        else:
            return
