"""Watches the cameras of a running rig: which are silent, out of step, or disagree with the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.nodes.inference import Inference
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.rig.agreement import AgreementWatch
from mvssm_ros.rig.synchronizer import NO_QUORUM, OUT_OF_SLOP, RigSynchronizer

if TYPE_CHECKING:
    from mvssm_ros.predictor import People

_FIRST_MESSAGE_WITHIN_S = 5.0  # a camera that has sent nothing for so long is reported


class RigWatch:
    """From the node's activation to its deactivation.

    `note_set` is called on the inference thread, `look` on the executor's.

    Args:
        cameras: all of the rig, in its order; they report what is wrong with each.
        sync: knows when each camera has spoken.
        inference: told which cameras to leave out.
        values: the node's parameters, as they are now.
        problems: of the pipeline; takes what concerns several cameras.
    """

    def __init__(
        self,
        cameras: list[CameraInput],
        sync: RigSynchronizer,
        inference: Inference,
        values: dict[str, Any],
        problems: Problems,
    ) -> None:
        self._cameras = cameras
        self._sync = sync
        self._inference = inference
        self._values = values
        self._problems = problems
        self._agreement = AgreementWatch([camera.name for camera in cameras])

    def note_set(self, names: tuple[str, ...] | list[str], people: People) -> None:
        """Take what was found in one set; ``names`` are the views of ``people``."""
        max_px = self._values["calibration.max_reprojection_px"]
        error_px = dict(zip(names, people.reprojection_px))
        for camera in self._cameras:
            if camera.name in error_px:
                camera.note_reprojection(float(error_px[camera.name]), max_px)
        self._choose_witnesses()
        self._agreement.update(names, people.in_view, people.seen)

    def look(self, now_ns: int) -> None:
        """Once a second."""
        self._watch_silence(now_ns)
        for camera in self._cameras:
            drops = self._sync.timing[camera.name].drops
            unmatched = drops[OUT_OF_SLOP] + drops[NO_QUORUM]
            camera.watch_clock(unmatched, self._sync.offset_ns(camera.name), self._sync.slop_ns)
        self._watch_agreement()

    def _choose_witnesses(self) -> None:
        """Leave out the camera that disagrees most, one at a time, as long as three remain."""
        left_out = self._inference.left_out
        still = {c.name for c in self._cameras if c.name in left_out and c.disagreement > 0}
        others = [camera for camera in self._cameras if camera.name not in still]
        worst = max(others, key=lambda camera: camera.disagreement)
        if not self._values["calibration.leave_out"]:
            still.clear()
        elif worst.disagreement > 0 and len(others) > 3:
            still.add(worst.name)
            for camera in others:
                if camera is not worst:
                    camera.judge_anew()
        if still != left_out:
            self._inference.left_out = frozenset(still)
            for camera in self._cameras:
                camera.note_left_out(camera.name in still)

    def _watch_silence(self, now_ns: int) -> None:
        """Name the silent cameras; all at once, as when a recording ends, in one line."""
        stale = [self._sync.is_stale(camera.name, now_ns) for camera in self._cameras]
        over = all(stale) and any(camera.received for camera in self._cameras)
        self._problems.set(
            "input",
            over,
            "nothing more comes from any camera: a recording has ended, or the drivers or the"
            " network are down",
        )
        for camera, is_stale in zip(self._cameras, stale):
            if not (over and camera.received):
                camera.watch(is_stale, _FIRST_MESSAGE_WITHIN_S)

    def _watch_agreement(self) -> None:
        """Name the cameras that never see the same people as the others."""
        parties = self._agreement.parties()
        groups = " / ".join(", ".join(party) for party in parties)
        self._problems.set(
            "agreement",
            len(parties) > 1,
            f"cameras {groups} do not see the same people where they should: people may be shown"
            " who are not there; check that no cables have changed places, and the calibration"
            " (mvssm rig check)",
        )
