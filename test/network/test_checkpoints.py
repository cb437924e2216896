"""Public checkpoints: their exact layouts go in, and every key is used, known-unused or refused."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from public_layouts import (
    MVGFORMER_USES,
    D,
    backbone_layout,
    bare_resnet50,
    blank,
    mvgformer_layout,
    mvp_layout,
)

from mvssm_ros.errors import UserError
from mvssm_ros.network.checkpoints import load_into, mvgformer_network, read_checkpoint


def save(tmp_path, content, legacy=False):
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


class TestEveryKeyIsAccountedFor:
    def test_mvgformer(self, tmp_path):
        decoder = mvgformer_layout()
        state = blank(decoder) | blank(backbone_layout(), "backbone.")
        found = read_checkpoint(save(tmp_path, state))
        assert found.kind == "mvgformer"
        assert set(found.backbone) == set(backbone_layout())
        used = {k for k in decoder if any(part in k for part in MVGFORMER_USES)}
        assert len(used) == 2 + 4 * 26
        assert set(found.unused) == set(decoder) - used
        assert all(found.unused.values())
        network = mvgformer_network(found)
        assert set(network.state_dict()) - set(found.decoder) == {
            f"decoder.layers.{i}.query_proj.{p}" for i in range(4) for p in ("weight", "bias")
        }
        c = found.config
        assert (c.n_layers, c.n_heads, c.n_levels, c.n_points, c.n_candidates) == (4, 8, 3, 8, 1024)

    def test_mvp_gives_its_backbone_alone(self, tmp_path):
        state = blank(mvp_layout()) | blank(backbone_layout(), "backbone.")
        found = read_checkpoint(save(tmp_path, state))
        assert (found.kind, found.decoder, found.config) == ("mvp", {}, None)
        assert set(found.backbone) == set(backbone_layout())
        assert set(found.unused) == set(mvp_layout())

    def test_voxelpose_training_checkpoint_gives_its_backbone_alone(self, tmp_path):
        nets = {"root_net.v2v_net.front_layers.0.block.0.weight": (16, 15, 7, 7, 7)}
        nets |= {"pose_net.v2v_net.output_layer.bias": (15,)}
        state = blank(nets, "module.") | blank(backbone_layout(), "module.backbone.")
        content = {"epoch": 9, "state_dict": OrderedDict(state), "optimizer": {"state": {}}}
        found = read_checkpoint(save(tmp_path, content, legacy=True))  # torch 1.4 wrote them
        assert found.kind == "voxelpose"
        assert set(found.backbone) == set(backbone_layout())
        assert set(found.unused) == set(nets)

    @pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
    def test_a_backbone_alone_under_every_prefix(self, tmp_path, prefix):
        found = read_checkpoint(save(tmp_path, blank(backbone_layout(), prefix)))
        assert found.kind == "pose_resnet"
        assert set(found.backbone) == set(backbone_layout())
        load_into(bare_resnet50(), found.backbone, "it")

    def test_a_heatmap_head_for_other_joints_is_left_out(self, tmp_path):
        found = read_checkpoint(save(tmp_path, blank(backbone_layout(17))))
        assert set(found.unused) == {"backbone.final_layer.weight", "backbone.final_layer.bias"}
        assert "17 joints" in found.unused["backbone.final_layer.bias"]

    def test_old_checkpoints_without_batch_counters(self, tmp_path):
        shapes = {k: s for k, s in backbone_layout().items() if "num_batches" not in k}
        load_into(bare_resnet50(), read_checkpoint(save(tmp_path, blank(shapes))).backbone, "it")


class TestWhatIsRefused:
    def refuse(self, tmp_path, content, match):
        path = save(tmp_path, content)
        with pytest.raises(UserError, match=match):
            mvgformer_network(read_checkpoint(path))

    def test_an_unknown_key_is_named(self, tmp_path):
        state = blank(mvgformer_layout()) | blank({"decoder.layers.1.gate.weight": (3,)})
        self.refuse(tmp_path, state, r"unknown key 'decoder\.layers\.1\.gate\.weight'.*mvgformer")

    def test_a_missing_key_is_named(self, tmp_path):
        state = blank(mvgformer_layout())
        del state["decoder.layers.2.linear1.weight"]
        self.refuse(tmp_path, state, r"layers\.2\.linear1\.weight' is missing")

    def test_missing_embeddings_are_named(self, tmp_path):
        state = blank(mvgformer_layout())
        del state["instance_embedding.weight"]
        self.refuse(tmp_path, state, r"'instance_embedding\.weight' is missing")

    def test_a_wrong_shape_is_named(self, tmp_path):
        state = blank(mvgformer_layout() | {"decoder.layers.3.norm3.bias": (255,)})
        self.refuse(tmp_path, state, r"layers\.3\.norm2\.bias' has shape \[255\], expected \[256\]")

    def test_camera_rays_are_named(self, tmp_path):
        rays = {"decoder.layers.0.proj_attn.rayconv.weight": (D, D + 3)}
        self.refuse(tmp_path, blank(mvgformer_layout() | rays), r"259 numbers.*camera rays")

    def test_no_decoder(self, tmp_path):
        self.refuse(tmp_path, blank(backbone_layout()), "pose_resnet checkpoint has no decoder")

    def test_a_deeper_backbone_is_named(self, tmp_path):
        state = blank(backbone_layout() | {"layer3.6.conv1.weight": (256, 1024, 1, 1)})
        found = read_checkpoint(save(tmp_path, state))
        with pytest.raises(
            UserError, match=r"it: 'layer3\.6\.conv1\.weight' has no place in PoseR"
        ):
            load_into(bare_resnet50(), found.backbone, "it")

    def test_imagenet_weights(self, tmp_path):
        shapes = {"layer4.0.conv1.weight": (512, 1024, 1, 1), "fc.weight": (1000, 2048)}
        self.refuse(tmp_path, blank(shapes), "without deconv_layers")

    def test_something_else(self, tmp_path):
        self.refuse(tmp_path, blank({"model.decoder.x": (3, 3)}), "a training run of ours; write")
        self.refuse(tmp_path, blank({"encoder.0.weight": (3, 3)}), r"first key is 'encoder\.0\.wei")

    def test_not_a_state_dict(self, tmp_path):
        self.refuse(tmp_path, [1, 2, 3], "no state dict")
        self.refuse(tmp_path, {}, "no state dict")
        self.refuse(tmp_path, {"epoch": 3}, "'epoch' is no tensor")

    def test_numpy_numbers_in_a_training_checkpoint(self, tmp_path):
        content = {"state_dict": blank(backbone_layout()), "precision": np.float64(0.9)}
        self.refuse(tmp_path, content, r"pickled objects.*state_dict alone.*model_best\.pth\.tar")

    def test_missing_file(self, tmp_path):
        with pytest.raises(UserError, match="no such checkpoint"):
            read_checkpoint(tmp_path / "nothing.pth")

    @pytest.mark.parametrize("legacy", [True, False])
    def test_code_in_a_pickle_is_not_run(self, tmp_path, legacy):
        marker = tmp_path / "ran"

        class Harmful:
            def __reduce__(self):
                return (type(marker).touch, (marker,))

        path = tmp_path / "harmful.pth"
        torch.save({"x": Harmful()}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UserError, match=r"harmful\.pth: holds pickled objects"):
            read_checkpoint(path)
        assert not marker.exists()
        torch.load(path, weights_only=False)  # it would have run
        assert marker.exists()

    def test_a_plain_pickle(self, tmp_path):
        path = tmp_path / "plain.pkl"
        path.write_bytes(pickle.dumps({"weights": np.zeros(3)}))
        with pytest.raises(UserError, match=r"plain\.pkl: (holds pickled|corrupt)"):
            read_checkpoint(path)

    @pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped"])
    def test_corrupt_files(self, tmp_path, damage):
        path = save(tmp_path, {"conv1.weight": torch.randn(64, 3, 7, 7)})
        whole = path.read_bytes()
        middle = len(whole) // 2
        content = {
            "cut": whole[:middle],
            "empty": b"",
            "text": b"<!DOCTYPE html><html>Sign in to download</html>",
            "flipped": bytes(64) + whole[64:],
        }[damage]
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"checkpoint\.pth\.tar: corrupt or not a torch"):
            read_checkpoint(path)
