"""EasyMocap's intri.yml and extri.yml: world in metres, ``x_cam = R x + T``.

    names: ["01", "02"]
    K_01, dist_01 (k1 k2 p1 p2 k3), and in newer files H_01, W_01     # intri.yml
    R_01 (Rodrigues vector) and Rot_01 (matrix), T_01                 # extri.yml

Format: easymocap/mytools/camera_utils.py of github.com/zju3dv/EasyMocap.
"""

from __future__ import annotations

import cv2
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


def read_easymocap(paths: list[str], options: Options, where: str) -> dict[str, CameraEntry]:
    """The cameras of both files, in their world, in metres.

    Raises:
        UserError: not such files, a matrix missing or unusable, or an image size that neither the
            files nor the options say.
    """
    storage = Storage(paths, where)
    unit_m = options.unit_m or 1.0
    cameras: dict[str, CameraEntry] = {}
    for name in storage.texts("names"):
        at = f"{where}: camera {name}"
        K = storage.matrix(f"K_{name}", (9,)).reshape(3, 3)
        R: Array
        key = next((k for k in (f"dist_{name}", f"D_{name}") if k in storage), None)
        given = storage.matrix(key)[:5] if key else K[:0, 0]
        model, distortion = opencv_distortion(given, False, at)
        if f"Rot_{name}" in storage:
            R = storage.matrix(f"Rot_{name}", (9,)).reshape(3, 3)
        else:
            R = np.asarray(cv2.Rodrigues(storage.matrix(f"R_{name}", (3,)))[0], np.float64)
        t_m = storage.matrix(f"T_{name}", (3,)) * unit_m
        size_px = _size_px(storage, name, options, at)
        add(cameras, camera(camera_name(name), size_px, K, distortion, R, t_m, at, model), at)
    return cameras


def _size_px(storage: Storage, name: str, options: Options, where: str) -> tuple[int, int]:
    if f"W_{name}" in storage and f"H_{name}" in storage:
        width, height = (int(storage.matrix(f"{key}_{name}", (1,))[0]) for key in "WH")
        if width > 0 and height > 0:
            return width, height
    if options.image_size_px is None:
        raise UserError(
            f"{where}: the files do not say the image size (W_{name}, H_{name}); add"
            " --image-size WIDTH HEIGHT"
        )
    return options.image_size_px
