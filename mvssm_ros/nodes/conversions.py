"""ROS messages of a camera to what the package works on, checked field by field, and back.

Every error names the camera, the topic, what was expected and what was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.detector import check_keypoints, check_people_count
from mvssm_ros.geometry.skeletons import SKELETONS, skeleton_map
from mvssm_ros.msg import Keypoints2D, Keypoints2DArray
from mvssm_ros.nodes import optional
from mvssm_ros.rig.rig_file import CameraEntry
from mvssm_ros.rig.validation import MAX_SIDE_PX, check_camera_matrix, check_distortion

# Encodings read straight from the buffer: bytes a pixel, and OpenCV's conversion to RGB.
_PACKED: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),  # OpenCV names the second row's second pixel first
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
}
_MAX_PIXELS = 100_000_000  # of a compressed image; 300 MB decoded
_WIDE = ("16", "32", "64")  # bits of the encodings that hold no 8-bit picture

RgbImage = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Intrinsics:
    """K [3, 3] px of the image as published, its distortion and its size (width, height)."""

    K: npt.NDArray[np.float64]
    distortion_model: str
    distortion: npt.NDArray[np.float64]
    size_px: tuple[int, int]


def image_encodings() -> dict[str, int]:
    """The encodings that are read without cv_bridge, and their bytes a pixel."""
    return {name: channels for name, (channels, _) in _PACKED.items()}


def image_to_rgb(msg: Image, camera: str, topic: str) -> RgbImage:
    """An Image message as [H, W, 3] uint8 RGB; a view of the message where no conversion is needed.

    Raises:
        UserError: empty, 16-bit or unknown encoding, less data than step * height, or a size that
            the encoding cannot have.
    """
    where = f"camera '{camera}', topic '{topic}'"
    if msg.width == 0 or msg.height == 0:
        raise UserError(f"{where}: empty image ({msg.width} x {msg.height}); check the driver")
    if any(bits in msg.encoding for bits in _WIDE):
        raise UserError(
            f"{where}: encoding {msg.encoding!r:.60} is not an 8-bit picture; expected one of"
            f" {sorted(_PACKED)}; let the driver publish bgr8, or convert before"
        )
    if msg.encoding not in _PACKED:
        return _with_cv_bridge(msg, where)
    channels, conversion = _PACKED[msg.encoding]
    row_bytes = msg.width * channels
    if msg.step < row_bytes:
        raise UserError(
            f"{where}: step is {msg.step} bytes, expected at least {row_bytes} for {msg.width}"
            f" pixels of {msg.encoding!r:.60}; fix the publisher"
        )
    if len(msg.data) < msg.step * msg.height:
        raise UserError(
            f"{where}: data has {len(msg.data)} bytes, expected step x height ="
            f" {msg.step} x {msg.height} = {msg.step * msg.height}; the image is cut short"
        )
    rows = np.frombuffer(msg.data, np.uint8, msg.step * msg.height).reshape(msg.height, msg.step)
    pixels = rows[:, :row_bytes].reshape(msg.height, msg.width, channels)
    if conversion is None:
        return np.ascontiguousarray(pixels)
    try:
        return cv2.cvtColor(pixels, conversion)
    except cv2.error as error:
        raise UserError(
            f"{where}: an image of {msg.width} x {msg.height} cannot be {msg.encoding!r:.60}"
            " (yuv needs an even width); fix the publisher"
        ) from error


def compressed_to_rgb(
    msg: CompressedImage, camera: str, topic: str, expected_px: tuple[int, int] | None = None
) -> RgbImage:
    """A CompressedImage (JPEG or PNG) as [H, W, 3] uint8 RGB, in the sensor's orientation.

    An EXIF orientation is ignored, because the calibration belongs to the image as it was taken.
    Where ``expected_px`` (width, height) is given, an image of another size is not decoded at all.

    Raises:
        UserError: another format, data cut short, data that cannot be decoded, or a size that
            nobody would decode.
    """
    where = f"camera '{camera}', topic '{topic}'"
    if any(bits in msg.format.split(";")[0] for bits in _WIDE):
        raise UserError(f"{where}: format {msg.format!r:.60} is not an 8-bit picture; use bgr8")
    raw = bytes(msg.data)
    if raw.startswith(b"\xff\xd8"):
        whole, size_px = _jpeg_end_and_size(raw)
    elif raw.startswith(b"\x89PNG\r\n\x1a\n"):
        whole = b"IEND" in raw[-16:]
        size_px = (int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big"))
    else:
        raise UserError(
            f"{where}: format {msg.format!r:.60} with {len(raw)} bytes is neither JPEG nor PNG;"
            " publish one of these (image_transport 'compressed')"
        )
    if not whole:
        raise UserError(
            f"{where}: the {msg.format!r:.60} image is cut short at {len(raw)} bytes (no end marker);"
            " check the network and the driver"
        )
    _check_decoded_size(size_px, where)
    if expected_px is not None and all(size_px):
        check_size(size_px, expected_px, where)
    try:
        decoded = cv2.imdecode(
            np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        decoded = None
    if decoded is None:
        raise UserError(
            f"{where}: the {msg.format!r:.60} image of {len(raw)} bytes cannot be decoded;"
            " check the network and the driver"
        )
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def message_to_rgb(
    msg: Image | CompressedImage, camera: str, topic: str, expected_px: tuple[int, int] | None
) -> RgbImage:
    """Either kind of image as [H, W, 3] uint8 RGB, of the size (width, height) that is expected.

    Raises:
        UserError: as `image_to_rgb` and `compressed_to_rgb`, or another size than expected.
    """
    if isinstance(msg, CompressedImage):
        image = compressed_to_rgb(msg, camera, topic, expected_px)
    else:
        image = image_to_rgb(msg, camera, topic)
    if expected_px:
        where = f"camera '{camera}', topic '{topic}'"
        check_size((image.shape[1], image.shape[0]), expected_px, where)
    return image


def intrinsics_to_info(entry: CameraEntry) -> CameraInfo:
    """K, distortion and image size of a camera as a CameraInfo; the rest is left empty.

    Raises:
        UserError: it lacks one of them.
    """
    if entry.K is None or entry.size_px is None or entry.distortion is None:
        raise UserError(f"camera '{entry.name}': its intrinsics are not known")
    return CameraInfo(
        width=entry.size_px[0],
        height=entry.size_px[1],
        distortion_model=entry.distortion_model,
        d=entry.distortion.tolist(),
        k=entry.K.ravel().tolist(),
    )


def keypoints_to_message(
    people: npt.NDArray[np.floating], skeleton: str, size_px: tuple[int, int], header: Header
) -> Keypoints2DArray:
    """2D people [P, J, 3] (x px, y px, confidence) of an image of this width and height."""
    return Keypoints2DArray(
        header=header,
        skeleton=skeleton,
        width=size_px[0],
        height=size_px[1],
        people=[
            Keypoints2D(x=x, y=y, confidence=confidence)
            for x, y, confidence in people.transpose(0, 2, 1).tolist()
        ],
    )


def info_to_intrinsics(msg: CameraInfo, camera: str, topic: str) -> Intrinsics:
    """A CameraInfo as the intrinsics of the image as published (region of interest and binning in).

    Raises:
        UserError: K is all zero or no camera matrix, no size or an absurd one, a wrong distortion
            model, or a region of interest or binning that leaves no image.
    """
    where = f"camera '{camera}', topic '{topic}'"
    K = check_camera_matrix(msg.k, None, where).copy()
    if msg.width == 0 or msg.height == 0:
        raise UserError(
            f"{where}: image size {msg.width} x {msg.height}; fill in width and height, they say"
            " for which images K holds"
        )
    if max(msg.width, msg.height) > MAX_SIDE_PX:
        raise UserError(
            f"{where}: image size {msg.width} x {msg.height}, expected sides up to {MAX_SIDE_PX} px;"
            " fill in width and height of the full resolution"
        )
    model, coefficients = _distortion(msg, where)
    size_px = (msg.width, msg.height)
    if msg.roi.width and msg.roi.height:
        right, bottom = msg.roi.x_offset + msg.roi.width, msg.roi.y_offset + msg.roi.height
        if right > msg.width or bottom > msg.height:
            raise UserError(
                f"{where}: the region of interest ends at {right}, {bottom}, outside the image of"
                f" {msg.width} x {msg.height}; width and height are those of the full resolution"
            )
        K[:2, 2] -= msg.roi.x_offset, msg.roi.y_offset
        size_px = (msg.roi.width, msg.roi.height)
    binning = (max(msg.binning_x, 1), max(msg.binning_y, 1))
    if binning != (1, 1):
        if binning[0] > size_px[0] or binning[1] > size_px[1]:
            raise UserError(
                f"{where}: binning {binning[0]} x {binning[1]} leaves nothing of {size_px[0]} x"
                f" {size_px[1]} pixels; set binning_x and binning_y to the camera's"
            )
        for axis, factor in enumerate(binning):
            K[axis, 2] = (K[axis, 2] + 0.5) / factor - 0.5  # pixel centres are whole numbers
            K[axis, :2] /= factor
        size_px = (size_px[0] // binning[0], size_px[1] // binning[1])
    return Intrinsics(K, model, coefficients, size_px)


def keypoints_to_panoptic15(
    msg: Keypoints2DArray, camera: str, topic: str
) -> npt.NDArray[np.float32]:
    """2D people of one image as [P, 15, 3] (x px, y px, confidence; 0 = missing).

    Raises:
        UserError: unknown skeleton, too many people, arrays of another length than it has joints,
            or confidences above 1.
    """
    where = f"camera '{camera}', topic '{topic}'"
    if msg.skeleton not in SKELETONS:
        raise UserError(
            f"{where}: unknown skeleton {msg.skeleton!r:.60}; expected one of {sorted(SKELETONS)}"
        )
    check_people_count(len(msg.people), where)
    n_joints = SKELETONS[msg.skeleton].n_joints
    people = np.zeros((len(msg.people), n_joints, 3), np.float32)
    for index, person in enumerate(msg.people):
        lengths = {len(person.x), len(person.y), len(person.confidence)}
        if lengths != {n_joints}:
            raise UserError(
                f"{where}: x, y and confidence of a person have {len(person.x)}, {len(person.y)}"
                f" and {len(person.confidence)} elements, expected {n_joints} for {msg.skeleton!r:.60}"
            )
        people[index] = np.stack([person.x, person.y, person.confidence], axis=-1)
    return skeleton_map(msg.skeleton).apply(check_keypoints(people, n_joints, where))


def check_size(got_px: tuple[int, int], expected_px: tuple[int, int], where: str) -> None:
    """Raise UserError unless an image has the size (width, height) its calibration is for."""
    if got_px != expected_px:
        raise UserError(
            f"{where}: the image is {got_px[0]} x {got_px[1]}, the calibration is for"
            f" {expected_px[0]} x {expected_px[1]}; calibrate at the resolution you publish"
        )


def _distortion(msg: CameraInfo, where: str) -> tuple[str, npt.NDArray[np.float64]]:
    """Model and coefficients. Drivers of undistorted cameras often leave the model empty."""
    if not np.any(msg.d):
        return "plumb_bob", np.zeros(5)
    return msg.distortion_model, check_distortion(msg.distortion_model, msg.d, where)


def _with_cv_bridge(msg: Image, where: str) -> RgbImage:
    library = optional.cv_bridge()
    if library is None:
        raise UserError(
            f"{where}: unknown encoding {msg.encoding!r:.60}; expected one of {sorted(_PACKED)}"
            " (more where cv_bridge is installed)"
        )
    try:
        return library.CvBridge().imgmsg_to_cv2(msg, "rgb8")
    except Exception as error:  # CvBridgeError, cv2.error, TypeError
        raise UserError(
            f"{where}: encoding {msg.encoding!r:.60} cannot be converted to RGB ({error});"
            f" expected one of {sorted(_PACKED)}"
        ) from error


def _check_decoded_size(size_px: tuple[int, int], where: str) -> None:
    """Before it is allocated: damaged headers ask for gigabytes."""
    width, height = size_px
    if width * height > _MAX_PIXELS or max(size_px) > MAX_SIDE_PX:
        raise UserError(
            f"{where}: the image says it is {width} x {height}, expected up to {_MAX_PIXELS:,}"
            f" pixels and sides up to {MAX_SIDE_PX}; is it damaged?"
        )


def _jpeg_end_and_size(data: bytes) -> tuple[bool, tuple[int, int]]:
    """Whether an end-of-image marker follows the compressed data, and width and height.

    The segments before it are skipped by their lengths, because a thumbnail in the EXIF segment is
    a whole JPEG with an end marker of its own.
    """
    at, size_px = 2, (0, 0)
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # fill byte
            at += 1
            continue
        if kind == 0x01 or 0xD0 <= kind <= 0xD7:  # these have no length
            at += 2
            continue
        if kind in (0x00, 0xD8, 0xD9):  # cannot be here; decoders differ in what they skip
            return False, size_px
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # start of frame
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            size_px = (int.from_bytes(data[at + 7 : at + 9], "big"), height)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDA:  # start of scan
            return data.find(b"\xff\xd9", at) >= 0, size_px
    return False, size_px
