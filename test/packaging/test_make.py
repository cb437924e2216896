"""`make` on a machine that lacks something says what is missing, in one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ALWAYS_THERE = ["awk", "bash", "env", "make", "rm", "touch", "uname"]
BASE_PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"


def make_without(missing: str, tmp_path: Path, python: Path | str = BASE_PYTHON) -> str:
    """Run `make setup` into an empty place, with `missing` not on the PATH; return its errors."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for program in {*ALWAYS_THERE, "cmake", "g++"} - {missing}:
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"{program} is not on this machine")
        (bin_dir / program).symlink_to(found)
    if missing != "python3":
        (bin_dir / "python3").symlink_to(python)
    result = subprocess.run(
        [str(bin_dir / "make"), "setup", f"VENV={tmp_path / 'venv'}"],
        cwd=CHECKOUT,
        env={"PATH": str(bin_dir), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert not (tmp_path / "venv").exists()
    return result.stderr


@pytest.mark.parametrize("program", ["cmake", "g++", "python3"])
def test_missing_program(program, tmp_path):
    first_line = make_without(program, tmp_path).splitlines()[0]
    assert first_line.startswith(f"make: error: {program} not found")
    assert "sudo apt install" in first_line
    assert program in first_line.split("sudo apt install")[1]


def script(tmp_path: Path, code: str) -> Path:
    """Write a `python3` that runs `code` before what it is asked to run."""
    path = tmp_path / "python3_lacking_something"
    path.write_text(
        f"#!{BASE_PYTHON} -S\nimport sys\n{code}\n"
        "exec(sys.argv[2] if sys.argv[1] == '-c' else '')\n"
    )
    path.chmod(0o755)
    return path


def test_missing_venv_module(tmp_path):
    python = script(tmp_path, "sys.modules['ensurepip'] = None")
    first_line = make_without("", tmp_path, python).splitlines()[0]
    assert "cannot make virtual environments: sudo apt install python3-venv" in first_line


def test_missing_headers(tmp_path):
    python = script(tmp_path, "import sysconfig; sysconfig.get_path = lambda name: '/nowhere'")
    first_line = make_without("", tmp_path, python).splitlines()[0]
    assert "headers of python3 are missing: sudo apt install python3-dev" in first_line


def test_too_old_python(tmp_path):
    python = script(tmp_path, "sys.version_info = (3, 9, 2)")
    first_line = make_without("", tmp_path, python).splitlines()[0]
    assert "needed is 3.10 to 3.13" in first_line
