"""The lifecycle node `mvssm`: camera topics in, people in 3D out.

configure: load the rig, the network and the detector, warm up (FAILURE with the reason if that
cannot be). activate: subscribe and publish. deactivate: unsubscribe, everybody lost, markers
deleted. cleanup: free the network. Transitions are for others to drive: the launch file, or
`ros2 lifecycle set`.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import parameters, qos
from mvssm_ros.nodes.answers import Answers
from mvssm_ros.nodes.assembly import Assembly, assemble
from mvssm_ros.nodes.calibration_changes import CalibrationChanges
from mvssm_ros.nodes.extrinsics import TfExtrinsics
from mvssm_ros.nodes.feeds.frames import robot_needs_tf
from mvssm_ros.nodes.feeds.publishers import FeedPublishers
from mvssm_ros.nodes.inference import import_network, score_threshold
from mvssm_ros.nodes.pipeline import Configured, Pipeline
from mvssm_ros.nodes.spin import Stopped, run_node, stoppable

_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE


class PoseNode(LifecycleNode):
    """See the module. Keyword arguments are those of rclpy's Node."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("mvssm", **kwargs)
        parameters.declare(self)
        self._configured: Configured | None = None
        self._pipeline: Pipeline | None = None
        self._assembly: Assembly | None = None
        self._robot_tf: TfExtrinsics | None = None  # where no camera needs it, but a feed does
        self.add_on_set_parameters_callback(
            lambda changes: parameters.check_change(changes, self._configured is not None)
        )
        self.add_post_set_parameters_callback(self._take_changes)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded(self._configure_stoppably, undo=self._unconfigure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)  # enables the publishers
        return self._guarded(self._activate, undo=self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        outcome = self._guarded(self._deactivate)
        super().on_deactivate(state)
        return outcome

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded(self._unconfigure)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._guarded(self._deactivate)
        super().on_shutdown(state)
        return self._guarded(self._unconfigure)

    def finish(self) -> int | None:
        """This node ends only when it is told to."""
        return None

    def close(self) -> None:
        """Say good-bye on every topic and free everything; in whatever state the node is."""
        self._guarded(self._deactivate)
        self._guarded(self._unconfigure)

    def _guarded(
        self, step: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        """Run one step and log what it raises, which rclpy would swallow without a word."""
        try:
            step()
            return _SUCCESS
        except Stopped:
            self.get_logger().info("told to stop before it was configured")
        except UserError as error:
            self.get_logger().error(str(error))
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            self.get_logger().error(f"unexpected error: {what}\n{traceback.format_exc()}")
        if undo is not None:
            undo()
        return _FAILURE

    def _configure_stoppably(self) -> None:
        """Loading a network takes seconds, which a signal does not wait for.

        But for imports: one that is broken off may hold its lock for ever.
        """
        import_network()
        with stoppable():
            self._configure()

    def _configure(self) -> None:
        values = parameters.read(self)
        qos.check_overrides(self)
        self._assembly = parts = assemble(self, values, self._message_arrived)
        rig, names = parts.rig, list(parts.inputs)
        tf = parts.tf
        if tf is None and robot_needs_tf(values, rig.reference_frame):
            tf = self._robot_tf = TfExtrinsics(self)
        feeds = FeedPublishers(self, tf and tf.lookup_pose, values)
        answers = Answers(self, names, rig.reference_frame, feeds)
        answers.apply(values)
        calibration = CalibrationChanges(self, rig, parts.inputs, values)
        self._configured = Configured(
            values, rig.reference_frame, parts.inputs, parts.inference, answers, calibration
        )
        self.get_logger().info(
            f"configured: cameras {names}, input {values['input']}, front-end"
            f" {parts.inference.predictor.frontend} on {values['model.device']}, frame"
            f" '{rig.reference_frame}'"
        )

    def _unconfigure(self) -> None:
        if self._configured is not None:
            self._configured.calibration.close()
            self._configured.answers.close()
            self._configured = None
        if self._assembly is not None:
            self._assembly.close()
            self._assembly = None
        if self._robot_tf is not None:
            self._robot_tf.close()
            self._robot_tf = None
        gc.collect()  # the network and the detector, also what refers to itself

    def _activate(self) -> None:
        assert self._configured is not None
        self._pipeline = Pipeline(self, self._configured)

    def _deactivate(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _message_arrived(self, camera: str, stamp_ns: int, message: Any) -> None:
        if self._pipeline is not None:
            self._pipeline.message_arrived(camera, stamp_ns, message)

    def _take_changes(self, changes: list[Parameter]) -> None:
        """Apply the parameters that may change while running."""
        if self._configured is None:
            return
        values = parameters.read(self)
        self._configured.values.update(values)
        self._configured.answers.apply(values)
        self._configured.inference.predictor.score_threshold = score_threshold(values)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable pose_node."""
    return run_node(PoseNode, args)


if __name__ == "__main__":
    sys.exit(main())
