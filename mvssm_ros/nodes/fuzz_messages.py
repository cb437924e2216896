"""Damaged messages of a camera, read as pose_node reads them, without a middleware between."""

from __future__ import annotations

from random import Random
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from mvssm_ros.errors import UserError
from mvssm_ros.fuzzing.mutate import damage, number, size
from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.nodes.conversions import image_encodings
from mvssm_ros.rig.rig_file import CameraEntry

_SIZE_PX = (16, 12)
_STRANGE = ("", "rgb16", "mono16", "32FC1", "nv12", "RGB8", "jpeg", "8UC5", "bgr8\n", "x" * 300)


class _Silent:
    """A logger, and the little of a node that a CameraInput without subscriptions needs."""

    def get_logger(self) -> _Silent:
        return self

    def resolve_topic_name(self, topic: str) -> str:
        return topic

    def warning(self, text: str) -> None:
        pass

    info = warning


class CameraMessages:
    """What the kinds have in common: a damaged header, and the way through CameraInput."""

    suffix = ".cdr"
    message_type: type
    mode = "images"  # of the CameraInput

    def _camera(self) -> CameraInput:
        self.taken: list[Any] = []
        return CameraInput(
            _Silent(),
            CameraEntry.bare("cam"),
            "/cam/keypoints",
            self.mode,
            None,
            "map",
            lambda name, stamp_ns, message: self.taken.append((stamp_ns, message)),
        )

    def _stamp(self, random: Random) -> Time:
        if random.random() < 0.7:
            return Time(sec=1_700_000_000, nanosec=5)
        sec = random.choice((0, 1, -1, 2**31 - 1, -(2**31), random.randint(-(2**31), 2**31 - 1)))
        return Time(sec=sec, nanosec=size(random))

    def _read(self, message: Any, expected_px: tuple[int, int] | None) -> np.ndarray:
        """The content of a message, as it goes through a CameraInput.

        Raises:
            UserError: refused. ValueError: an impossible stamp was accepted.
        """
        camera = self._camera()
        camera.take_message(message)
        if not self.taken:
            raise UserError("the stamp was refused")  # reported as a problem, not raised
        stamp_ns = self.taken[0][0]
        if not 0 < stamp_ns < 2**63:
            raise ValueError(f"a stamp of {stamp_ns} ns was accepted")
        return camera.read(message, expected_px)

    def _read_picture(self, data: bytes) -> tuple[Any, np.ndarray]:
        message = deserialize_message(data, self.message_type)
        rgb = self._read(message, None)
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise ValueError(f"accepted as {rgb.dtype} {rgb.shape}")
        return message, rgb


class Images(CameraMessages):
    """sensor_msgs/Image: any size, step, encoding and amount of data, most near to fitting."""

    message_type = Image

    def make(self, random: Random) -> bytes:
        message = Image()
        message.header.stamp = self._stamp(random)
        encodings = sorted(image_encodings())
        message.encoding = random.choice(encodings if random.random() < 0.85 else _STRANGE)
        if random.random() < 0.05:
            message.encoding = random.randbytes(4).hex()
        width, height = random.choice(
            ((16, 12), (16, 12), (1, 1), (2, 2), (3, 1), (1, 5), (15, 11))
        )
        channels = image_encodings().get(message.encoding, 3)
        step = width * channels + random.choice((0, 0, 0, 1, 7))
        length = step * height + random.choice((0, 0, 0, 0, -1, 1, -step, 100))
        message.width, message.height, message.step = width, height, step
        field = random.choice(("width", "height", "step", "", "", ""))
        if field:
            setattr(message, field, size(random))
        message.data = random.randbytes(max(0, length))
        return serialize_message(message)

    def check(self, data: bytes) -> None:
        message, rgb = self._read_picture(data)
        if rgb.shape[:2] != (message.height, message.width):
            raise ValueError(f"{message.width} x {message.height} came out as {rgb.shape}")


class CompressedImages(CameraMessages):
    """sensor_msgs/CompressedImage: JPEG and PNG with damaged bytes, other formats, other sizes."""

    message_type = CompressedImage

    def __init__(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (*_SIZE_PX[::-1], 3), np.uint8)
        grey, alpha = noise[..., 0], np.dstack([noise, noise[..., :1]])
        progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]
        self._good = [
            cv2.imencode(suffix, image, options)[1].tobytes()
            for suffix, image, options in (
                (".jpg", noise, []),
                (".jpg", grey, []),
                (".jpg", noise, progressive),
                (".png", noise, []),
                (".png", grey.astype(np.uint16) * 257, []),
                (".png", alpha, []),
                (".webp", noise, []),
                (".bmp", noise, []),
            )
        ]

    def make(self, random: Random) -> bytes:
        good = random.choice(self._good)
        data = bytearray(damage(random, good, random.choice((None, 30, 200))))
        if random.random() < 0.15:
            data = bytearray(good)
        if random.random() < 0.2 and len(data) > 30:  # the size, which is allocated
            sof = data.find(b"\xff\xc0") if data[:2] == b"\xff\xd8" else -1
            at, width = (sof + 5, 2) if sof >= 0 else (16, 4)
            for _ in range(random.randint(1, 2)):
                data[at : at + width] = (size(random) % 256**width).to_bytes(width, "big")
                at += width
        kind = random.choice(
            ("jpeg", "png", "", "rgb8; jpeg compressed bgr8", "16UC1; png", "h264", "a\nb")
        )
        message = CompressedImage(format=kind, data=bytes(data))
        message.header.stamp = self._stamp(random)
        return serialize_message(message)

    def check(self, data: bytes) -> None:
        self._read_picture(data)


class CameraInfos(CameraMessages):
    """sensor_msgs/CameraInfo: K, D, model, sizes, region of interest and binning changed."""

    def make(self, random: Random) -> bytes:
        message = CameraInfo(width=16, height=12, distortion_model="plumb_bob", d=[0.1] * 5)
        message.k = [20.0, 0.0, 8.0, 0.0, 20.0, 6.0, 0.0, 0.0, 1.0]
        for _ in range(random.randint(1, 3)):
            kind = random.randrange(7)
            if kind == 0:
                K, at = list(message.k), random.randrange(9)
                K[at] = number(random, K[at])
                message.k = K
            elif kind == 1:
                count = random.choice((0, 1, 4, 5, 8, 12, 14, 1000))
                message.d = [number(random, 0.1) for _ in range(count)]
            elif kind == 2:
                models = (
                    "plumb_bob",
                    "rational_polynomial",
                    "equidistant",
                    "",
                    "fisheye",
                    "é" * 99,
                )
                message.distortion_model = random.choice(models)
            elif kind == 3:
                setattr(message, random.choice(("width", "height")), size(random))
            elif kind == 4:
                setattr(message, random.choice(("binning_x", "binning_y")), size(random))
            elif kind == 5:
                low = (0, 1, 2, 8, 16)
                x, y, width, height = (
                    random.choice(low) if random.random() < 0.7 else size(random) for _ in range(4)
                )
                message.roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
            else:
                message.k = [number(random, v) for v in message.k]
        return serialize_message(message)

    def check(self, data: bytes) -> None:
        camera = self._camera()
        camera.take_info(deserialize_message(data, CameraInfo))
        entry = camera.calibration.with_intrinsics()
        if not (np.isfinite(entry.K).all() and np.isfinite(entry.distortion).all()):
            raise ValueError("accepted intrinsics are not finite")
        if min(entry.K[0, 0], entry.K[1, 1]) <= 0 or min(entry.size_px) < 1:
            raise ValueError(f"accepted K {entry.K.tolist()}, size {entry.size_px}")
