"""`mvssm view`: mistakes that are told before anything starts."""

import sys

import pytest

from mvssm_ros.cli import main


def refused(capsys, *arguments: str) -> str:
    """The one line it ended with."""
    assert main(["view", "--no-open", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_without_the_library_one_line_says_how_to_install_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)  # an import of it fails as if it were absent
    assert "pip install 'mvssm_ros[view]'" in refused(capsys)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--port", "70000"], ["--port", "70000"]),
        (["--image-rate", "0"], ["--image-rate"]),
        (["--image-width", "1"], ["--image-width"]),
        (["--rig", "/nowhere.yaml"], ["/nowhere.yaml"]),
        (["/nowhere/bag"], ["/nowhere/bag"]),
    ],
)
def test_mistakes_are_told_in_one_line(capsys, arguments, parts):
    pytest.importorskip("rerun", reason="the viewer library is not installed")
    line = refused(capsys, *arguments)
    for part in parts:
        assert part in line


def test_a_file_that_cannot_be_written_is_told_in_one_line(capsys, tmp_path):
    pytest.importorskip("rerun", reason="the viewer library is not installed")
    assert "/nowhere/x.rrd" in refused(capsys, str(tmp_path), "--save", "/nowhere/x.rrd")
