"""camera_info files with static transforms, in every form that the transforms may have."""

import json

import calibration_files as files
import numpy as np
import pytest
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import project
from mvssm_ros.rig.importers import Options, guess, import_rig
from mvssm_ros.rig.importers.transforms import read_transforms

NAMES = ["left", "middle", "right"]
# A camera at (4, 0, 1) that looks along -x: its axes right, down, forward are (0, 1, 0), (0, 0, -1),
# (-1, 0, 0) in map, and the quaternion of that rotation, by hand, is (-0.5, -0.5, 0.5, 0.5).
LEFT = "4 0 1 -0.5 -0.5 0.5 0.5 map left_optical_frame"


@pytest.fixture
def infos(tmp_path):
    return [files.camera_info(tmp_path / f"{name}.yaml", name) for name in NAMES]


def optical_quaternion(i):
    """x, y, z, w of camera i's optical frame in map."""
    M = files.POSES[i][0].T
    w = np.sqrt(max(1e-12, 1 + np.trace(M))) / 2
    return [*(np.array([M[2, 1] - M[1, 2], M[0, 2] - M[2, 0], M[1, 0] - M[0, 1]]) / (4 * w)), w]


def center(i):
    R, t = files.POSES[i]
    return -R.T @ t


def stamped(i):
    """geometry_msgs/TransformStamped, as ROS prints it."""
    x, y, z, w = (float(v) for v in optical_quaternion(i))
    px, py, pz = (float(v) for v in center(i))
    return {
        "header": {"stamp": {"sec": 0, "nanosec": 0}, "frame_id": "map"},
        "child_frame_id": f"{NAMES[i]}_optical_frame",
        "transform": {
            "translation": {"x": px, "y": py, "z": pz},
            "rotation": {"x": x, "y": y, "z": z, "w": w},
        },
    }


def plain(i):
    return {
        "parent": "map",
        "child": f"{NAMES[i]}_optical_frame",
        "translation_m": center(i).tolist(),
        "quaternion_xyzw": [float(v) for v in optical_quaternion(i)],
    }


def new_arguments(i):
    x, y, z = center(i)
    qx, qy, qz, qw = optical_quaternion(i)
    return (
        f"ros2 run tf2_ros static_transform_publisher --x {x} --y {y} --z={z} --qx {qx} --qy {qy}"
        f" \\\n   --qz {qz} --qw {qw} --frame-id map --child-frame-id {NAMES[i]}_optical_frame\n"
    )


def old_arguments(i):
    numbers = " ".join(str(v) for v in [*center(i), *optical_quaternion(i)])
    return f"static_transform_publisher {numbers} /map /{NAMES[i]}_optical_frame 100\n"


def link_with_angles(i):
    """The camera's body, x forward: it has only yaw."""
    x, y, z = center(i)
    forward = files.POSES[i][0][2]
    yaw = np.arctan2(forward[1], forward[0])
    return f"{x} {y} {z} {yaw} 0 0 map {NAMES[i]}_link\n"


def echo(entries):
    """As `ros2 topic echo --once /tf_static` prints: YAML with '---' at the end."""
    import yaml

    return yaml.safe_dump({"transforms": entries}) + "---\n"


TEXTS = {
    "list": json.dumps([plain(i) for i in range(3)]),
    "echo": echo([stamped(i) for i in range(3)]),
    "two echoes": echo([stamped(0)]) + echo([stamped(1), stamped(2)]),
    "new arguments": "# the rig\n" + "".join(new_arguments(i) for i in range(3)),
    "old arguments": "".join(old_arguments(i) for i in range(3)),
    "links and angles": "".join(link_with_angles(i) for i in range(3)),
}


@pytest.mark.parametrize("form", TEXTS)
def test_each_form_of_transforms(infos, tmp_path, form):
    (tmp_path / "tf").write_text(TEXTS[form])
    assert guess(infos) == "camera_info"
    rig = import_rig(infos, options=Options(transforms=str(tmp_path / "tf")))
    assert list(rig.cameras) == NAMES
    assert rig.reference_frame == "map"
    pixels, depth = project(rig.to_cameras(dtype=torch.float64), torch.from_numpy(files.POINTS_M))
    assert (depth > 0).all()
    for i in range(3):
        np.testing.assert_allclose(pixels[i].numpy(), files.expected_px(i), atol=1e-6)


def test_the_quaternion_by_hand_is_that_of_the_first_camera():
    np.testing.assert_allclose(center(0), [4, 0, 1], atol=1e-12)
    q = np.array(optical_quaternion(0))
    np.testing.assert_allclose(q / q[3] * 0.5, [-0.5, -0.5, 0.5, 0.5], atol=1e-9)


def test_a_chain_of_transforms(tmp_path):
    """map -> mast (at x = 1, turned a quarter to the left) -> arm (2 m ahead of the mast)."""
    (tmp_path / "tf").write_text(
        f"--x 1 --yaw {np.pi / 2} --frame-id map --child-frame-id mast\n2 0 0.5 0 0 0 1 mast arm\n"
    )
    tree = read_transforms(str(tmp_path / "tf"))
    np.testing.assert_allclose(tree.pose("arm", "map")[:3, 3], [1, 2, 0.5], atol=1e-12)
    np.testing.assert_allclose(tree.pose("map", "arm")[:3, 3], [-2, 1, -0.5], atol=1e-12)
    assert tree.roots() == ["map"]


