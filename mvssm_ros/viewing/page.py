"""The viewer's page, served on this machine from the files of its wheel; nothing comes from elsewhere.

The page as rerun ships it asks servers of its makers and others for fonts, for the newest version and
to count its users. Here the fonts are cut out, and a Content-Security-Policy makes the browser refuse
all but this page and the data that belongs to it. rerun's own server knows neither, and listens on
every network.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from mvssm_ros.errors import UserError
from mvssm_ros.viewing.library import viewer_program

_FILES = {  # path: type
    "/": "text/html; charset=utf-8",
    "/re_viewer.js": "text/javascript; charset=utf-8",
    "/re_viewer_bg.wasm": "application/wasm",
    "/favicon.ico": "image/x-icon",
}
_ELSEWHERE = re.compile(rb"<link\b[^>]*https?://[^>]*>")
_START_WITHIN_S = 60.0
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?=:\d+$|$)")


def viewer_files() -> dict[str, bytes]:
    """What the page consists of, by path.

    The wheel has it inside its program, which gives it out over HTTP only: it is run for a moment,
    on this machine only, with its counting of users switched off.

    Raises:
        UserError: the viewer library is not installed, or does not give them.
    """
    program = viewer_program()
    home = tempfile.mkdtemp(prefix="mvssm_view_")
    try:
        settings = Path(home) / "rerun" / "analytics.json"
        settings.parent.mkdir()
        settings.write_text(json.dumps(_NO_ANALYTICS), "utf-8")
        port = _free_port()
        with subprocess.Popen(
            [program, "--serve-web", "--bind=127.0.0.1", "--port=0", f"--web-viewer-port={port}"],
            env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as server:
            try:
                found = {path: _get(server, port, path) for path in _FILES}
            finally:
                server.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    found["/"] = _ELSEWHERE.sub(b"", found["/"])
    return found


_NO_ANALYTICS = {"analytics_enabled": False, "analytics_id": "", "metadata": {}}


class Page:
    """A web server for the page, in a thread.

    Args:
        host: address to listen on; 127.0.0.1: nobody but this machine.
        port: of the page.
        data_port: where the page gets its data from, on the same host.

    Raises:
        UserError: the port or the address cannot be had.
    """

    def __init__(self, files: dict[str, bytes], host: str, port: int, data_port: int) -> None:
        handler = type("Handler", (_Handler,), {"files": files, "data_port": data_port})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def check_port(host: str, port: int) -> None:
    """Raises UserError unless one can listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            raise _cannot_listen(host, port, error) from None


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    data_port: int
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        host = _HOST.match(self.headers.get("Host", ""))
        if host is None:
            self.send_error(400, "no usable Host header")
        elif path == "/" and not query:
            data = quote(f"rerun+http://{host[0]}:{self.data_port}/proxy", safe="")
            self.send_response(302)
            self.send_header(
                "Location", f"/?url={data}&hide_welcome_screen=1&theme=dark&persist=0&notebook=0"
            )
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path in self.files:
            self._send(path, host[0])
        else:
            self.send_error(404)

    def _send(self, path: str, host: str) -> None:
        content = self.files[path]
        data = f"http://{host}:{self.data_port}"
        self.send_response(200)
        self.send_header("Content-Type", _FILES[path])
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob: data:;"
            f" connect-src 'self' {data}; frame-ancestors 'none'",
        )
        with contextlib.suppress(ConnectionError):  # the browser has been closed
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news."""


def _get(server: subprocess.Popen[bytes], port: int, path: str) -> bytes:
    """A file of the program's server, once it is up."""
    url = f"http://127.0.0.1:{port}{path}"
    end_s = time.monotonic() + _START_WITHIN_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(url, timeout=_START_WITHIN_S) as answer:
                return bytes(answer.read())
        except (OSError, urllib.error.URLError) as error:
            if server.poll() is not None or time.monotonic() > end_s:
                raise UserError(
                    f"the viewer of rerun does not give its page ({error}); run: pip install"
                    " --force-reinstall rerun-sdk"
                ) from None
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cannot_listen(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"cannot listen on port {port} of {host}: {error.strerror}; end what uses it (another"
        " 'mvssm view'?), or give another port (--port)"
    )
