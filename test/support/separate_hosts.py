"""Several hosts on this machine: network namespaces, joined by a switch, each with an address.

What runs on a host sees no network but its own, and a /dev/shm and a machine id of its own, so that
the middleware takes it for another machine. Needs root and the programs ip and unshare. Everything
lies in namespaces, so that the machine's own network is never touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path

from mvssm_ros.share import share_dir

# In a mount namespace of the process's own: "$0" is the host's shared memory, "$@" what to run.
_AS_ANOTHER_MACHINE = """
set -e
mount --make-rprivate /
if [ -e /etc/machine-id ]; then mount --bind "$0/machine-id" /etc/machine-id; fi
mount --bind "$0" /dev/shm
exec "$@"
"""


def why_impossible() -> str:
    """Why there cannot be separate hosts here; empty if there can."""
    for program in ("ip", "unshare", "mount"):
        if shutil.which(program) is None:
            return f"the program {program} is not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"mvssm_{uuid.uuid4().hex[:8]}"
    try:
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "add", "br0", "type", "bridge")
            _ip("netns", "exec", name, "unshare", "-m", "mount", "--make-rprivate", "/")
        finally:
            _ip("netns", "del", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.strip()}"
    return ""


class Program:
    """A running program on a host; its standard output, line by line."""

    def __init__(self, process: subprocess.Popen, log: Path) -> None:
        self.process = process
        self.lines: list[str] = []
        self.log = log
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """As when the power goes: nothing is said to anybody."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def messages(self) -> list[dict]:
        """The lines of its output that are JSON."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)


class Host:
    """One of the hosts; `run` starts programs on it."""

    def __init__(self, namespace: str, folder: Path, memory: Path) -> None:
        self.namespace, self._folder, self._memory = namespace, folder, memory
        self.programs: list[Program] = []
        folder.mkdir(parents=True)
        (memory / "machine-id").write_text(uuid.uuid4().hex + "\n", "utf-8")

    def run(self, *words: str) -> Program:
        """Run this Python with these arguments."""
        log = self._folder / f"{len(self.programs)}.log"
        command = ["ip", "netns", "exec", self.namespace, "unshare", "-m", "sh", "-c"]
        command += [_AS_ANOTHER_MACHINE, str(self._memory), sys.executable, *words]
        environment = {
            **os.environ,
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
            "ROS_DOMAIN_ID": "0",  # on a network of its own
            "FASTDDS_DEFAULT_PROFILES_FILE": str(share_dir() / "config" / "fastdds_shm.xml"),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        with log.open("w") as errors:
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        program = Program(process, log)
        self.programs.append(program)
        return program

    def kill(self) -> None:
        """Everything on it."""
        for program in self.programs:
            program.kill()

    def bytes_sent(self) -> int:
        """Onto the network, since the host was made; Ethernet frames, headers included."""
        shown = json.loads(_ip("-n", self.namespace, "-j", "-s", "link", "show", "eth0"))
        return int(shown[0]["stats64"]["tx"]["bytes"])

    def logs(self) -> str:
        """What its programs wrote to standard error."""
        texts = [program.log.read_text("utf-8", "replace") for program in self.programs]
        return f"--- {self.namespace}\n" + "\n".join(texts)


class Network:
    """Hosts by name, from entering to leaving; then nothing is left of it.

    Args:
        names: of the hosts.
        folder: for what the hosts write.
    """

    def __init__(self, names: list[str], folder: Path) -> None:
        self._names, self._folder = names, folder
        self._made = ExitStack()

    def __enter__(self) -> dict[str, Host]:
        with ExitStack() as made:
            own = uuid.uuid4().hex[:8]
            switch = _namespace(made, f"mvssm_{own}_switch")
            _ip("-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            _ip("-n", switch, "link", "set", "br0", "up")
            hosts = {}
            for number, name in enumerate(self._names, start=1):
                namespace = _namespace(made, f"mvssm_{own}_{name}")
                address = f"10.77.0.{number}"
                port = f"port{number}"
                _ip("-n", switch, "link", "add", port, "type", "veth",
                    "peer", "name", "eth0", "netns", namespace)  # fmt: skip
                _ip("-n", switch, "link", "set", port, "master", "br0", "up")
                for device in ("lo", "eth0"):
                    _ip("-n", namespace, "link", "set", device, "up")
                _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
                _ip("-n", namespace, "route", "add", "224.0.0.0/4", "dev", "eth0")
                memory = tempfile.TemporaryDirectory(prefix="mvssm_", dir="/dev/shm")
                made.callback(memory.cleanup)
                hosts[name] = Host(namespace, self._folder / name, Path(memory.name))
                made.callback(hosts[name].kill)
            self._made = made.pop_all()
        return hosts

    def __exit__(self, *_: object) -> None:
        self._made.close()


def _namespace(made: ExitStack, name: str) -> str:
    _ip("netns", "add", name)
    made.callback(_ip, "netns", "del", name)
    return name


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout
