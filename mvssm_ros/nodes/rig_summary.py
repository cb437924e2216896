"""The state of the rig as a sentence that a person understands at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mvssm_ros.msg import CameraStatus, RigStatus

_NAMES_SHOWN = 4
_QUOTED = re.compile(r"('[^']*')")
# Of a camera that is not used and has no problem to tell (yet).
_BECAUSE = {
    CameraStatus.WAITING: "nothing has come yet",
    CameraStatus.STALE: "silent",
}
IN_USE = "images arrive and are used"


@dataclass(frozen=True)
class CameraState:
    """One camera: its state of CameraStatus, and the lines of its problems."""

    name: str
    state: int
    problems: Sequence[str] = ()

    @property
    def used(self) -> bool:
        return self.state == CameraStatus.OK

    @property
    def texts(self) -> list[str]:
        """What is wrong with it, without its name before it; empty if all is well."""
        begin = re.compile(rf"camera '?{re.escape(self.name)}'?(, topic '[^']*')?: ")
        texts = [begin.sub("", text, count=1) for text in self.problems]
        return texts or ([_BECAUSE[self.state]] if self.state in _BECAUSE else [])


@dataclass(frozen=True)
class Output:
    """What comes out. ``blocked``: a problem of the pipeline keeps people from coming."""

    min_cameras: int
    people: int | None  # seen in the latest set; None where there was none in the last seconds
    rate_hz: float | None = None  # of the sets; None if unknown
    problems: Sequence[str] = ()  # of the pipeline
    blocked: bool = False
    enabled: bool = True


def level(cameras: Sequence[CameraState], output: Output) -> int:
    """OK, WARN or ERROR of RigStatus."""
    if not output.enabled:
        return RigStatus.WARN
    if output.blocked or sum(camera.used for camera in cameras) < output.min_cameras:
        return RigStatus.ERROR
    wrong = output.problems or any(camera.texts or not camera.used for camera in cameras)
    return RigStatus.WARN if wrong else RigStatus.OK


def summary(cameras: Sequence[CameraState], output: Output) -> str:
    """The whole rig: what comes out, then what is wrong and what to do about it."""
    if not output.enabled:
        return "Switched off by ~/enable: nothing is received, and no people come."
    sentences = [_what_comes(cameras, output)]
    sentences += [_sentence(text) for text in output.problems]
    sentences += [_sentence(text, capital=False) for text in _camera_texts(cameras)]
    return " ".join(sentences)


def _what_comes(cameras: Sequence[CameraState], output: Output) -> str:
    used, n = sum(camera.used for camera in cameras), len(cameras)
    if used < output.min_cameras:
        how_many = f"{used} of {n} cameras {'is' if used == 1 else 'are'}"
        return f"No people can be seen: {how_many} used, {output.min_cameras} are needed."
    how_many = f"All {n} cameras are" if used == n else f"{used} of {n} cameras are"
    if output.blocked:
        return f"No people can be seen, though {how_many[0].lower()}{how_many[1:]} well."
    if output.people is None:
        return f"{how_many} used, but no set of images has come out in the last seconds."
    rate = "" if output.rate_hz is None else f" {output.rate_hz:.1f} sets a second,"
    people = {0: "nobody is seen", 1: "1 person is seen"}.get(
        output.people, f"{output.people} people are seen"
    )
    return f"{how_many} used,{rate} {people}."


def _camera_texts(cameras: Sequence[CameraState]) -> list[str]:
    """One text for each trouble; cameras that have the same one are told together.

    Texts are the same if they differ only in what is quoted: topics, encodings.
    """
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for camera in cameras:
        for text in camera.texts:
            groups.setdefault(tuple(_QUOTED.split(text)[::2]), []).append((camera.name, text))
    return [
        f"{_listed([name for name, _ in group])}: {_together([text for _, text in group])}"
        for group in groups.values()
    ]


def _together(texts: list[str]) -> str:
    """Several texts in one: where what is quoted differs, all of it is listed."""
    parts = zip(*(_QUOTED.split(text) for text in texts))
    return "".join(_listed(list(dict.fromkeys(part))) for part in parts)


def _listed(words: list[str]) -> str:
    if len(words) == 1:
        return words[0]
    if len(words) > _NAMES_SHOWN:
        shown = words[: _NAMES_SHOWN - 1]
        return f"{', '.join(shown)} and {len(words) - len(shown)} more"
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _sentence(text: str, capital: bool = True) -> str:
    """In one line, with a full stop; a capital where it does not begin with a name."""
    line = " ".join(text.split())
    if capital:
        line = line[:1].upper() + line[1:]
    return line if line.endswith((".", "!", "?")) else f"{line}."
