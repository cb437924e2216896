"""Each mistake in a rig file gives one error, in one line, that names the key and the fix."""

import json
import math

import pytest
import yaml

from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import Rig, load_rig

# Two cameras at 4 m from the origin, 1.5 m up, one on the x axis and one on the y axis.
LOOK_WEST = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
LOOK_SOUTH = [[-1, 0, 0], [0, 0, -1], [0, -1, 0]]
ABSENT = object()


def camera(rotation, translation_m=(0.0, 1.5, 4.0)) -> dict:
    return {
        "image_size_px": [1280, 720],
        "intrinsics_px": {"fx": 700.0, "fy": 710.0, "cx": 640.0, "cy": 360.0},
        "distortion": {"model": "plumb_bob", "coefficients": [0.01, -0.02, 0.0, 0.0, 0.0]},
        "extrinsics": {"rotation": rotation, "translation_m": list(translation_m)},
    }


def good() -> dict:
    return {
        "reference_frame": "lab",
        "space": {"center_m": [0.0, 0.0], "size_m": [3.0, 2.0], "floor_m": 0.1},
        "cameras": {"east": camera(LOOK_WEST), "north": camera(LOOK_SOUTH)},
    }


def refusal(tmp_path, content) -> str:
    """The error that a file with this content (data, text or bytes) gives."""
    path = tmp_path / "rig.yaml"
    text = yaml.safe_dump(content) if isinstance(content, dict) else content
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        load_rig(path)
    message = str(caught.value)
    assert message.startswith(f"rig file {path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"rig file {path}: ")


def test_the_rig_of_these_tests_is_right_but_for_their_mistakes(tmp_path):
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump(good()))
    assert load_rig(tmp_path / "rig.yaml").warnings() == []


