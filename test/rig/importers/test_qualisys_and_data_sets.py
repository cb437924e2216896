"""Foreign calibrations against known points in them."""

import json

import numpy as np
import pytest
import torch

from mvssm_ros.demo_data import find_demo
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.rig.importers import import_campus_shelf, import_panoptic, import_qca
from mvssm_ros.rig.rig_file import load_rig

QCA_CAMERA = """
    <camera serial="{serial}" viewrotation="{view}">
      <fov_video bottom="479" left="{left}" right="649" top="20"/>
      <transform r11="0" r12="1" r13="0" r21="0" r22="0" r23="1" r31="1" r32="0" r33="0"
                 x="{x}" y="0" z="1500"/>
      <intrinsic centerPointU="{cu}" centerPointV="16640" focalLengthU="32000" focalLengthV="32064"
                 radialDistortion1="0.1" radialDistortion2="0.2" radialDistortion3="0.3"
                 tangentalDistortion1="0.01" tangentalDistortion2="0.02" skew="{skew}"/>
    </camera>"""


def qca(tmp_path, serials=("1001", "cam two"), replace=("", ""), **values):
    """A small Qualisys file of cameras 3 m from the origin, which look along -x."""
    cameras = "".join(
        QCA_CAMERA.format(
            **{"serial": s, "x": 3000 + 100 * i, "view": 0, "left": 10, "cu": 21120, "skew": 0}
            | values
        )
        for i, s in enumerate(serials)
    )
    path = tmp_path / "small.qca.txt"
    text = f"<?xml version='1.0'?><calibration><cameras>{cameras}</cameras></calibration>"
    path.write_text(text.replace(*replace))
    return path


