"""Who is seen by few of the cameras that ought to is not believed at once."""

from mvssm_ros.tracking.support import Support

PERIOD_NS = 200_000_000


def seen(agreements, period_ns=PERIOD_NS, confirm_sets=3):
    """Whether the person is confirmed after each set."""
    support, confirmed = Support(), []
    for tick, agreed in enumerate(agreements):
        support.add(agreed, tick * period_ns, confirm_sets)
        confirmed.append(support.confirmed)
    return confirmed


def test_whom_the_cameras_agree_on_is_confirmed_after_the_sets_asked_for():
    assert seen([True] * 5) == [False, False, True, True, True]


def test_once_confirmed_always_confirmed():
    assert seen([True] * 3 + [False] * 20)[-1]


def test_agreement_now_and_then_is_not_enough():
    assert not any(seen([False, True] * 15))


def test_one_whom_a_third_camera_finds_is_confirmed():
    assert seen([False] * 20 + [True] * 3) == [False] * 22 + [True]


def test_in_the_end_everybody_is_believed():
    assert seen([False] * 60).index(True) == 44
    assert not any(seen([False] * 60, period_ns=20_000_000))  # but not after a moment
