"""Each format from a file of known numbers, against OpenCV's projection of the same cameras."""

import calibration_files as files
import cv2
import numpy as np
import pytest
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import project
from mvssm_ros.rig.importers import Options, guess, import_qca, import_rig
from mvssm_ros.rig.rig_file import load_rig

# The first camera of `files.POSES` as --first-camera-pose wants it: at x = 4, it looks along -x.
FIRST_POSE = (4.0, 0.0, 1.0, -0.5, -0.5, 0.5, 0.5)
FISHEYE = np.array([0.05, -0.02, 0.01, -0.003])


def assert_sees_as_opencv(rig, names, **projection):
    """Every camera of the rig projects the points as OpenCV does with the numbers of the file."""
    assert list(rig.cameras) == names
    pixels, depth = project(rig.to_cameras(dtype=torch.float64), torch.from_numpy(files.POINTS_M))
    assert (depth > 0).all()
    for i in range(len(names)):
        expected = files.expected_px(i, **projection)
        np.testing.assert_allclose(pixels[i].numpy(), expected, atol=1e-6)
    assert [entry.size_px for entry in rig.cameras.values()] == [files.SIZE_PX] * len(names)


def test_a_projection_by_hand():
    """The files' first camera is at (4, 0, 1) and looks along -x, with y to its left: the point
    (0, 1, 1.5) is 4 m ahead, 1 m to the right and 0.5 m up: u = 650 + 900/4, v = 340 - 910/8."""
    got = files.expected_px(0, np.array([[0.0, 1, 1.5]]), np.zeros(5))
    np.testing.assert_allclose(got, [[875.0, 226.25]], atol=1e-9)


@pytest.mark.parametrize("table", ["{}", "cameras.{}"])
@pytest.mark.parametrize("as_matrix", [False, True])
def test_toml_of_pose2sim_and_caliscope(tmp_path, table, as_matrix):
    path = files.toml(tmp_path / "Calib.toml", table, as_matrix)
    assert guess([path]) == "toml"
    assert_sees_as_opencv(import_rig([path]), ["cam_01", "cam_02", "cam_03"])


def test_toml_in_millimetres_with_y_down(tmp_path):
    y_down = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # z up -> y down
    path = files.toml(tmp_path / "c.toml", unit_m=0.001, to_file_world=y_down)
    with pytest.raises(UserError, match=r"looks like millimetres.*--unit mm"):
        import_rig([path])
    rig = import_rig([path], options=Options(unit_m=0.001, up="neg-y"))
    assert_sees_as_opencv(rig, ["cam_01", "cam_02", "cam_03"])


@pytest.mark.parametrize(
    ("up", "axis"),
    [("x", 0), ("y", 1), ("z", 2), ("neg-x", 0), ("neg-y", 1), ("neg-z", 2)],
)
def test_what_is_up_in_the_file_is_up_in_the_rig(tmp_path, up, axis):
    sign = -1.0 if up.startswith("neg") else 1.0
    up_in_file = sign * np.eye(3)[axis]
    side = np.eye(3)[(axis + 1) % 3]
    to_file = np.stack([side, np.cross(up_in_file, side), up_in_file], axis=1)
    path = files.toml(tmp_path / "c.toml", to_file_world=to_file)
    rig = import_rig([path], options=Options(up=up))
    for entry in rig.cameras.values():
        assert entry.center_m[2] == pytest.approx(1.0)
        np.testing.assert_allclose(entry.R[1], [0, 0, -1], atol=1e-12)


