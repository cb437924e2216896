"""Every way to install the package, each from a fresh copy of the package.

Minutes, so not part of `make test`: run by `make test-packaging`.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(3600)]

CHECKOUT = Path(__file__).resolve().parents[2]
REQUIREMENTS = CHECKOUT / ".ci" / "requirements"
CONSTRAINTS = REQUIREMENTS / "constraints.txt"

# What an installed package must be able to do, wherever it was installed to and however.
WORKS = """
import math
from pathlib import Path
from rclpy.serialization import deserialize_message, serialize_message
from mvssm_ros.msg import Joint, Person, PersonArray
from mvssm_ros.share import share_dir
people = PersonArray(skeleton="panoptic15", people=[Person(joints=[Joint(confidence=0.5)] * 15)])
received = deserialize_message(serialize_message(people), PersonArray)
assert received.skeleton == "panoptic15", received
assert [joint.confidence for joint in received.people[0].joints] == [0.5] * 15, received
for folder in ("config", "launch"):
    assert any((share_dir() / folder).iterdir()), f"nothing in {share_dir() / folder}"
import mvssm_ros
weights = list((Path(mvssm_ros.__file__).parent / "weights").glob("*.safetensors"))
assert weights, f"no weights beside {mvssm_ros.__file__}"
print(mvssm_ros.__file__)
"""


def clean_environment(**changes: str) -> dict[str, str]:
    """Return an environment in which nothing points into the environment these tests run in."""
    left_out = {
        "AMENT_PREFIX_PATH",
        "CMAKE_PREFIX_PATH",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
    }
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, **changes}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command and return what it printed; fail with all of it if the command fails."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}\n{result.stdout[-6000:]}", pytrace=False)
    return result.stdout


def pip(environment: Path, *arguments: str | Path, cwd: Path) -> None:
    """Run `pip install` in an environment, without byte code, which would take most of the time."""
    run(environment / "bin" / "pip", "install", "-q", "--no-compile", *arguments, cwd=cwd)


def copy_of_the_package(target: Path) -> Path:
    """Copy what git tracks, or would track, to `target`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target / name)
    return target


def python_files(folder: Path) -> set[str]:
    """List the files of the installed Python package, except what differs by its nature."""
    ignored = {".pyc", ".c"}  # byte code; the generator's sources, which colcon installs too
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in ignored
    }


