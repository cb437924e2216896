"""What the code imports, package.xml and pyproject.toml declare; what they declare exists."""

import ast
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

package_xml = pytest.importorskip("catkin_pkg.package")

CHECKOUT = Path(__file__).resolve().parents[2]

# Looked up in github.com/ros/rosdistro on 2026-08-22: ROS packages released for each of Jazzy,
# Kilted, Lyrical and Rolling, and system packages (rosdep/base.yaml, rosdep/python.yaml) with a
# rule for Debian and Ubuntu. A key that is not here: look it up there, then add it.
ROS_PACKAGES = """
    ament_cmake ament_cmake_python ament_index_python builtin_interfaces cv_bridge diagnostic_msgs
    geometry_msgs launch launch_ros lifecycle_msgs message_filters rcl_interfaces rclpy rosgraph_msgs
    rosidl_default_generators rosidl_default_runtime sensor_msgs std_msgs std_srvs tf2_msgs tf2_ros
    tf_transformations visualization_msgs
""".split()
SYSTEM_PACKAGES = """
    python3-hypothesis python3-matplotlib python3-numpy python3-opencv python3-pytest
    python3-pytest-timeout python3-scipy python3-torch python3-tqdm python3-yaml
""".split()

# Module that is imported: distribution on the package index that has it.
DISTRIBUTIONS = {
    "ai_edge_litert": "ai-edge-litert",
    "cv2": "opencv-python-headless",
    "mamba_ssm": "mamba-ssm",
    "mpl_toolkits": "matplotlib",
    "rerun": "rerun-sdk",
    "yaml": "pyyaml",
}
# Imported only where they happen to be installed, behind a fallback; torch brings triton.
OPTIONAL_MODULES = {"triton"}


def imported_modules(folder: str) -> dict[str, Path]:
    """Return the top-level modules imported anywhere under `folder`, each with one file."""
    found: dict[str, Path] = {}
    for path in sorted((CHECKOUT / folder).rglob("*.py")):
        if "msg" in path.relative_to(CHECKOUT).parts:
            continue  # generated
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                found.setdefault(name.split(".")[0], path)
    for name in [*sys.stdlib_module_names, "mvssm_ros", "__future__"]:
        found.pop(name, None)
    return found


@pytest.fixture(scope="module")
def ros_manifest():
    return package_xml.parse_package(CHECKOUT / "package.xml")


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def requirement_names(requirements: list[str]) -> set[str]:
    """Return the names in a list of requirements, normalised."""
    names = (re.match(r"[A-Za-z0-9._-]+", requirement).group() for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def lines(path: str) -> list[str]:
    """Return the requirements in a requirements file."""
    text = (line.split("#")[0].strip() for line in (CHECKOUT / path).read_text().splitlines())
    return [line for line in text if line]


def test_package_xml_is_valid(ros_manifest):
    warnings: list[str] = []
    ros_manifest.validate(warnings)
    assert warnings == []
    assert ros_manifest.package_format == 3


def test_rosdep_keys_exist(ros_manifest):
    groups = (
        "buildtool_depends build_depends build_export_depends exec_depends test_depends"
    ).split()
    keys = {depend.name for group in groups for depend in getattr(ros_manifest, group)}
    assert keys - set(ROS_PACKAGES) - set(SYSTEM_PACKAGES) == set()


def test_ros_imports_are_declared(ros_manifest):
    declared = {depend.name for depend in ros_manifest.exec_depends + ros_manifest.build_depends}
    imported = {**imported_modules("launch"), **imported_modules("mvssm_ros")}
    undeclared = {
        name: str(path)
        for name, path in imported.items()
        if name in ROS_PACKAGES and name not in declared
    }
    assert undeclared == {}


def test_python_imports_are_declared(pyproject):
    project = pyproject["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    declared = requirement_names(project["dependencies"] + extras)
    undeclared = {
        name: str(path)
        for name, path in imported_modules("mvssm_ros").items()
        if name not in ROS_PACKAGES
        and name not in OPTIONAL_MODULES
        and re.sub(r"_", "-", DISTRIBUTIONS.get(name, name)).lower() not in declared
    }
    assert undeclared == {}


def test_declared_distributions_are_imported(pyproject):
    extras = pyproject["project"]["optional-dependencies"]
    users_extras = [line for name, lines in extras.items() if name != "dev" for line in lines]
    declared = requirement_names(pyproject["project"]["dependencies"] + users_extras)
    declared = {name for name in declared if not name.startswith(("ros-", "mvssm-"))}
    # mamba_ssm is imported by name, to be optional without costing an import where it is absent.
    imported = {*imported_modules("mvssm_ros"), "mamba_ssm"}
    used = {DISTRIBUTIONS.get(name, name).replace("_", "-").lower() for name in imported}
    assert declared - used == set()


def test_nothing_but_nodes_imports_ros():
    outside = {
        str(path.relative_to(CHECKOUT)): name
        for folder in sorted((CHECKOUT / "mvssm_ros").iterdir())
        if folder.is_dir() and folder.name not in ("nodes", "msg")
        for name, path in imported_modules(f"mvssm_ros/{folder.name}").items()
        if name in ROS_PACKAGES
    }
    assert outside == {}


def test_make_builds_with_what_pip_builds_with(pyproject):
    assert requirement_names(lines(".ci/requirements/build.txt")) == requirement_names(
        pyproject["build-system"]["requires"]
    )


def test_every_dependency_of_make_is_pinned(pyproject):
    pinned = [line for line in lines(".ci/requirements/constraints.txt") if "==" in line]
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [
        line for name in ("dev", "demo", "mediapipe", "train", "view") for line in extras[name]
    ]
    names = requirement_names(wanted) | requirement_names(lines(".ci/requirements/build.txt"))
    assert names - requirement_names(pinned) - {"mvssm-ros", "torch"} == set()
    assert all("==" in line for line in lines(".ci/requirements/no-deps.txt"))


def test_make_takes_a_torch_that_pyproject_admits(pyproject):
    pin = re.search(
        r"^TORCH\s*\?= torch==(\S+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE
    )
    assert pin, "the Makefile does not pin torch"
    requirements = map(Requirement, pyproject["project"]["dependencies"])
    (torch,) = (requirement for requirement in requirements if requirement.name == "torch")
    assert torch.specifier.contains(pin.group(1))


def test_constraints_leave_torch_to_the_makefile():
    assert "torch" not in requirement_names(lines(".ci/requirements/constraints.txt"))
