"""Pictures show what the calibration says: people where their joints are, near things before far."""

from dataclasses import replace

import numpy as np
import torch

from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.rendering.renderer import render
from mvssm_ros.rendering.sensor import Sensor, expose
from mvssm_ros.simulation.rendering import Renderer
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator

DISTORTION = np.array([-0.25, 0.08, 0.002, -0.001, 0.0])


def distorted(scenario):
    """The same with lenses that bend straight lines."""
    cameras = {n: replace(e, distortion=DISTORTION) for n, e in scenario.rig.cameras.items()}
    return replace(scenario, rig=replace(scenario.rig, cameras=cameras))


def world(name, number, scenario=None):
    simulator = Simulator(scenario or load_scenario(name), 1)
    renderer = Renderer(simulator.cameras, simulator.scenario.rig.space, simulator.boxes)
    return simulator, renderer, simulator.moment(number)


def pixels_of(simulator, points_m):
    points = torch.from_numpy(np.asarray(points_m, np.float32))
    return project(simulator.cameras, points)[0].numpy().round().astype(int)  # [T, N, 2]


def hue(rgb):
    return rgb / max(1, rgb.sum(dtype=float))


def without_people(moment):
    return replace(moment, joints_m=moment.joints_m[:0], velocities_m_s=moment.velocities_m_s[:0])


def test_every_joint_that_is_in_the_image_is_on_a_person():
    simulator, renderer, moment = world("crossing", 5, distorted(load_scenario("crossing")))
    pixels = pixels_of(simulator, moment.joints_m.reshape(-1, 3))
    checked = 0
    for view in range(simulator.cameras.n_views):
        drawn = renderer.paint(moment, view)
        empty = renderer.paint(without_people(moment), view)
        assert drawn.shape == (480, 640, 3)
        assert drawn.dtype == np.uint8
        for x, y in pixels[view]:
            if 0 <= x < 640 and 0 <= y < 480:
                assert (drawn[y, x] != empty[y, x]).any(), (view, x, y)
                checked += 1
        changed = (drawn != empty).any(-1).mean()
        assert 0.005 < changed < 0.3
    assert checked > 100


def test_the_nearer_one_covers_the_other():
    """Whether one person is seen at a joint of the other depends on who is nearer."""
    simulator, renderer, moment = world("crossing", 0)
    camera = simulator.cameras.select([0])
    center = camera.centers_m[0].numpy().astype(float)
    body = moment.joints_m[0] - moment.joints_m[0, 2] + (0.0, 0.0, 0.9)
    near, far = body + 0.25 * np.array([*center[:2], 0.0]), body
    away = body + np.array([0.0, 0.0, 50.0])
    for order in ([0, 1], [1, 0]):
        both = replace(moment, joints_m=np.array([near, far])[order])
        near_only = replace(moment, joints_m=np.array([near, away])[order])
        far_only = replace(moment, joints_m=np.array([away, far])[order])
        drawn, of_near, of_far = (renderer.paint(m, 0) for m in (both, near_only, far_only))
        hips_and_shoulders = near[[2, 3, 6, 9, 12]]
        for x, y in pixels_of(simulator, hips_and_shoulders)[0]:
            assert np.abs(hue(drawn[y, x]) - hue(of_near[y, x])).max() < 0.03  # but for shadows
        assert (drawn != of_near).any()  # what is not covered of the other is seen
        assert (of_far != of_near).any()


def test_the_arm_and_the_table_are_there():
    simulator, renderer, moment = world("table", 20)
    empty = without_people(moment)
    drawn = renderer.paint(empty, 0)
    no_arm = renderer.paint(replace(empty, arm=None), 0)
    tool_and_elbow = [moment.arm.ends_m[3], moment.arm.ends_m[1]]
    for x, y in pixels_of(simulator, tool_and_elbow)[0]:
        assert (drawn[y, x] != no_arm[y, x]).any()
    bare = Renderer(simulator.cameras, simulator.scenario.rig.space, [])
    corner = np.array([[0.6, -0.25, 0.75]])  # on the table's top
    x, y = pixels_of(simulator, corner)[0, 0]
    assert (bare.paint(replace(empty, arm=None), 0)[y, x] != no_arm[y, x]).any()


def test_the_same_moment_gives_the_same_picture():
    _, renderer, moment = world("sit", 30)
    assert renderer.paint(moment, 1).tobytes() == renderer.paint(moment, 1).tobytes()


def test_people_have_a_shadow_on_the_floor_beside_them():
    simulator, renderer, moment = world("crossing", 5)
    beside = moment.joints_m[:, 2] * (
        1,
        1,
        0,
    )  # where the lamp's ray through the hips meets the floor
    beside = beside - moment.joints_m[:, 2, 2:] * np.array([0.42, 0.25, 0.0]) / 0.87
    on_floor = pixels_of(simulator, beside)
    checked = 0
    for view in range(simulator.cameras.n_views):
        drawn, empty = renderer.paint(moment, view), renderer.paint(without_people(moment), view)
        share = drawn.astype(float) / np.maximum(empty, 1)
        shadow = (np.ptp(share, axis=-1) < 0.03) & (share.max(-1) < 0.9)  # darker, of no other hue
        for x, y in on_floor[view]:
            if 30 < x < 610 and 30 < y < 450:
                checked += shadow[y - 10 : y + 10, x - 10 : x + 10].sum() > 100
    assert checked >= 4  # elsewhere somebody stands in front of it


def test_painting_only_what_changed_gives_the_whole_picture():
    simulator, renderer, moment = world("table", 20)
    for view in range(2):
        camera = simulator.cameras.select([view])
        whole = render(
            renderer._stage(moment), Cameras.stack([camera.to(torch.float32)]), (640, 480)
        )
        image = expose(whole.rgb[0], torch.ones(1, 480, 640, dtype=torch.bool), Sensor.perfect(1))
        image = (255 * image[0]).round().permute(1, 2, 0).numpy()
        off = np.abs(renderer.paint(moment, view) - image).max(-1)
        assert (off > 8).mean() < 2e-3  # at the edges of shadows
