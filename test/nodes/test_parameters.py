"""The parameter table, its copy for readers in config/mvssm.yaml, and the rest of config/."""

import re
import xml.etree.ElementTree

import pytest
import yaml

from mvssm_ros.nodes import parameters
from mvssm_ros.share import share_dir

CONFIG = share_dir() / "config"


def flattened(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.fixture(scope="module")
def file_text():
    return (CONFIG / "mvssm.yaml").read_text("utf-8")


def test_the_file_has_every_parameter_with_its_default(file_text):
    in_file = dict(flattened(yaml.safe_load(file_text)["/**"]["ros__parameters"]))
    assert in_file == {spec.name: spec.default for spec in parameters.SPECS}
    for spec in parameters.SPECS:
        assert type(in_file[spec.name]) is type(spec.default), spec.name


def test_every_line_of_the_file_is_commented_and_says_whether_it_is_dynamic(file_text):
    dynamic = {spec.name.rpartition(".")[2]: spec.dynamic for spec in parameters.SPECS}
    lines = re.findall(r"^ +(\w+): *([^#\s].*?) +# (.+)$", file_text, re.MULTILINE)
    assert len(lines) == len(parameters.SPECS)
    for name, _, comment in lines:
        assert comment.startswith("[DYNAMIC]") == dynamic[name], name
    for line in file_text.splitlines():
        assert not line.strip() or "#" in line or line.rstrip().endswith(":"), line


def test_every_parameter_says_what_it_is_and_numbers_have_a_range():
    for spec in parameters.SPECS:
        assert spec.description.endswith("."), spec.name
        assert re.fullmatch(r"[a-z_.0-9]+", spec.name)
        if isinstance(spec.default, int | float) and not isinstance(spec.default, bool):
            assert spec.low is not None, spec.name
            assert spec.low <= spec.default <= spec.high, spec.name
        if spec.choices:
            assert spec.default in spec.choices, spec.name


def test_the_node_declares_them_with_description_and_range(world):
    node = world.pose_node()
    for spec in parameters.SPECS:
        descriptor = node.describe_parameter(spec.name)
        assert spec.description in descriptor.description
        assert ("configured" in descriptor.description) != spec.dynamic
        if spec.low is not None:
            (bounds,) = descriptor.floating_point_range or descriptor.integer_range
            assert (bounds.from_value, bounds.to_value) == (spec.low, spec.high)


def test_the_file_loads_into_the_node(world):
    node = world.pose_node_from_file(CONFIG / "mvssm.yaml")
    for spec in parameters.SPECS:
        assert node.get_parameter(spec.name).value == spec.default


def test_the_shared_memory_segment_holds_several_images():
    space = {"dds": "http://www.eprosima.com"}
    root = xml.etree.ElementTree.parse(CONFIG / "fastdds_shm.xml")
    shm = root.find(".//dds:transport_descriptor[dds:type='SHM']", space)
    segment = int(shm.findtext("dds:segment_size", namespaces=space))
    message = int(shm.findtext("dds:maxMessageSize", namespaces=space))
    assert message >= 1920 * 1080 * 3
    assert segment >= 5 * message
    used = {e.text for e in root.findall(".//dds:userTransports/dds:transport_id", space)}
    defined = {e.text for e in root.findall(".//dds:transport_descriptor/dds:transport_id", space)}
    assert used == defined
