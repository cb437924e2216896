"""The Panoptic arrangements: metres with z up show the same pixels as Panoptic's centimetres."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.learning.panoptic_rigs import (
    ARRANGEMENTS,
    SPACE,
    arrangement_nodes,
    load_panoptic_rig,
    panoptic_to_world,
)
from mvssm_ros.learning.synthetic.rigs import look_at
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig

SHARED = Path(
    os.environ.get("MVSSM_SHARED_DATA", Path(__file__).resolve().parents[2] / ".." / "shared/data")
)
SEQUENCE = SHARED / "panoptic" / "160906_band1"
CALIBRATION = SEQUENCE / "calibration_160906_band1.json"
needs_data = pytest.mark.skipif(
    not CALIBRATION.exists(), reason=f"the Panoptic calibration is not at {CALIBRATION}"
)


def entry(node: int, rng: np.random.Generator) -> dict:
    """A camera 3 m from the middle, in Panoptic's frame: centimetres, y down."""
    center = np.append(rng.uniform(-200, 200, 2), -300.0)
    R = look_at(center, np.zeros(3), np.array(rng.uniform(-1, 1)))
    return {
        "type": "hd", "panel": 0, "node": node, "resolution": [1920, 1080],
        "K": [[1400.0, 0, 950.0], [0, 1395.0, 550.0], [0, 0, 1]],
        "distCoef": [-0.28, 0.17, 2e-4, -1e-4, -0.04],
        "R": R.tolist(), "t": (-R @ center)[:, None].tolist(),
    }  # fmt: skip


@pytest.fixture
def made_up(tmp_path: Path) -> tuple[Path, list[dict]]:
    rng = np.random.default_rng(0)
    cameras = [entry(node, rng) for node in reversed(range(31))]
    vga = {**cameras[0], "type": "vga", "panel": 3, "node": 3}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"cameras": [vga, *cameras]}))
    return path, cameras


def panoptic_pixels(camera: dict, points_cm: np.ndarray) -> np.ndarray:
    """Panoptic's own projection, written out."""
    x, y, z = np.array(camera["R"]) @ points_cm.T + np.array(camera["t"])
    x, y = x / z, y / z
    k1, k2, p1, p2, k3 = camera["distCoef"]
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)
    K = np.array(camera["K"])
    return np.stack([K[0, 0] * u + K[0, 2], K[1, 1] * v + K[1, 2]], -1)


@pytest.mark.parametrize("name", [*ARRANGEMENTS, "CMU0ex3"])
def test_pixels_are_panoptics_own(made_up, name: str):
    path, cameras = made_up
    rig = load_panoptic_rig(path, name)
    points_cm = np.random.default_rng(1).uniform(-60, 60, (20, 3))
    pixels, depth = project(rig, panoptic_to_world(torch.from_numpy(points_cm)).float())
    assert (depth > 1).all()
    by_node = {c["node"]: c for c in cameras}
    for view, node in enumerate(arrangement_nodes(name)):
        expected = panoptic_pixels(by_node[node], points_cm)
        np.testing.assert_allclose(pixels[view].numpy(), expected, atol=0.02)


def test_up_is_up_and_metres_are_metres():
    head, feet = torch.tensor([[10.0, -170.0, 20.0], [10.0, 0.0, 20.0]])
    torch.testing.assert_close(panoptic_to_world(head), torch.tensor([0.1, 0.2, 1.7]))
    torch.testing.assert_close(panoptic_to_world(feet), torch.tensor([0.1, 0.2, 0.0]))


def test_arrangements_by_name():
    assert arrangement_nodes("CMU0") == (3, 6, 12, 13, 23)
    assert [len(v) for v in ARRANGEMENTS.values()] == [5, 7, 7, 4, 10]
    assert arrangement_nodes("CMU0ex(7)") == (3, 6, 12, 13, 23, 10, 16)
    assert arrangement_nodes("CMU0ex3") == (3, 6, 12)
    for wrong in ("CMU9", "CMU0ex1", "CMU0ex8", "CMU0ex", "cmu0"):
        with pytest.raises(UserError, match=f"'{wrong}'"):
            arrangement_nodes(wrong)


def test_bad_files_are_named(tmp_path: Path, made_up):
    _, cameras = made_up
    with pytest.raises(UserError, match=r"cannot read .*nothing\.json"):
        load_panoptic_rig(tmp_path / "nothing.json", "CMU0")
    broken = tmp_path / "broken.json"
    for content in ("{", '{"cameras": [{"type": "hd"}]}', "[1, 2]"):
        broken.write_text(content)
        with pytest.raises(UserError, match=r"broken\.json is not a Panoptic calibration"):
            load_panoptic_rig(broken, "CMU0")
    broken.write_text(json.dumps({"cameras": [c for c in cameras if c["node"] != 13]}))
    with pytest.raises(UserError, match=r"lacks the HD cameras \[13\] that CMU0 needs"):
        load_panoptic_rig(broken, "CMU0")
    short = [{**c, "distCoef": [0.1, 0.2]} if c["node"] == 6 else c for c in cameras]
    broken.write_text(json.dumps({"cameras": short}))
    with pytest.raises(UserError, match="incomplete"):
        load_panoptic_rig(broken, "CMU0")


@needs_data
@pytest.mark.parametrize("name", [*ARRANGEMENTS, "CMU0ex7"])
def test_real_cameras_surround_the_dome(name: str):
    rig = load_panoptic_rig(CALIBRATION, name)
    R = rig.R.double()
    torch.testing.assert_close(
        R @ R.transpose(-1, -2), torch.eye(3).double().expand_as(R), atol=1e-5, rtol=0
    )
    centers = rig.centers_m
    assert (centers[:, :2].norm(dim=-1) < 3.0).all()
    assert (centers[:, 2] > 0.5).all()
    assert (centers[:, 2] < 4.0).all()
    middle = torch.tensor([[*SPACE[0], 1.0]])
    assert in_view(rig, *project(rig, middle)).all()


@needs_data
@pytest.mark.parametrize("name", list(ARRANGEMENTS))
def test_real_people_are_where_the_real_cameras_look(name: str):
    rig = load_panoptic_rig(CALIBRATION, name)
    hips, heads = [], []
    for frame in sorted((SEQUENCE / "hdPose3d_stage1_coco19").glob("*.json")):
        for body in json.loads(frame.read_text())["bodies"]:
            joints = torch.tensor(body["joints19"]).reshape(19, 4)
            trusted = joints[:, 3] > 0.1
            world = panoptic_to_world(joints[:, :3])
            assert world[trusted][:, 2].min() > -0.05  # feet on the floor
            assert world[trusted][:, 2].max() < 2.1
            if trusted[2] and trusted[0]:
                hips.append(world[2])
                heads.append(world[0])
    assert len(hips) >= 4
    seen = in_view(rig, *project(rig, torch.stack(hips)))
    assert seen.float().mean() > 0.7
    inside = torch.tensor([abs(float(h[i])) for h in hips for i in (0, 1)])
    assert inside.max() < 0.5 * SPACE[1][0]
    assert (torch.stack(heads)[:, 2] > torch.stack(hips)[:, 2]).all()


@needs_data
def test_synthetic_people_can_stand_in_the_real_arrangement():
    rig = load_panoptic_rig(CALIBRATION, "CMU0")
    batch = SyntheticWorld(WorldConfig.held_out(), 0).batch(8, 5, arrangement=rig, space=SPACE)
    assert batch.person_valid.sum(-1).min() >= 1
    assert (batch.identity >= 0).float().sum() > 8 * 5
