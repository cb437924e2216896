"""The rig file: what a good one gives. What a bad one gives: test_rig_file_mistakes.py."""

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import project
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space, load_rig

# Two cameras at 4 m from the origin, 1.5 m up, one on the x axis and one on the y axis.
LOOK_WEST = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
LOOK_SOUTH = [[-1, 0, 0], [0, 0, -1], [0, -1, 0]]


def good() -> dict:
    """A complete rig file as YAML would parse it."""

    def camera(name, rotation):
        return {
            "image_topic": f"/{name}/image_raw",
            "info_topic": f"/{name}/camera_info",
            "transport": "raw",
            "frame_id": f"{name}_optical",
            "image_size_px": [1280, 720],
            "intrinsics_px": {"fx": 700.0, "fy": 710.0, "cx": 640.0, "cy": 360.0},
            "distortion": {"model": "plumb_bob", "coefficients": [0.01, -0.02, 0.001, 0.0, 0.003]},
            "extrinsics": {"rotation": rotation, "translation_m": [0.0, 1.5, 4.0]},
        }

    return {
        "reference_frame": "lab",
        "space": {"center_m": [0.0, 0.0], "size_m": [3.0, 2.0], "floor_m": 0.1},
        "cameras": {"east": camera("east", LOOK_WEST), "north": camera("north", LOOK_SOUTH)},
    }


@pytest.fixture
def write(tmp_path):
    """Write data (or text, or bytes) as a rig file and return its path."""

    def to_file(content):
        path = tmp_path / "rig.yaml"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return to_file


def changed(where: str, value) -> dict:
    """The good rig with one value replaced; ``where`` is like "space.size_m"."""
    data = good()
    *steps, last = where.split(".")
    at = data
    for step in steps:
        at = at[step]
    at[last] = value
    return data


def test_a_good_file_is_read(write):
    rig = load_rig(write(good()))
    assert rig.reference_frame == "lab"
    assert rig.space == Space((0.0, 0.0), (3.0, 2.0), 0.1)
    assert list(rig.cameras) == ["east", "north"]
    east = rig.cameras["east"]
    assert (east.name, east.transport, east.frame_id) == ("east", "raw", "east_optical")
    assert east.size_px == (1280, 720)
    np.testing.assert_array_equal(east.K, [[700, 0, 640], [0, 710, 360], [0, 0, 1]])
    np.testing.assert_array_equal(east.center_m, [4.0, 0.0, 1.5])
    assert rig.warnings() == []


def test_a_point_lands_where_it_must(write):
    """2 m before the east camera, 0.5 m to its right (which is north), 0.25 m above it."""
    data = good()
    for camera in data["cameras"].values():
        del camera["distortion"]
    cameras = load_rig(write(data)).to_cameras(["east"], dtype=torch.float64)
    pixels, depth = project(cameras, torch.tensor([[2.0, 0.5, 1.75]], dtype=torch.float64))
    assert depth.item() == pytest.approx(2.0)
    np.testing.assert_allclose(pixels[0, 0], [640 + 700 * 0.25, 360 - 710 * 0.125])


def test_only_names_are_compulsory(write):
    rig = load_rig(write("cameras: {front_left: , cam2: {}}"))
    entry = rig.cameras["front_left"]
    assert entry.image_topic == "/front_left/image_raw"
    assert entry.info_topic == "/front_left/camera_info"
    assert entry.frame_id == "front_left_optical_frame"
    assert entry.transport == "raw"
    assert entry.K is entry.R is entry.t_m is entry.size_px is entry.distortion is None
    assert rig.reference_frame == "map"
    with pytest.raises(UserError, match=r"camera front_left: lacks its image size .* extrinsics"):
        rig.to_cameras()


def test_a_pose_means_the_same_as_rotation_and_translation(write):
    """The optical frame of the east camera in the world: x -> y, y -> -z, z -> -x."""
    data = good()
    half = 0.5
    data["cameras"]["east"]["extrinsics"] = {
        "position_m": [4.0, 0.0, 1.5],
        "quaternion_xyzw": [-half, -half, half, half],
    }
    other = load_rig(write(data)).cameras["east"]
    np.testing.assert_allclose(other.R, LOOK_WEST, atol=1e-12)
    np.testing.assert_allclose(other.t_m, [0.0, 1.5, 4.0], atol=1e-12)


def test_numbers_that_yaml_reads_as_text_are_numbers(write):
    """YAML 1.1 takes 1e-3 for text, because it has no dot."""
    text = yaml.safe_dump(good()).replace("- 0.01\n", "- 1e-2\n")
    assert "1e-2" in text
    assert load_rig(write(text)).cameras["east"].distortion[0] == 0.01


