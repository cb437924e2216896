"""Record a running rig into a bag: what the cameras of the rig file send, and what pose_node answers.

ros2 launch mvssm_ros record.launch.py rig_file:=rig.yaml bag:=monday
ros2 launch mvssm_ros record.launch.py bag:=answers_only
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from mvssm_ros.launching import SHARED_ARGUMENTS, shared_memory

ARGUMENTS = [
    DeclareLaunchArgument(
        "bag",
        description="Folder of the bag to make; must not exist yet.",
    ),
    DeclareLaunchArgument(
        "rig_file",
        default_value="",
        description="Path of the rig file. Empty: what the cameras send is not recorded.",
    ),
    DeclareLaunchArgument(
        "storage",
        default_value="mcap",
        choices=["mcap", "sqlite3"],
        description="How the bag is stored.",
    ),
    DeclareLaunchArgument(
        "stop_after_silence_s",
        default_value="0.0",
        description="End when nobody has published people for so many seconds; 0: never.",
    ),
    *(DeclareLaunchArgument(n, **SHARED_ARGUMENTS[n]) for n in ("namespace", "log_level")),
]


def start(context: LaunchContext) -> list:
    """Make the node, now that the arguments are known."""
    given = dict(context.launch_configurations)
    return [
        Node(
            package="mvssm_ros",
            executable="recorder_node",
            name="recorder",
            namespace=given["namespace"],
            output="screen",
            parameters=[
                {
                    "bag": given["bag"],
                    "topics": topics(given["rig_file"]),
                    "storage": given["storage"],
                    "stop_after_silence_s": float(given["stop_after_silence_s"]),
                }
            ],
            arguments=["--ros-args", "--log-level", f"recorder:={given['log_level']}"],
            additional_env=shared_memory(),
            sigterm_timeout="30",  # closing a bag takes its time
        )
    ]


def topics(rig_file: str) -> list[str]:
    """All that a rig's cameras send; [""], which to the node means none, without a rig file."""
    if not rig_file:
        return [""]
    from mvssm_ros.bags.topics import rig_topics
    from mvssm_ros.rig.rig_file import load_rig

    return rig_topics(load_rig(rig_file))


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
