"""Every way to install the package, each from a fresh copy into a fresh environment.

Minutes, so not part of `make test`: run by `make test-packaging`.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1800)]

CHECKOUT = Path(__file__).resolve().parents[2]
CONSTRAINTS = CHECKOUT / "requirements" / "constraints.txt"

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


def fresh_venv(folder: Path) -> Path:
    """Make a virtual environment with the torch of this one and return its bin folder."""
    import torch

    base = (
        Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    )
    run(base, "-m", "venv", folder, cwd=folder.parent)
    run(folder / "bin" / "pip", "install", "-q", f"torch=={torch.__version__}", cwd=folder.parent)
    return folder / "bin"


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
def pip_environment(scratch) -> Path:
    """bin/ of an environment into which `pip install .` put the package, in build isolation."""
    source = copy_of_the_package(scratch / "pip_source")
    bin_dir = fresh_venv(scratch / "pip_venv")
    run(bin_dir / "pip", "install", "-q", "-c", CONSTRAINTS, ".", cwd=source)
    return bin_dir


@pytest.fixture(scope="module")
def workspace(scratch, pip_environment) -> Path:
    """A workspace that colcon built, on top of the ROS wheels of the pip environment."""
    workspace = scratch / "workspace"
    copy_of_the_package(workspace / "src" / "mvssm_ros")
    run(sys.executable, "-m", "venv", scratch / "colcon_venv", cwd=scratch)
    colcon_bin = scratch / "colcon_venv" / "bin"
    requirements = CHECKOUT / "requirements"
    run(colcon_bin / "pip", "install", "-q", "-r", requirements / "colcon.txt", cwd=scratch)
    pip = pip_environment / "pip"
    run(pip, "install", "-q", "-c", CONSTRAINTS, "-r", requirements / "build.txt", cwd=scratch)
    # A ROS installation does not hold the package that is about to be built.
    run(pip, "uninstall", "-q", "-y", "mvssm_ros", cwd=scratch)
    run(
        colcon_bin / "colcon",
        "build",
        "--event-handlers",
        "console_cohesion+",
        "--cmake-args",
        f"-DPython3_EXECUTABLE={pip_environment / 'python'}",
        "-DBUILD_TESTING=OFF",
        cwd=workspace,
        AMENT_PREFIX_PATH=str(pip_environment.parent),
        CMAKE_PREFIX_PATH=str(pip_environment.parent),
    )
    return workspace


@pytest.fixture(scope="module")
def pip_files(pip_environment) -> tuple[set[str], set[str]]:
    """What pip installed: the files of the Python package, and those under the prefix."""
    (package_dir,) = pip_environment.parent.glob("lib/python*/site-packages/mvssm_ros")
    return python_files(package_dir), prefix_files(pip_environment.parent)


def test_pip_install(scratch, pip_environment, pip_files):
    where = run(pip_environment / "python", "-c", WORKS, cwd=scratch)
    assert where.strip().startswith(str(pip_environment.parent))
    assert "usage: mvssm" in run(pip_environment / "mvssm", "--help", cwd=scratch)


def test_pip_install_editable(scratch):
    source = copy_of_the_package(scratch / "editable_source")
    bin_dir = fresh_venv(scratch / "editable_venv")
    run(bin_dir / "pip", "install", "-q", "-c", CONSTRAINTS, "-e", ".", cwd=source)
    where = run(bin_dir / "python", "-c", WORKS, cwd=scratch)
    assert where.strip() == str(source / "mvssm_ros" / "__init__.py")
    assert "usage: mvssm" in run(bin_dir / "mvssm", "--help", cwd=scratch)


def test_source_distribution_builds_the_same_wheel(scratch, pip_files):
    """A wheel made from the source distribution has every file that the checkout gives."""
    source = copy_of_the_package(scratch / "sdist_source")
    run(
        sys.executable,
        "-c",
        "import setuptools.build_meta as backend; backend.build_sdist('dist')",
        cwd=source,
    )
    (archive,) = (source / "dist").glob("mvssm_ros-*.tar.gz")
    wheels = scratch / "wheels"
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", archive, "-w", wheels, cwd=scratch)
    (wheel,) = wheels.glob("mvssm_ros-*.whl")
    unpacked = scratch / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    assert (python_files(unpacked / "mvssm_ros")) == pip_files[0]
    (data_dir,) = unpacked.glob("*.data/data")
    assert prefix_files(data_dir) == pip_files[1]


def test_colcon_build(scratch, pip_environment, pip_files, workspace):
    """colcon's install works once sourced, and holds the same files as pip's."""
    python = pip_environment / "python"
    where = run(
        "bash",
        "-c",
        f'source install/setup.bash && "{python}" -c "$WORKS" && PATH="{pip_environment}:$PATH" '
        "mvssm --help",
        cwd=workspace,
        WORKS=WORKS,
    )
    prefix = workspace / "install" / "mvssm_ros"
    assert where.startswith(str(prefix))
    assert "usage: mvssm" in where
    (package_dir,) = prefix.glob("lib/python*/site-packages/mvssm_ros")
    assert python_files(package_dir) == pip_files[0]
    assert prefix_files(prefix) == pip_files[1]
    for executable in (prefix / "lib" / "mvssm_ros").iterdir():
        assert os.access(executable, os.X_OK), executable
        assert executable.read_text().startswith("#!/usr/bin/env python3\n"), executable