def test_a_rounded_rotation_is_made_exact(write):
    c, s = 0.866, 0.5
    rotation = [[s, c, 0], [0, 0, -1], [-c, s, 0]]  # 30 degrees; three decimals
    R = load_rig(write(changed("cameras.east.extrinsics.rotation", rotation))).cameras
    np.testing.assert_allclose(R["east"].R @ R["east"].R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(R["east"].R, rotation, atol=1e-3)


@pytest.mark.parametrize(
    ("model", "coefficients", "row", "fisheye"),
    [
        ("plumb_bob", [1, 2, 3, 4], [1, 2, 3, 4, 0, 0, 0, 0], False),
        ("plumb_bob", [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0, 0, 0], False),
        ("rational_polynomial", [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8], False),
        ("equidistant", [1, 2, 3, 4], [1, 2, 3, 4, 0, 0, 0, 0], True),
    ],
)
def test_distortion_models(write, model, coefficients, row, fisheye):
    distortion = {"model": model, "coefficients": [0.01 * c for c in coefficients]}
    rig = load_rig(write(changed("cameras.east.distortion", distortion)))
    cameras = rig.to_cameras()
    np.testing.assert_allclose(cameras.distortion[0], 0.01 * np.array(row), rtol=1e-6)
    assert cameras.fisheye.tolist() == [fisheye, False]


def test_to_cameras_takes_names_in_their_order(write):
    rig = load_rig(write(good()))
    cameras = rig.to_cameras(["north", "east"])
    np.testing.assert_allclose(cameras.centers_m, [[0, 4, 1.5], [4, 0, 1.5]], atol=1e-6)
    assert cameras.size_px.tolist() == [[1280, 720], [1280, 720]]
    assert cameras.K.dtype == torch.float32
    with pytest.raises(UserError, match="camera west: is not in the rig, which has east, north"):
        rig.to_cameras(["west"])


# the files of a test's examples may follow each other in one folder
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def names():
    return st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,12}", fullmatch=True)


@st.composite
def rotations(draw):
    q = np.array([draw(st.floats(-1, 1)) for _ in range(4)])
    norm = np.linalg.norm(q)
    x, y, z, w = q / norm if norm > 0.1 else (0.0, 0.0, 0.0, 1.0)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@st.composite
def rigs(draw):
    """Rigs that a file can hold: each camera with or without intrinsics and extrinsics.

    The last camera has no extrinsics, so that the space need not be in view.
    """
    coordinate = st.floats(-20, 20)
    cameras = {}
    chosen = draw(st.lists(names(), min_size=2, max_size=4, unique=True))
    for i, name in enumerate(chosen):
        values = {}
        if draw(st.booleans()):
            width, height = draw(st.integers(64, 4096)), draw(st.integers(64, 4096))
            focal = st.floats(0.06 * max(width, height), 1e5)
            values["size_px"] = (width, height)
            values["K"] = np.array(
                [
                    [draw(focal), 0, draw(st.floats(0, width))],
                    [0, draw(focal), draw(st.floats(0, height))],
                    [0, 0, 1],
                ]
            )
            model, count = draw(
                st.sampled_from([("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4)])
            )
            values["distortion_model"] = model
            values["distortion"] = np.array([draw(st.floats(-1, 1)) for _ in range(count)])
        if i + 1 < len(chosen) and draw(st.booleans()):
            R = draw(rotations())
            center = np.array([draw(coordinate), draw(coordinate), draw(st.floats(0, 5)) + 10 * i])
            values |= {"R": R, "t_m": -R @ center}
        cameras[name] = CameraEntry(
            name=name,
            image_topic=f"/{name}/image",
            info_topic=f"/{name}/info",
            transport=draw(st.sampled_from(["raw", "compressed"])),
            frame_id=f"{name}_frame",
            **values,
        )
    size = st.floats(0.5, 50)
    space = Space((draw(coordinate), draw(coordinate)), (draw(size), draw(size)), draw(coordinate))
    return Rig(draw(names()), space, cameras)


@given(rig=rigs())
@settings(SETTINGS, max_examples=60)
def test_what_is_saved_comes_back_to_the_last_digit(rig, tmp_path):
    path = tmp_path / "saved.yaml"
    rig.save(path, comment="made by a test\nsecond line")
    back = load_rig(path)
    assert (back.reference_frame, back.space) == (rig.reference_frame, rig.space)
    assert list(back.cameras) == list(rig.cameras)
    for name, entry in rig.cameras.items():
        other = back.cameras[name]
        for key in ("name", "image_topic", "info_topic", "transport", "frame_id", "size_px"):
            assert getattr(other, key) == getattr(entry, key)
        for key in ("K", "distortion", "R", "t_m"):
            mine, theirs = getattr(entry, key), getattr(other, key)
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_array_equal(mine, theirs)
        if entry.K is not None:
            assert other.distortion_model == entry.distortion_model


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
EAST = "cameras.east"
KEYS = (
    *("reference_frame", "space", "cameras", EAST),
    *(f"space.{key}" for key in ("center_m", "size_m", "floor_m")),
    *(f"{EAST}.{key}" for key in good()["cameras"]["east"]),
    *(f"{EAST}.intrinsics_px.{key}" for key in ("fx", "fy", "cx", "cy")),
    *(f"{EAST}.extrinsics.{key}" for key in ("rotation", "translation_m")),
)


@given(where=st.sampled_from(KEYS), value=ANYTHING)
@settings(SETTINGS, max_examples=200)
def test_whatever_stands_there_it_is_read_or_refused_in_one_line(where, value, tmp_path):
    path = tmp_path / "fuzzed.yaml"
    path.write_text(yaml.safe_dump(changed(where, value)), encoding="utf-8")
    try:
        load_rig(path).warnings()
        message = ""
    except UserError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
@settings(SETTINGS, max_examples=200)
def test_random_text_is_refused_in_one_line(text, tmp_path):
    path = tmp_path / "random.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(UserError) as caught:
        load_rig(path)
    assert len(str(caught.value).splitlines()) == 1
