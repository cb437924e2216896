"""The picture of a rig: everything is in it, and named."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from people_passing import ring_rig

from mvssm_ros.cli import main
from mvssm_ros.errors import UserError
from mvssm_ros.rig.drawing import draw_rig, figure_of
from mvssm_ros.rig.rig_file import CameraEntry, Rig

pytest.importorskip("matplotlib")
DEMO = Path(__file__).resolve().parents[2] / "config" / "rigs" / "pose2sim_single.yaml"


def texts(figure):
    """All texts of the picture, and what they are placed in."""
    from matplotlib.text import Text

    return " | ".join(found.get_text() for found in figure.findobj(Text))


def test_cameras_axes_and_space_are_drawn_and_named():
    rig = ring_rig(5)
    figure = figure_of(rig, "five cameras")
    said = texts(figure)
    for name, entry in rig.cameras.items():
        assert f"{name}  {entry.center_m[2]:.1f} m" in said
    for words in ("five cameras", "x, m", "y, m", "z, m", "space 5 x 5 m", "of the space is seen"):
        assert words in said
    in_3d, from_above = figure.axes[:2]
    assert in_3d.name == "3d"
    for entry in rig.cameras.values():  # inside both pictures
        x, y, z = entry.center_m
        for low, high, value in zip(
            (in_3d.get_xlim()[0], in_3d.get_ylim()[0], in_3d.get_zlim()[0]),
            (in_3d.get_xlim()[1], in_3d.get_ylim()[1], in_3d.get_zlim()[1]),
            (x, y, z),
        ):
            assert low < value < high
        assert from_above.get_xlim()[0] < x < from_above.get_xlim()[1]


def test_wedges_open_where_the_cameras_look():
    """From above, the middle of a camera's wedge lies along its optical axis."""
    rig = ring_rig(3)
    from_above = figure_of(rig).axes[1]
    wedges = [patch.get_xy() for patch in from_above.patches if len(patch.get_xy()) == 4]
    assert len(wedges) == 3
    for wedge, entry in zip(wedges, rig.cameras.values()):
        np.testing.assert_allclose(wedge[0], entry.center_m[:2])
        direction = wedge[1:3].mean(0) - wedge[0]
        axis = entry.R[2, :2]
        cosine = direction @ axis / np.linalg.norm(direction) / np.linalg.norm(axis)
        assert cosine > 0.99


def test_what_is_not_known_is_said():
    rig = ring_rig(2)
    blind = replace(CameraEntry.bare("blind"), R=np.eye(3), t_m=np.array([0.0, 0, 2]))
    rig = replace(rig, cameras={**rig.cameras, "far": CameraEntry.bare("far"), "blind": blind})
    said = texts(figure_of(rig))
    assert "not drawn, pose comes from TF: far" in said
    assert "field of view unknown" in said
    assert "blind  " in said
    with pytest.raises(UserError, match="no camera has extrinsics"):
        figure_of(Rig(cameras={n: CameraEntry.bare(n) for n in "ab"}))


def test_the_command_writes_a_picture(tmp_path, capsys):
    out = tmp_path / "rig.png"
    assert main(["rig", "show", str(DEMO), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    image = cv2.imread(str(out))
    assert image.shape[1] > 1000
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100
    with pytest.raises(UserError, match="cannot be written"):
        draw_rig(ring_rig(2), tmp_path / "none" / "rig.png")
