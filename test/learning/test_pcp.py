"""PCP3D on cases worked out by hand, and on the real actors of Campus and Shelf."""

import math

import numpy as np
import pytest

from mvssm_ros.geometry.skeletons import SHELF14
from mvssm_ros.learning.pcp import PARTS, correct_parts, pcp3d

# Every part but the head is 0.4 m long, the head 0.2 m: half of that is 200 and 100 mm.
STANDING_M = np.array(
    [
        *([-0.2, 0, 0.0], [-0.2, 0, 0.4], [-0.2, 0, 0.8]),
        *([0.2, 0, 0.8], [0.2, 0, 0.4], [0.2, 0, 0.0]),
        *([-0.2, 0, 0.4], [-0.2, 0, 0.8], [-0.2, 0, 1.2]),
        *([0.2, 0, 1.2], [0.2, 0, 0.8], [0.2, 0, 0.4]),
        *([0, 0, 1.2], [0, 0, 1.4]),
    ]
)
NOBODY = np.full((14, 3), np.nan)
NONE = np.zeros((0, 14, 3))


def at(x_m, y_m):
    return STANDING_M + np.array([x_m, y_m, 0.0])


def shifted(by_mm, *joints):
    """The standing person with some joints (default: all) shifted."""
    moved = STANDING_M.copy()
    rows = [SHELF14.index(name) for name in joints] or slice(None)
    moved[rows, 1] += by_mm / 1000
    return moved


def parts_of(predicted, truth=(STANDING_M,), **options):
    return correct_parts(np.array(predicted), np.array(truth), **options)


def wrong(predicted):
    return [name for (name, _), right in zip(PARTS, parts_of([predicted])[0]) if not right]


def test_ten_parts_the_head_the_trunk_and_four_limbs_of_two():
    names = [name for name, _ in PARTS]
    assert len(names) == 10
    assert sorted(set(names)) == ["forearm", "head", "lower leg", "trunk", "upper arm", "upper leg"]


def test_all_joints_off_by_so_much():
    assert wrong(shifted(99)) == []
    assert wrong(shifted(101)) == ["head"]
    assert len(wrong(shifted(199))) == 1
    assert len(wrong(shifted(201))) == 10
    assert parts_of([shifted(101)], alpha=1.0).all()


def test_the_ends_count_on_average():
    assert wrong(shifted(390, "left_wrist")) == []  # 390 and 0: 195 on average
    assert wrong(shifted(410, "left_wrist")) == ["forearm"]
    assert wrong(shifted(410, "left_elbow")) == ["forearm", "upper arm"]
    assert wrong(shifted(390, "left_hip")) == []  # the trunk's end by half of it: 195, and 0
    assert wrong(shifted(810, "left_hip")) == ["upper leg", "trunk"]


def test_exactly_half_of_the_length_is_right():
    long = STANDING_M * [1, 1, 0.625]  # legs and arms of 0.25 m: exact in binary
    moved = long.copy()
    moved[:, 1] += 0.125
    right = correct_parts(moved[None], long[None])[0]
    assert right[:4].all()


def test_each_actor_is_measured_by_the_nearest_prediction_also_if_it_is_anothers():
    far = at(0, 3)
    assert parts_of([shifted(50)], [STANDING_M, far]).sum(1).tolist() == [10, 0]
    near = shifted(150)
    assert parts_of([shifted(75)], [STANDING_M, near]).sum(1).tolist() == [10, 10]


def test_of_two_equally_near_the_first_counts():
    left, right = shifted(250), shifted(-250)
    right[SHELF14.index("left_ankle")] = STANDING_M[SHELF14.index("left_ankle")]
    right[SHELF14.index("right_ankle"), 1] -= 0.25  # as far on average
    first, second = parts_of([left, right]), parts_of([right, left])
    assert first.sum() == 0
    assert second.sum() == 1


