"""`mvssm data render` makes the picture that it is asked for; `evaluate --world film` runs on real images."""

import cv2
import numpy as np
import pytest
import torch

from mvssm_ros.cli import main
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.network.config import small_rgb
from mvssm_ros.network.weights import save_weights


def test_a_sheet_has_a_row_a_scene_and_a_column_a_view(tmp_path):
    plain, marked = tmp_path / "a" / "plain.png", tmp_path / "marked.jpg"
    size = ["--scenes", "1", "--views", "2", "--people", "2"]
    assert main(["data", "render", *size, "--out", str(plain)]) == 0
    assert main(["data", "render", *size, "--joints", "--out", str(marked)]) == 0
    without, joints = cv2.imread(str(plain)).astype(int), cv2.imread(str(marked)).astype(int)
    assert without.shape == joints.shape == (256, 2 * 480, 3)
    changed = (np.abs(without - joints).max(-1) > 60).mean()
    assert 1e-4 < changed < 0.02  # dots, nothing else


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--views", "1", "--out", "x.png"], "--views is 1: expected 2 to 64"),
        (["--seed", "-1", "--out", "x.png"], "--seed is -1: expected at least 0"),
        (["--out", "x.gif"], "ends in .jpg or .png"),
        (["--scenes", "1", "--out", "/proc/none/x.png"], "cannot write /proc/none/x.png"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, told):
    assert main(["data", "render", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_network_on_images_is_compared_on_the_film(tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "rgb.safetensors"
    torch.manual_seed(0)
    model = ImageNetwork(small_rgb())
    save_weights(path, model.config, model.network.state_dict(), {}, model.backbone.state_dict())
    arguments = ["evaluate", "--world", "film", "--scenes", "2", "--weights", str(path)]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert "2 sets of 4 views" in table
    assert "there is no ground truth" in table
    assert main(arguments[:-2]) == 2  # the keypoints weights themselves
    assert "needs RGB weights" in capsys.readouterr().err
