"""The generalisation experiment with tiny networks and few scenes: measured once, kept, and tabled."""

import fcntl
import json
import math
import shutil

import pytest
import torch
from network_scenes import ring_of_cameras

from mvssm_ros.cli import main
from mvssm_ros.errors import UserError
from mvssm_ros.learning import generalisation as experiment
from mvssm_ros.learning import generalisation_cost as cost
from mvssm_ros.learning import generalisation_table as table
from mvssm_ros.learning.held_out import held_out_scenes
from mvssm_ros.learning.published import ABLATION
from mvssm_ros.network import gtbs
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import read_weights, save_weights

TINY = {"d_model": 16, "n_layers": 2, "survivors": (8,), "n_proposals": 4, "grid_from_layer": 1}
CAMERAS = ring_of_cameras(3, torch.float32, distance_m=4.0)
RIGS = [
    experiment.Arrangement("CMU0ex3", CAMERAS),
    experiment.Arrangement("CMU0ex5", ring_of_cameras(5, torch.float32)),
    experiment.Arrangement("CMU0", ring_of_cameras(5, torch.float32)),
]
PROVENANCE = {"step": 3500, "world": 1, "training": {"view_budget": 20, "views": {"5": 1.0}}}


def save(runs, variant, seed, **changes):
    torch.manual_seed(seed)
    network = {"tree_order": False, **TINY, **experiment.VARIANTS[variant].network, **changes}
    config = MVSSMConfig(**network)
    path = runs / f"{variant}-{seed}" / experiment.WEIGHTS
    save_weights(path, config, MVSSM(config).state_dict(), PROVENANCE)
    return path


