"""Three hosts on one network: two with cameras and a detector each, one that puts them together.

With MVSSM_BANDWIDTH_TABLE=FILE, what travels and how fast a host is back goes into a Markdown table.
"""

import os
import time
from pathlib import Path

import pytest
from separate_hosts import Host, Network, Program, why_impossible

from mvssm_ros.demo_data import find_demo
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.msg import CameraStatus
from mvssm_ros.share import share_dir

RATE_HZ = 1.0
SETS = 5  # over which bytes are counted
CAMERAS = {"left": ("cam01", "cam02"), "right": ("cam03", "cam04")}  # by host
RIG = share_dir() / "config" / "rigs" / "pose2sim_single.yaml"
SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture
def hosts(tmp_path, trained_weights):
    reason = why_impossible()
    if reason:
        pytest.skip(reason)
    try:
        find_demo()
        MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))
    with Network(["fusion", *CAMERAS], tmp_path) as hosts:
        yield hosts


def start_cameras(host: Host, names: tuple[str, ...]) -> Program:
    """The camera drivers, and the detector beside them."""
    words = ["-m", "mvssm_ros.nodes.keypoints_node", "--ros-args", "-p", f"rig_file:={RIG}"]
    words += ["-p", f"camera_names:=[{','.join(names)}]", "-p", "model.tiles:=false"]
    words += ["-r", f"__node:=keypoints_{'_'.join(names)}"]
    for name in names:  # on a busy machine best effort may lose parts of every image
        words += ["-p", f"qos_overrides./{name}/image_raw.subscription.reliability:=reliable"]
    host.run(*words)
    return host.run(str(SUPPORT / "film_cameras.py"), str(RATE_HZ), *names)


def start_fusion(host: Host) -> Program:
    """pose_node; what it answers is in the program that is returned."""
    deadline = f"sync.deadline:={0.8 / RATE_HZ}"
    host.run("-m", "mvssm_ros.cli", "run", str(RIG), "--input", "keypoints", "--param", deadline)
    return host.run(str(SUPPORT / "rig_listener.py"), "answers")


def wait_until(condition, hosts, timeout_s=120.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            printed = [p.lines[-1:] for host in hosts.values() for p in host.programs]
            logs = "\n".join(host.logs() for host in hosts.values())
            pytest.fail(f"not within {timeout_s:g} s; last lines: {printed}; logs:\n{logs}")
        time.sleep(0.05)


def bytes_per_image(hosts: dict[str, Host], drivers: dict[str, Program]) -> float:
    """What leaves the camera hosts for each image of each camera; the larger of the hosts."""

    def counts():
        return {n: (hosts[n].bytes_sent(), len(drivers[n].messages())) for n in drivers}

    before = counts()
    wait_until(lambda: all(counts()[n][1] >= before[n][1] + SETS for n in drivers), hosts)
    after = counts()
    found = []
    for name in drivers:
        sent, sets = (b - a for a, b in zip(before[name], after[name]))
        found.append(sent / (sets * len(CAMERAS[name])))
    return max(found)


def test_two_hosts_find_2d_people_a_third_makes_3d_ones_of_them(hosts):
    answers = start_fusion(hosts["fusion"])
    drivers = {name: start_cameras(hosts[name], names) for name, names in CAMERAS.items()}

    def heard(key, since=0):
        return [m[key] for m in answers.messages()[since:] if key in m]

    def people_of(mask, since=0):
        """Answers with people, of exactly these cameras."""
        return [m for m in answers.messages()[since:] if m.get("used") == mask and m["ids"]]

    wait_until(lambda: len(people_of(0b1111)) >= 3, hosts)
    figures = {"keypoints": bytes_per_image(hosts, drivers)}
    for what in ("compressed", "raw"):  # the images themselves to the third host, beside keypoints
        images = hosts["fusion"].run(str(SUPPORT / "rig_listener.py"), what, *CAMERAS["left"])
        left = {"left": drivers["left"]}
        sent = hosts["left"].bytes_sent()
        wait_until(lambda s=sent: hosts["left"].bytes_sent() > s + 500_000, hosts)
        figures[what] = bytes_per_image(hosts, left) - figures["keypoints"]
        images.kill()
    assert 20 * figures["keypoints"] < figures["compressed"] < figures["raw"]

    hosts["right"].kill()
    since, killed_s = len(answers.messages()), time.monotonic()
    wait_until(lambda: people_of(0b0011, since), hosts)
    alone_s = time.monotonic() - killed_s
    stale = [CameraStatus.OK] * 2 + [CameraStatus.STALE] * 2
    wait_until(lambda: heard("states", since)[-1:] == [stale], hosts)
    told_s = time.monotonic() - killed_s
    summary = heard("summary")[-1]
    assert "2 of 4 cameras are used" in summary
    assert "cam03" in summary
    assert "cam04" in summary

    since, back_s = len(answers.messages()), time.monotonic()
    driver = start_cameras(hosts["right"], CAMERAS["right"])
    wait_until(lambda: driver.messages(), hosts)
    running_s = time.monotonic() - back_s
    wait_until(lambda: people_of(0b1111, since), hosts)
    used_s = time.monotonic() - back_s
    wait_until(lambda: heard("states", since)[-1:] == [[CameraStatus.OK] * 4], hosts)
    write_table(figures, alone_s, told_s, running_s, used_s)


def write_table(figures, alone_s, told_s, running_s, used_s) -> None:
    path = os.environ.get("MVSSM_BANDWIDTH_TABLE")
    if not path:
        return
    smallest = min(figures.values())
    rows = [
        f"| {what} | {size / 1e3:,.1f} | {size * 30 * 8 / 1e6:,.1f} | {size / smallest:,.0f} |"
        for what, size in figures.items()
    ]
    lines = [
        "| what a camera sends | kB an image | Mbit/s at 30 Hz | times keypoints |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        f"At {RATE_HZ:g} Hz. A host was killed: people of the other cameras after {alone_s:.1f} s,"
        f" rig_status says so after {told_s:.1f} s. Started again: its cameras run after"
        f" {running_s:.1f} s and are used after {used_s:.1f} s.",
    ]
    Path(path).write_text("\n".join(lines) + "\n", "utf-8")
