"""RigCalibration messages of cameras as they stand in a rig."""

from mvssm_ros.msg import CameraCalibration, RigCalibration
from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.rig.rig_file import Rig


def rig_calibration(rig: Rig, names, source="test", intrinsics=False) -> RigCalibration:
    """The poses of these cameras, and their intrinsics if asked."""
    message = RigCalibration(source=source)
    message.header.frame_id = rig.reference_frame
    for name in names:
        entry = rig.cameras[name]
        camera = CameraCalibration(name=name)
        place, turn = camera.pose.position, camera.pose.orientation
        place.x, place.y, place.z = (float(v) for v in entry.center_m)
        turn.x, turn.y, turn.z, turn.w = (float(v) for v in quaternion_from_matrix(entry.R.T))
        if intrinsics:
            info = camera.intrinsics
            info.width, info.height = entry.size_px
            info.k = entry.K.reshape(-1).tolist()
            info.d = entry.distortion.tolist()
            info.distortion_model = entry.distortion_model
        message.cameras.append(camera)
    return message
