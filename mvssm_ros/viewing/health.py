"""How cameras and the rig are doing, as colours and text. No ROS in here."""

from __future__ import annotations

from typing import Any

from mvssm_ros.viewing.people import Rgb

GOOD: Rgb = (72, 199, 116)
DOUBTFUL: Rgb = (255, 176, 32)
BAD: Rgb = (240, 52, 52)
UNKNOWN: Rgb = (120, 126, 138)

_WAITING, _OK, _STALE = 0, 1, 2  # of CameraStatus
_STATES = (
    *("waiting", "ok", "silent", "no calibration", "bad images", "disagrees", "frozen"),
    "out of step",
)
_LEVELS = ("all is well", "something is wrong", "no people can be seen")  # of RigStatus
_DIAGNOSTIC_LEVELS = ("INFO", "WARN", "ERROR", "WARN")  # OK, WARN, ERROR, STALE


def state_name(state: int) -> str:
    """Of a CameraStatus, in words."""
    return _STATES[state] if 0 <= state < len(_STATES) else f"state {state}"


def is_silent(camera: Any) -> bool:
    """Of a CameraStatus: nothing comes (any more), so what is shown of it is old."""
    return camera.state in (_WAITING, _STALE)


def rate_hz(camera: Any) -> float:
    """Of a CameraStatus, whose own figure is the last one known."""
    return 0.0 if is_silent(camera) else float(camera.rate_hz)


def camera_color(camera: Any) -> Rgb:
    """Of a CameraStatus: used, used with a problem, not used."""
    if camera.state != _OK:
        return BAD
    return DOUBTFUL if camera.message else GOOD


def status_page(status: Any) -> str:
    """A RigStatus as markdown."""
    level = _LEVELS[status.level] if status.level < len(_LEVELS) else f"level {status.level}"
    lines = [
        f"**{level[0].upper()}{level[1:]}**",
        "",
        _plain(status.summary),
        "",
        "| camera | state | Hz | dropped | reprojection |",
        "| --- | --- | --- | --- | --- |",
    ]
    for camera in status.cameras:
        lost = camera.dropped_late + camera.dropped_out_of_slop + camera.dropped_bad
        px = f"{camera.reprojection_px:.1f} px" if camera.reprojection_px >= 0 else "-"  # NaN: no
        lines.append(
            f"| {_plain(camera.name)} | {state_name(camera.state)} | {rate_hz(camera):.1f} | {lost} |"
            f" {px} |"
        )
    lines += [
        "",
        f"Sets: {status.sets_complete} complete, {status.sets_partial} partial,"
        f" {status.sets_dropped_no_quorum + status.sets_dropped_overwritten} dropped,"
        f" {status.sets_failed} failed.",
    ]
    return "\n".join(lines)


class StatusChanges:
    """Of the DiagnosticStatus that come every second, those that say something new."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, str]] = {}

    def news(self, array: Any) -> list[tuple[str, str]]:
        """(level, line) for the log, of a DiagnosticArray."""
        found = []
        for status in array.status:
            level = _byte(status.level)
            # figures in the message change all the time; what matters is in its words
            words = "".join(c for c in status.message if not c.isdigit())
            if self._last.get(status.name) != (level, words):
                self._last[status.name] = (level, words)
                name = _DIAGNOSTIC_LEVELS[level] if level < len(_DIAGNOSTIC_LEVELS) else "ERROR"
                found.append((name, f"{status.name}: {status.message}"))
        return found


def _byte(level: Any) -> int:
    """DiagnosticStatus.level: bytes in rclpy, a number in a bag."""
    return level[0] if isinstance(level, bytes) else int(level)


def _plain(text: str) -> str:
    """Text that is no markdown."""
    return "".join("\\" + c if c in "\\`*_[]<>|#" else c for c in text)
