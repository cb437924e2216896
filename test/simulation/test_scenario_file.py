"""Scenario files: those that ship are good, and each mistake gets one clear line."""

import re

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.rig.rig_file import load_rig
from mvssm_ros.simulation.scenario import Stay, Turn, Walk
from mvssm_ros.simulation.scenario_file import find_scenario, load_scenario, scenario_names

GOOD = """
space: {center_m: [0.0, 0.0], size_m: [4.0, 4.0]}
cameras: {count: 3, radius_m: 3.5, height_m: 2.0, rate_hz: 20.0}
furniture:
  desk: {kind: table, center_m: [0.0, 1.0], size_m: [1.0, 0.6], height_m: 0.75}
arm: {base_m: [0.0, 1.0, 0.75], visits_m: [[0.4, 1.0, 0.9], [0.0, 0.6, 1.0]]}
people:
  anna:
    start_m: [-1.0, 0.0]
    speed_m_s: 0.9
    then: [{walk_to_m: [1.0, 0.0]}, {turn_to_deg: 90}, {sit_s: 2}, {work_s: 1.5}]
  ben: {start_m: [0.0, -1.0]}
"""


def write(tmp_path, text) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_it_is_read(tmp_path):
    scenario = load_scenario(write(tmp_path, GOOD))
    assert scenario.name == "mine"
    assert scenario.rate_hz == 20.0
    assert list(scenario.rig.cameras) == ["cam1", "cam2", "cam3"]
    anna, ben = scenario.actors
    assert (anna.name, anna.start_m, anna.speed_m_s) == ("anna", (-1.0, 0.0), 0.9)
    assert anna.motions == (Walk((1.0, 0.0)), Turn(90.0), Stay("sit", 2.0), Stay("work", 1.5))
    assert ben.motions == ()
    assert [piece.name for piece in scenario.furniture] == ["desk"]
    assert scenario.arm.visits_m == ((0.4, 1.0, 0.9), (0.0, 0.6, 1.0))


def test_those_of_the_package_are_good_and_their_rigs_can_be_written(tmp_path):
    assert set(scenario_names()) >= {"walk", "crossing", "sit", "table"}
    for name in scenario_names():
        scenario = load_scenario(name)
        assert find_scenario(name).read_text("utf-8").startswith("#")  # it says what it is
        assert scenario.actors
        path = tmp_path / f"{name}.yaml"
        scenario.rig.save(path)
        again = load_rig(path)
        np.testing.assert_array_equal(again.to_cameras().R, scenario.rig.to_cameras().R)
        assert again.space == scenario.rig.space
        assert scenario.rig.warnings() == []


def test_the_cameras_may_be_those_of_a_rig_file_beside_it(tmp_path):
    load_scenario("sit").rig.save(tmp_path / "rig.yaml")
    text = re.sub(r"space:.*\n", "", GOOD)
    text = re.sub(r"cameras:.*", "cameras: {rig_file: rig.yaml, rate_hz: 5}", text)
    scenario = load_scenario(write(tmp_path, text))
    assert list(scenario.rig.cameras) == ["cam1", "cam2", "cam3", "cam4"]
    assert scenario.rate_hz == 5.0
    assert scenario.rig.space.size_m == (4.0, 4.0)


