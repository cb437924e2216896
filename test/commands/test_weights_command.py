"""`mvssm weights`, run as the command line runs it."""

import argparse

import pytest
import torch
from public_layouts import backbone_layout, blank, mvgformer_layout, mvp_layout

from mvssm_ros.commands import weights
from mvssm_ros.errors import UserError
from mvssm_ros.network.config import MVSSMConfig
from mvssm_ros.network.mvssm import MVSSM
from mvssm_ros.network.weights import load_network, read_weights, save_weights

SMALL = mvgformer_layout(n_layers=2, n_instances=4)


def mvssm_weights(*words: object) -> int:
    parser = argparse.ArgumentParser()
    weights.add_arguments(parser)
    return weights.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def mvgformer(tmp_path):
    path = tmp_path / "mvgformer.pth.tar"
    torch.save(blank(SMALL) | blank(backbone_layout(), "backbone."), path)
    return path


@pytest.fixture
def backbone(tmp_path):
    path = tmp_path / "pose_resnet50.pth.tar"
    torch.save(blank(backbone_layout(17), "module."), path)
    return path


def test_import_of_a_whole_model(mvgformer, tmp_path, capsys):
    out = tmp_path / "new" / "w.safetensors"
    assert mvssm_weights("import", mvgformer, "--out", out) == 0
    found = read_weights(out)
    assert (found.config.frontend, found.config.ablation) == ("resnet50", "no_mamba")
    assert set(found.part("backbone")) == set(backbone_layout())
    assert load_network(found).config.n_candidates == 4
    origin = found.provenance["imported"]["decoder"]
    assert (origin["kind"], origin["file"]) == ("mvgformer", "mvgformer.pth.tar")
    assert len(origin["sha256"]) == 64
    said = capsys.readouterr().out
    assert "read backbone (338 tensors) and decoder" in said
    assert "keys unused: self-attention is off" in said


def test_import_of_a_backbone_with_the_decoder_of_another_file(mvgformer, backbone, tmp_path):
    out = tmp_path / "w.safetensors"
    assert mvssm_weights("import", backbone, "--decoder", mvgformer, "--out", out) == 0
    found = read_weights(out)
    kinds = {part: origin["kind"] for part, origin in found.provenance["imported"].items()}
    assert kinds == {"backbone": "pose_resnet", "decoder": "mvgformer"}
    load_network(found)


def test_import_with_mamba(mvgformer, tmp_path):
    out = tmp_path / "w.safetensors"
    assert mvssm_weights("import", mvgformer, "--with-mamba", "--out", out) == 0
    found = read_weights(out)
    assert found.config.ablation == "full"
    assert any("gtbs" in name for name in found.part("network"))
    load_network(found)


def test_a_backbone_alone_is_said_to_be_one_and_is_not_run(backbone, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    assert mvssm_weights("import", backbone, "--out", out) == 0
    assert "a backbone alone" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"w\.safetensors .*backbone alone.*--decoder"):
        load_network(read_weights(out))


def test_show(mvgformer, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    mvssm_weights("import", mvgformer, "--out", out)
    capsys.readouterr()
    assert mvssm_weights("show", out) == 0
    said = capsys.readouterr().out
    count = sum(tensor.numel() for tensor in read_weights(out).part("backbone").values())
    for fact in ("w.safetensors", f"{count:,}", "resnet50", "no_mamba", "mvgformer.pth.tar"):
        assert fact in said


def test_a_decoder_from_a_file_that_has_none(backbone, tmp_path):
    other = tmp_path / "mvp.pth"
    torch.save(blank(mvp_layout()), other)
    with pytest.raises(UserError, match=r"mvp\.pth: a mvp checkpoint has no decoder for us"):
        mvssm_weights("import", backbone, "--decoder", other, "--out", tmp_path / "w.safetensors")


def test_a_backbone_from_a_file_that_has_none(tmp_path):
    path = tmp_path / "decoder.pth"
    torch.save(blank(SMALL), path)
    with pytest.raises(UserError, match=r"decoder\.pth: a mvgformer checkpoint without a backbone"):
        mvssm_weights("import", path, "--out", tmp_path / "w.safetensors")


def test_nothing_is_written_when_something_is_wrong(tmp_path):
    path, out = tmp_path / "cut.pth", tmp_path / "w.safetensors"
    state = blank(backbone_layout())
    del state["layer2.1.bn3.running_var"]
    torch.save(state, path)
    with pytest.raises(UserError, match=r"cut\.pth: 'layer2\.1\.bn3\.running_var' is missing"):
        mvssm_weights("import", path, "--out", out)
    assert not out.exists()


def test_an_output_of_another_kind(mvgformer, tmp_path):
    with pytest.raises(UserError, match=r"w\.pth: expected a name that ends in \.safetensors"):
        mvssm_weights("import", mvgformer, "--out", tmp_path / "w.pth")


def test_halving_keeps_the_answers_and_refuses_what_16_bits_cannot_hold(tmp_path):
    config = MVSSMConfig(d_model=16, n_layers=2, survivors=(8,))
    network = MVSSM(config).state_dict()
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_weights(whole, config, network, {"step": 7})
    assert mvssm_weights("halve", whole, "--out", half) == 0
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert read_weights(half).provenance == {"step": 7}
    loaded = load_network(read_weights(half)).state_dict()
    for name, value in network.items():
        assert loaded[name].dtype == value.dtype
        torch.testing.assert_close(loaded[name], value, rtol=1e-3, atol=1e-6)

    before = whole.read_bytes()
    with pytest.raises(UserError, match="is the file that is read; give another name"):
        mvssm_weights("halve", whole, "--out", tmp_path / "." / whole.name)
    assert whole.read_bytes() == before
    name = next(k for k, v in network.items() if v.is_floating_point())
    network[name] = torch.full_like(network[name], 1e6)
    save_weights(whole, config, network, {})
    with pytest.raises(UserError, match=rf"{name} has values that 16 bits cannot hold"):
        mvssm_weights("halve", whole, "--out", half)
