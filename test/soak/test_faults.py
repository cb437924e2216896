"""Faults change what a camera sends, and nothing else; episodes are the same for the same seed."""

import itertools
import random

import pytest

from mvssm_ros.soak import faults

msg = pytest.importorskip("mvssm_ros.msg", exc_type=ImportError)


def message(stamp_s=100.25):
    made = msg.Keypoints2DArray(skeleton="panoptic15", width=1280, height=960)
    made.header.stamp.sec, made.header.stamp.nanosec = divmod(round(stamp_s * 1e9), 10**9)
    made.people = [msg.Keypoints2D(x=[1.0] * 15, y=[2.0] * 15, confidence=[0.9] * 15)]
    return made


def stamp_s(sent):
    return sent.header.stamp.sec + sent.header.stamp.nanosec * 1e-9


def test_shifted_leaves_the_message_alone():
    first = message(100.25)
    assert stamp_s(faults.shifted(first, 0.8)) == pytest.approx(101.05)
    assert stamp_s(faults.shifted(first, -5.0)) == pytest.approx(95.25)
    assert stamp_s(first) == pytest.approx(100.25)


def test_out_of_order_swaps_pairs():
    fault = faults.out_of_order()
    sent = [fault(tick, message(tick)) for tick in range(4)]
    assert [stamp_s(m) for sending in sent for _, m in sending] == [1.0, 0.0, 3.0, 2.0]


def test_frozen_repeats_the_content_with_new_stamps():
    fault = faults.frozen()
    ((_, first),) = fault(0, message(1.0))
    other = message(2.0)
    other.people = []
    ((_, second),) = fault(1, other)
    assert second.people == first.people
    assert len(second.people) == 1
    assert stamp_s(second) == 2.0


def test_every_fault_of_a_camera_changes_something():
    for name, make in faults.CAMERA_FAULTS.items():
        fault = make(random.Random(0))
        sent = [fault(tick, message(tick)) for tick in range(20)]
        plain = [[(0.0, message(tick))] for tick in range(20)]
        if name == "frozen":
            continue  # the same content is what it is about
        assert sent != plain, name
        assert all(wait_s >= 0 for sending in sent for wait_s, _ in sending)


def test_nonsense_is_never_taken_for_people():
    """Refused, or read with a confidence of 0: the conversion that pose_node uses."""
    conversions = pytest.importorskip("mvssm_ros.nodes.conversions", exc_type=ImportError)
    from mvssm_ros.errors import UserError

    fault = faults.nonsense(random.Random(0))
    refused = 0
    for tick in range(60):
        ((_, sent),) = fault(tick, message())
        try:
            people = conversions.keypoints_to_panoptic15(sent, "cam", "/cam/keypoints")
        except UserError:
            refused += 1
        else:
            assert (people[..., 2] == 0).all()
    assert refused > 20


def test_episodes_bring_every_kind_and_are_repeatable():
    cameras = ["cam1", "cam2", "cam3", "cam4"]
    drawn = [
        list(itertools.islice(faults.episodes(random.Random(7), cameras, faults.KINDS), 17))
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    first_kinds = [episode.faults[0][0] for episode in drawn[0]]
    assert sorted(first_kinds) == sorted(faults.KINDS)
    for episode in drawn[0]:
        named = [camera for _, camera in episode.faults if camera]
        assert len(named) == len(set(named))
        for kind, camera in episode.faults:
            assert (camera == "") == (kind in faults.RIG_FAULTS)


def test_episodes_of_one_kind_only():
    drawn = itertools.islice(faults.episodes(random.Random(0), ["a", "b"], (faults.PAUSED,)), 5)
    assert all(episode.faults == ((faults.PAUSED, ""),) for episode in drawn)