def test_roll_pitch_yaw_turn_about_fixed_axes(tmp_path):
    """A quarter of roll, then a quarter of pitch, both about the parent's axes."""
    quarter = np.pi / 2
    (tmp_path / "tf").write_text(
        f"--roll {quarter} --pitch {quarter} --frame-id a --child-frame-id b"
    )
    R = read_transforms(str(tmp_path / "tf")).pose("b", "a")[:3, :3]
    np.testing.assert_allclose(R @ [1, 0, 0], [0, 0, -1], atol=1e-12)  # pitch takes x down
    np.testing.assert_allclose(R @ [0, 1, 0], [1, 0, 0], atol=1e-12)  # roll y -> z, pitch z -> x
    np.testing.assert_allclose(R @ [0, 0, 1], [0, -1, 0], atol=1e-12)  # roll z -> -y


def test_without_transforms_extrinsics_are_left_to_tf(infos):
    rig = import_rig(infos)
    assert [entry.R for entry in rig.cameras.values()] == [None] * 3
    assert rig.cameras["left"].frame_id == "left_optical_frame"


def test_another_frame_and_another_reference(infos, tmp_path):
    text = "".join(old_arguments(i) for i in range(3)).replace("left_optical_frame", "eye")
    (tmp_path / "tf").write_text(text + "0 0 -1 0 0 0 1 map ground\n")
    options = {"transforms": str(tmp_path / "tf"), "frames": ("left=eye",)}
    rig = import_rig(infos, options=Options(**options, reference_frame="ground"))
    assert rig.reference_frame == "ground"
    assert rig.cameras["left"].frame_id == "eye"
    np.testing.assert_allclose(rig.cameras["left"].center_m, [4, 0, 2], atol=1e-9)


def test_a_fisheye_and_a_rational_lens(tmp_path):
    paths = [
        files.camera_info(
            tmp_path / "a.yaml", "a", distortion=[0.1, 0.2, 0.3, 0.4], model="fisheye"
        ),
        files.camera_info(
            tmp_path / "b.yaml", "b", distortion=np.arange(8) / 100, model="rational_polynomial"
        ),
    ]
    rig = import_rig(paths)
    assert rig.cameras["a"].distortion_model == "equidistant"
    assert rig.cameras["b"].distortion_model == "rational_polynomial"
    np.testing.assert_allclose(rig.cameras["b"].distortion, np.arange(8) / 100)


def test_a_file_without_a_camera_name_is_named_after_itself(tmp_path):
    paths = [
        files.camera_info(tmp_path / "front.yaml", "unknown"),
        files.camera_info(tmp_path / "2 back.yaml", '""'),
    ]
    assert list(import_rig(paths).cameras) == ["front", "cam2_back"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no transforms"),
        ("1 2 3 map left", "line 1: expected x y z yaw pitch roll PARENT CHILD"),
        ("--x one --frame-id a --child-frame-id b", "--x: expected a number, got 'one'"),
        ("--x 1 --frame-id a", "--child-frame-id is missing"),
        ("--height 1 --frame-id a --child-frame-id b", "'--height' is no argument"),
        ("--x 1 --frame-id a --child-frame-id", "--child-frame-id has no value"),
        ("--qx 1 --yaw 1 --frame-id a --child-frame-id b", "angles and a quaternion"),
        ("--qx 1 --frame-id a --child-frame-id b", "is not a unit quaternion"),
        ("0 0 0 0 0 0 a b\n0 0 1 0 0 0 c b", "line 2: the frame b is given twice"),
        ("0 0 0 0 0 0 a a", "expected two frames"),
        ("[1, 2]", "transform 1: expected parent, child"),
        ("- {parent: a, child: b, translation_m: [1, 2]}", "translation_m: expected 3 finite"),
        (
            "- {parent: a, child: 2, translation_m: [1, 2, 3], quaternion_xyzw: [0, 0, 0, 1]}",
            "names",
        ),
        ("- {transform: {translation: {x: 1}, rotation: {}}, header: {}}", "key 'y' is missing"),
        ("transforms: 3", "expected a list"),
        ("- [", "is not valid YAML"),
        (LEFT, "has no frame of camera middle (middle_optical_frame, middle, middle_link)"),
        ("0 0 0 0 0 0 left right\n0 0 0 0 0 0 right left", "hang from each other"),
        (
            f"{LEFT}\n0 0 0 0 0 0 odom middle",
            "hang from map, odom; name one with --reference-frame",
        ),
    ],
)
def test_bad_transforms(infos, tmp_path, text, words):
    path = tmp_path / "tf.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        import_rig(infos, options=Options(transforms=str(path)))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_bad_frames_and_files(infos, tmp_path):
    (tmp_path / "tf").write_text(LEFT)
    with pytest.raises(UserError, match=r"--frame up=x: expected CAMERA=FRAME"):
        import_rig(infos, options=Options(transforms=str(tmp_path / "tf"), frames=("up=x",)))
    with pytest.raises(UserError, match="only with --transforms"):
        import_rig(infos, options=Options(frames=("left=x",)))
    with pytest.raises(UserError, match="already a camera left"):
        import_rig([infos[0], infos[0]])
    with pytest.raises(UserError, match="has only the camera left"):
        import_rig(infos[:1])
    zero = files.camera_info(tmp_path / "zero.yaml", "zero", K=np.zeros((3, 3)))
    with pytest.raises(UserError, match="all zero, so the camera is uncalibrated"):
        import_rig([infos[0], zero])