def measured(runs, *names, scenes=2, rigs=RIGS):
    subjects = [experiment.find_subject(runs, *name) for name in names]
    return experiment.evaluate_all([*subjects, *experiment.references(runs)], rigs, scenes, 0)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Runs of two seeds of one variant, and one of another, with their evaluation.json."""
    runs = tmp_path_factory.mktemp("runs")
    for name in (("full", 0), ("full", 1), ("mean", 0)):
        save(runs, *name)
    measured(runs, ("full", 0), ("full", 1), ("mean", 0))
    return runs


@pytest.fixture
def runs(evaluated, tmp_path):
    return shutil.copytree(evaluated, tmp_path / "runs")


def forbid(monkeypatch, *names):
    def called(*args, **kwargs):
        raise AssertionError("measured again")

    for name in names:
        monkeypatch.setattr(experiment, name, called)


def test_budgets_are_the_same_compute():
    assert set(experiment.VARIANTS) == {
        *("full", "no_mamba", "no_gtbs_mamba", "cross_attention", "mean", "tree", "serial")
    }
    assert {v.ablation for v in experiment.VARIANTS.values()} - {""} == set(ABLATION)
    steps = {name: v.steps for name, v in experiment.VARIANTS.items()}
    assert steps["full"] == steps["tree"] == steps["serial"] == 3500
    assert steps["full"] < steps["cross_attention"] < steps["no_mamba"] < steps["mean"]


def test_what_is_measured_is_kept(runs, monkeypatch):
    forbid(monkeypatch, "held_out_scenes", "measure")
    again = measured(runs, ("full", 0), ("full", 1), ("mean", 0))
    for one in again.values():
        for rig in RIGS:
            assert math.isfinite(one.figures(rig)["AP25"])
    kept = json.loads((runs / "full-0" / experiment.EVALUATION).read_text())
    assert kept["scenes"] == 2
    assert kept["weights_sha256"] == again["full-0"].subject.weights_sha256 != ""


def test_the_same_cameras_by_another_name_have_the_same_figures(runs):
    found = measured(runs, ("full", 0))
    by_name = {rig.name: found["oracle"].figures(rig) for rig in RIGS}
    assert by_name["CMU0ex5"] == by_name["CMU0"] != by_name["CMU0ex3"]
    assert by_name["CMU0"]["recall500"] > 50


@pytest.mark.parametrize("change", ["weights", "scenes", "cameras", "damaged", "seed"])
def test_figures_of_something_else_are_forgotten(runs, change):
    rigs, scenes, seed = RIGS[:1], 2, 0
    if change == "weights":
        save(runs, "full", 0, ffn_ratio=2)
    elif change == "scenes":
        scenes = 3
    elif change == "seed":
        seed = 5
    elif change == "cameras":
        rigs = [experiment.Arrangement("CMU0ex3", CAMERAS, ((0.5, 0.0), (3.0, 3.0)))]
    else:
        (runs / "full-0" / experiment.EVALUATION).write_text('{"scenes": [')
    subject = experiment.find_subject(runs, "full", 0)
    assert experiment.Evaluation(subject, scenes, seed).figures(rigs[0]) is None


def test_what_was_measured_is_enough_without_the_weights(runs):
    before = measured(runs, ("full", 0))["full-0"]
    (runs / "full-0" / experiment.WEIGHTS).unlink()
    after = measured(runs, ("full", 0))["full-0"]
    assert after.content == before.content
    assert after.subject.provenance == PROVENANCE
    assert experiment.deviations(after.subject) == []
    new = experiment.Arrangement("CMU3", ring_of_cameras(4, torch.float32))
    with pytest.raises(
        UserError, match=r"no figures for CMU3.*2 scenes and seed 0.*what was measured \(--scenes 2"
    ):
        measured(runs, ("full", 0), rigs=[new])


def test_it_goes_on_from_rig_to_rig(runs, monkeypatch):
    asked = []

    def scenes(n, views, seed, cameras, space):
        asked.append(views)
        return held_out_scenes(n, views, seed, cameras, space)

    monkeypatch.setattr(experiment, "held_out_scenes", scenes)
    new = experiment.Arrangement("CMU3", ring_of_cameras(4, torch.float32))
    found = measured(runs, ("full", 0), rigs=[*RIGS, new])
    assert asked == [4]
    assert math.isfinite(found["full-0"].figures(new)["AP50"])


def test_weights_of_another_variant_are_refused(tmp_path):
    assert experiment.find_subject(tmp_path, "full", 0) is None
    save(tmp_path, "full", 0, tree_order=True)
    with pytest.raises(UserError, match=r"full-0.*is no 'full': .*got \{'tree_order': True\}"):
        experiment.find_subject(tmp_path, "full", 0)
    save(tmp_path, "tree", 0)
    assert experiment.find_subject(tmp_path, "tree", 0).name == "tree-0"


def test_how_many_scenes_a_network_saw():
    assert experiment.scenes_seen(PROVENANCE) == 14000
    views = {"2": 0.5, "5": 0.5}  # 10 or 4 scenes a step
    new = {"step": 100, "world": 2, "training": {"data": {"view_budget": 20, "views": views}}}
    assert experiment.scenes_seen(new) == 1400
    for unknown in ({}, {"training": None}, {"training": {"views": {}}}):
        assert experiment.scenes_seen(unknown) is None


def test_other_trainings_are_named(tmp_path):
    save(tmp_path, "full", 0)
    assert experiment.deviations(experiment.find_subject(tmp_path, "full", 0)) == []
    save(tmp_path, "mean", 0)
    (told,) = experiment.deviations(experiment.find_subject(tmp_path, "mean", 0))
    assert told == "3500 steps instead of 9000"
    subject = experiment.Subject(
        "full", tmp_path, 0, "", {"step": 3500, "training": {"data": {"arrangement": ""}}}
    )
    assert experiment.deviations(subject) == ["not trained on CMU0 alone"]


def test_means_and_spreads_by_hand():
    figures = [{"AP25": 50.0, "MPJPE_mm": 30.0}, {"AP25": 56.0, "MPJPE_mm": None}]
    out = table._over_seeds(figures)
    assert (out["AP25"], out["spread"]["AP25"]) == (53.0, 3.0)
    assert (out["MPJPE_mm"], out["spread"]["MPJPE_mm"]) == (30.0, 0.0)
    assert table._pair(out, 2) == "53.0 ± 3.0 / 30.0 ± 0.0"
    assert table._pair(out, 1) == "53.0 / 30.0"
    assert table._pair({}, 2) == "–"
    rigs = {"CMU0": {"AP25": 90.0}, "CMU0ex3": {"AP25": 20.0}, "CMU4": {"AP25": 40.0}, "campus": {}}
    assert table._with_unseen(rigs)[table.UNSEEN]["AP25"] == 30.0


def test_the_table(runs):
    found = measured(runs, ("full", 0), ("full", 1), ("mean", 0))
    found["full-0"].keep_cost(
        {
            "parameters": 640_000,
            "gflop_per_set": 1.0,
            "scan_gflop_per_set": 0.25,
            "ms_per_set": 80.0,
        }
    )
    rows = table.rows_of(found, RIGS)
    assert [row["variant"] for row in rows] == ["full", "mean", "triangulate", "oracle"]
    full = rows[0]
    values = [found[f"full-{s}"].figures(RIGS[0])["MPJPE_mm"] for s in (0, 1)]
    known = [v for v in values if v is not None]
    if known:
        assert full["rigs"]["CMU0ex3"]["MPJPE_mm"] == pytest.approx(sum(known) / len(known))
    text = table.markdown(rows, RIGS)
    head = text.splitlines()[0]
    assert "| CMU0ex3 (3) | CMU0ex5 (5) | CMU0 (5) |" in head
    line = next(line for line in text.splitlines() if line.startswith("| full |"))
    assert "| full | 0, 1 | 3500 | 14000 | 0.64 | 1.25 | 80 | – | 93.5 / 15.7 |" in line
    assert line.count("|") == head.count("|")
    assert "±" in line
    mean = next(line for line in text.splitlines() if line.startswith("| mean |"))
    assert "±" not in mean
    for row in table.plot_rows(rows, RIGS):
        assert ("spread" in row) == (row["method"] == "full")


def test_scans_are_counted_by_hand_and_put_back():
    plain = gtbs.selective_scan
    counter = cost.ScanCounter()
    block = gtbs.SS2D(8, expansion=1.0, d_state=1)
    with cost.FlopCounterMode(display=False) as torch_counter, counter.counting(torch_counter):
        block(torch.randn(3, 5, 2, 8))
    # 3 sequences, 2 directions, 10 steps, 8 channels, 1 state
    assert counter.flop == (9 * 1 + 1) * 3 * 2 * 10 * 8
    assert gtbs.selective_scan is plain
    # What torch counts of a scan (a product over several states) is not counted twice.
    several, block = cost.ScanCounter(), gtbs.SS2D(8, expansion=1.0, d_state=4)
    with cost.FlopCounterMode(display=False) as torch_counter, several.counting(torch_counter):
        block(torch.randn(3, 5, 2, 8))
    steps = 3 * 2 * 10 * 8
    assert (9 * 4 + 1) * steps - 2 * 4 * steps <= several.flop <= (9 * 4 + 1) * steps


def test_costs_in_a_fresh_process(runs):
    found = measured(runs, ("full", 0), ("full", 1), rigs=RIGS[:1])
    experiment.measure_costs(found, RIGS[2], 0)
    full = found["full-0"].content["cost"]
    scenes = held_out_scenes(1, 5, 0, RIGS[2].cameras)
    mean = cost.cost_here(str(runs / "mean-0" / experiment.WEIGHTS), scenes)
    assert found["full-1"].content["cost"] is None
    assert full["parameters"] > mean["parameters"] > 1000
    assert full["scan_gflop_per_set"] > mean["scan_gflop_per_set"] == 0
    assert full["gflop_per_set"] > 0
    assert full["ms_per_set"] > 0
    assert full["peak_memory_mib"] > 50
    kept = experiment.Evaluation(found["full-0"].subject, 2, 0)
    assert kept.content["cost"] == full


@pytest.fixture
def calibration(tmp_path):
    """A made-up calibration file of Panoptic: its HD cameras on a ring."""
    cameras = ring_of_cameras(31, distance_m=2.7)
    entries = [
        {
            "type": "hd", "panel": 0, "node": node, "resolution": [960, 540],
            "K": cameras.K[node].tolist(), "distCoef": [0.0] * 5,
            # the reverse of panoptic_rigs: (x, z, -y) and metres back to (x, y, z) and cm
            "R": (cameras.R[node] @ torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).double()).tolist(),
            "t": (100 * cameras.t[node]).tolist(),
        }
        for node in range(31)
    ]  # fmt: skip
    path = tmp_path / "calibration_made_up.json"
    path.write_text(json.dumps({"cameras": entries}))
    return path


def test_the_command_says_what_is_missing_and_goes_on(tmp_path, calibration, capsys, monkeypatch):
    save(tmp_path / "runs", "full", 0)
    out = tmp_path / "out.json"
    words = ["generalisation", "--calibration", str(calibration), "--runs", str(tmp_path / "runs")]
    words += ["--variants", "full,serial_scan", "--seeds", "0", "--scenes", "1", "--json", str(out)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Not trained yet: serial-0" in said
    assert "| CMU4 (10) |" in said
    figures = json.loads(out.read_text())
    assert [row["variant"] for row in figures["rows"]] == ["full", "triangulate", "oracle"]
    assert figures["rows"][0]["training"][0]["scenes"] == 14000
    forbid(monkeypatch, "held_out_scenes", "measure", "measure_cost")
    assert main(words) == 0
    assert capsys.readouterr().out == said


def test_missing_networks_are_trained(tmp_path, calibration):
    pytest.importorskip("lightning")
    pytest.importorskip("tensorboard")
    overrides = {
        "training.steps": 1, "training.survivors": [8], "validation.every": 0, "data.view_budget": 5,
        **{f"network.{k}": list(v) if isinstance(v, tuple) else v for k, v in TINY.items()},
    }  # fmt: skip
    assert experiment.train_variant(tmp_path, "serial", 3, calibration, overrides) == 0
    found = experiment.find_subject(tmp_path, "serial", 3)
    assert read_weights(found.weights).config.view_scan == "serial"
    assert experiment.scenes_seen(found.provenance) == 1
    assert experiment.deviations(found) == ["1 steps instead of 3500"]


def test_a_run_that_another_process_trains_is_left_to_it(tmp_path, calibration):
    folder = tmp_path / "full-0"
    folder.mkdir()
    with (folder / experiment.LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert experiment.train_variant(tmp_path, "full", 0, calibration) is None
    assert [path.name for path in folder.iterdir()] == [experiment.LOCK]


def test_the_arrangements_of_the_data_sets(shared_data):
    rigs = experiment.arrangements(
        shared_data / "panoptic/160906_band1/calibration_160906_band1.json",
        shared_data / "campus/calibration_campus.json",
        shared_data / "shelf/calibration_shelf.json",
    )
    others = {"CMU0": 5, "CMU1": 7, "CMU2": 7, "CMU3": 4, "CMU4": 10, "campus": 3, "shelf": 5}
    expected = {f"CMU0ex{k}": k for k in range(3, 8)} | others
    assert {rig.name: rig.cameras.n_views for rig in rigs} == expected
    assert rigs[-2].space == ((3.0, 4.5), (12.0, 12.0))
    by_name = {rig.name: rig for rig in rigs}
    assert by_name["CMU0ex5"].fingerprint == by_name["CMU0"].fingerprint
    scene = held_out_scenes(1, 3, 0, by_name["campus"].cameras, by_name["campus"].space)[0]
    assert abs(scene.truth_m[0, :, 0].mean() - 3.0) < 7


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--variants", "full,best"], "--variants 'best' is unknown"),
        (["--seeds", "one"], "--seeds 'one': expected whole numbers"),
        (["--seeds=-1"], "--seeds '-1'"),
        (["--scenes", "0"], "--scenes is 0"),
        ([], "no weights in"),
    ],
)
def test_mistakes_are_told_in_a_line(words, expected, tmp_path, calibration, capsys):
    given = ["generalisation", "--calibration", str(calibration), "--runs", str(tmp_path / "none")]
    assert main([*given, *words]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