MISTAKES = [
    ("cameras:", "camras:", ["unknown key 'camras'", "did you mean 'cameras'?"]),
    ("count: 3", "count: 1", ["cameras.count", "2 to 64", "got 1"]),
    ("count: 3", "count: 2.5", ["cameras.count", "whole number", "got 2.5"]),
    ("count: 3, ", "", ["the key 'count' is missing"]),
    ("radius_m: 3.5", "radius_m: far", ["cameras.radius_m", "expected a number", "'far'"]),
    ("rate_hz: 20.0", "rate_hz: 0", ["cameras.rate_hz", "0.1 to 120", "got 0"]),
    ("rate_hz: 20.0", "rig_file: none.yaml", ["cameras", "unknown key 'count'"]),
    ("rate_hz: 20.0", "image_size_px: [640, 0]", ["cameras.image_size_px", "whole pixels"]),
    ("size_m: [4.0, 4.0]", "size_m: [4.0]", ["space.size_m", "expected 2 numbers", "got 1"]),
    ("walk_to_m: [1.0, 0.0]", "jump_s: 2", ["people.anna.then[0]", "unknown motion 'jump_s'"]),
    ("sit_s: 2", "sitt_s: 2", ["unknown motion 'sitt_s'", "did you mean 'sit_s'?"]),
    ("sit_s: 2", "sit_s: -2", ["people.anna.then[2].sit_s", "above 0", "got -2"]),
    ("sit_s: 2", "sit_s: long", ["people.anna.then[2].sit_s", "expected a number"]),
    ("{sit_s: 2}", "sit", ["people.anna.then[2]", "one motion and its value", "'sit'"]),
    ("walk_to_m: [1.0, 0.0]", "walk_to_m: [3.0, 0.0]",
     ["people.anna.then[0].walk_to_m", "[3, 0] is outside the space", "[-2, -2] to [2, 2]"]),
    ("start_m: [0.0, -1.0]", "start_m: [0.0, -2.5]", ["people.ben.start_m", "outside the space"]),
    ("start_m: [0.0, -1.0]", "start_m: [0.1, 1.1]", ["people.ben.start_m", "furniture 'desk'"]),
    ("walk_to_m: [1.0, 0.0]", "walk_to_m: [1.0, 1.9]", ["people.anna", "through the furniture"]),
    ("speed_m_s: 0.9", "speed_m_s: 9", ["people.anna.speed_m_s", "0.2 to 2.5", "got 9"]),
    ("then: [", "then: nothing #", ["people.anna.then", "expected a list of motions"]),
    ("  ben:", "  7:", ["people", "the name 7", "a letter first"]),
    ("start_m: [0.0, -1.0]", "where: here", ["people.ben", "unknown key 'where'"]),
    ("kind: table", "kind: sofa", ["furniture.desk.kind", "table or box", "'sofa'"]),
    ("size_m: [1.0, 0.6]", "size_m: [0.0, 0.6]", ["furniture.desk.size_m", "0.1 to 20 m"]),
    ("[0.4, 1.0, 0.9]", "[2.0, 1.0, 0.9]", ["arm.visits_m[0]", "cannot reach [2.0, 1.0, 0.9]"]),
    ("[0.4, 1.0, 0.9]", "[0.4, 1.0]", ["arm.visits_m[0]", "expected 3 numbers", "got 2"]),
    ("people:", "detector: {severity: -1}\npeople:", ["detector.severity", "0 to 2", "got -1"]),
    ("people:", "detector: {false_people: 3}\npeople:", ["false_people", "true or false"]),
    ("people:", "people: &a\n  <<: *b", ["not valid YAML"]),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "parts"), MISTAKES)
def test_a_mistake_is_one_clear_line(tmp_path, good, bad, parts):
    assert good in GOOD
    with pytest.raises(UserError) as caught:
        load_scenario(write(tmp_path, GOOD.replace(good, bad, 1)))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("scenario ")
    assert "mine.yaml" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("crosing", ["'crosing'", "did you mean 'crossing'?", "walk"]),
        ("no/such.yaml", ["no/such.yaml", "no such file"]),
    ],
)
def test_a_scenario_that_is_not_there(name, parts):
    with pytest.raises(UserError) as caught:
        load_scenario(name)
    assert all(part in str(caught.value) for part in parts)


def test_a_rig_file_that_is_not_there_is_named(tmp_path):
    text = "cameras: {rig_file: gone.yaml}"
    with pytest.raises(UserError, match=r"gone\.yaml"):
        load_scenario(write(tmp_path, text))