def test_toml_of_the_demo_is_its_qualisys_file(shared_data, tmp_path):
    """The same calibration through Pose2Sim's layout, with rotations as Rodrigues vectors."""
    with np.load(shared_data / "pose2sim_single" / "pseudo_ground_truth.npz") as truth:
        names, sizes = truth["camera_names"], truth["image_size"]
        text = ""
        for i, name in enumerate(names):
            rotation = cv2.Rodrigues(truth["R_file"][i])[0].ravel()
            text += (
                f'[{name}]\nname = "{name}"\nsize = {sizes[i].tolist()}\n'
                f"matrix = {truth['K_file'][i].tolist()}\n"
                f"distortions = {truth['dist_file'][i].tolist()}\n"
                f"rotation = {rotation.tolist()}\ntranslation = {truth['t_file'][i].tolist()}\n"
            )
    (tmp_path / "Calib.toml").write_text(text)
    rig = import_rig([str(tmp_path / "Calib.toml")])
    demo_data = pytest.importorskip("mvssm_ros.demo_data")
    try:
        original = import_qca(demo_data.find_demo("single").calibration)
    except UserError as error:
        pytest.skip(str(error))
    assert list(rig.cameras) == [str(name) for name in names]
    for name, entry in rig.cameras.items():
        np.testing.assert_allclose(entry.R, original.cameras[name].R, atol=1e-6)
        np.testing.assert_allclose(entry.center_m, original.cameras[name].center_m, atol=1e-5)
        np.testing.assert_allclose(entry.K, original.cameras[name].K, atol=1e-4)


@pytest.mark.parametrize("head", ["", "%YAML:1.0\n", "%YAML:1.0\n---\n"])
@pytest.mark.parametrize(("imu", "chain"), [(False, True), (True, True), (True, False)])
def test_kalibr_chain(tmp_path, head, imu, chain):
    path = files.kalibr(tmp_path / "camchain.yaml", imu=imu, chain=chain, head=head)
    assert guess([path]) == "kalibr"
    rig = import_rig([path], options=Options(first_camera_pose=FIRST_POSE))
    no_k3 = np.append(files.DISTORTION[:4], 0)
    assert_sees_as_opencv(rig, ["cam0", "cam1", "cam2"], distortion=no_k3)
    assert rig.cameras["cam1"].image_topic == "/rig/cam1/image_raw"
    assert rig.cameras["cam1"].info_topic == "/rig/cam1/camera_info"


def test_kalibr_fisheye(tmp_path):
    path = files.kalibr(tmp_path / "camchain.yaml", fisheye=True)
    rig = import_rig([path], options=Options(first_camera_pose=FIRST_POSE))
    assert_sees_as_opencv(rig, ["cam0", "cam1", "cam2"], distortion=FISHEYE, fisheye=True)


