"""A calibration that changes while pose_node runs: by message, by ~/reload_calibration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from std_srvs.srv import Trigger

from mvssm_ros.msg import RigCalibration

from ..support.calibration_messages import rig_calibration
from .conftest import INFO, WARN, standing_person

SUCCESS = TransitionCallbackReturn.SUCCESS
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BAD = "cam1"
RELOAD = "/mvssm/reload_calibration"


def displaced(rig):
    """All cameras 0.1 m further along x, and one of them turned by a degree."""
    cameras = {}
    for name, entry in rig.cameras.items():
        turn_deg = 1.0 if name == BAD else 0.0
        R = Rotation.from_euler("y", turn_deg, degrees=True).as_matrix() @ entry.R
        cameras[name] = replace(entry, R=R, t_m=-R @ (entry.center_m + np.array([0.1, 0.0, 0.0])))
    return replace(rig, cameras=cameras)


def start(world, rig, path, weights, **parameters):
    node = world.pose_node(rig_file=path, input="keypoints", model__weights=weights, **parameters)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    return node


def send_sets(world, rig, indices):
    for index in indices:
        answered = len(world.answers)
        world.publish_keypoints(rig, index, [standing_person()])
        world.spin_until(lambda before=answered: len(world.answers) > before)


def reload(world):
    client = world.tester.create_client(Trigger, RELOAD)
    world.spin_until(client.service_is_ready)
    future = client.call_async(Trigger.Request())
    world.spin_until(future.done)
    world.tester.destroy_client(client)
    return future.result()


def off_mm(answer) -> float:
    """The only person: how far her joints are from where she stands, at the worst."""
    (person,) = answer.people
    found = np.array([[j.position.x, j.position.y, j.position.z] for j in person.joints])
    return float(1000 * np.linalg.norm(found - standing_person(), axis=1).max())


def used(node, name=BAD):
    return node._configured.inputs[name].calibration.last


def test_a_message_replaces_the_rig_file_between_two_sets(world, rig_and_file, trained_weights):
    rig, path = rig_and_file
    true = displaced(rig)
    start(world, rig, path, trained_weights)
    send_sets(world, true, range(3))
    assert 80 < off_mm(world.answers[-1]) < 120
    message = rig_calibration(true, list(rig.cameras), source="people who walk about")
    world.publisher(RigCalibration, "calibration", LATCHED).publish(message)
    world.spin_until(lambda: world.said("people who walk about", level=INFO))
    (line,) = world.said("calibration on '/calibration'", level=INFO)
    assert f"{BAD}: turned by 1.00 deg and moved by 0.100 m" in line
    assert "cam0: turned by 0.00 deg and moved by 0.100 m" in line
    send_sets(world, true, range(3, 6))
    assert off_mm(world.answers[-1]) < 5
    assert len({p.id for answer in world.answers for p in answer.people}) == 1


def test_a_wrong_message_changes_nothing_and_is_told_once(world, rig_and_file, trained_weights):
    rig, path = rig_and_file
    node = start(world, rig, path, trained_weights)
    send_sets(world, rig, range(2))
    before = {name: used(node, name) for name in rig.cameras}
    wrong = rig_calibration(displaced(rig), list(rig.cameras))
    wrong.cameras[3].pose.orientation.w += 1.0
    publisher = world.publisher(RigCalibration, "calibration", LATCHED)
    publisher.publish(wrong)
    world.spin_until(lambda: world.said("a calibration is refused"))
    publisher.publish(wrong)
    send_sets(world, rig, range(2, 4))
    (line,) = world.said("a calibration is refused")
    assert "camera 'cam3'" in line
    assert "unit quaternion" in line
    assert "\n" not in line
    assert all(used(node, name) is before[name] for name in rig.cameras)
    assert off_mm(world.answers[-1]) < 5


def test_everything_from_the_topic(world, rig_and_file, trained_weights):
    """The rig file's extrinsics are wrong and not used; before the message there is no answer."""
    rig, _ = rig_and_file
    path = Path(rig_and_file[1])
    displaced(rig).save(path)
    start(world, rig, str(path), trained_weights, calibration__source="topic")
    for index in range(60):
        world.publish_keypoints(rig, index, [standing_person()])
        world.spin_for(0.1)
        if world.said("nothing has come on the topic 'calibration'"):
            break
    assert world.answers == []
    world.spin_until(lambda: len(world.said("nothing has come on the topic 'calibration'")) == 4)
    message = rig_calibration(rig, list(rig.cameras), intrinsics=True)
    world.publisher(RigCalibration, "calibration", LATCHED).publish(message)
    world.spin_until(lambda: world.said("cam2: has extrinsics now", level=INFO))
    send_sets(world, rig, range(100, 103))
    assert off_mm(world.answers[-1]) < 5
    answer = reload(world)
    assert not answer.success
    assert "calibration.source is 'topic'" in answer.message


def test_reload_while_active_and_while_inactive(world, rig_and_file, trained_weights):
    rig, path = rig_and_file
    true = displaced(rig)
    node = start(world, rig, path, trained_weights)
    answer = reload(world)
    assert answer.success
    assert "nothing has changed" in answer.message
    send_sets(world, true, range(3))
    true.save(path)
    answer = reload(world)
    assert answer.success
    assert f"{BAD}: turned by 1.00 deg and moved by 0.100 m" in answer.message
    send_sets(world, true, range(3, 6))
    assert off_mm(world.answers[-1]) < 5
    assert len({p.id for each in world.answers for p in each.people}) == 1
    assert node.trigger_deactivate() == SUCCESS
    rig.save(path)
    assert reload(world).success
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    send_sets(world, rig, range(10, 13))
    assert off_mm(world.answers[-1]) < 5
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    client = world.tester.create_client(Trigger, RELOAD)
    world.spin_until(lambda: not client.service_is_ready())


def without_camera(rig):
    return replace(rig, cameras={n: e for n, e in rig.cameras.items() if n != "cam3"})


def millimetres(rig):
    return replace(rig, cameras={n: replace(e, t_m=1000 * e.t_m) for n, e in rig.cameras.items()})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rig, path: path.write_text("cameras: [", "utf-8"), ["rig.yaml"]),
        (lambda rig, path: path.unlink(), ["rig.yaml"]),
        (lambda rig, path: millimetres(rig).save(path), ["rig.yaml", "looks like millimetres"]),
        (lambda rig, path: without_camera(rig).save(path), ["cam3", "configure it anew"]),
        (
            lambda rig, path: replace(rig, reference_frame="hall").save(path),
            ["'hall'", "'map'", "configure it anew"],
        ),
        (
            lambda rig, path: replace(
                rig, cameras={**rig.cameras, BAD: replace(rig.cameras[BAD], R=None, t_m=None)}
            ).save(path),
            [BAD, "lacks its extrinsics"],
        ),
    ],
    ids=["no YAML", "gone", "millimetres", "other cameras", "other frame", "no extrinsics"],
)
def test_a_reload_of_a_wrong_file_changes_nothing(
    world, rig_and_file, trained_weights, spoil, said
):
    rig, path = rig_and_file
    node = start(world, rig, path, trained_weights)
    send_sets(world, rig, range(2))
    before = {name: used(node, name) for name in rig.cameras}
    spoil(rig, Path(path))
    answer = reload(world)
    assert not answer.success
    assert "\n" not in answer.message
    for each in ("nothing is changed", *said):
        assert each in answer.message
    send_sets(world, rig, range(2, 4))
    assert all(used(node, name) is before[name] for name in rig.cameras)
    assert off_mm(world.answers[-1]) < 5
    assert len(world.said("reload_calibration", level=WARN)) == 1