def test_qca_values_and_axes(tmp_path):
    """Two cameras before each other on the x axis; Qualisys: y up and z backward."""
    rig = import_qca(qca(tmp_path))
    assert list(rig.cameras) == ["cam1001", "cam_two"]
    entry = rig.cameras["cam1001"]
    assert entry.size_px == (640, 460)
    np.testing.assert_allclose(entry.K, [[500, 0, 320], [0, 501, 240], [0, 0, 1]])
    np.testing.assert_allclose(entry.distortion, [0.1, 0.2, 0.01, 0.02, 0.3])
    np.testing.assert_allclose(entry.center_m, [3, 0, 1.5])
    np.testing.assert_allclose(entry.R[2], [-1, 0, 0])  # looks along -x
    np.testing.assert_allclose(entry.R[1], [0, 0, -1])  # image y points down


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"view": 90}, "camera 1001: viewrotation is 90, only 0"),
        ({"skew": 640}, "camera 1001: intrinsic: skew is 10 px"),
        ({"cu": "wide"}, "camera 1001: intrinsic: centerPointU: expected a number, got 'wide'"),
        ({"left": 700}, "camera 1001: the image size is -50 x 460"),
        ({"x": "nan"}, "camera 1001: the translation is not finite"),
        ({"serials": ("1001",)}, "has only the camera cam1001"),
        ({"replace": ('r12="1"', 'r12="2"')}, "camera 1001: is not a rotation matrix"),
        ({"replace": ("focalLengthU", "x")}, "focalLengthU: expected a number, got nothing"),
        ({"replace": ("<cameras>", "<others>")}, "is not XML"),
        ({"replace": ("cameras", "others")}, "has no cameras"),
        ({"replace": ("<calibration>", "<!DOCTYPE a><calibration>")}, "document type"),
    ],
)
def test_bad_qca_files(tmp_path, change, words):
    path = qca(tmp_path, **change)
    with pytest.raises(UserError) as caught:
        import_qca(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_qca_of_the_demo_agrees_with_an_independent_conversion(shared_data):
    """The pseudo ground truth carries K, R and t of the same file, converted by other code."""
    try:
        rig = import_qca(find_demo("single").calibration)
    except UserError as error:
        pytest.skip(str(error))
    with np.load(shared_data / "pose2sim_single" / "pseudo_ground_truth.npz") as truth:
        for i, name in enumerate(truth["camera_names"]):
            entry = rig.cameras[str(name)]
            np.testing.assert_allclose(entry.K, truth["K_file"][i], atol=1e-4)
            np.testing.assert_allclose(entry.R, truth["R_file"][i], atol=1e-6)
            np.testing.assert_allclose(entry.t_m, truth["t_file"][i], atol=1e-6)


def test_panoptic_people_stand_upright_and_are_in_view(shared_data, tmp_path):
    """Real skeletons of the same data set, in its own cm with y down, project into the images as
    with the calibration as it is written; and in our frame they stand on the floor."""
    folder = shared_data / "panoptic" / "160906_band1"
    path = folder / "calibration_160906_band1.json"
    rig = import_panoptic(path, [3, 6, 12, 13, 23])
    assert list(rig.cameras) == ["hd03", "hd06", "hd12", "hd13", "hd23"]
    assert rig.warnings() == []
    raw = {c["name"]: c for c in json.loads(path.read_text())["cameras"]}
    scene = json.loads(next((folder / "hdPose3d_stage1_coco19").glob("*.json")).read_text())
    joints = np.array([b["joints19"] for b in scene["bodies"]]).reshape(-1, 4)
    joints = joints[joints[:, 3] > 0.1, :3]  # cm, y down
    world = np.stack([joints[:, 0], joints[:, 2], -joints[:, 1]], 1) / 100
    assert -0.1 < world[:, 2].min() < 0.4
    assert 1.2 < world[:, 2].max() < 2.2
    cameras = rig.to_cameras(dtype=torch.float64)
    pixels, depth = project(cameras, torch.from_numpy(world))
    for i, name in enumerate(["00_03", "00_06", "00_12", "00_13", "00_23"]):
        in_camera = joints @ np.array(raw[name]["R"]).T + np.array(raw[name]["t"]).T  # cm
        np.testing.assert_allclose(depth[i].numpy(), in_camera[:, 2] / 100, atol=1e-6)
        # close to the axis distortion is small: there the pinhole model must do
        middle = np.hypot(*(in_camera[:, :2] / in_camera[:, 2:]).T) < 0.1
        plain = in_camera @ np.array(raw[name]["K"]).T
        error = pixels[i].numpy() - plain[:, :2] / plain[:, 2:]
        assert np.abs(error[middle]).max(initial=0) < 2
    assert in_view(cameras, pixels, depth).double().mean() > 0.8
    assert len(import_panoptic(path).cameras) == 31
    rig.save(tmp_path / "rig.yaml")
    again = load_rig(tmp_path / "rig.yaml").to_cameras(dtype=torch.float64)
    np.testing.assert_allclose(again.R, cameras.R, atol=1e-12)
    with pytest.raises(UserError, match=r"lacks the HD cameras \[99\]"):
        import_panoptic(path, [3, 99])


@pytest.mark.parametrize(
    ("name", "size_px", "n"), [("campus", (360, 288), 3), ("shelf", (1032, 776), 5)]
)
def test_campus_and_shelf_people_are_in_view(shared_data, name, size_px, n):
    scipy_io = pytest.importorskip("scipy.io")
    rig = import_campus_shelf(shared_data / name / f"calibration_{name}.json", size_px)
    assert list(rig.cameras) == [f"cam{i}" for i in range(n)]
    actors = scipy_io.loadmat(shared_data / name / "actorsGT.mat", squeeze_me=True)["actor3D"]
    found = [np.asarray(a, float) for a in _arrays(actors) if np.shape(a) == (14, 3)]
    assert found
    joints = np.concatenate(found)
    joints = joints[np.isfinite(joints).all(1)]
    cameras = rig.to_cameras(dtype=torch.float64)
    pixels, depth = project(cameras, torch.from_numpy(joints))
    assert in_view(cameras, pixels, depth).any(0).double().mean() > 0.9
    assert (pixels[..., 1].min(-1).values > -size_px[1]).all()


def _arrays(value):
    """Every numeric array inside nested object arrays."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        for item in value.ravel():
            yield from _arrays(item)
    elif isinstance(value, np.ndarray):
        yield value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no list 'cameras'"),
        ('{"cameras": 3}', "has no list 'cameras'"),
        ('{"cameras": [{"type": "hd", "node": 0}]}', "hd00: the key 'R' is missing"),
        ('{"cameras": [{"type": "hd", "node": 0, "R": "no"}]}', "hd00: R: expected 9 numbers"),
        ('{"cameras": [{"type": "hd", "node": 0, "R": [1, 2]}]}', "hd00: R: expected 9 finite"),
        ('{"cameras": []}', "expected 2 or more"),
    ],
)
def test_bad_panoptic_files(tmp_path, text, words):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        import_panoptic(path)


def test_missing_files(tmp_path):
    for read in (import_qca, import_panoptic, lambda p: import_campus_shelf(p, (360, 288))):
        with pytest.raises(UserError, match="there is no such file"):
            read(tmp_path / "none")
        with pytest.raises(UserError, match="is a folder"):
            read(tmp_path)