def test_a_level_first_camera(tmp_path):
    """It stands above the origin and looks along x."""
    path = files.kalibr(tmp_path / "camchain.yaml")
    rig = import_rig([path], options=Options(first_camera_height_m=1.0, reference_frame="base"))
    first = rig.cameras["cam0"]
    np.testing.assert_allclose(first.center_m, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(first.R, [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-12)
    assert rig.reference_frame == "base"
    assert rig.space.center_m == (4.0, 0.0)  # where the others look


@pytest.mark.parametrize("format_name", ["kalibr", "opencv"])
def test_without_a_floor_nothing_is_invented(tmp_path, format_name):
    if format_name == "kalibr":
        path = files.kalibr(tmp_path / "camchain.yaml")
    else:
        path = stereo(tmp_path, image_size=np.array(files.SIZE_PX, float))
    with pytest.raises(UserError, match="does not say where the floor is; add --first-camera"):
        import_rig([path])


def test_easymocap(tmp_path):
    paths = files.easymocap(tmp_path)
    assert guess(paths) == "easymocap"
    names = ["cam01", "cam02", "cam3"]
    assert_sees_as_opencv(import_rig(paths), names)
    assert_sees_as_opencv(import_rig([str(tmp_path)]), names)


def test_easymocap_with_rotation_vectors_only(tmp_path):
    paths = files.easymocap(tmp_path)
    text = (tmp_path / "extri.yml").read_text().replace("Rot_", "Other_")
    (tmp_path / "extri.yml").write_text(text)
    assert_sees_as_opencv(import_rig(paths), ["cam01", "cam02", "cam3"])


def test_easymocap_without_image_sizes(tmp_path):
    paths = files.easymocap(tmp_path, sizes=False)
    with pytest.raises(UserError, match=r"camera 01: the files do not say .* --image-size"):
        import_rig(paths)
    rig = import_rig(paths, options=Options(image_size_px=files.SIZE_PX))
    assert_sees_as_opencv(rig, ["cam01", "cam02", "cam3"])


def stereo(folder, name="stereo.yml", extrinsics="stereo.yml", **extra):
    """Two cameras, written by OpenCV itself with the keys of its stereo_calib sample."""
    R, t = files.in_first_camera(1)
    contents = {"M1": files.K, "D1": files.DISTORTION, "M2": files.K, "D2": files.DISTORTION}
    contents |= extra
    second = {"R": R, "T": t.reshape(3, 1), "Q": np.eye(4)}
    if name == extrinsics:
        contents |= second
    else:
        write_storage(folder / extrinsics, second)
    write_storage(folder / name, contents)
    return str(folder / name)


def write_storage(path, contents):
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for key, value in contents.items():
        file.write(key, value)
    file.release()


@pytest.mark.parametrize("suffix", ["yml", "xml"])
def test_opencv_stereo(tmp_path, suffix):
    name = f"stereo.{suffix}"
    size = np.array(files.SIZE_PX, np.float64)
    path = stereo(tmp_path, name, name, image_size=size)
    assert guess([path]) == "opencv"
    rig = import_rig([path], options=Options(first_camera_pose=FIRST_POSE))
    assert_sees_as_opencv(rig, ["cam1", "cam2"])


def test_opencv_stereo_in_two_files_in_units_of_the_board(tmp_path):
    path = stereo(tmp_path, "intrinsics.yml", "extrinsics.yml")
    second = tmp_path / "extrinsics.yml"
    R, t = files.in_first_camera(1)
    write_storage(second, {"R": R, "T": t.reshape(3, 1) * 100})
    options = Options(first_camera_pose=FIRST_POSE, unit_m=0.01, image_size_px=files.SIZE_PX)
    rig = import_rig([path, str(second)], options=options)
    assert_sees_as_opencv(rig, ["cam1", "cam2"])
    with pytest.raises(UserError, match=r"has no R; it has M1, .*|two files: name both"):
        import_rig([path], options=options)


@pytest.mark.parametrize("names", ["left,middle,right", None])
def test_opencv_multiview(tmp_path, names):
    """The keys of OpenCV's multiview_calibration.py."""
    poses = [files.in_first_camera(i) for i in range(3)]
    contents = {
        "Ks": np.stack([files.K] * 3),
        "Rs": np.stack([R for R, _ in poses]),
        "Ts": np.stack([t for _, t in poses]),
        "distortions": np.tile(files.DISTORTION, 3),
        "models": np.zeros(3, np.int32),
        "image_sizes": np.array([files.SIZE_PX] * 3, np.int32),
    }
    if names:
        contents["cam_ids"] = names
    write_storage(tmp_path / "multi.yaml", contents)
    path = str(tmp_path / "multi.yaml")
    assert guess([path]) == "opencv"
    rig = import_rig([path], options=Options(first_camera_pose=FIRST_POSE))
    assert_sees_as_opencv(rig, names.split(",") if names else ["cam0", "cam1", "cam2"])


def test_the_rig_file_keeps_what_was_imported(tmp_path):
    rig = import_rig(
        [files.kalibr(tmp_path / "camchain.yaml", fisheye=True)],
        options=Options(first_camera_pose=FIRST_POSE),
    )
    rig.save(tmp_path / "rig.yaml")
    again = load_rig(tmp_path / "rig.yaml")
    assert_sees_as_opencv(again, ["cam0", "cam1", "cam2"], distortion=FISHEYE, fisheye=True)
