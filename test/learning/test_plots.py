"""Plots of evaluations: errors by joint by hand, what is drawn and labelled, and files."""

import builtins
import math

import cv2
import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import PANOPTIC15, SHELF14
from mvssm_ros.learning import metrics, plots


def row(rig: str, views: int, method: str = "mvssm", **figures) -> dict:
    joints = {
        "neck": {"mean_mm": 20.0, "median_mm": 10.0},
        "nose": {"mean_mm": 30.0, "median_mm": 25.0},
    }
    return {"rigs": rig, "views": views, "method": method, "joints": joints, **figures}


def texts(figure) -> str:
    """All that is written in a figure, of axes and legends."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_errors_by_joint_worked_by_hand():
    truth = np.zeros((2, 15, 3))
    truth[1, :, 0] = 3.0
    predicted = truth.copy()
    nose, wrist = PANOPTIC15.index("nose"), PANOPTIC15.index("left_wrist")
    predicted[0, nose, 1], predicted[1, nose, 1] = 0.01, 0.05
    predicted[1, wrist] = np.nan
    third = predicted[1] + np.array([0.0, 0.2, 0.0])  # a duplicate: does not count
    matches = metrics.match_scene(np.array([*predicted, third]), np.array([0.9, 0.8, 0.7]), truth)
    found = plots.joint_errors(matches)
    assert list(found) == list(PANOPTIC15.joints)
    assert found["nose"] == pytest.approx({"mean_mm": 30.0, "median_mm": 30.0, "people": 2})
    assert found["left_wrist"] == {"mean_mm": 0.0, "median_mm": 0.0, "people": 1}


def test_mean_and_median_differ_where_one_is_far_off():
    truth = np.zeros((3, 14, 3)) + np.arange(3)[:, None, None]
    predicted = truth.copy()
    predicted[:, 0, 2] += [0.01, 0.02, 0.3]
    matches = metrics.match_scene(predicted, np.ones(3), truth)
    ankle = plots.joint_errors(matches, skeleton=SHELF14)["right_ankle"]
    assert ankle == pytest.approx({"mean_mm": 110.0, "median_mm": 20.0, "people": 3})
    with pytest.raises(ValueError, match="has 15 joints"):
        plots.joint_errors(matches)


def test_nobody_found_has_no_errors():
    nobody = metrics.match_scene(np.zeros((0, 15, 3)), np.zeros(0), np.zeros((1, 15, 3)))
    nose = plots.joint_errors(nobody)["nose"]
    assert math.isnan(nose["mean_mm"])
    assert math.isnan(nose["median_mm"])
    assert nose["people"] == 0


def test_joints_have_bars_and_labels_with_units():
    pytest.importorskip("matplotlib")
    rows = [row("random", 3), row("random", 3, "oracle"), row("CMU0", 5), row("CMU0", 5, "oracle")]
    figure = plots.joints_figure(rows, "a title")
    assert len(figure.axes) == 2
    heights = sorted(bar.get_height() for bar in figure.axes[0].patches)
    assert heights == [20, 20, 30, 30]
    written = texts(figure)
    for word in (
        "error (mm)",
        "joint",
        "neck",
        "random, 3 views",
        "CMU0, 5 views",
        "oracle",
        "a title",
    ):
        assert word in written


def test_lines_by_number_of_cameras():
    pytest.importorskip("matplotlib")
    rows = [
        row("random", 5, AP25=70.0, MPJPE_mm=22.0),
        row("random", 3, AP25=30.0, MPJPE_mm=40.0),
        row("CMU0ex3", 3, AP25=25.0, MPJPE_mm=float("nan"), spread={"AP25": 2.0, "MPJPE_mm": None}),
        row("CMU4", 10, AP25=89.0, MPJPE_mm=15.0),
    ]
    figure = plots.cameras_figure(rows, "t")
    assert [axis.get_ylabel() for axis in figure.axes] == ["AP25 (%)", "MPJPE (mm)"]
    assert {axis.get_xlabel() for axis in figure.axes} == {"number of cameras"}
    lines = {tuple(line.get_xdata()): tuple(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines[3, 5] == (30, 70)
    assert (10,) in lines
    written = texts(figure)
    assert "mvssm, random rigs" in written
    assert "CMU4" in written


def test_with_many_methods_other_rigs_are_left_to_the_bars():
    pytest.importorskip("matplotlib")
    rows = [
        row(rig, views, f"method {m}", AP25=50.0)
        for m in range(5)
        for rig, views in (("CMU0ex3", 3), ("CMU4", 10))
    ]
    assert "other rigs" not in texts(plots.cameras_figure(rows, "t"))
    bars = plots.rigs_figure(rows, "t")
    assert len(bars.axes[0].patches) == 10
    assert "CMU4\n10" in texts(bars)


def test_files_are_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [row("CMU0", 5, AP25=70.0), row("CMU1", 7, AP25=80.0)]
    made = plots.save_plots(rows, tmp_path / "new" / "plots", "t")
    assert [path.name for path in made] == [plots.JOINTS_FILE, plots.CAMERAS_FILE, plots.RIGS_FILE]
    for path in made:
        height, width = cv2.imread(str(path)).shape[:2]
        assert width >= 600
        assert height >= 400
    one = {key: value for key, value in rows[0].items() if key != "joints"}
    assert [path.name for path in plots.save_plots([one], tmp_path, "t")] == [plots.CAMERAS_FILE]


def test_rows_without_any_figure_are_drawn_empty():
    pytest.importorskip("matplotlib")
    assert plots.cameras_figure([row("random", 3, AP25=None)], "t").axes
    assert plots.rigs_figure([row("random", 3, AP25=None)], "t").axes


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file"):
        plots.save_plots([row("random", 3, AP25=1.0)], tmp_path / "file", "t")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"--plots needs matplotlib .*mvssm_ros\[demo\]"):
        plots.require_matplotlib()
