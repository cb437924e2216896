"""The figures of a run, and the page they are on."""

import numpy as np
import pytest

from mvssm_ros.demo.comparison import PseudoTruth, compare
from mvssm_ros.demo.recording import Recording
from mvssm_ros.demo.summary import figures, summary_markdown
from mvssm_ros.geometry.skeletons import SKELETONS

COUNTS = {
    "sets_processed": 3.0,
    "sets_dropped_overwritten": 2.0,
    "sets_dropped_no_quorum": 0.0,
    "sets_failed": 1.0,
    "images_dropped_late": 4.0,
    "images_dropped_bad": 0.0,
    "detect_p50_ms": 12.3,
    "detect_p95_ms": 45.6,
}


@pytest.fixture
def recording(person, answer):
    mirrored = person().joints_m[SKELETONS["panoptic15"].mirror]
    copy = person("p0002", at=(0.1, 0.0), joints_m=mirrored, confidence=0.4)
    answers = [
        answer(0, person()),
        answer(1, person(), copy),
        answer(2),
        answer(3, person(state=2), person("p0003", at=(2.0, 0.0))),
    ]
    sent = {answers[0].stamp_ns + k: k for k in range(7)}
    return Recording(answers, sent, 60.0, COUNTS, {"left": 4.0, "right": 12.0})


def test_counts(recording):
    numbers = figures(recording, {"left": 10.0, "right": 10.0})
    assert numbers.sets_sent == 7
    assert numbers.sets_answered == 4
    assert numbers.sets_with_people == 3
    assert numbers.people == 4
    assert numbers.sets_by_id == {"p0001": 2, "p0002": 1, "p0003": 1}
    assert numbers.main_id == "p0001"
    assert list(numbers.drops.values()) == [2, 1]
    assert numbers.image_drops == {"late": 4}
    assert numbers.stages_ms == {"detect": (12.3, 45.6)}


def test_a_mirrored_copy_is_told_from_another_person(recording):
    assert figures(recording, {}).copies == {"p0002": "p0001"}


def test_high_reprojection_error_is_a_warning(recording):
    numbers = figures(recording, {"left": 10.0, "right": 10.0})
    assert numbers.high_cameras == ["right"]
    page = summary_markdown(numbers, None, title="t", files={})
    warning = next(line for line in page.splitlines() if line.startswith("WARNING"))
    assert "right" in warning
    assert "left" not in warning
    calm = figures(recording, {"left": 10.0, "right": 13.0})
    assert "WARNING" not in summary_markdown(calm, None, title="t", files={})


def test_page_holds_every_figure(recording, person):
    truth = PseudoTruth(np.repeat(person().joints_m[None], 10, 0), np.ones((10, 15), bool))
    numbers = figures(recording, {"left": 10.0, "right": 10.0}, ["camera 'left': odd"])
    page = summary_markdown(
        numbers, compare(recording.answers, truth), title="the title", files={"a.png": "a picture"}
    )
    for text in (
        "# the title",
        "sets of images in: 7",
        "sets answered: 4, of which 3 with people",
        "people out: 4",
        "sets without an answer: 3",
        "inference failed: 1",
        "late 4",
        "| p0001 | 2 |",
        "a second pose of p0001",
        "the man is found in 2 of 4 sets",
        "median 0.0 mm",
        "2 person-sets",
        "| detect | 12.3 | 45.6 |",
        "| left | 4.0 | 10.0 |",
        "camera 'left': odd",
        "`a.png`: a picture",
    ):
        assert text in page


def test_nobody_at_all(answer):
    numbers = figures(Recording([answer(0)], {1: 0}, 60.0), {})
    assert numbers.people == 0
    assert numbers.main_id == ""
