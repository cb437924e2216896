"""`mvssm rig keypoints`: from videos to a file that check and refine take."""

import cv2
import numpy as np
import pytest

from mvssm_ros.cli import main
from mvssm_ros.demo_data import find_demo
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.rig.keypoint_sequence import load_keypoints


@pytest.fixture
def detector():
    try:
        return MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))


def film(path, rate_hz=10.0, frames=4):
    """Grey noise, nobody in it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
    writer.release()
    return path


@pytest.mark.usefixtures("detector")
def test_the_demos_videos(tmp_path, capsys):
    pytest.importorskip("Pose2Sim", reason="the demo's videos are in the wheel of pose2sim")
    out = tmp_path / "people.npz"
    assert main(["rig", "keypoints", "--demo", "single", "--every", "50", "--out", str(out)]) == 0
    assert "2 frames of 4 cameras" in capsys.readouterr().out
    sequence = load_keypoints(out)
    assert sequence.cameras == tuple(find_demo("single").videos)
    assert sequence.stamps_ns.tolist() == [0, round(50 / 60 * 1e9)]
    assert (sequence.keypoints[:, :, 0, :, 2] > 0.5).mean() > 0.7  # the man, whole, in each view


@pytest.mark.usefixtures("detector")
def test_videos_of_an_empty_room(tmp_path):
    a, b, out = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4"), tmp_path / "people.npz"
    assert main(["rig", "keypoints", f"left={a}", f"right={b}", "--out", str(out)]) == 0
    sequence = load_keypoints(out)
    assert sequence.cameras == ("left", "right")
    assert np.diff(sequence.stamps_ns).tolist() == [100_000_000] * 3
    assert not sequence.keypoints.any()


def test_mistakes_are_one_line(tmp_path, capsys):
    a, slow = film(tmp_path / "a.mp4"), film(tmp_path / "slow.mp4", 5.0)
    (tmp_path / "text.mp4").write_text("no video")
    out = str(tmp_path / "people.npz")
    for words, expected in (
        ([], "expected either CAMERA=VIDEO"),
        ([f"left={a}"], "two cameras or more"),
        ([str(a), str(a)], "expected CAMERA=VIDEO"),
        ([f"left={a}", f"left={a}"], "camera left is given twice"),
        ([f"left={a}", f"right={tmp_path}/none.mp4"], "there is no such file"),
        ([f"left={a}", f"right={tmp_path}/text.mp4"], "is it a video file?"),
        ([f"left={a}", f"right={slow}"], "camera right has 5 frames a second, that of left 10"),
        ([f"left={a}", f"right={a}", "--every", "0"], "at least 1"),
    ):
        assert main(["rig", "keypoints", *words, "--out", out]) == 2
        error = capsys.readouterr().err
        assert expected in error
        assert error.count("\n") == 1
    assert main(["rig", "keypoints", f"l={a}", f"r={a}", "--out", "/no/such/folder/x.npz"]) == 2
    assert "the folder does not exist" in capsys.readouterr().err
