"""What stands between a camera's messages and 3D people, made of a node's parameters.

pose_node and `mvssm process` are made of the same parts; only where messages come from, and where the
answers go to, differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import parameters
from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.nodes.extrinsics import TfExtrinsics
from mvssm_ros.nodes.inference import Inference, make_predictor
from mvssm_ros.nodes.rig_source import rig_from_parameters
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.rig_file import Rig
from mvssm_ros.rig.synchronizer import RigSynchronizer


@dataclass(frozen=True)
class Assembly:
    """``values`` are the parameters; ``tf`` is None where no camera needs it."""

    values: dict[str, Any]
    rig: Rig
    tf: TfExtrinsics | None
    inputs: dict[str, CameraInput]
    inference: Inference

    def close(self) -> None:
        self.inference.close()
        if self.tf is not None:
            self.tf.close()


def assemble(
    node: Node, values: dict[str, Any], on_message: Callable[[str, int, Any], None]
) -> Assembly:
    """Rig, network and cameras, not subscribed to anything yet (but for TF).

    Args:
        node: has the parameters, and logs.
        values: from `parameters.read`.
        on_message: as of `CameraInput`.

    Raises:
        UserError: a parameter, the rig file, the weights or the detector; nothing is left then.
    """
    source = rig_from_parameters(node, values)
    rig, names = source.rig, list(source.rig.cameras)
    if values["sync.min_cameras"] > len(names):
        raise UserError(
            f"parameter 'sync.min_cameras' is {values['sync.min_cameras']}, but the rig has"
            f" only {len(names)} cameras"
        )
    for text in rig.warnings():
        node.get_logger().warning(text)
    for name in parameters.unknown_overrides(node):
        node.get_logger().warning(
            f"parameter '{name}' is given but does not exist; config/mvssm.yaml has them all"
        )
    tf = TfExtrinsics(node, source.from_tf) if source.from_tf else None
    try:
        predictor = make_predictor(values)
        inputs = {
            name: CameraInput(
                node,
                entry,
                source.keypoints_topics[name],
                values["input"],
                tf,
                rig.reference_frame,
                on_message,
            )
            for name, entry in rig.cameras.items()
        }
        inference = Inference(rig, inputs, predictor, values["input"], values["sync.min_cameras"])
        inference.warm_up()
    except BaseException:
        if tf is not None:
            tf.close()
        raise
    return Assembly(values, rig, tf, inputs, inference)


def make_synchronizer(
    values: dict[str, Any],
    cameras: list[str],
    on_set: Callable[[ImageSet], None],
    on_reset: Callable[[], None],
) -> RigSynchronizer:
    """The synchroniser that the parameters sync.* ask for."""
    return RigSynchronizer(
        cameras,
        slop_ns=round(values["sync.slop"] * 1e9),
        deadline_ns=round(values["sync.deadline"] * 1e9),
        min_cameras=values["sync.min_cameras"],
        queue_size=values["sync.queue_size"],
        on_set=on_set,
        on_reset=on_reset,
        compensate=values["sync.compensate"],
    )
