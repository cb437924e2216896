"""Several machines: the 2D detector beside the cameras, where they are put together elsewhere.

    ros2 launch mvssm_ros edge.launch.py role:=camera rig_file:=rig.yaml camera_names:=left,right
    ros2 launch mvssm_ros edge.launch.py role:=fusion rig_file:=rig.yaml rviz:=true

Every machine has the same rig file; each camera is served by one machine. Their clocks must agree
(PTP or chrony), and they must find each other: the same ROS_DOMAIN_ID, ROS_AUTOMATIC_DISCOVERY_RANGE
SUBNET, or ROS_STATIC_PEERS where the network carries no multicast. If the fusion works with some of the
cameras only, because detectors differ in speed, raise sync.deadline in the parameter file.
"""

import platform
from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from mvssm_ros.launching import (
    BOOLEAN,
    SHARED_ARGUMENTS,
    camera_list,
    keypoints_node_name,
    overrides,
    shared_memory,
)

ARGUMENTS = [
    *(DeclareLaunchArgument(name, **keywords) for name, keywords in SHARED_ARGUMENTS.items()),
    DeclareLaunchArgument(
        "role",
        choices=["camera", "fusion", "both"],
        description="camera: find 2D people in the images of this machine's cameras. fusion: make 3D"
        " people of what the others find. both: all on one machine.",
    ),
    DeclareLaunchArgument(
        "camera_names",
        default_value="",
        description="Role camera: the cameras of this machine, as in left,right. Empty: all of the"
        " rig file.",
    ),
    DeclareLaunchArgument(
        "tiles",
        default_value="true",
        choices=BOOLEAN,
        description="Role camera: search oblong images in square windows too: finds smaller people"
        " for twice the time.",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="false",
        choices=BOOLEAN,
        description="Role camera: start the node again, after 2 s, whenever it ends.",
    ),
]


def start_detector(context: LaunchContext) -> list:
    """keypoints_node, in the roles camera and both."""
    given = dict(context.launch_configurations)
    if given["role"] == "fusion":
        return []
    cameras = camera_list(given["camera_names"])
    name = keypoints_node_name(cameras, platform.node())
    parameters = overrides({"rig_file": given["rig_file"], "transport": given["transport"]})
    return [
        Node(
            package="mvssm_ros",
            executable="keypoints_node",
            name=name,
            namespace=given["namespace"],
            output="screen",
            parameters=[
                given["params_file"],
                parameters,
                {
                    "camera_names": cameras,
                    "model.tiles": given["tiles"] == "true",
                    "use_sim_time": given["use_sim_time"] == "true",
                },
            ],
            arguments=["--ros-args", "--log-level", f"{name}:={given['log_level']}"],
            additional_env=shared_memory(),
            respawn=given["respawn"] == "true",
            respawn_delay=2.0,
        )
    ]


def generate_launch_description() -> LaunchDescription:
    fusion = IncludeLaunchDescription(
        str(Path(__file__).parent / "mvssm.launch.py"),
        launch_arguments={"input": "keypoints"}.items(),
        condition=IfCondition(NotEqualsSubstitution(LaunchConfiguration("role"), "camera")),
    )
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_detector), fusion])
