"""Which rounds a training on images begins at."""

from collections import Counter

from mvssm_ros.learning.image_task import ImagesTask
from mvssm_ros.learning.training.experiment import read_experiment


def rounds_of(**training):
    task = ImagesTask(
        read_experiment("rgb_small", {f"training.{k}": v for k, v in training.items()})
    )
    return [task._rounds_before(step) for step in range(600)]


def test_half_of_the_steps_begin_at_later_rounds_all_as_often():
    drawn = rounds_of(later_rounds=0.5)
    seen = Counter(drawn)
    assert set(seen) == {0, 1, 2, 3}
    assert 260 < seen[0] < 340
    assert all(70 < seen[n] < 130 for n in (1, 2, 3))
    assert rounds_of(later_rounds=0.5) == drawn
    assert rounds_of(later_rounds=0.5, seed=1) != drawn


def test_none_do_unless_asked_for():
    assert set(rounds_of(later_rounds=0.0)) == {0}
