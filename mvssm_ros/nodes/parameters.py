"""Every parameter of pose_node: name, default, meaning, range, and what may change while running.

This table, with `feed_parameters`, is the one place that says a default; config/mvssm.yaml repeats
it for the reader and a test compares the two. Names are those of config/mvssm.yaml; units are in the
descriptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.output_skeletons import OUTPUT_SKELETONS
from mvssm_ros.nodes.feed_parameters import FEED_SPECS
from mvssm_ros.nodes.parameter_spec import Spec
from mvssm_ros.rig.checks import DEFAULT_MAX_PX

SPECS = (
    Spec(
        "rig_file",
        "",
        "Path of the rig file: cameras, calibration, space. Empty: the rig is made of camera_names,"
        " camera_info and TF.",
    ),
    Spec(
        "reference_frame",
        "",
        "Frame of everything that is published, z up. Empty: the rig file's, else 'map'.",
    ),
    Spec(
        "camera_names",
        [""],
        "Cameras to use. [''] means all of the rig file; needed where there is no rig file.",
    ),
    Spec(
        "input",
        "images",
        "What comes from each camera: images, or the 2D keypoints of a detector node of yours.",
        choices=("images", "keypoints"),
    ),
    Spec(
        "transport",
        "auto",
        "How all cameras send their images. auto: as the rig file or cameras.<name> says of each.",
        choices=("auto", "raw", "compressed"),
    ),
    Spec(
        "calibration.source",
        "auto",
        "Where extrinsics come from. auto: the rig file, TF for cameras that have none there, and"
        " what comes on the topic calibration (RigCalibration) replaces both.",
        choices=("auto", "rig_file", "tf", "topic"),
    ),
    Spec(
        "calibration.max_reprojection_px",
        DEFAULT_MAX_PX,
        "Warn when a camera's median reprojection error is higher than this many pixels of an image"
        " with a long side of 960 px.",
        0.1,
        1000.0,
        dynamic=True,
    ),
    Spec(
        "calibration.leave_out",
        True,
        "Leave cameras that disagree out of the skeletons until they agree again: whose reprojection"
        " error is too high (one at a time, three remain), that have been moved, or that do not see"
        " the same people as most others. Nobody is published while halves of the rig disagree and"
        " it cannot be told which is right, and whom few cameras see who ought to stays tentative.",
        dynamic=True,
    ),
    Spec(
        "sync.slop",
        0.012,
        "Largest spread of the stamps in a set, s. Keep it under half the cameras' period.",
        0.0,
        1.0,
    ),
    Spec(
        "sync.deadline",
        0.1,
        "How long a set waits for missing cameras after its first image, s.",
        0.001,
        10.0,
    ),
    Spec("sync.min_cameras", 2, "Smallest number of cameras in a set.", 2, 64),
    Spec("sync.queue_size", 10, "Images kept per camera while they wait for the others.", 1, 1000),
    Spec(
        "sync.compensate",
        False,
        "Subtract each camera's estimated clock offset and drift from its stamps. For cameras whose"
        " clocks cannot be synchronised; differences in transport delay count as offsets.",
    ),
    Spec(
        "model.weights",
        "",
        "Path of the network's weights (.safetensors). Empty: those that ship for the front-end.",
    ),
    Spec(
        "model.frontend",
        "keypoints",
        "From image to features: 2D keypoints of a detector, or a ResNet on the image itself.",
        choices=("keypoints", "resnet50", "resnet_small"),
    ),
    Spec(
        "model.detector",
        "mediapipe",
        "2D detector for input 'images' with the front-end 'keypoints'.",
        choices=("mediapipe",),
    ),
    Spec(
        "model.tiles",
        True,
        "Search oblong images in square windows too: finds smaller people for twice the time.",
    ),
    Spec("model.device", "cpu", "Where the network runs: cpu, cuda, cuda:1, ..."),
    Spec(
        "model.threads", 1, "CPU threads of the network; 0: as many as PyTorch thinks best.", 0, 256
    ),
    Spec(
        "model.score_threshold",
        -1.0,
        "People with a lower score, 0..1, are not reported. -1: as the weights say (keypoints 0.1,"
        " resnet_small 0.2).",
        -1.0,
        1.0,
        dynamic=True,
    ),
    Spec("model.max_people", 10, "Most people reported at once.", 1, 64),
    Spec("space.center", [0.0, 0.0], "Middle of the floor that people walk on, x and y, m."),
    Spec(
        "space.size",
        [0.0, 0.0],
        "Extent of that floor in x and y, m. Zeros: centre and size are the rig file's.",
    ),
    Spec("space.floor", 0.0, "Height of that floor, m; used with space.size.", -100.0, 100.0),
    Spec(
        "tracking.gate",
        0.25,
        "A pose further than this from where a known person is expected (mean joint distance, m) is"
        " somebody else.",
        0.0,
        10.0,
        dynamic=True,
    ),
    Spec(
        "tracking.max_speed",
        2.0,
        "Widens the gate with the time since the person was last seen, m/s.",
        0.0,
        20.0,
        dynamic=True,
    ),
    Spec(
        "tracking.coast",
        1.5,
        "How long a person who is not seen any more is kept, s.",
        0.0,
        60.0,
        dynamic=True,
    ),
    Spec(
        "tracking.confirm_sets",
        3,
        "Sets of images in which a person must be seen to be confirmed.",
        1,
        1000,
        dynamic=True,
    ),
    Spec(
        "tracking.start_from_tracks",
        False,
        "Look for people also where they are expected from the sets before: fewer are missed, but"
        " people in crowds exchange their ids more often.",
        dynamic=True,
    ),
    Spec(
        "filter.type",
        "kalman",
        "What is published of a person who is seen. kalman: filtered, with velocities. one_euro:"
        " smoothed, none: as measured; both without velocities.",
        choices=("none", "one_euro", "kalman"),
        dynamic=True,
    ),
    Spec(
        "publish.skeleton",
        "panoptic15",
        "Joints of people, markers and skeleton_info. Those that panoptic15 lacks are derived from"
        " it: PREDICTED, with half the confidence and a larger covariance.",
        choices=OUTPUT_SKELETONS,
    ),
    Spec("publish.markers", True, "Publish markers of the people for RViz.", dynamic=True),
    Spec("publish.labels", True, "Markers with id and confidence.", dynamic=True),
    Spec("publish.velocities", True, "Markers of where people move to, as arrows.", dynamic=True),
    Spec(
        "publish.ellipsoids",
        True,
        "Markers of where each joint is with 90 %, as ellipsoids: most of the cost of markers.",
        dynamic=True,
    ),
    Spec(
        "publish.camera_markers",
        True,
        "Publish markers of the cameras for RViz, coloured by how each is doing.",
        dynamic=True,
    ),
    Spec(
        "publish.marker_width",
        0.03,
        "Width of the drawn bones, m.",
        0.001,
        1.0,
        dynamic=True,
    ),
    *FEED_SPECS,
)

_CAMERA_DESCRIPTIONS = {
    "image_topic": "Topic of the images; compressed ones are on <image_topic>/compressed.",
    "info_topic": "Topic of the camera_info.",
    "keypoints_topic": "Topic of the 2D keypoints, for input 'keypoints'.",
    "transport": "raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage).",
    "frame_id": "Optical frame of the camera in TF; used where extrinsics come from TF.",
}

_OF_ROS = ("qos_overrides.", "use_sim_time", "start_type_description_service")


def declare(node: Node, specs: Sequence[Spec] = SPECS) -> None:
    """Declare every parameter of a table.

    Raises:
        rclpy.exceptions.InvalidParameterTypeException, InvalidParameterValueException: an override
            has the wrong type or is out of range.
    """
    for spec in specs:
        node.declare_parameter(spec.name, spec.default, _descriptor(spec))


def declare_camera(node: Node, name: str, defaults: dict[str, str]) -> dict[str, str]:
    """Declare ``cameras.<name>.*`` unless that was done before, and return their values.

    Compressed images are those of image_transport: beside the images, on ``<image_topic>/compressed``.

    Args:
        defaults: by key of `_CAMERA_DESCRIPTIONS`, the value when no parameter overrides it, from the
            rig file; transport and image_topic at least.
    """
    values = {}
    for key, default in defaults.items():
        parameter = f"cameras.{name}.{key}"
        if not node.has_parameter(parameter):
            description = f"{_CAMERA_DESCRIPTIONS[key]} Empty: the rig file's."
            node.declare_parameter(parameter, "", ParameterDescriptor(description=description))
        values[key] = node.get_parameter(parameter).value or default
    general = node.get_parameter("transport").value
    if general != "auto":
        values["transport"] = general
    if values["transport"] not in ("raw", "compressed"):
        raise UserError(
            f"parameter 'cameras.{name}.transport' is '{values['transport']}',"
            " expected 'raw' or 'compressed'"
        )
    if values["transport"] == "compressed" and not values["image_topic"].endswith("compressed"):
        values["image_topic"] += "/compressed"
    return values


def read(node: Node, specs: Sequence[Spec] = SPECS) -> dict[str, Any]:
    """The values of a table, by name.

    Raises:
        UserError: a value is not one of its choices, or a pair does not have two elements.
    """
    values = {spec.name: node.get_parameter(spec.name).value for spec in specs}
    for spec in specs:
        problem = _check(spec, values[spec.name])
        if problem:
            raise UserError(problem)
    return values


def check_change(changes: Iterable[Parameter], running: bool) -> SetParametersResult:
    """Whether parameters may be set to these values now; for add_on_set_parameters_callback.

    Args:
        running: False while the node is unconfigured, when everything may change.
    """
    specs = {spec.name: spec for spec in SPECS}
    for change in changes:
        spec = specs.get(change.name)
        fixed = (spec and not spec.dynamic) or change.name.startswith("cameras.")
        if running and fixed:
            return SetParametersResult(
                successful=False,
                reason=f"'{change.name}' takes effect when the node is configured: set it while the"
                " node is unconfigured (ros2 lifecycle set <node> deactivate, then cleanup)",
            )
        problem = _check(spec, change.value) if spec else None
        if problem:
            return SetParametersResult(successful=False, reason=problem)
    return SetParametersResult(successful=True)


def is_known(name: str) -> bool:
    """Whether there is such a parameter, for cameras and topics of any name too."""
    return any(name == spec.name for spec in SPECS) or name.startswith(("cameras.", *_OF_ROS))


def unknown_overrides(node: Node) -> list[str]:
    """Names in the parameter file or on the command line that no parameter has: typing errors."""
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no public way to ask
    return sorted(n for n in given if not node.has_parameter(n) and not n.startswith(_OF_ROS))


def _check(spec: Spec, value: Any) -> str | None:
    if spec.choices and value not in spec.choices:
        return f"parameter '{spec.name}' is '{value}', expected one of {list(spec.choices)}"
    if isinstance(spec.default, list) and isinstance(spec.default[0], float) and len(value) != 2:
        return f"parameter '{spec.name}' is {list(value)}, expected two numbers, x and y"
    if spec.check is not None:
        try:
            spec.check(value)
        except UserError as error:
            return str(error)
    return None


def _descriptor(spec: Spec) -> ParameterDescriptor:
    choices = f" One of: {', '.join(spec.choices)}." if spec.choices else ""
    when = "" if spec.dynamic else " Takes effect when the node is configured."
    descriptor = ParameterDescriptor(description=spec.description + choices + when)
    if spec.low is not None and spec.high is not None:
        if isinstance(spec.default, int):
            descriptor.integer_range = [
                IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=0)
            ]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=spec.low, to_value=spec.high, step=0.0)
            ]
    return descriptor
