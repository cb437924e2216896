"""Frames of data sets as training batches: placed right, the same every time, torn ones left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mvssm_ros.data_sets.panoptic import open_panoptic
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.image_network import ImageNetwork
from mvssm_ros.geometry.cameras import project
from mvssm_ros.learning.frames_source import FramesSource, image_set
from mvssm_ros.learning.image_task import ImagesTask
from mvssm_ros.learning.losses import LossWeights
from mvssm_ros.learning.training.experiment import (
    DataConfig,
    Experiment,
    TrainingConfig,
    ValidationConfig,
)
from mvssm_ros.network.config import small_rgb

NODES = (3, 6, 12)
TINY = small_rgb(d_model=16, n_layers=2, survivors=(6,), grid_from_layer=1)


@pytest.fixture
def root(tmp_path, trees):
    """Two recordings of four frames each, one and two people; a third joint is unknown in some."""
    for name, where in (("160906_band1", 0.0), ("160906_band4", 50.0)):
        unsure = trees.body((where, 30.0), 1)
        unsure["joints19"][4 * 5 + 3] = 0.05  # the left wrist's confidence
        frames = {n: [trees.body((where + n, 0.0)), unsure] for n in range(4)}
        trees.make_panoptic(tmp_path, name, frames, NODES)
    return tmp_path


def config(root, **changes):
    return replace(
        DataConfig(
            kind="panoptic",
            root=str(root),
            arrangement="CMU0ex3",
            views={3: 1.0},
            view_budget=6,
            sequences=("160906_band1",),
            validation_sequences=("160906_band4",),
            interval=1,
            validation_interval=1,
        ),
        **changes,
    )


def test_people_and_targets_are_where_the_cameras_see_them(root):
    batch = FramesSource(config(root), 2).batch(0, 0)
    assert batch.images.shape == (2, 3, 3, 256, 480)
    assert batch.person_valid.all()
    raw = open_panoptic(root, "train", "CMU0ex3", 1, ["160906_band1"])[0].cameras
    pixels, _ = project(raw, batch.joints_m[0].flatten(0, 1))
    # 1920 x 1080 to a canvas of 960 x 512: the height decides; areas are scaled
    scale = 512 / 1080
    expected = (scale * pixels + 0.5 * scale - 0.5).unflatten(1, (2, 15))
    found = batch.targets_px[0]
    seen = found[..., 2] > 0
    assert seen.sum() > 60
    assert torch.allclose(found[..., :2][seen], expected[seen], atol=0.02)
    assert not found[:, 1, 5, 2].any()  # the unknown wrist
    assert batch.joints_m[:, 1, 5].isnan().all()


def test_batches_are_a_function_of_number_and_seed_and_go_through_all_frames(root):
    source, again = FramesSource(config(root), 2), FramesSource(config(root), 2)
    first = [source.batch(k, 3).joints_m for k in range(4)]
    for k in (3, 1, 0, 2):
        assert np.array_equal(again.batch(k, 3).joints_m, first[k], equal_nan=True)
    seen = {round(float(pose[0, 0]), 4) for b in first[:2] for pose in b[:, 0]}
    assert len(seen) == 4  # every frame once a pass


def test_an_image_torn_after_the_start_costs_its_frame_only(root, caplog):
    source = FramesSource(config(root), 2)
    whole = source.batch(0, 0)
    for path in source.places[0][1].image_paths:
        path.write_bytes(path.read_bytes()[:200])
    sizes = sorted(len(source.batch(number, 0).images) for number in range(2))
    assert sizes == [1, 2]
    assert len(whole.images) == 2
    assert "left out" in caplog.text
    for _, frame in source.places:
        for path in frame.image_paths:
            path.unlink(missing_ok=True)
    with pytest.raises(UserError, match="no image of panoptic can be read"):
        source.batch(0, 0)


def test_a_folder_without_frames_or_without_a_name_is_one_line(root, tmp_path):
    with pytest.raises(UserError, match=r"data\.root"):
        FramesSource(config(""), 2)
    for path in (root / "160906_band1" / "hdImgs").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(UserError, match=r"no frame of panoptic to train on.*image missing"):
        FramesSource(config(root), 2)


def test_shelf_is_trained_on_as_panoptic15_without_the_frames_that_are_evaluated(tmp_path, trees):
    standing = np.stack([np.full(14, 0.4), np.full(14, -0.3), np.linspace(0.1, 1.6, 14)], -1)
    actors = [[standing if n < 320 else np.zeros((0, 0)) for n in range(620)]]
    trees.make_shelf(tmp_path, actors, range(296, 330))
    source = FramesSource(DataConfig(kind="shelf", root=str(tmp_path), view_budget=5), 2)
    assert {frame.name.split("/")[1].lstrip("0") for _, frame in source.places} == {
        "296", "297", "298", "299",
    }  # fmt: skip
    joints = source.batch(0, 0).joints_m[0, 0]
    hips = joints[[6, 12]].mean(0)
    assert torch.allclose(joints[2], hips, atol=1e-5)  # mid_hip is derived
    assert len(source.validation_sets(3)) == 3


def test_a_network_trains_and_validates_on_a_data_set(root):
    experiment = Experiment(
        "tiny",
        config(root),
        TINY,
        TrainingConfig(steps=2, survivors=(6,), grid=(3, 3)),
        LossWeights(heatmaps=1.0),
        ValidationConfig(scenes=2),
    )
    task = ImagesTask(experiment)
    torch.manual_seed(0)
    model = task.build()
    assert isinstance(model, ImageNetwork)
    loss, log = task.loss(model, task.batch(0, 0, 1), 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert log["error_mm"] > 0
    figures = task.validate(model.eval())
    assert figures["people"] == 4
    network, backbone = task.weights(model.state_dict())
    assert set(network) == set(model.network.state_dict())
    assert set(backbone) == set(model.backbone.state_dict())


def test_an_evaluated_frame_has_its_images_and_its_people(root):
    sequence = open_panoptic(root, "test", "CMU0ex3", 1, ["160906_band4"])[0]
    one = image_set(sequence, sequence.frames[0])
    assert [i.shape for i in one.images] == [(1080, 1920, 3)] * 3
    assert one.truth_m.shape == (2, 15, 3)
    assert np.isnan(one.truth_m[1, 5]).all()
