"""`mvssm rig import` from the command line to the rig file."""

import calibration_files as files
import numpy as np

from mvssm_ros.cli import main
from mvssm_ros.rig.rig_file import load_rig


def test_a_chain_with_a_pose_becomes_a_rig_file(tmp_path, capsys):
    path = files.kalibr(tmp_path / "camchain.yaml")
    out = tmp_path / "rig.yaml"
    pose = "4 0 1 -0.5 -0.5 0.5 0.5".split()
    arguments = ["rig", "import", path, "--out", str(out), "--first-camera-pose", *pose]
    assert main([*arguments, "--reference-frame", "base_link"]) == 0
    assert "3 cameras (cam0, cam1, cam2) in 'base_link'" in capsys.readouterr().out
    rig = load_rig(out)
    np.testing.assert_allclose(rig.cameras["cam0"].center_m, [4, 0, 1], atol=1e-9)


def test_every_option_reaches_its_format(tmp_path, capsys):
    paths = files.easymocap(tmp_path, sizes=False)
    out = str(tmp_path / "rig.yaml")
    arguments = ["rig", "import", *paths, "--format", "easymocap", "--out", out]
    arguments += ["--image-size", "1280", "720", "--unit", "m", "--up", "z"]
    assert main(arguments) == 0
    assert load_rig(out).cameras["cam02"].size_px == files.SIZE_PX
    infos = [files.camera_info(tmp_path / f"{n}.yaml", n) for n in ("left", "right")]
    (tmp_path / "tf").write_text("4 0 1 -0.5 -0.5 0.5 0.5 map eye\n0 0 1 0 0 0 map right_link\n")
    arguments = ["rig", "import", *infos, "--out", out, "--transforms", str(tmp_path / "tf")]
    assert main([*arguments, "--frame", "left=eye"]) == 0
    assert load_rig(out).cameras["left"].frame_id == "eye"
    assert main(["rig", "import", *infos, "--out", out]) == 0
    assert "extrinsics of left, right: taken from TF" in capsys.readouterr().out


def test_what_is_missing_is_asked_for_in_one_line(tmp_path, capsys):
    path = files.kalibr(tmp_path / "camchain.yaml")
    assert main(["rig", "import", path, "--out", str(tmp_path / "rig.yaml")]) == 2
    error = capsys.readouterr().err
    assert "add --first-camera-height M" in error
    assert error.count("\n") == 1
