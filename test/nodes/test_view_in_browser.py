"""`mvssm view` in a real browser: pose_node, a moving crowd and the viewer, each a real process."""

import numpy as np
import pytest
from browser import browser, part, pixels_of
from living_world import LivingWorld
from viewer_process import end, free_ports, view

from mvssm_ros.viewing import health
from mvssm_ros.viewing.people import person_color

pytest.importorskip("rerun", reason="the viewer library is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Parts of the page: left, top, right, bottom.
PEOPLE = (0.0, 0.08, 0.595, 0.68)
CAM3 = (0.605, 0.40, 0.80, 0.68)
ENOUGH_PX = 60


@pytest.fixture
def page(tmp_path):
    with browser(tmp_path / "profile") as page:
        yield page


@pytest.fixture
def living(world, monkeypatch, tmp_path):
    """Two people walk about in front of four cameras, and pose_node tells where they are."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(world.domain_id))
    with LivingWorld(tmp_path) as living:
        world.spin_until(lambda: len(confirmed(world)) == 2, timeout_s=110)
        yield living


def confirmed(world) -> list[str]:
    """Ids of who is seen now."""
    people = world.answers[-1].people if world.answers else []
    return sorted(p.id for p in people if p.track_state == p.CONFIRMED)


def seen(picture: np.ndarray, name: str) -> np.ndarray:
    """Where a person is in the 3D view."""
    return pixels_of(part(picture, *PEOPLE), person_color(name))


def listeners(world, topic: str) -> set[str]:
    """Names of the nodes that subscribe to a topic."""
    return {i.node_name for i in world.tester.get_subscriptions_info_by_topic(topic)}


def center_px(picture: np.ndarray, name: str) -> np.ndarray:
    return np.argwhere(seen(picture, name)).mean(0)


def test_people_are_seen_in_the_browser_move_and_go(world, living, page, tmp_path):
    port = free_ports()
    process = view(world, "--rig", str(living.rig_file), "--port", str(port))
    try:
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        page.open(f"http://127.0.0.1:{port}")
        world.spin_for(0.5)
        names = confirmed(world)
        assert len(names) == 2
        first = page.look_until(lambda p: all(seen(p, n).sum() > ENOUGH_PX for n in names))
        page.look_until(
            lambda p: all(
                seen(p, n).sum() > ENOUGH_PX
                and np.linalg.norm(center_px(p, n) - center_px(first, n)) > 15
                for n in names
            )
        )

        def reds(picture):
            return int(pixels_of(part(picture, *CAM3), health.BAD).sum())

        assert reds(page.picture()) < ENOUGH_PX
        living.silent_cameras.add("cam3")
        page.look_until(lambda p: reds(p) > 500)

        world.spin_for(0.5)
        names = sorted({p.id for m in world.answers for p in m.people})
        living.people_are_there = False
        page.look_until(lambda p: all(seen(p, n).sum() < 10 for n in names))
        end(process)
    finally:
        process.kill()
        process.wait()
    assert page.asked == {"127.0.0.1"}
    assert not living.troubles


def test_a_recorded_bag_is_played_in_the_browser(world, living, page, tmp_path):
    bag, port = tmp_path / "bag", free_ports()
    recorder = living.start("recorder_node", bag=str(bag))
    world.spin_until(lambda: "recorder" in listeners(world, "people"))
    heard = len(world.answers)
    world.spin_until(lambda: len(world.answers) > heard + 25)
    recorder.stop()
    names = sorted({p.id for m in world.answers[heard:] for p in m.people})
    process = view(world, str(bag), "--rig", str(living.rig_file), "--port", str(port))
    try:
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        assert "messages of" in process.stdout.readline()
        page.open(f"http://127.0.0.1:{port}")
        name = names[0]
        first = page.look_until(lambda p: seen(p, name).sum() > ENOUGH_PX)
        page.look_until(
            lambda p: (
                seen(p, name).sum() > ENOUGH_PX
                and np.linalg.norm(center_px(p, name) - center_px(first, name)) > 15
            )
        )
        end(process)
    finally:
        process.kill()
        process.wait()
    assert page.asked == {"127.0.0.1"}