def prefix_files(prefix: Path) -> set[str]:
    """List the installed files under a prefix that a running package uses."""
    patterns = [
        "lib/libmvssm_ros*",
        "lib/mvssm_ros/*",
        "share/mvssm_ros/config/**/*",
        "share/mvssm_ros/launch/**/*",
        "share/mvssm_ros/msg/*",
        "share/mvssm_ros/package.xml",
    ]
    paths = (path for pattern in patterns for path in prefix.glob(pattern))
    return {
        str(path.relative_to(prefix)) for path in paths if path.is_file() and path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(scope="module")
def environment(scratch) -> Path:
    """A fresh virtual environment with the torch of this one; every user leaves it without ours."""
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    run(base, "-m", "venv", scratch / "venv", cwd=scratch)
    torch = f"torch=={version('torch')}"
    pip(scratch / "venv", torch, cwd=scratch)
    return scratch / "venv"


@dataclass
class PipInstall:
    """What was seen of a pip install while it was there."""

    imported_from: str
    help_text: str
    package_files: set[str]  # of the Python package, relative to it
    prefix_files: set[str]
    left_behind: set[str]  # under the prefix, after pip uninstall


def pip_install(environment: Path, source: Path, *options: str) -> PipInstall:
    """Install from `source`, look at the result and uninstall it again."""
    bin_dir = environment / "bin"
    pip(environment, "-c", CONSTRAINTS, *options, ".", cwd=source)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    seen = PipInstall(
        imported_from=run(bin_dir / "python", "-c", WORKS, cwd=environment).strip(),
        help_text=run(bin_dir / "mvssm", "--help", cwd=environment),
        package_files=python_files(site_packages / "mvssm_ros"),
        prefix_files=prefix_files(environment),
        left_behind=set(),
    )
    run(bin_dir / "pip", "uninstall", "-q", "-y", "mvssm_ros", cwd=environment)
    seen.left_behind = prefix_files(environment)
    return seen


@pytest.fixture(scope="module")
def with_generators(scratch, environment, installed) -> Path:
    """The environment with the message generators, as a ROS installation has them."""
    pip(environment, "-c", CONSTRAINTS, "-r", REQUIREMENTS / "build.txt", cwd=scratch)
    return environment


@pytest.fixture(scope="module")
def installed(scratch, environment) -> PipInstall:
    """By pip's default: in build isolation."""
    return pip_install(environment, copy_of_the_package(scratch / "pip_source"))


def test_pip_install(environment, installed):
    assert installed.imported_from.startswith(str(environment))
    assert "usage: mvssm" in installed.help_text
    assert installed.left_behind == set()


def test_pip_install_editable(scratch, with_generators, installed):
    """As `make setup` does it, without build isolation."""
    source = copy_of_the_package(scratch / "editable_source")
    editable = pip_install(with_generators, source, "--no-build-isolation", "-e")
    assert editable.imported_from == str(source / "mvssm_ros" / "__init__.py")
    assert "usage: mvssm" in editable.help_text
    assert editable.prefix_files == installed.prefix_files
    assert python_files(source / "mvssm_ros") == installed.package_files
    assert editable.left_behind == set()


def test_colcon_build(scratch, with_generators, installed):
    """colcon's install works once sourced, and holds the same files as pip's."""
    run(sys.executable, "-m", "venv", scratch / "colcon_venv", cwd=scratch)
    colcon_bin = scratch / "colcon_venv" / "bin"
    pip(scratch / "colcon_venv", "-r", REQUIREMENTS / "colcon.txt", cwd=scratch)

    workspace = scratch / "workspace"
    copy_of_the_package(workspace / "src" / "mvssm_ros")
    python = with_generators / "bin" / "python"
    options = ["--cmake-args", f"-DPython3_EXECUTABLE={python}", "-DBUILD_TESTING=OFF"]
    found_in = str(with_generators)
    ros = {"AMENT_PREFIX_PATH": found_in, "CMAKE_PREFIX_PATH": found_in}
    run(colcon_bin / "colcon", "build", *options, cwd=workspace, **ros)

    seen = run(
        "bash",
        "-c",
        'source install/setup.bash && python -c "$WORKS" && mvssm --help',
        cwd=workspace,
        WORKS=WORKS,
        PATH=f"{python.parent}:{os.environ['PATH']}",
    )
    prefix = workspace / "install" / "mvssm_ros"
    assert seen.startswith(str(prefix))
    assert "usage: mvssm" in seen
    assert prefix_files(prefix) == installed.prefix_files
    (package_dir,) = prefix.glob("lib/python*/site-packages/mvssm_ros")
    assert python_files(package_dir) == installed.package_files
    for executable in (prefix / "lib" / "mvssm_ros").iterdir():
        assert os.access(executable, os.X_OK), executable
        assert executable.read_text().startswith("#!/usr/bin/env python3\n"), executable


def test_source_distribution_is_complete(scratch):
    """Everything that an install from the checkout uses is in the source distribution."""
    source = copy_of_the_package(scratch / "sdist_source")
    build = "import setuptools.build_meta as backend; backend.build_sdist('dist')"
    run(sys.executable, "-c", build, cwd=source)
    (path,) = (source / "dist").glob("mvssm_ros-*.tar.gz")
    with tarfile.open(path) as archive:
        packed = {member.name.split("/", 1)[-1] for member in archive if member.isfile()}
    folders = ("config", "launch", "msg", "mvssm_ros")
    top_level = {"CMakeLists.txt", "LICENSE", "README.md", "package.xml", "pyproject.toml"}
    wanted = {str(p.relative_to(source)) for f in folders for p in (source / f).rglob("*")}
    wanted = {name for name in wanted if (source / name).is_file()} | top_level
    assert wanted - packed == set()
