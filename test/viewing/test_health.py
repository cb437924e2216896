"""How cameras are doing, as colours and text."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from mvssm_ros.msg import CameraStatus, RigStatus
from mvssm_ros.nodes.diagnostics import STATE_NAMES
from mvssm_ros.viewing import health
from mvssm_ros.viewing.health import StatusChanges, camera_color, state_name, status_page


def test_every_state_has_a_name():
    names = [state_name(state) for state in STATE_NAMES]
    assert len(set(names)) == len(names)
    assert state_name(CameraStatus.STALE) == "silent"
    assert state_name(200) == "state 200"


def test_only_a_camera_that_is_used_is_not_red():
    for state in STATE_NAMES:
        expected = health.GOOD if state == CameraStatus.OK else health.BAD
        assert camera_color(CameraStatus(state=state)) == expected
    told = CameraStatus(state=CameraStatus.OK, message="reprojection 20 px")
    assert camera_color(told) == health.DOUBTFUL


def test_the_page_tells_state_and_figures_of_every_camera():
    cameras = [
        CameraStatus(
            name="left", state=CameraStatus.OK, rate_hz=30.0, reprojection_px=float("nan")
        ),
        CameraStatus(name="top_right", state=CameraStatus.STALE, reprojection_px=2.5),
    ]
    page = status_page(RigStatus(summary="Camera | gone.", level=RigStatus.WARN, cameras=cameras))
    assert "Something is wrong" in page
    assert "Camera \\| gone." in page
    assert "| left | ok | 30.0 | 0 | - |" in page
    assert "| top\\_right | silent | 0.0 | 0 | 2.5 px |" in page


def test_the_log_tells_what_is_new_and_nothing_twice():
    changes = StatusChanges()

    def array(level, message):
        return DiagnosticArray(status=[DiagnosticStatus(name="cam", level=level, message=message)])

    assert changes.news(array(DiagnosticStatus.OK, "12 images")) == [("INFO", "cam: 12 images")]
    assert changes.news(array(DiagnosticStatus.OK, "13 images")) == []
    assert changes.news(array(DiagnosticStatus.STALE, "13 images")) == [("WARN", "cam: 13 images")]
    assert changes.news(array(DiagnosticStatus.ERROR, "dead")) == [("ERROR", "cam: dead")]
