"""The evaluation on scenes whose figures are known, and the command from end to end."""

import argparse
import json

import numpy as np
import pytest

from mvssm_ros.commands import evaluate as command
from mvssm_ros.errors import UserError
from mvssm_ros.learning import evaluation
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig


@pytest.fixture(scope="module")
def scenes() -> list[evaluation.Scene]:
    return evaluation.scenes_of(SyntheticWorld(WorldConfig.held_out(), 5).batch(12, 4))


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(argv)


def test_scenes_hold_what_the_batch_holds():
    batch = SyntheticWorld(WorldConfig.held_out(), 5).batch(12, 4)
    made = evaluation.scenes_of(batch)
    assert len(made) == 12
    for b, scene in enumerate(made):
        assert scene.cameras.n_views == len(scene.keypoints_px) == 4
        assert len(scene.truth_m) == len(scene.oracle_m) == int(batch.person_valid[b].sum())
        present = (batch.keypoints_px[b, ..., 2] > 0).any(-1).sum(-1)
        assert [len(view) for view in scene.keypoints_px] == present.tolist()


def test_the_truth_itself_scores_everything(scenes):
    figures = evaluation.evaluate(
        lambda s: evaluation.Answer(s.truth_m, np.ones(len(s.truth_m))), scenes
    )
    assert figures["AP25"] == pytest.approx(100)
    assert figures["recall500"] == 100
    assert figures["MPJPE_mm"] == pytest.approx(0, abs=1e-3)
    assert figures["to_oracle"] == pytest.approx(0, abs=1e-3)
    assert figures["people"] == sum(len(s.truth_m) for s in scenes)


def test_the_oracle_beside_itself_has_ratio_one(scenes):
    figures = evaluation.evaluate(evaluation.answer_oracle, scenes)
    assert figures["to_oracle"] == pytest.approx(1.0)
    assert figures["MPJPE_oracle_joints_mm"] == pytest.approx(figures["oracle_MPJPE_same_mm"])
    assert figures["duplicate_percent"] == 0


def test_errors_outside_the_oracles_joints_do_not_count_beside_it(scenes):
    def answer(scene: evaluation.Scene) -> evaluation.Answer:
        given = np.isfinite(scene.oracle_m)
        return evaluation.Answer(
            np.where(given, scene.truth_m + np.array([0.0, 0.0, 0.01]), scene.truth_m + 0.1),
            np.ones(len(scene.truth_m)),
        )

    figures = evaluation.evaluate(answer, scenes)
    assert figures["MPJPE_oracle_joints_mm"] == pytest.approx(10, abs=0.01)
    assert figures["MPJPE_mm"] > 10.5


def test_classical_chain_runs_on_synthetic_scenes(scenes):
    figures = evaluation.evaluate(evaluation.classical_method(), scenes)
    assert figures["recall500"] > 60
    assert figures["phantom_percent"] < 20
    assert figures["MPJPE_mm"] < 120


def test_table_shows_what_is_missing_as_a_dash():
    table = evaluation.markdown_table(
        [
            {
                "rigs": "random",
                "views": 3,
                "method": "oracle",
                "AP25": 12.34,
                "MPJPE_mm": float("nan"),
            }
        ]
    )
    head, rule, row = table.splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert "| random | 3 | oracle | 12.3 | – |" in row


def test_command_writes_the_same_figures_twice(tmp_path, capsys):
    arguments = ["--method", "triangulate,oracle", "--views", "3", "--scenes", "6", "--seed", "7"]
    rows = []
    for name in ("a", "b"):
        out, table = tmp_path / f"{name}.json", tmp_path / f"{name}.md"
        assert command.run(parse(*arguments, "--json", str(out), "--markdown", str(table))) == 0
        assert "| random | 3 | triangulate |" in table.read_text()
        rows.append(json.loads(out.read_text())["rows"])
    assert "| random | 3 | oracle |" in capsys.readouterr().out
    for first, second in zip(*rows, strict=True):
        first.pop("ms_per_set")
        second.pop("ms_per_set")
        assert first == second
    assert [row["method"] for row in rows[0]] == ["triangulate", "oracle"]


def test_held_out_scenes_do_not_depend_on_how_many_are_asked_for():
    few, many = command.held_out_scenes(3, 2, 1), command.held_out_scenes(8, 2, 1)
    np.testing.assert_array_equal(few[2].truth_m, many[2].truth_m)
    other = command.held_out_scenes(3, 2, 2)
    assert (
        other[0].truth_m.shape != few[0].truth_m.shape or (other[0].truth_m != few[0].truth_m).any()
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--method", "magic"], "--method 'magic' is unknown"),
        (["--views", "1,3"], "at least 2 views"),
        (["--views", "3,65"], "at most 64"),
        (["--seed", "-1"], "--seed is -1: expected at least 0"),
        (["--json", "/dev/null/x.json"], "cannot write /dev/null/x.json: Not a directory"),
        (["--views", "three"], "expected whole numbers"),
        (["--scenes", "0"], "--scenes is 0"),
        (["--rigs", "CMU0"], "--rigs CMU0 needs --panoptic-calibration"),
        (["--rigs", "CMU9", "--panoptic-calibration", "x.json"], "unknown Panoptic arrangement"),
        (["--rigs", "CMU0", "--panoptic-calibration", "no.json"], "no.json"),
        (["--method", "mvssm", "--weights", "no.safetensors"], "no.safetensors does not exist"),
    ],
)
def test_mistakes_give_one_clear_error(argv, message):
    with pytest.raises(UserError, match=message):
        command.run(parse(*argv))
