"""Pictures to files and back. All are RGB uint8 [H, W, 3]."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError

Image = npt.NDArray[np.uint8]


class VideoWriter:
    """An mp4 file (MPEG-4 part 2, the one codec that every OpenCV can write)."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None

    def add(self, picture: Image) -> None:
        """RGB [H, W, 3], of the same size every time."""
        if self._writer is None:
            height, width = picture.shape[:2]
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), codec, self._fps, (width, height))
            if not self._writer.isOpened():
                raise UserError(f"demo: cannot write the video {self.path}; is the disk full?")
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.release()


def save_picture(path: Path, picture: Image) -> None:
    """Write an RGB picture; the name's ending says the format."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85] if path.suffix == ".jpg" else []
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality):
        raise UserError(f"demo: cannot write {path}; is the disk full?")


def read_picture(path: Path) -> Image:
    """Read an RGB picture."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise UserError(f"demo: {path} cannot be read")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def stack(upper: Image, lower: Image, width_px: int) -> Image:
    """One above the other, both scaled to one width."""
    scaled = []
    for picture in (upper, lower):
        height_px = round(picture.shape[0] * width_px / picture.shape[1])
        size = (width_px, height_px)
        scaled.append(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8))
    return np.vstack(scaled)
