"""Stereo and multi-camera calibrations in OpenCV's FileStorage.

Two cameras, as OpenCV's stereo_calib sample writes them (one file, or two named together):

    M1, D1, M2, D2            camera matrices and distortions (also K1, K2; cameraMatrix1, ...)
    R, T                      x_2 = R x_1 + T
    image_size                [width, height] (also imageSize); else --image-size

Any number, as OpenCV's multiview_calibration.py writes them:

    Ks [n, 3, 3], Rs [n, 3, 3], Ts [n, 3]     x_i = R_i x_0 + T_i
    distortions               all cameras' coefficients, one after the other
    models                    0 pinhole, 1 fisheye
    image_sizes [n, 2]        width, height
    cam_ids                   names, "0,1,2"

The world is the first camera's optical frame; the unit is that of the board's squares.
"""

from __future__ import annotations

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import (
    Array,
    Options,
    add,
    camera,
    camera_name,
    opencv_distortion,
)
from mvssm_ros.rig.importers.file_storage import Storage
from mvssm_ros.rig.rig_file import CameraEntry

_MATRIX_NAMES = ("M{}", "K{}", "cameraMatrix{}", "camera_matrix_{}")
_DISTORTION_NAMES = ("D{}", "distCoeffs{}", "dist_coeffs_{}", "distortion_coefficients_{}")
_SIZE_NAMES = ("image_size", "imageSize", "image_sizes")


def read_opencv(paths: list[str], options: Options, where: str) -> dict[str, CameraEntry]:
    """The cameras, in the first camera's optical frame, in metres.

    Raises:
        UserError: no such matrices, one of another size, or an image size that neither the file
            nor the options say.
    """
    storage = Storage(paths, where)
    if "Ks" in storage:
        return _read_many(storage, options)
    return _read_pair(storage, options)


def _read_pair(storage: Storage, options: Options) -> dict[str, CameraEntry]:
    where = storage.where
    R = storage.matrix("R", (9,)).reshape(3, 3)
    t_m = storage.matrix("T", (3,)) * (options.unit_m or 1.0)
    poses = [(np.eye(3), np.zeros(3)), (R, t_m)]
    cameras: dict[str, CameraEntry] = {}
    for i, (rotation, translation) in enumerate(poses, start=1):
        at = f"{where}: camera {i}"
        K = storage.matrix(_one_of(storage, _MATRIX_NAMES, i), (9,)).reshape(3, 3)
        given = storage.matrix(_one_of(storage, _DISTORTION_NAMES, i))
        model, distortion = opencv_distortion(given, False, at)
        size_px = _sizes_px(storage, options, 2)[i - 1]
        add(
            cameras, camera(f"cam{i}", size_px, K, distortion, rotation, translation, at, model), at
        )
    return cameras


def _read_many(storage: Storage, options: Options) -> dict[str, CameraEntry]:
    where = storage.where
    n = len(storage.matrix("Ks")) // 9
    Ks = storage.matrix("Ks", (9 * n,)).reshape(n, 3, 3)
    Rs = storage.matrix("Rs", (9 * n,)).reshape(n, 3, 3)
    Ts_m = storage.matrix("Ts", (3 * n,)).reshape(n, 3) * (options.unit_m or 1.0)
    names = storage.texts("cam_ids") if "cam_ids" in storage else [f"cam{i}" for i in range(n)]
    if len(names) != n:
        raise UserError(f"{where}: cam_ids has {len(names)} names, expected {n}")
    fisheye = storage.matrix("models", (n,)) == 1 if "models" in storage else np.zeros(n, bool)
    sizes_px = _sizes_px(storage, options, n)
    cameras: dict[str, CameraEntry] = {}
    given = _split_distortions(storage.matrix("distortions"), fisheye, where)
    for i, name in enumerate(names):
        at = f"{where}: camera {name}"
        model, distortion = opencv_distortion(given[i], bool(fisheye[i]), at)
        found = camera(camera_name(name), sizes_px[i], Ks[i], distortion, Rs[i], Ts_m[i], at, model)
        add(cameras, found, at)
    return cameras


def _split_distortions(flat: Array, fisheye: np.ndarray, where: str) -> list[Array]:
    """One array a camera: 4 of a fisheye, and the same number of each other camera."""
    n_fisheye = int(fisheye.sum())
    n_pinhole = len(fisheye) - n_fisheye
    left = len(flat) - 4 * n_fisheye
    each, rest = divmod(left, n_pinhole) if n_pinhole else (0, left)
    if left < 0 or rest:
        raise UserError(
            f"{where}: distortions: {len(flat)} coefficients do not go round {n_pinhole} pinhole"
            f" and {n_fisheye} fisheye cameras"
        )
    lengths = np.where(fisheye, 4, each)
    return np.split(flat, np.cumsum(lengths)[:-1])


def _one_of(storage: Storage, patterns: tuple[str, ...], i: int) -> str:
    names = [pattern.format(i) for pattern in patterns]
    for name in names:
        if name in storage:
            return name
    raise UserError(
        f"{storage.where}: has no {names[0]} (or {', '.join(names[1:])}); it has"
        f" {', '.join(storage.keys())}. Intrinsics and extrinsics in two files: name both"
    )


def _sizes_px(storage: Storage, options: Options, n: int) -> list[tuple[int, int]]:
    """Width and height of each camera's images."""
    for key in _SIZE_NAMES:
        if key in storage:
            flat = storage.matrix(key, (2, 2 * n))
            pairs = np.tile(flat, n).reshape(-1, 2)[:n] if len(flat) == 2 else flat.reshape(n, 2)
            return [(int(width), int(height)) for width, height in pairs]
    if options.image_size_px is None:
        raise UserError(
            f"{storage.where}: does not say the image size ({', '.join(_SIZE_NAMES)}); add"
            " --image-size WIDTH HEIGHT"
        )
    return [options.image_size_px] * n
