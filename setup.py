"""Let pip build the same CMakeLists.txt as colcon.

pyproject.toml says what the package is; this file only runs CMake and hands what CMake installed
to setuptools: the generated Python messages go beside the Python code, everything else (shared
libraries, the executables of `ros2 run`, share/, include/) under the prefix of the environment.
"""

import atexit
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.build import build

PACKAGE = "mvssm_ros"
SOURCE_DIR = Path(__file__).resolve().parent


def package_version() -> str:
    """Return the version that package.xml states."""
    version = xml.etree.ElementTree.parse(SOURCE_DIR / "package.xml").findtext("version")
    if version is None:
        sys.exit("mvssm_ros: error: package.xml has no <version>")
    return version


def ros_prefix() -> Path:
    """Return the prefix that holds ROS.

    Found from where rosidl_cmake lies and not from sys.prefix, because under pip's build isolation
    the build requirements are elsewhere.
    """
    spec = importlib.util.find_spec("rosidl_cmake")
    if spec is None or spec.origin is None:
        sys.exit(
            "mvssm_ros: error: the ROS message generators are not installed. Use pip's build "
            "isolation (no --no-build-isolation), install .ci/requirements/build.txt first, or "
            "source a ROS 2 installation and build with colcon."
        )
    package_dir = Path(spec.origin).parent
    for prefix in package_dir.parents:
        if (prefix / "share" / "rosidl_cmake").is_dir():
            return prefix
    sys.exit(f"mvssm_ros: error: no share/rosidl_cmake above {package_dir}: a broken ROS install?")


def run_cmake(stage_dir: Path) -> None:
    """Configure, build and install the package under `stage_dir`."""
    for program in ("cmake", "c++"):
        if shutil.which(program) is None:
            sys.exit(
                f"mvssm_ros: error: {program} not found; it is needed to build the messages "
                "(on Debian and Ubuntu: sudo apt install cmake g++)"
            )
    prefix = str(ros_prefix())
    environment = dict(os.environ)
    # rosidl looks up its type supports here; the wheels of ROS do not set it.
    others = environment.get("AMENT_PREFIX_PATH")
    environment["AMENT_PREFIX_PATH"] = os.pathsep.join([prefix, others] if others else [prefix])
    environment.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))

    # A fresh folder each time: what CMake caches of an isolated build environment is gone
    # by the next one.
    with tempfile.TemporaryDirectory(prefix=f"{PACKAGE}_build_") as build_dir:
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        configure = ["cmake", *generator, "-S", str(SOURCE_DIR), "-B", build_dir]
        options = {
            "BUILD_TESTING": "OFF",
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_INSTALL_PREFIX": str(stage_dir),
            "CMAKE_PREFIX_PATH": prefix,
            "MVSSM_UNITY_BUILD": "ON",
            "Python3_EXECUTABLE": sys.executable,
        }
        configure += [f"-D{name}={value}" for name, value in options.items()]
        for command in (
            configure,
            ["cmake", "--build", build_dir],
            ["cmake", "--install", build_dir],
        ):
            subprocess.run(command, env=environment, check=True)


def prefix_files(stage_dir: Path) -> list[tuple[str, list[str]]]:
    """List the files that go under the environment's prefix, as setuptools' data_files.

    Left out is what serves only to build other packages against this one, or to set up a shell:
    it holds paths of the build environment. Whoever needs it builds with colcon.
    """
    patterns = [
        "lib/lib*.so",
        f"lib/{PACKAGE}/*",
        f"share/{PACKAGE}/package.xml",
        f"share/{PACKAGE}/msg/*",
        f"share/{PACKAGE}/config/**/*",
        f"share/{PACKAGE}/launch/**/*",
        f"share/ament_index/resource_index/packages/{PACKAGE}",
        f"share/ament_index/resource_index/package_run_dependencies/{PACKAGE}",
        f"share/ament_index/resource_index/rosidl_interfaces/{PACKAGE}",
    ]
    files: dict[str, list[str]] = {}
    for pattern in patterns:
        for source in sorted(stage_dir.glob(pattern)):
            if source.is_file():
                folder = source.parent.relative_to(stage_dir)
                files.setdefault(str(folder), []).append(str(source))
    return list(files.items())


class BuildInterfaces(Command):
    """The `build_ext` of this package: message modules and libraries, made by CMake.

    In an editable install the message modules go into the source tree (git ignores them).
    """

    description = "build the ROS messages with CMake"
    user_options: ClassVar = []

    def initialize_options(self) -> None:
        self.build_lib = None
        self.inplace = False
        self.editable_mode = False
        self.output_mapping: dict[str, str] = {}

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        stage_dir = Path(tempfile.mkdtemp(prefix=f"{PACKAGE}_stage_"))
        atexit.register(shutil.rmtree, stage_dir, ignore_errors=True)
        run_cmake(stage_dir)
        self._take_messages(stage_dir)
        self.distribution.data_files = prefix_files(stage_dir)

    def _take_messages(self, stage_dir: Path) -> None:
        """Copy the generated part of the Python package to where Python will find it."""
        (init_file,) = stage_dir.glob(f"lib/**/{PACKAGE}/msg/__init__.py")
        generated_dir = init_file.parent.parent
        in_source = self.inplace or self.editable_mode
        target_dir = SOURCE_DIR / PACKAGE if in_source else Path(self.build_lib) / PACKAGE
        shutil.rmtree(target_dir / "msg", ignore_errors=True)
        for source in [*generated_dir.glob("msg/*.py"), *generated_dir.glob("*.so")]:
            relative = source.relative_to(generated_dir)
            target = target_dir / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            self.output_mapping[str(Path(self.build_lib) / PACKAGE / relative)] = str(target)

    # What setuptools asks of a build step.

    def get_outputs(self) -> list[str]:
        return list(self.output_mapping)

    def get_output_mapping(self) -> dict[str, str]:
        return self.output_mapping if self.inplace or self.editable_mode else {}

    def get_source_files(self) -> list[str]:
        return ["CMakeLists.txt", "package.xml"]  # the rest: MANIFEST.in


class Build(build):
    """A build that starts from an empty folder, so that no deleted file lives on in the wheel."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BinaryDistribution(Distribution):
    """A distribution with compiled parts and data files, though setuptools is told of neither."""

    def has_ext_modules(self) -> bool:
        return True  # run build_ext; tag the wheel with the platform

    def has_data(self) -> bool:
        return True  # asked by editable installs only: do install the data files


setup(
    version=package_version(),
    distclass=BinaryDistribution,
    cmdclass={"build": Build, "build_ext": BuildInterfaces},
)
