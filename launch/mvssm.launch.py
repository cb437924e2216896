"""Start pose_node, drive it to active, and start RViz if asked to.

    ros2 launch mvssm_ros mvssm.launch.py rig_file:=/path/to/rig.yaml rviz:=true
    ros2 launch mvssm_ros mvssm.launch.py --show-args

Arguments left empty do not override the parameter file.
"""

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription
from mvssm_ros.launching import (
    BOOLEAN,
    SHARED_ARGUMENTS,
    config_path,
    fixed_frame,
    overrides,
    rviz_remappings,
    shared_memory,
)

ARGUMENTS = [
    *(DeclareLaunchArgument(name, **keywords) for name, keywords in SHARED_ARGUMENTS.items()),
    DeclareLaunchArgument(
        "input",
        default_value="auto",
        choices=["auto", "images", "keypoints"],
        description="What comes from each camera: images, or keypoints of a 2D detector elsewhere;"
        " auto: as in params_file.",
    ),
    DeclareLaunchArgument(
        "reference_frame",
        default_value="",
        description="Frame of everything published, z up. Empty: as the rig file says.",
    ),
    DeclareLaunchArgument(
        "weights",
        default_value="",
        description="Weights of the network (.safetensors). Empty: those of the package.",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="Where the network runs: cpu, cuda, cuda:1, ... Empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "rviz",
        default_value="false",
        choices=BOOLEAN,
        description="Show the people in RViz.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=BOOLEAN,
        description="Configure and activate the node; false: leave that to a lifecycle manager.",
    ),
]


def start(context: LaunchContext) -> list:
    """Make the actions, now that the arguments are known."""
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    use_sim_time = {"use_sim_time": given["use_sim_time"] == "true"}
    parameters = {
        "rig_file": given["rig_file"],
        "input": given["input"],
        "reference_frame": given["reference_frame"],
        "model.weights": given["weights"],
        "model.device": given["device"],
        "transport": given["transport"],
    }
    pose_node = LifecycleNode(
        package="mvssm_ros",
        executable="pose_node",
        name="mvssm",
        namespace=given["namespace"],
        output="screen",
        parameters=[given["params_file"], overrides(parameters), use_sim_time],
        arguments=["--ros-args", "--log-level", f"mvssm:={given['log_level']}"],
        additional_env=shared_memory(),
    )
    rviz_config = config_path("rviz", "mvssm.rviz")
    frame = fixed_frame(given["reference_frame"], given["rig_file"])
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        namespace=given["namespace"],
        arguments=["-d", rviz_config, *(["-f", frame] if frame else [])],
        remappings=rviz_remappings(rviz_config),
        parameters=[use_sim_time],
        condition=IfCondition(given["rviz"]),
    )
    if given["autostart"] == "false":
        return [pose_node, rviz]
    full_name = "/" + f"{given['namespace']}/mvssm".lstrip("/")
    return [*to_active(pose_node, full_name), rviz]


def to_active(node: LifecycleNode, full_name: str) -> list:
    """Start the node, configure it once it runs, activate it once it is configured."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
        )

    def when(start_state: str, goal_state: str, action) -> RegisterEventHandler:
        return RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state=start_state,
                goal_state=goal_state,
                entities=[action],
            )
        )

    return [
        when("configuring", "inactive", change(Transition.TRANSITION_ACTIVATE)),
        when(
            "configuring",
            "unconfigured",
            LogInfo(
                msg="mvssm could not be configured, the reason is in its log above; mend it, then:"
                f" ros2 lifecycle set {full_name} configure (and activate)"
            ),
        ),
        node,
        change(Transition.TRANSITION_CONFIGURE),
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
