import json

import pytest
import torch
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


def test_values_that_are_not_finite(saved):
    weights = read_weights(saved)
    name = next(iter(weights.tensors))
    weights.tensors[name][...] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        load_network(weights)
