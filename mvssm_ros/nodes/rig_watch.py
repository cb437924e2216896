"""Watches the cameras of a running rig: which are silent, out of step, or disagree with the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.nodes.inference import Inference, Solved
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.rig.agreement import AgreementWatch
from mvssm_ros.rig.camera_moves import MoveWatch
from mvssm_ros.rig.rig_file import CameraEntry
from mvssm_ros.rig.synchronizer import NO_QUORUM, OUT_OF_SLOP, RigSynchronizer

FIRST_MESSAGE_WITHIN_S = 10.0  # a camera that has sent nothing for so long is reported
# A camera that is left out has a larger error than if it took part, since joints are not drawn towards
# its keypoints: on the demo's film 10.6 px and 7.1 px.
_WITNESS = 1 / 1.5


class RigWatch:
    """From the node's activation to its deactivation.

    `can_tell` and `note_set` are used on the inference thread, `look` on the executor's.

    Cameras disagree in three ways: their reprojection errors are too high, they have moved since
    people were first seen, or they do not see the same people as most others. Whoever does is left
    out, and stays a witness: it is measured against the people that the others see.

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
        names = [camera.name for camera in cameras]
        self._agreement = AgreementWatch(names)
        self._parties = [names]
        self._undecided = False
        self._moves = MoveWatch(names)
        self._moved: frozenset[str] = frozenset()
        self._high: frozenset[str] = frozenset()  # left out for their reprojection error
        self._calibration: dict[str, CameraEntry] = {}  # in the last set
        inference.left_out = frozenset()

    @property
    def can_tell(self) -> bool:
        """False as long as it cannot be told which half of the cameras is right."""
        return not (self._undecided and self._leave_out)

    def note_set(self, solved: Solved, confirmed: np.ndarray) -> None:
        """Take what was found in one set.

        Args:
            confirmed: which of the people are; empty if nothing was published of them.
        """
        names, people = solved.used.cameras, solved.people
        stamp_s = solved.used.stamp_ns * 1e-9
        for entry in solved.entries:
            if self._calibration.get(entry.name, entry) is not entry:
                self._moves.calibrated_anew(entry.name)
            self._calibration[entry.name] = entry
        max_px = self._values["calibration.max_reprojection_px"]
        for camera in self._cameras:
            if camera.name in names:
                view = names.index(camera.name)
                share = 1.0 if solved.trusted[view] else _WITNESS
                camera.note_reprojection(share * float(people.reprojection_px[view]), max_px)
        trusted = solved.trusted | np.array([name in self._moved for name in names])
        known = np.zeros(len(people.seen), bool)
        known[: len(confirmed)] = confirmed
        joints_m, seen_px = people.joints_m[known], people.keypoints_px[known]
        if self._moves.update(names, solved.cameras, joints_m, seen_px, stamp_s, trusted):
            for camera in self._cameras:
                camera.note_moved(self._moves.moved.get(camera.name))
        self._agreement.update(names, people.in_view, people.seen, known, stamp_s)
        self._parties = self._agreement.parties()
        self._undecided = self._agreement.undecided
        self._choose_witnesses()

    def look(self, now_ns: int) -> None:
        """Once a second."""
        self._watch_silence(now_ns)
        sending = [c for c in self._cameras if not self._sync.is_stale(c.name, now_ns)]
        for camera in sending if len(sending) > 1 else []:  # one alone has nobody to fit
            drops = self._sync.timing[camera.name].drops
            unmatched = drops[OUT_OF_SLOP] + drops[NO_QUORUM]
            camera.watch_clock(unmatched, self._sync.offset_ns(camera.name), self._sync.slop_ns)
        self.report_parties()

    @property
    def _leave_out(self) -> bool:
        return bool(self._values["calibration.leave_out"])

    def _choose_witnesses(self) -> None:
        """Leave out who disagrees.

        By reprojection error one camera at a time, as long as three remain, since it takes three to
        tell who is wrong. A camera that has moved was right before, and is named with two others.
        """
        left_out = self._inference.left_out
        moved = self._moves.moved.keys()
        new = {name for name in moved if name not in self._moved}
        outvoted = set() if self._undecided else set().union(*self._parties[1:])
        high = {c.name for c in self._cameras if c.name in self._high and c.disagreement > 0}
        others = [c for c in self._cameras if c.name not in high | moved | outvoted]
        worst = max(others, key=lambda camera: camera.disagreement, default=None)
        if worst is not None and worst.disagreement > 0 and len(others) > 3 and not new:
            high.add(worst.name)
            new.add(worst.name)
        self._high, self._moved = frozenset(high), frozenset(moved)
        if new and self._leave_out:
            for camera in self._cameras:
                if camera.name not in high | moved:
                    camera.judge_anew()  # their errors may have been the other's doing
        still = frozenset(high | moved | outvoted) if self._leave_out else frozenset()
        if still != left_out:
            self._inference.left_out = still
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
                camera.watch(is_stale, FIRST_MESSAGE_WITHIN_S)

    def report_parties(self) -> None:
        """Name the cameras that never see the same people as the others."""
        parties, undecided = self._parties, self._undecided
        groups = " / ".join(", ".join(party) for party in parties)
        check = "check that no cables have changed places, and the calibration (mvssm rig check)"
        if not self._leave_out:
            what = "people may be shown who are not there"
        else:
            what = f"only those of {', '.join(parties[0])} are believed"
        self._problems.set(
            "agreement",
            len(parties) > 1 and not (undecided and self._leave_out),
            f"cameras {groups} do not see the same people where they should: {what}; {check}",
        )
        self._problems.set(
            "undecided",
            undecided and self._leave_out,
            f"nobody can be located: cameras {groups} do not see the same people where they should,"
            f" and it cannot be told which are right, so no people are published; {check}",
            serious=True,
        )
