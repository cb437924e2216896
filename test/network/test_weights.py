import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mvssm_ros.errors import UserError
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import FORMAT, load_network, read_weights, save_weights

CONFIG = MVSSMConfig(d_model=16, n_layers=2, survivors=(4,))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, CONFIG, MVSSM(CONFIG).state_dict(), {"seed": 3})
    return path


def test_round_trip(tmp_path):
    model = MVSSM(CONFIG)
    save_weights(tmp_path / "w.safetensors", CONFIG, model.state_dict(), {"seed": 3})
    weights = read_weights(tmp_path / "w.safetensors")
    assert weights.config == CONFIG
    assert weights.provenance == {"seed": 3}
    for a, b in zip(load_network(weights).parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_missing(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_weights(tmp_path / "none.safetensors")


def test_cut_short(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        read_weights(saved)


def test_garbage(saved):
    saved.write_bytes(b"\x00" * 1000)
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        read_weights(saved)


def test_a_pickle_is_refused_unread(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"pickled checkpoint.*mvssm weights import"):
        read_weights(path)
    renamed = tmp_path / "model.safetensors"
    path.rename(renamed)
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        read_weights(renamed)


def test_somebody_elses_safetensors(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=f"expected format '{FORMAT}'"):
        read_weights(path)


def test_another_architecture(tmp_path):
    path = tmp_path / "w.safetensors"
    other = MVSSMConfig(d_model=32, n_layers=2, survivors=(4,))
    save_weights(path, CONFIG, MVSSM(other).state_dict(), {})
    with pytest.raises(UserError, match=r"does not fit this network .*expected"):
        load_network(read_weights(path))


def test_an_unknown_setting(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"format": FORMAT, "config": json.dumps({"rotors": 4})})
    with pytest.raises(UserError, match="does not know rotors"):
        read_weights(path)


def with_metadata(saved, **changes):
    """The same file with other metadata; None removes an entry."""
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata() | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, saved, {k: v for k, v in metadata.items() if v is not None})
    return saved


def with_config(saved, **changes):
    values = json.loads(safe_open(saved, framework="pt").metadata()["config"])
    return with_metadata(saved, config=json.dumps(values | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"d_model": 10**9}, r"d_model must be in 1\.\.4096, got 1000000000"),
        ({"n_layers": 10**9}, r"n_layers must be in 1\.\.64"),
        ({"strides": [10**9]}, r"strides must be in 1\.\.256"),
        ({"strides": []}, "strides needs 1 to 8 numbers"),
        ({"survivors": 4}, "survivors must be a list of whole numbers, got 4"),
        ({"d_model": 1.5}, "d_model must be like 96, got 1.5"),
        ({"d_model": True}, "d_model must be like 96, got True"),
        ({"gated": 1}, "gated must be like False, got 1"),
        ({"feature_expansion": float("nan")}, "feature_expansion must be in .* got nan"),
        ({"n_joints": 17}, r"n_joints must be in 15\.\.15, got 17"),
        ({"scan_directions": 3}, "scan_directions must be 2 or 4, got 3"),
        ({"n_heads": 2}, "damaged configuration: per-joint maps are sampled by one head"),
        ({"frontend": {"a": 1}}, "frontend must be like 'keypoints'"),
    ],
)
def test_a_damaged_configuration_allocates_nothing(saved, changes, said):
    with pytest.raises(UserError, match=said):
        load_network(read_weights(with_config(saved, **changes)))


def test_a_network_is_compared_before_it_is_allocated(saved, monkeypatch):
    devices = []

    def build(config):
        devices.append(torch.get_default_device().type)
        return MVSSM(config)

    monkeypatch.setattr("mvssm_ros.network.weights.MVSSM", build)
    with pytest.raises(UserError, match=r"does not fit this network .*expected"):
        load_network(read_weights(with_config(saved, d_model=4096)))
    assert devices == ["meta"]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[1]", "7"])
@pytest.mark.parametrize("key", ["config", "provenance"])
def test_metadata_that_is_no_mapping(saved, key, text):
    with pytest.raises(UserError, match=f"damaged {key}") as error:
        read_weights(with_metadata(saved, **{key: text}))
    assert "\n" not in str(error.value)


def test_a_file_without_configuration(saved):
    with pytest.raises(UserError, match="damaged config: it is missing"):
        read_weights(with_metadata(saved, config=None))


def test_a_format_of_several_lines_is_quoted(saved):
    with pytest.raises(UserError, match=r"got 'a\\nb'"):
        read_weights(with_metadata(saved, format="a\nb"))


def test_a_value_that_only_a_wider_type_can_hold(saved):
    weights = read_weights(saved)
    name = next(name for name, value in weights.tensors.items() if value.is_floating_point())
    weights.tensors[name] = weights.tensors[name].double() + 1e300
    with pytest.raises(UserError, match="not finite"):
        load_network(weights)


def test_whole_numbers_where_weights_belong(saved):
    weights = read_weights(saved)
    name = next(name for name, value in weights.tensors.items() if value.is_floating_point())
    weights.tensors[name] = weights.tensors[name].long()
    with pytest.raises(UserError, match=r"expected torch\.float32, got torch\.int64"):
        load_network(weights)


def test_values_that_are_not_finite(saved):
    weights = read_weights(saved)
    name = next(iter(weights.tensors))
    weights.tensors[name][...] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        load_network(weights)
