"""The command line as a user meets it: mistakes in one line, exit codes."""

import re
import textwrap
from pathlib import Path

import pytest

from mvssm_ros.cli import COMMANDS, main

README = Path(__file__).parent.parent / "README.md"


def test_without_arguments_it_says_what_there_is(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        "rig check nowhere.yaml",
        "rig",
        "none",
        "export x --format c3d",
        "sim --seed a",
        "data check --no",
    ],
)
def test_a_mistake_is_one_line(words, capsys):
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("mvssm: error: ")
    assert error.count("\n") == 1


def test_the_rig_file_of_the_readme_is_a_rig_file(tmp_path, capsys):
    example = re.search(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    path = tmp_path / "rig.yaml"
    path.write_text(textwrap.dedent(example[1]))
    assert main(["rig", "check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "2 cameras (left, right)" in out
    assert "intrinsics of left: taken from camera_info" in out
    assert "by default" not in out


def test_a_space_that_is_not_given_is_said_to_be_the_default(tmp_path, capsys):
    path = tmp_path / "rig.yaml"
    for space, told in (
        ("", "space: center_m, size_m, floor_m not given in the file, taken by default:"
             " around (0, 0) m, 5 x 5 m, floor at 0 m;"),
        ("space: {size_m: [3, 4], floor_m: 0.2}", "space: center_m not given in the file, taken by"
                                                  " default: around (0, 0) m;"),
    ):  # fmt: skip
        path.write_text(f"{space}\ncameras: {{left: , right: }}\n")
        assert main(["rig", "check", str(path)]) == 0
        assert told in capsys.readouterr().out


def test_run_refuses_bad_weights_before_it_starts_ros(tmp_path, capsys):
    rig = Path(__file__).parent.parent / "config" / "rigs" / "pose2sim_single.yaml"
    assert main(["run", str(rig), "--weights", str(tmp_path / "none.safetensors")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_run_refuses_a_parameter_that_does_not_exist(capsys):
    rig = Path(__file__).parent.parent / "config" / "rigs" / "pose2sim_single.yaml"
    assert main(["run", str(rig), "--param", "sync.slopp:=0.02"]) == 2
    assert "there is no parameter 'sync.slopp'" in capsys.readouterr().err
