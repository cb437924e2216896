"""`mvssm fuzz`: every kind runs, findings are kept and end it with 1, and can be made again."""

import pytest

from mvssm_ros.cli import main
from mvssm_ros.commands import fuzz
from mvssm_ros.fuzzing.files import RigFiles


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_inputs_are_accepted_or_refused(kind, tmp_path, capsys):
    out = tmp_path / "findings"
    assert main(["fuzz", "--what", kind, "--count", "150", "--out", str(out)]) == 0
    cases, accepted, refused, findings = (
        int(cell) for cell in capsys.readouterr().out.splitlines()[2].split("|")[2:6]
    )
    assert (cases, findings) == (150, 0)
    assert accepted + refused == 150
    assert min(accepted, refused) > 0  # it tries both sides
    assert not out.exists()


def test_a_finding_is_printed_kept_and_comes_again(tmp_path, capsys, monkeypatch):
    class Fails(RigFiles):
        def check(self, data):
            if b"compressed" not in data:
                raise KeyError("transport")

    monkeypatch.setattr(fuzz, "_target", lambda kind: Fails)
    arguments = ["fuzz", "--what", "rig", "--seed", "3", "--out", str(tmp_path)]
    assert main([*arguments, "--count", "200"]) == 1
    shown = capsys.readouterr().out
    first = sorted(tmp_path.iterdir())[0]
    number = first.stem.rsplit("_", 1)[1]
    assert "KeyError: 'transport'" in shown
    assert f"mvssm fuzz --what rig --seed 3 --first {number} --count 1" in shown
    kept = first.read_bytes()
    first.unlink()
    assert main([*arguments, "--first", number, "--count", "1"]) == 1
    assert first.read_bytes() == kept


def test_an_unknown_kind_is_refused(capsys):
    assert main(["fuzz", "--what", "image,rigs"]) == 2
    assert "--what names rigs: expected some of image, camera_info" in capsys.readouterr().err
