"""Calibration files of several programs, written with known numbers, and what they mean."""

import cv2
import numpy as np

from mvssm_ros.rig.importers.placing import LEVEL_OPTICAL

SIZE_PX = (1280, 720)
K = np.array([[900.0, 0, 650], [0, 910, 340], [0, 0, 1]])
DISTORTION = np.array([-0.1, 0.05, 0.001, -0.002, 0.01])
POINTS_M = np.array([[0.0, 0, 1], [0.5, -0.3, 1.7], [-0.6, 0.4, 0.2]])  # in view of all cameras


def level_camera(center_m, yaw_rad):
    """R, t (x_cam = R x + t) of a level camera that looks along yaw."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    R = (np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ LEVEL_OPTICAL).T
    return R, -R @ np.asarray(center_m, float)


# Three cameras 4 m from the origin that look at it, 1 m high
POSES = [level_camera((4 * np.cos(a), 4 * np.sin(a), 1.0), a + np.pi) for a in (0.0, 1.9, 3.8)]


def expected_px(i, points_m=POINTS_M, distortion=DISTORTION, fisheye=False):
    """OpenCV's projection of the points into camera i, [N, 2] px."""
    R, t = POSES[i]
    rvec = cv2.Rodrigues(R)[0]
    if fisheye:
        points = points_m.reshape(-1, 1, 3)
        return cv2.fisheye.projectPoints(points, rvec, t, K, distortion)[0].reshape(-1, 2)
    return cv2.projectPoints(points_m, rvec, t, K, distortion)[0].reshape(-1, 2)


def in_first_camera(i):
    """R, t from the first camera's coordinates to camera i's."""
    (R0, t0), (R, t) = POSES[0], POSES[i]
    return R @ R0.T, t - R @ R0.T @ t0


def homogeneous(R, t):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T


def opencv_matrix(name, values):
    """One matrix of a FileStorage, as OpenCV writes it."""
    rows, cols = np.atleast_2d(values).shape
    data = ", ".join(f"{v:.17g}" for v in np.ravel(values))
    return f"{name}: !!opencv-matrix\n   rows: {rows}\n   cols: {cols}\n   dt: d\n   data: [ {data} ]\n"


def easymocap(folder, sizes=True):
    """intri.yml and extri.yml of the three cameras, in the folder."""
    names = ["01", "02", "3"]
    head = "%YAML:1.0\n---\nnames:\n" + "".join(f'  - "{name}"\n' for name in names)
    intri, extri = head, head
    for name, (R, t) in zip(names, POSES):
        intri += opencv_matrix(f"K_{name}", K) + opencv_matrix(f"dist_{name}", DISTORTION[None])
        if sizes:
            intri += f"H_{name}: {SIZE_PX[1]}\nW_{name}: {SIZE_PX[0]}\n"
        extri += opencv_matrix(f"R_{name}", cv2.Rodrigues(R)[0])
        extri += opencv_matrix(f"Rot_{name}", R) + opencv_matrix(f"T_{name}", t[:, None])
    (folder / "intri.yml").write_text(intri)
    (folder / "extri.yml").write_text(extri)
    return [str(folder / "intri.yml"), str(folder / "extri.yml")]


def toml(path, table="{}", rotation_as_matrix=False, unit_m=1.0, to_file_world=None):
    """A TOML file of the three cameras, as Pose2Sim writes it."""
    turn = np.eye(3) if to_file_world is None else to_file_world
    text = ""
    for i, (R, t) in enumerate(POSES):
        R = R @ turn.T
        rotation = R.tolist() if rotation_as_matrix else cv2.Rodrigues(R)[0].ravel().tolist()
        text += (
            f"[{table.format(f'cam_{i + 1:02d}')}]\n"
            f'name = "cam_{i + 1:02d}"\nsize = [ {SIZE_PX[0]}.0, {SIZE_PX[1]}.0]\n'
            f"matrix = {K.tolist()}\ndistortions = {DISTORTION.tolist()}\n"
            f"rotation = {rotation}\ntranslation = {(t / unit_m).tolist()}\nfisheye = false\n\n"
        )
    path.write_text(text + "[metadata]\nadjusted = false\nerror = 0.0\n")
    return str(path)


def kalibr(path, fisheye=False, imu=False, chain=True, head=""):
    """A camera chain; with ``imu``, T_cam_imu of an IMU that is turned against the cameras."""
    T_c0_imu = homogeneous(cv2.Rodrigues(np.array([0.3, -0.2, 0.9]))[0], [0.1, -0.05, 0.02])
    text, before = head, np.eye(4)
    for i in range(len(POSES)):
        T = homogeneous(*in_first_camera(i))
        distortion = [0.05, -0.02, 0.01, -0.003] if fisheye else DISTORTION[:4].tolist()
        text += (
            f"cam{i}:\n  camera_model: pinhole\n  cam_overlaps: [0]\n"
            f"  intrinsics: [{K[0, 0]}, {K[1, 1]}, {K[0, 2]}, {K[1, 2]}]\n"
            f"  distortion_model: {'equidistant' if fisheye else 'radtan'}\n"
            f"  distortion_coeffs: {distortion}\n"
            f"  resolution: {list(SIZE_PX)}\n  rostopic: /rig/cam{i}/image_raw\n"
        )
        if imu:
            text += "  T_cam_imu:\n" + "".join(f"  - {row}\n" for row in (T @ T_c0_imu).tolist())
        if chain and i > 0:
            link = (T @ np.linalg.inv(before)).tolist()
            text += "  T_cn_cnm1:\n" + "".join(f"  - {row}\n" for row in link)
        before = T
    path.write_text(text)
    return str(path)


def camera_info(path, name, K=K, distortion=DISTORTION, model="plumb_bob"):
    """As ROS's camera_calibration_parsers writes it."""

    def matrix(rows, cols, values):
        return f"\n  rows: {rows}\n  cols: {cols}\n  data: {np.ravel(values).tolist()}\n"

    path.write_text(
        f"image_width: {SIZE_PX[0]}\nimage_height: {SIZE_PX[1]}\ncamera_name: {name}\n"
        f"camera_matrix:{matrix(3, 3, K)}distortion_model: {model}\n"
        f"distortion_coefficients:{matrix(1, len(distortion), distortion)}"
        f"rectification_matrix:{matrix(3, 3, np.eye(3))}"
        f"projection_matrix:{matrix(3, 4, np.hstack([K, np.zeros((3, 1))]))}"
    )
    return str(path)