def test_one_prediction_between_two_actors_measures_both():
    # 150 mm from each: right but for the heads of 0.2 m, of which half is 100 mm.
    truth = [STANDING_M, shifted(300)]
    right = parts_of([shifted(150)], truth)
    assert right.sum(1).tolist() == [9, 9]
    figures = pcp3d([(np.array([shifted(150)]), np.array(truth))])
    assert (figures["actor1"], figures["actor2"], figures["average"]) == (90, 90, 90)
    assert (figures["head"], figures["trunk"]) == (0, 100)


def test_of_an_actor_only_wholly_known_ones_are_measured():
    partly = STANDING_M.copy()
    partly[SHELF14.index("nose")] = np.nan
    assert not parts_of([STANDING_M], [partly]).any()
    figures = pcp3d([(STANDING_M[None], np.array([partly, STANDING_M]))])
    assert math.isnan(figures["actor1"])
    assert figures["actor2"] == figures["average"] == 100


def test_a_joint_that_is_not_predicted_makes_its_parts_wrong():
    gap = STANDING_M.copy()
    gap[SHELF14.index("left_wrist")] = np.nan
    assert wrong(gap) == ["forearm"]


def test_somebody_with_an_unknown_joint_far_away_hides_nobody():
    gap = at(0, 5)
    gap[SHELF14.index("nose")] = np.nan
    assert parts_of([STANDING_M, gap]).all()


def test_frames_without_anybody_give_no_figures():
    figures = pcp3d([(STANDING_M[None], NOBODY[None]), (NONE, NOBODY[None])])
    assert all(math.isnan(value) for value in figures.values())
    assert pcp3d([(NONE, STANDING_M[None])])["average"] == 0


def test_nobody_predicted_and_nobody_there():
    assert not parts_of(NONE).any()
    assert not parts_of([STANDING_M], [NOBODY]).any()
    assert correct_parts(NONE, NONE).shape == (0, 10)


def test_figures_over_frames():
    both = np.array([STANDING_M, at(0, 2)])
    frames = [
        (both, both),  # both right
        (np.array([shifted(101)]), np.array([STANDING_M, NOBODY])),  # a head wrong
        (NONE, np.array([STANDING_M, NOBODY])),  # missed
    ]
    figures = pcp3d(frames)
    assert figures["actor1"] == pytest.approx(100 * 19 / 30)
    assert figures["actor2"] == 100
    assert figures["average"] == pytest.approx((100 * 19 / 30 + 100) / 2)
    assert figures["head"] == pytest.approx(100 * 2 / 4)
    assert figures["trunk"] == pytest.approx(100 * 3 / 4)


def test_the_average_is_over_the_first_three_who_are_there():
    truth = np.array([STANDING_M, NOBODY, at(2, 0), at(4, 0)])
    figures = pcp3d([(truth[[0, 2]], truth)])
    assert math.isnan(figures["actor2"])
    assert figures["actor4"] == 0
    assert figures["average"] == 100


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="no frames"):
        pcp3d([])
    with pytest.raises(ValueError, match="row for every actor"):
        pcp3d([(NONE, NONE), (NONE, STANDING_M[None])])
    with pytest.raises(ValueError, match=r"\[P, 14, 3\]"):
        correct_parts(np.zeros((1, 15, 3)), NONE)


@pytest.mark.parametrize("name", ["campus", "shelf"])
def test_the_real_actors_find_themselves(shared_data, name):
    loadmat = pytest.importorskip("scipy.io").loadmat
    actors = loadmat(shared_data / name / "actorsGT.mat")["actor3D"][0]
    frames = []
    for f in range(actors[0].shape[0]):
        rows = [np.asarray(actor[f, 0], np.float64) for actor in actors]
        truth = np.array([row if row.shape == (14, 3) else NOBODY for row in rows])
        frames.append((truth[np.isfinite(truth).all((1, 2))], truth))
    figures = pcp3d(frames)
    there = [k for k in figures if k.startswith("actor") and not math.isnan(figures[k])]
    assert there
    assert {figures[k] for k in there} == {100.0}
    moved = [(p + 0.1, t) for p, t in frames]  # 173 mm: wrong for short parts, right for long ones
    assert 20 < pcp3d(moved)["average"] < 100
