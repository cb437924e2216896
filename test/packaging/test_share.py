"""share_dir() finds the data that belongs to the code that runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from mvssm_ros import share
from mvssm_ros.errors import UserError


def make_share(prefix: Path) -> Path:
    """Make `prefix` look like one that mvssm_ros was installed to."""
    folder = prefix / "share" / "mvssm_ros"
    folder.mkdir(parents=True)
    (folder / "package.xml").write_text("<package/>")
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "mvssm_ros"
    marker.parent.mkdir(parents=True)
    marker.touch()
    return folder


@pytest.fixture
def installed_code(monkeypatch, tmp_path):
    """Let the module believe that it lies in site-packages and not in a checkout."""
    monkeypatch.setattr(share, "__file__", str(tmp_path / "site-packages/mvssm_ros/share.py"))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    return tmp_path


def test_finds_config_and_launch():
    for name in ("config", "launch"):
        assert (share.share_dir() / name).is_dir()


def test_pip_install(installed_code):
    folder = make_share(installed_code / "venv")
    assert share.share_dir() == folder


def test_workspace_goes_before_the_environments_prefix(installed_code, monkeypatch):
    pytest.importorskip("ament_index_python")
    make_share(installed_code / "venv")
    folder = make_share(installed_code / "workspace")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(installed_code / "workspace"))
    assert share.share_dir() == folder


def test_nowhere_is_one_clear_error(installed_code):
    with pytest.raises(UserError, match=r"neither in the ament index .* nor in .*share/mvssm_ros"):
        share.share_dir()


def test_needs_no_ros():
    """Without ament_index_python the prefix is still found."""
    code = (
        "import sys; sys.modules['ament_index_python'] = None\n"
        "from mvssm_ros.share import share_dir; print(share_dir())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert Path(answer.stdout.strip()).is_dir()
