"""Keypoints files: read back as written, refused with a reason."""

import re
import zipfile

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.rig.keypoint_sequence import KeypointSequence, load_keypoints


@pytest.fixture
def parts():
    keypoints = np.random.default_rng(0).uniform(0.1, 1, (4, 2, 3, 15, 3)).astype(np.float32)
    return {
        "keypoints": keypoints,
        "stamps_ns": np.array([0, 10, 20, 30]),
        "cameras": np.array(["left", "right"]),
    }


def test_what_is_saved_is_read_back(parts, tmp_path):
    sequence = KeypointSequence(("left", "right"), parts["stamps_ns"], parts["keypoints"])
    sequence.save(tmp_path / "a.npz")
    back = load_keypoints(tmp_path / "a.npz")
    assert back.cameras == ("left", "right")
    np.testing.assert_array_equal(back.stamps_ns, parts["stamps_ns"])
    np.testing.assert_array_equal(back.keypoints, parts["keypoints"])


def test_nan_is_not_found(parts, tmp_path):
    parts["keypoints"][1, 0, 2, 5, 0] = np.nan
    np.savez(tmp_path / "a.npz", **parts)
    back = load_keypoints(tmp_path / "a.npz").keypoints
    assert back[1, 0, 2, 5].tolist() == [0, 0, 0]
    assert np.isfinite(back).all()


def test_other_skeletons_are_mapped(parts, tmp_path):
    coco = np.random.default_rng(0).uniform(0.1, 1, (4, 2, 1, 17, 3))
    np.savez(tmp_path / "a.npz", **{**parts, "keypoints": coco, "skeleton": "coco17"})
    back = load_keypoints(tmp_path / "a.npz").keypoints
    assert back.shape == (4, 2, 1, 15, 3)
    np.testing.assert_allclose(back[..., 1, :], coco[..., 0, :], rtol=1e-6)  # the nose


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"keypoints": None}, "lacks keypoints; expected keypoints, stamps_ns, cameras, found"),
        ({"keypoints": np.zeros((4, 2, 15, 3))}, "expected numbers [frames, cameras, people"),
        ({"keypoints": np.zeros((4, 2, 3, 17, 3))}, "must have 15 joints, got 17"),
        ({"keypoints": np.full((4, 2, 3, 15, 3), 300.0)}, "confidences must be 0 to 1, got 300"),
        ({"keypoints": np.full((4, 2, 3, 15, 3), "a")}, "expected numbers"),
        ({"keypoints": np.full((4, 2, 3, 15, 3), None)}, "is no NumPy archive of numbers"),
        ({"cameras": np.array(["left"])}, "are of 2 cameras, but cameras names 1"),
        ({"cameras": np.array(["left", "left"])}, "left is given twice"),
        ({"cameras": np.array([1, 2])}, "cameras: expected a list of names, got int64 [2]"),
        ({"stamps_ns": np.arange(3)}, "stamps_ns: expected 4 integers"),
        ({"stamps_ns": np.arange(4) / 10}, "stamps_ns: expected 4 integers"),
        ({"stamps_ns": np.array([0, 20, 20, 30])}, "must ascend, but 20 follows 20"),
        ({"skeleton": "crab8"}, "unknown skeleton 'crab8'"),
    ],
)
def test_mistakes_are_named(parts, tmp_path, change, expected):
    whole = {key: value for key, value in {**parts, **change}.items() if value is not None}
    np.savez(tmp_path / "a.npz", **whole)
    with pytest.raises(UserError, match=re.escape(expected)) as error:
        load_keypoints(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x93NUMPY", b"cameras: {}"])
def test_files_that_are_something_else(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match="is no NumPy archive"):
        load_keypoints(tmp_path / "a.npz")


def test_a_single_array_is_no_archive(parts, tmp_path):
    np.save(tmp_path / "a.npy", parts["keypoints"])
    with pytest.raises(UserError, match="holds a single array"):
        load_keypoints(tmp_path / "a.npy")


def test_an_archive_that_unpacks_to_gigabytes_is_not_unpacked(parts, tmp_path, monkeypatch):
    """Some megabytes of compressed zeros."""
    path = tmp_path / "a.npz"
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("stamps_ns", "cameras"):
            archive.writestr(f"{name}.npy", b"")
        with archive.open("keypoints.npy", "w", force_zip64=True) as file:
            file.write(header.ljust(128))
            for _ in range(1800):
                file.write(bytes(1_000_000))
    assert path.stat().st_size < 20_000_000
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked"))
    with pytest.raises(UserError, match=r"unpacks to 1\.8 GB, thin the frames"):
        load_keypoints(path)


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path):
    """Nothing of that size is allocated, or it is given back: no MemoryError comes out."""
    path = tmp_path / "a.npz"
    fields = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    header = b"\x93NUMPY\x01\x00v\x00" + fields.ljust(117).encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("keypoints", "stamps_ns", "cameras"):
            archive.writestr(f"{name}.npy", header)
    with pytest.raises(UserError, match="is no NumPy archive"):
        load_keypoints(path)
