"""The demo's nodes as processes of their own, which never outlive the demo."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import yaml

_STOP_WITHIN_S = 15.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here: nothing but one call is left to do in the child
_LOG_LINE = re.compile(r"^\[(WARN|ERROR|FATAL)\] \[[\d.]+\] \[[^\]]*\]: (.*)$")


@dataclass
class Child:
    """One running node and the file that has what it says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def said(self, *levels: str) -> list[str]:
        """What it logged so far at these levels (WARN, ERROR, FATAL), oldest first.

        The line "mvssm: error: ..." that a node ends with counts as an ERROR.
        """
        messages = []
        for line in self.log.read_text("utf-8", errors="replace").splitlines():
            found = _LOG_LINE.match(line)
            if found and found[1] in levels:
                messages.append(found[2])
            elif line.startswith("mvssm: error: ") and "ERROR" in levels:
                messages.append(line.removeprefix("mvssm: error: "))
        return messages

    def reason(self) -> str:
        """Why it ended, in one line."""
        errors = self.said("ERROR", "FATAL")
        return errors[-1] if errors else f"exit code {self.exit_code}; its log is {self.log}"

    def stop(self) -> None:
        """Ask it to end, wait, and kill it if it does not."""
        if self.exit_code is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Children:
    """Starts nodes; on leaving the `with` block all of them are gone.

    Should this process be killed without a chance to clean up, the kernel ends them (Linux).
    """

    def __init__(self, log_folder: Path, environment: Mapping[str, str]) -> None:
        self._log_folder = log_folder
        self._environment = dict(environment)
        self.all: list[Child] = []

    def start(self, module: str, parameters: Mapping[str, object]) -> Child:
        """Run ``main()`` of a module of mvssm_ros.nodes with these ROS parameters (may be nested)."""
        code = f"import sys; from mvssm_ros.nodes.{module} import main; sys.exit(main(sys.argv))"
        params_file = self._log_folder / f"{module}.yaml"
        params_file.write_text(
            yaml.safe_dump({"/**": {"ros__parameters": dict(parameters)}}), "utf-8"
        )
        log = self._log_folder / f"{module}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-c", code, "--ros-args", "--params-file", str(params_file)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=self._environment,
                preexec_fn=_die_with_parent,
            )
        child = Child(module, process, log)
        self.all.append(child)
        return child

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self.all:
            if child.exit_code is None:
                child.process.terminate()  # all at once; then wait for each
        end_s = time.monotonic() + _STOP_WITHIN_S
        for child in self.all:
            try:
                child.process.wait(max(0.0, end_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
