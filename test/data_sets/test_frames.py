"""Images as they are read, or refused; what is done with frames that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvssm_ros.data_sets.frames import (
    MISSING,
    NOBODY,
    OTHER_SIZE,
    OUTSIDE,
    TORN,
    Candidate,
    image_fault,
    read_image,
    usable,
)
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import Cameras

SPACE = ((1.0, 0.0), (4.0, 2.0))


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_an_image_is_rgb(tmp_path, trees, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(trees.picture((64, 48), ending))
    image = read_image(path)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert image[:, 0, 0].max() < 20
    assert image[:, -1, 0].min() > 230  # red grows to the right
    np.testing.assert_allclose(image[..., 2], 200, atol=20)
    assert image_fault(path) == image_fault(path, (64, 48)) == ""
    assert image_fault(path, (48, 64)) == OTHER_SIZE


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0, 1, 10, 200, -1, -2])
def test_a_torn_image_is_noticed(tmp_path, trees, ending, kept, capfd):
    path = tmp_path / f"torn{ending}"
    path.write_bytes(trees.picture((320, 240), ending)[:kept])
    with pytest.raises(UserError, match=rf"torn{ending}: (is torn|expected a JPEG or PNG)"):
        read_image(path)
    assert image_fault(path) == image_fault(path, (320, 240)) == TORN
    assert capfd.readouterr().err == ""  # nothing of the decoder's own


def test_a_file_filled_up_with_zeros_is_torn(tmp_path, trees):
    data = trees.picture((320, 240))
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:-200] + bytes(200))
    assert image_fault(path) == TORN


def test_what_cannot_be_decoded_or_is_not_there(tmp_path, trees):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(100) + b"\xff\xd9")
    with pytest.raises(UserError, match=r"a\.jpg: cannot be decoded"):
        read_image(path)
    assert image_fault(path) == ""
    assert image_fault(path, (320, 240)) == TORN
    with pytest.raises(UserError, match=r"b\.jpg: there is no such file"):
        read_image(tmp_path / "b.jpg")
    with pytest.raises(UserError, match="cannot be read"):
        read_image(tmp_path)
    assert image_fault(tmp_path / "b.jpg") == image_fault(tmp_path / "b.jpg", (1, 1)) == MISSING
    assert image_fault(tmp_path) == image_fault(tmp_path, (1, 1)) == MISSING


def camera(size_px=(64, 48)) -> Cameras:
    K = torch.tensor([[[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]])
    return Cameras.pinhole(K, torch.eye(3)[None], torch.zeros(1, 3), torch.tensor([size_px]))


def candidates(tmp_path, people) -> list[Candidate]:
    path = tmp_path / "a.jpg"
    return [
        Candidate(f"s/{i}", (path,), joints, tmp_path / f"truth{i}")
        for i, joints in enumerate(people)
    ]


def person(x_m: float, y_m: float) -> np.ndarray:
    joints = np.full((1, 15, 3), (x_m, y_m, 1.0))
    joints[0, 4] = np.nan  # one is not known
    return joints


def test_people_outside_the_space_with_a_margin(tmp_path, trees):
    (tmp_path / "a.jpg").write_bytes(trees.picture((64, 48)))
    inside = [person(3.9, 0), person(-1.9, 0), person(1, 1.9), person(1, -1.9)]
    outside = [person(4.1, 0), person(-2.1, 0), person(1, 2.1), person(1, -2.1)]
    mixed = np.concatenate([inside[0], outside[0]])
    down = inside[0] * np.array([0, 0, -1.1])
    up = inside[0] * np.array([1, 1, 3.5])
    given = candidates(tmp_path, [*inside, *outside, mixed, down, up])
    sequence = usable("s", camera(), ("a",), given, SPACE)
    assert [frame.name for frame in sequence.frames] == ["s/0", "s/1", "s/2", "s/3"]
    assert sequence.skipped == {OUTSIDE: 7}
    assert sequence.examples == {OUTSIDE: str(tmp_path / "truth4")}
    assert (sequence.space_center_m, sequence.space_size_m) == SPACE


def test_nobody_and_absent_actors(tmp_path, trees):
    (tmp_path / "a.jpg").write_bytes(trees.picture((64, 48)))
    absent = np.full((1, 15, 3), np.nan)
    both = np.concatenate([absent, person(1, 0)])
    given = candidates(tmp_path, [np.zeros((0, 15, 3)), absent, both])
    sequence = usable("s", camera(), ("a",), given, SPACE)
    assert sequence.skipped == {NOBODY: 2}
    assert [frame.n_people for frame in sequence.frames] == [1]
    assert sequence.frames[0].joints_m.shape == (2, 15, 3)


def test_how_well_images_are_looked_at(tmp_path, trees):
    people = [person(1, 0)] * 50
    (tmp_path / "a.jpg").write_bytes(trees.picture((64, 48)))
    given = candidates(tmp_path, people)
    other = camera((48, 64))  # sizes are seen where images are decoded
    skipped = {
        images: usable("s", other, ("a",), given, SPACE, images).skipped
        for images in ("none", "ends", "some", "all")
    }
    assert skipped == {"none": {}, "ends": {}, "some": {OTHER_SIZE: 20}, "all": {OTHER_SIZE: 50}}
    (tmp_path / "a.jpg").unlink()
    assert len(usable("s", camera(), ("a",), given, SPACE, "none").frames) == 50
    assert usable("s", camera(), ("a",), given, SPACE).skipped == {MISSING: 50}
    with pytest.raises(UserError, match=r"images 'few': expected one of none, ends, some, all"):
        usable("s", camera(), ("a",), given, SPACE, "few")
