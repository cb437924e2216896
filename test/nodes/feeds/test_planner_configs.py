"""config/planners: the snippets name topics and parameters that exist, and README.md explains them."""

import re

import pytest
import yaml

from mvssm_ros.nodes import parameters
from mvssm_ros.share import share_dir

FOLDER = share_dir() / "config" / "planners"
FILES = ("nav2_costmap.yaml", "nav2_collision_monitor.yaml", "moveit.yaml")
FEEDS = {
    *("cloud", "scan", "poses", "followed", "min_distance", "predicted_paths"),
    *("detections", "obstacles"),
}


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.fixture(scope="module")
def readme():
    return (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", FILES)
def test_every_field_of_a_snippet_is_explained(name, readme):
    text = (FOLDER / name).read_text("utf-8")
    assert "UNTRIED" in text
    assert "Not safety-rated" in text
    assert f"[{name}]({name})" in readme
    explained = set(re.findall(r"`([\w.]+)`", readme))
    for field, value in leaves(yaml.safe_load(text)):
        assert {field.rpartition(".")[2], field.partition("ros__parameters.")[2]} & explained, field
        if field.endswith(".topic"):
            assert value.removeprefix("/feeds/") in FEEDS, field


def test_the_snippet_for_pose_node_has_its_parameters():
    tree = yaml.safe_load((FOLDER / "moveit.yaml").read_text("utf-8"))["/**"]["ros__parameters"]
    known = {spec.name: type(spec.default) for spec in parameters.SPECS}
    for name, value in leaves(tree):
        assert type(value) is known[name]


def test_every_feed_and_parameter_is_in_the_readme(readme):
    for feed in FEEDS:
        assert f"`feeds/{feed}`" in readme, feed
    for spec in parameters.SPECS:
        if spec.name.startswith(("bridges.", "rep155.")):
            assert f"`{spec.name}`" in readme, spec.name
    assert readme.index("**Not safety-rated.**") < 100
