"""A rig without cameras: the demo's film or a simulated rig, pose_node, and RViz if asked for.

    ros2 launch mvssm_ros demo.launch.py rviz:=true
    ros2 launch mvssm_ros demo.launch.py source:=sim scenario:=crossing rviz:=true
    ros2 launch mvssm_ros demo.launch.py --show-args

The cameras begin once pose_node is active; everything ends with the film or the scenario.
"""

import tempfile
from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.event_handlers import OnShutdown
from launch_ros.actions import Node
from launch_ros.event_handlers import OnStateTransition

from launch import LaunchContext, LaunchDescription
from mvssm_ros.launching import UNSAID, config_path, shared_memory

ARGUMENTS = [
    DeclareLaunchArgument(
        "source",
        default_value="film",
        choices=["film", "sim"],
        description="What the cameras show: the demo's film (needs the wheel of pose2sim and the"
        " built-in 2D detector), or simulated people.",
    ),
    DeclareLaunchArgument(
        "rate",
        default_value="0.0",
        description="Sets of images a second; 0: 20 of the film's 60, or as the scenario says.",
    ),
    DeclareLaunchArgument(
        "people",
        default_value="single",
        choices=["single", "multi"],
        description="Film: one man, or also a second, computer-drawn one.",
    ),
    DeclareLaunchArgument(
        "loops",
        default_value="1",
        description="Film: how often it is played; 0: until everything is stopped.",
    ),
    DeclareLaunchArgument(
        "scenario",
        default_value="crossing",
        description="Sim: name of a scenario of the package (config/scenarios), or a file.",
    ),
    DeclareLaunchArgument(
        "seed",
        default_value="0",
        description="Sim: other people and other noise.",
    ),
    DeclareLaunchArgument(
        "content",
        default_value="keypoints",
        choices=["keypoints", "images"],
        description="Sim: what the cameras send.",
    ),
    DeclareLaunchArgument(
        "duration",
        default_value="0.0",
        description="Sim: seconds until it ends; 0: when everything is stopped.",
    ),
    DeclareLaunchArgument(
        "rig_file",
        default_value="",
        description="Path of the rig file. Empty: that of the source.",
    ),
    DeclareLaunchArgument(
        "input",
        default_value="auto",
        choices=["auto", "images", "keypoints"],
        description="What pose_node takes from each camera; auto: what the source sends.",
    ),
]


def start_source(context: LaunchContext) -> list:
    """The cameras, to begin once pose_node is active, and what pose_node has to know of them."""
    given = dict(context.launch_configurations)
    make = film if given["source"] == "film" else simulated
    cameras, found, *others = make(given)
    begin = OnStateTransition(goal_state="active", entities=[cameras], handle_once=True)
    return [
        *others,
        *(SetLaunchConfiguration(n, v) for n, v in found.items() if given[n] in UNSAID),
        RegisterEventHandler(begin),
    ]


def film(given: dict) -> tuple:
    """The demo's film, every set of images only once the one before has been answered."""
    transport = given.get("transport", "auto")
    parameters = {
        "people": given["people"],
        "rate_hz": float(given["rate"]) or 20.0,
        "loops": int(given["loops"]),
        "transport": "raw" if transport in UNSAID else transport,
        "lockstep": True,
    }
    rig_file = config_path("rigs", f"pose2sim_{given['people']}.yaml")
    return camera_node("player_node", given, parameters), {"rig_file": rig_file, "input": "images"}


def simulated(given: dict) -> tuple:
    """The cameras of a scenario; its rig file is written to a folder that goes at the end."""
    from mvssm_ros.simulation.scenario_file import load_scenario

    folder = tempfile.TemporaryDirectory(prefix="mvssm_demo_")
    rig_file = str(Path(folder.name) / "rig.yaml")
    load_scenario(given["scenario"]).rig.save(rig_file)
    parameters = {
        "scenario": given["scenario"],
        "seed": int(given["seed"]),
        "rate": float(given["rate"]),
        "content": given["content"],
        "duration": float(given["duration"]),
    }
    node = camera_node("sim_rig_node", given, parameters)
    clean_up = RegisterEventHandler(OnShutdown(on_shutdown=lambda *_: folder.cleanup()))
    return node, {"rig_file": rig_file, "input": given["content"]}, clean_up


def camera_node(executable: str, given: dict, parameters: dict) -> Node:
    """When it ends, everything does."""
    return Node(
        package="mvssm_ros",
        executable=executable,
        namespace=given.get("namespace", ""),
        output="screen",
        parameters=[parameters],
        additional_env=shared_memory(),
        on_exit=lambda event, context: end_all(context),
    )


def end_all(context: LaunchContext) -> list:
    """Unless everything is being shut down already, which cannot be asked for twice."""
    return [] if context.is_shutdown else [Shutdown(reason="the cameras have ended")]


def generate_launch_description() -> LaunchDescription:
    pose_node = IncludeLaunchDescription(str(Path(__file__).parent / "mvssm.launch.py"))
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_source), pose_node])
