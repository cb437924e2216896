"""Formats are told by what is in the files; mistakes get one sentence that names file and fix."""

import calibration_files as files
import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers import FORMATS, Options, guess, import_rig


def test_panoptic_and_qualisys_are_told_apart(tmp_path):
    (tmp_path / "a").write_text('{"cameras": [{"type": "hd", "node": 0}]}')
    (tmp_path / "b").write_text("<?xml version='1.0'?><calibration><cameras/></calibration>")
    assert guess([str(tmp_path / "a")]) == "panoptic"
    assert guess([str(tmp_path / "b")]) == "qca"


@pytest.mark.parametrize("text", ["", "hello", "a: 1", "{}", "[1, 2]", "cameras: {}"])
def test_what_cannot_be_guessed_is_said(tmp_path, text):
    path = tmp_path / "calibration"
    path.write_text(text)
    with pytest.raises(UserError, match=r"does not look like one .* name it with --format"):
        import_rig([str(path)])


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("text", ["", "hello", "{", "a: 1", "[metadata]\n", "\x00\x01", "cam0: 3"])
def test_another_file_is_a_users_mistake_in_every_format(tmp_path, name, text):
    path = tmp_path / "calibration.txt"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        import_rig([str(path)], name)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_missing_and_unreadable_files(tmp_path, name):
    with pytest.raises(UserError, match="there is no such file"):
        import_rig([str(tmp_path / "none")], name)
    (tmp_path / "image.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match=r"image\.png"):
        import_rig([str(tmp_path / "image.png")], name)
    with pytest.raises(UserError, match="is a folder without EasyMocap's"):
        import_rig([str(tmp_path)], name)


def test_options_that_a_format_has_no_use_for_are_refused(tmp_path):
    path = files.kalibr(tmp_path / "camchain.yaml")
    for options, flag in (
        (Options(unit_m=0.01), "--unit"),
        (Options(image_size_px=(640, 480)), "--image-size"),
        (Options(frames=("a=b",)), "--frame"),
        (Options(transforms="tf"), "--transforms"),
        (Options(up="y"), "--up"),
    ):
        with pytest.raises(UserError, match=f"{flag}: has no meaning for the format kalibr"):
            import_rig([path], options=options)
    both = Options(first_camera_height_m=1.0, first_camera_pose=(0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(UserError, match="give one of them"):
        import_rig([path], options=both)
    with pytest.raises(UserError, match="takes one file, got 2"):
        import_rig([path, path])
    with pytest.raises(UserError, match="is not a unit quaternion"):
        import_rig([path], options=Options(first_camera_pose=(0, 0, 1, 0, 0, 0, 2)))


KALIBR_CHANGES = [
    (("camera_model: pinhole", "camera_model: omni"), "camera_model is omni, only pinhole"),
    (("radtan", "fov"), "distortion_model is fov, expected radtan"),
    (("T_cn_cnm1", "T_other"), "cam1: has no T_cn_cnm1 (from cam0 to it)"),
    (("- [0.0, 0.0, 0.0, 1.0]", "- [0.0, 0.0, 0.0, 2.0]"), "the last row must be 0, 0, 0, 1"),
    (("resolution: [1280, 720]", "resolution: [1280]"), "resolution: expected 2 finite numbers"),
    (("intrinsics: [900.0", "intrinsics: [nan"), "intrinsics: expected 4 finite numbers"),
    (("intrinsics: [900.0", "intrinsics: [0.0"), "focal lengths must be above 0 px"),
    (("distortion_coeffs", "other"), "the key 'distortion_coeffs' is missing"),
    (("cam1:", "cam1: 3\nother:"), "cam1: expected camera_model, intrinsics"),
    (("cam", "lens"), "has no cam0, cam1"),
]


@pytest.mark.parametrize(("change", "words"), KALIBR_CHANGES)
def test_bad_kalibr_chains(tmp_path, change, words):
    path = files.kalibr(tmp_path / "camchain.yaml")
    text = (tmp_path / "camchain.yaml").read_text()
    assert change[0] in text
    (tmp_path / "camchain.yaml").write_text(text.replace(*change))
    with pytest.raises(UserError) as caught:
        import_rig([path], "kalibr", Options(first_camera_height_m=1.0))
    assert words in str(caught.value)


TOML_CHANGES = [
    (("rotation = [", "other = ["), "has no rotation; calibrate its extrinsics"),
    (("fisheye = false", "fisheye = true"), "a fisheye has 4 distortion coefficients, got 5"),
    (("size = [ 1280.0, ", "size = [ "), "size: expected 2 finite numbers"),
    (('"cam_02"', '"cam_01"'), "there is already a camera cam_01"),
    (("matrix = [", "matrix = 3 # ["), "matrix: expected 9 finite numbers"),
    (("0.001, -0.002, 0.01]", "0.001]"), "expected 4, 5 or 8 distortion coefficients, got 3"),
    (("0.01]", "0.01, 0, 0, 0, 1.0, 0, 0, 0]"), "thin prism and tilt"),
    (("[900.0, 0.0, ", "[900.0, 4.0, "), "has a skew of 4 px"),
    (("fisheye = false", "ignore = true"), "expected 2 or more"),
]


@pytest.mark.parametrize(("change", "words"), TOML_CHANGES)
def test_bad_toml_files(tmp_path, change, words):
    path = files.toml(tmp_path / "c.toml")
    text = (tmp_path / "c.toml").read_text()
    assert change[0] in text
    (tmp_path / "c.toml").write_text(text.replace(*change))
    with pytest.raises(UserError) as caught:
        import_rig([path])
    assert words in str(caught.value)


def test_an_ignored_camera_of_caliscope_is_left_out(tmp_path):
    path = files.toml(tmp_path / "c.toml")
    text = (tmp_path / "c.toml").read_text()
    (tmp_path / "c.toml").write_text(text.replace("fisheye = false", "ignore = true", 1))
    assert list(import_rig([path]).cameras) == ["cam_02", "cam_03"]


EASYMOCAP_CHANGES = [
    ("intri.yml", ("K_02", "L_02"), "has no K_02"),
    ("intri.yml", ("rows: 3", "rows: 2"), "K_01: is not a matrix of numbers"),
    ("extri.yml", ("T_3:", "U_3:"), "has no T_3"),
    ("extri.yml", ("%YAML:1.0", "YAML"), "is not a FileStorage of OpenCV"),
    ("extri.yml", ("rows: 3\n   cols: 1", "rows: 1\n   cols: 3"), None),  # as good
]


@pytest.mark.parametrize(("name", "change", "words"), EASYMOCAP_CHANGES)
def test_bad_easymocap_files(tmp_path, name, change, words, capfd):
    paths = files.easymocap(tmp_path)
    text = (tmp_path / name).read_text()
    assert change[0] in text
    (tmp_path / name).write_text(text.replace(*change))
    if words is None:
        assert len(import_rig(paths).cameras) == 3
        return
    with pytest.raises(UserError) as caught:
        import_rig(paths, "easymocap")
    assert words in str(caught.value)
    assert capfd.readouterr().err == ""  # what OpenCV says itself is of no use


def test_matrices_of_opencv_that_do_not_fit(tmp_path):
    head = "%YAML:1.0\n---\n" + files.opencv_matrix("Ks", np.stack([files.K.ravel()] * 3))
    path = tmp_path / "multi.yml"
    rest = files.opencv_matrix("Rs", np.stack([np.eye(3).ravel()] * 3))
    path.write_text(head + rest)
    with pytest.raises(UserError, match="has no Ts; it has Ks, Rs"):
        import_rig([str(path)])
    path.write_text(head + rest + files.opencv_matrix("Ts", np.zeros((2, 3))))
    with pytest.raises(UserError, match="Ts: expected 9 numbers, got 6"):
        import_rig([str(path)])
    full = head + rest + files.opencv_matrix("Ts", np.zeros((3, 3)))
    sizes = files.opencv_matrix("image_sizes", np.array([files.SIZE_PX] * 3))
    path.write_text(full + sizes + files.opencv_matrix("distortions", np.zeros((1, 14))))
    with pytest.raises(UserError, match="14 coefficients do not go round 3 pinhole"):
        import_rig([str(path)])
