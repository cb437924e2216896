"""Play a bag to pose_node: what the cameras sent is looked at once more; ends with the bag.

    ros2 launch mvssm_ros replay.launch.py bag:=monday rig_file:=rig.yaml rviz:=true
    ros2 launch mvssm_ros replay.launch.py bag:=monday rig_file:=rig.yaml input:=keypoints rate:=0.5

The bag begins once pose_node is active. Its time is the time of the nodes (use_sim_time). The
arguments of mvssm.launch.py may be given too.
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch_ros.actions import Node
from launch_ros.event_handlers import OnStateTransition

from launch import LaunchContext, LaunchDescription
from mvssm_ros.launching import BOOLEAN, shared_memory

ARGUMENTS = [
    DeclareLaunchArgument(
        "bag",
        description="Folder of the bag, or its .mcap or .db3 file.",
    ),
    DeclareLaunchArgument(
        "rate",
        default_value="1.0",
        description="How many times faster than life.",
    ),
    DeclareLaunchArgument(
        "loop",
        default_value="false",
        choices=BOOLEAN,
        description="Begin anew at the end, until everything is stopped.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="true",
        choices=BOOLEAN,
        description="Publish the bag's time on /clock, and take the time from there.",
    ),
]


def start_replay(context: LaunchContext) -> list:
    """replay_node, to begin once pose_node is active."""
    given = dict(context.launch_configurations)
    replay = Node(
        package="mvssm_ros",
        executable="replay_node",
        name="replay",
        output="screen",
        parameters=[
            {
                "bag": given["bag"],
                "rate": float(given["rate"]),
                "loop": given["loop"] == "true",
                "clock": given["use_sim_time"] == "true",
            }
        ],
        additional_env=shared_memory(),
        on_exit=lambda event, context: end_all(context),
    )
    begin = OnStateTransition(goal_state="active", entities=[replay], handle_once=True)
    return [RegisterEventHandler(begin)]


def end_all(context: LaunchContext) -> list:
    """Unless everything is being shut down already, which cannot be asked for twice."""
    return [] if context.is_shutdown else [Shutdown(reason="the bag is over")]


def generate_launch_description() -> LaunchDescription:
    pose_node = IncludeLaunchDescription(str(Path(__file__).parent / "mvssm.launch.py"))
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_replay), pose_node])