# key (of the east camera where it starts with a dot), value, what the error says
MISTAKES = [
    # names and structure
    ("camera", {}, "unknown key 'camera'; did you mean 'cameras'?"),
    (".intrinsics", {}, "cameras.east: unknown key 'intrinsics'; did you mean 'intrinsics_px'?"),
    ("space.centre_m", [0, 0], "space: unknown key 'centre_m'; did you mean 'center_m'?"),
    (".zzz", 1, "cameras.east: unknown key 'zzz'; known keys: image_topic, info_topic"),
    ("cameras", ABSENT, "the key 'cameras' is missing"),
    ("cameras", [{"name": "a"}], "cameras: is a list; write each camera as 'name:'"),
    ("cameras", "east", "cameras: expected one key per camera, got the text 'east'"),
    ("cameras", {f"c{i}": {} for i in range(65)}, "cameras: has 65 cameras, expected 2 to 64"),
    ("cameras.north", ABSENT, "cameras: has 1 camera, expected 2 to 64; depth comes from"),
    ("cameras.east", 3, "cameras.east: expected a mapping with image_topic"),
    ("cameras.a b", {}, "cameras: the name 'a b' must be letters, digits and '_'"),
    ("cameras", {1: {}, 2: {}}, "cameras: the name 1 is not text; name it like 'cam1'"),
    ("space", [1, 2], "space: expected a mapping with center_m, size_m, floor_m, got a list of 2"),
    ("reference_frame", "/map", "reference_frame: expected a TF frame without '/' at the front"),
    ("reference_frame", 3, "reference_frame: expected text, got the number 3; put it in quotes"),
    ("reference_frame", " ", "reference_frame: is empty"),
    # topics
    (".transport", "a\nb", "cameras.east.transport: expected raw or compressed, got 'a\\nb'"),
    ("a\nb", 1, "unknown key 'a\\nb'"),
    (".transport", "h264", "cameras.east.transport: expected raw or compressed, got 'h264'"),
    (".image_topic", "/a b", "cameras.east.image_topic: '/a b' is no topic name"),
    (".info_topic", "/a/", "cameras.east.info_topic: '/a/' is no topic name"),
    (".image_topic", "/1", "cameras.east.image_topic: '/1' is no topic name"),
    (".image_topic", "/north/image_raw", "/north/image_raw already belongs to camera east"),
    (".info_topic", "/north/camera_info", "/north/camera_info already belongs to camera east"),
    (".info_topic", "/east/image_raw", "image_topic and info_topic are both /east/image_raw"),
    # image size
    (".image_size_px", [640], "image_size_px: expected 2 numbers [width, height], got 1"),
    (".image_size_px", [0, 480], "expected width and height in whole pixels, got [0, 480]"),
    (".image_size_px", [640.5, 480], "image_size_px: expected width and height in whole pixels"),
    (".image_size_px", [10**6, 480], "image_size_px: expected sides up to 32768 px"),
    (".image_size_px", ABSENT, "cameras.east.intrinsics_px: needs image_size_px: [width, height]"),
    # intrinsics
    (".intrinsics_px.fx", 0.0, "intrinsics_px: focal lengths must be above 0 px, got fx 0"),
    (".intrinsics_px.fy", -700, "intrinsics_px: focal lengths must be above 0 px"),
    (".intrinsics_px.fx", 0.9, "intrinsics_px: focal lengths fx 0.9, fy 710 are too short"),
    (".intrinsics_px.fx", ABSENT, "cameras.east.intrinsics_px: the key 'fx' is missing"),
    (".intrinsics_px.fx", "wide", "intrinsics_px.fx: expected a number, got the text 'wide'"),
    (".intrinsics_px.fx", True, "intrinsics_px.fx: expected a number, got the truth value true"),
    (".intrinsics_px.cx", math.nan, "intrinsics_px.cx: expected a finite number, got nan"),
    (".intrinsics_px.cx", math.inf, "intrinsics_px.cx: expected a finite number, got inf"),
    (".intrinsics_px.cx", 10**400, "intrinsics_px.cx: expected a finite number, got inf"),
    # distortion
    (".intrinsics_px", ABSENT, "cameras.east.distortion: is given without intrinsics_px"),
    (".distortion.model", "fisheye", "model 'fisheye'; did you mean 'equidistant'?"),
    (".distortion.model", "x", "distortion: unknown distortion model 'x'; known: plumb_bob"),
    (".distortion.coefficients", [0.0] * 6, "plumb_bob has 4 or 5 coefficients [k1, k2, p1, p2"),
    (".distortion.coefficients", 0.1, "distortion.coefficients: expected 5 numbers [k1, k2"),
    (".distortion.coefficients", ABSENT, "distortion: the key 'coefficients' is missing"),
    # extrinsics
    (".extrinsics.rotation", [[0, 2, 0], [0, 0, -2], [-2, 0, 0]], "is not a rotation matrix"),
    (".extrinsics.rotation", [[0, 1, 0.1], *LOOK_WEST[1:]], "differs from the identity by 0.1"),
    (".extrinsics.rotation", [[0] * 3] * 3, "cameras.east.extrinsics.rotation: is not a rotation"),
    (".extrinsics.rotation", [[1e200] * 3] * 3, "extrinsics.rotation: is not a rotation matrix"),
    (".extrinsics.rotation", [[0, -1, 0], *LOOK_WEST[1:]], "rotation: mirrors (determinant -1"),
    (".extrinsics.rotation", LOOK_WEST[:2], "rotation: expected 3 rows of 3, got a list of 2"),
    (".extrinsics.rotation", [[1, 0]] * 3, "extrinsics.rotation[0]: expected 3 numbers"),
    (".extrinsics.rotation", [[math.nan, 1, 0], *LOOK_WEST[1:]], "rotation[0][0]: expected a fini"),
    (".extrinsics.rotation", ABSENT, "extrinsics: expected either rotation and translation_m"),
    (".extrinsics.position_m", [0, 0, 0], "got rotation, translation_m, position_m"),
    (".extrinsics", {}, "cameras.east.extrinsics: expected either rotation and translation_m"),
    (".extrinsics.translation_m", [0, 0, math.inf], "translation_m[2]: expected a finite number"),
    (".extrinsics", camera(LOOK_SOUTH)["extrinsics"], "are at the same place (0.0 mm apart)"),
    # the rig as a whole
    ("space.center_m", [30, 30], "space: no point of it is seen by two cameras (center_m [30, 30]"),
    ("space.size_m", [0, 5], "space.size_m: expected two lengths above 0 and up to 1000 m"),
    ("space.size_m", [5000, 5000], "got [5000, 5000]; the unit is metres"),
]


@pytest.mark.parametrize(("key", "value", "words"), MISTAKES)
def test_a_wrong_value(tmp_path, key, value, words):
    data = good()
    *steps, last = (f"cameras.east{key}" if key.startswith(".") else key).split(".")
    at = data
    for step in steps:
        at = at[step]
    at[last] = value
    if value is ABSENT:
        del at[last]
    assert words in refusal(tmp_path, data)


@pytest.mark.parametrize(
    ("quaternion", "words"),
    [
        ([1, 1, 0, 0], "is not a unit quaternion: its norm is 1.414, expected 1; the order is x"),
        ([0, 0, 0, 0], "its norm is 0, expected 1"),
        ([1e200, 0, 0, 0], "is not a unit quaternion"),
        ([1, 0, 0], "expected 4 numbers [x, y, z, w], got 3"),
    ],
)
def test_a_wrong_quaternion(tmp_path, quaternion, words):
    data = good()
    pose = {"position_m": [4, 0, 1.5], "quaternion_xyzw": quaternion}
    data["cameras"]["east"]["extrinsics"] = pose
    message = refusal(tmp_path, data)
    assert message.startswith("cameras.east.extrinsics.quaternion_xyzw: ")
    assert words in message


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1000, "are 5,657 m apart, expected at most 100 m; this looks like millimetres: divide"),
        (100, "are 566 m apart, expected at most 100 m; this looks like centimetres: divide"),
    ],
)
def test_translations_in_another_unit(tmp_path, factor, words):
    data = good()
    for entry in data["cameras"].values():
        entry["extrinsics"]["translation_m"] = [0.0, 1.5 * factor, 4.0 * factor]
    message = refusal(tmp_path, data)
    assert message.startswith("cameras east and north: ")
    assert words in message
    assert message.endswith(f"translations by {factor}")


def test_one_tf_frame_for_two_cameras(tmp_path):
    data = {"cameras": {"a": {"frame_id": "f"}, "b": {"frame_id": "f"}}}
    assert "cameras.b.frame_id: f already belongs to camera a" in refusal(tmp_path, data)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("hello", "expected keys and values at the top level, got the text 'hello'"),
        ("cameras: {a: [1, 2\n", "is not valid YAML"),
        ("cameras:\n\ta: {}\n", "line 2, column 1: is not valid YAML"),
        ("cameras: !!python/object/apply:os.system ['true']", "line 1, column 10: YAML tags (!"),
        ("cameras:\n  a: {}\n  b: {}\n  a: {}\n", "line 4, column 3: the key 'a' is given twice"),
        ("? [a]\n: 1\n", "is not valid YAML"),
        ("a: " + "[" * 200 + "]" * 200, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("cameras: &x {a: *x, b: *x}", "cameras.a: unknown key 'a'"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "is not a text file"),
        (b"cameras: \x07", "is not valid YAML"),
        ("# " + "x" * 1_100_000, "has 1.1 MB, expected less than 1 MB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_that_is_something_else(tmp_path, content, words):
    assert words in refusal(tmp_path, content)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        load_rig(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="is a folder"):
        load_rig(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        Rig().save(tmp_path / "no" / "such" / "folder.yaml")


LAUGHS = """a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]
g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]
h: &h [*g, *g, *g, *g, *g, *g, *g, *g, *g]
i: &i [*h, *h, *h, *h, *h, *h, *h, *h, *h]
"""


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        LAUGHS + "cameras: *i\n",
        LAUGHS + "space: {center_m: *i}\n",
        "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b, *b]}\n",
        "cameras: &c {left: *c}\n",
        "cameras: {left: {extrinsics: {rotation: &r [*r, *r, *r]}}}\n",
        "? [a, b]\n: 1\n",
    ],
)
def test_aliases_cannot_blow_a_small_file_up(tmp_path, text):
    """Billions of laughs, merges, and things that hold themselves: one line, of a sane length."""
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_rig(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "a\\b", "a.b", "/root"])
def test_a_camera_cannot_be_named_like_a_path(tmp_path, name):
    path = tmp_path / "rig.yaml"
    path.write_text(f"cameras: {{{json.dumps(name)}: {{}}, left: {{}}}}\n")
    with pytest.raises(UserError, match="must be letters, digits and '_'"):
        load_rig(path)
