"""The measures against cases worked out by hand and against a second, slow implementation."""

import math

import numpy as np
import pytest

from mvssm_ros.learning import metrics

J = 15


def person(x_m: float, y_m: float = 0.0) -> np.ndarray:
    """A skeleton whose joints stand one above another; all that matters here are distances."""
    joints = np.zeros((J, 3))
    joints[:, 0], joints[:, 1], joints[:, 2] = x_m, y_m, np.linspace(0.1, 1.7, J)
    return joints


def shifted(joints: np.ndarray, by_mm: float) -> np.ndarray:
    return joints + np.array([0.0, by_mm / 1000.0, 0.0])


def match(predicted: list[np.ndarray], score: list[float], truth: list[np.ndarray], **kwargs):
    return metrics.match_scene(
        np.array(predicted).reshape(-1, J, 3),
        np.array(score),
        np.array(truth).reshape(-1, J, 3),
        **kwargs,
    )


def test_perfect_prediction_scores_everything():
    truth = [person(0), person(2)]
    figures = metrics.summary(match(truth, [0.9, 0.8], truth))
    assert all(figures[f"AP{t}"] == pytest.approx(100) for t in metrics.AP_THRESHOLDS_MM)
    assert figures["mAP"] == pytest.approx(100)
    assert figures["recall500"] == 100
    assert figures["MPJPE_mm"] == 0
    assert figures["phantom_percent"] == 0
    assert figures["duplicate_percent"] == 0


def test_ap_worked_by_hand():
    # Three people. In order of score: found (10 mm), phantom, found (60 mm), duplicate of the
    # first (20 mm), and the third person 300 mm off.
    a, b, c = person(0), person(2), person(4)
    matches = match(
        [shifted(a, 10), person(9), shifted(b, 60), shifted(a, 20), shifted(c, 300)],
        [0.9, 0.8, 0.7, 0.6, 0.5],
        [a, b, c],
    )
    # 25 mm: one hit at rank 1 of three people: 1/3 * 1.
    assert metrics.average_precision(matches, 0.025) == pytest.approx(1 / 3)
    # 75 mm: hits at ranks 1 and 3: 1/3 * 1 + 1/3 * 2/3.
    assert metrics.average_precision(matches, 0.075) == pytest.approx(1 / 3 + 2 / 9)
    # 400 mm: hits at ranks 1, 3, 5; precisions 1, 2/3, 3/5.
    assert metrics.average_precision(matches, 0.4) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert metrics.recall(matches) == 1.0
    assert metrics.mpjpe_m(matches) == pytest.approx((0.010 + 0.060 + 0.300) / 3)
    assert metrics.phantom_rate(matches) == pytest.approx(1 / 5)
    assert metrics.duplicate_rate(matches) == pytest.approx(1 / 5)


def test_precision_is_made_monotone():
    # A phantom before two hits: precisions 0, 1/2, 2/3 become 2/3 at both hits.
    a, b = person(0), person(2)
    matches = match([person(9), a, b], [0.9, 0.8, 0.7], [a, b])
    assert metrics.average_precision(matches, 0.025) == pytest.approx(2 / 3)


def test_a_miss_within_no_threshold_leaves_the_person_to_a_later_prediction():
    a = person(0)
    matches = match([shifted(a, 80), shifted(a, 10)], [0.9, 0.8], [a])
    assert metrics.average_precision(matches, 0.025) == pytest.approx(1 / 2)
    # At 500 mm the surer one finds the person: its error counts, the better one is a duplicate.
    assert metrics.mpjpe_m(matches) == pytest.approx(0.080)
    assert metrics.duplicate_rate(matches) == pytest.approx(1 / 2)


def test_each_prediction_goes_to_its_nearest_person_even_if_that_one_is_taken():
    # The published rule is not an optimal assignment: the second prediction is nearer to a,
    # who is found already, so b stays unfound although 400 mm away.
    a, b = person(0), shifted(person(0), 600)
    matches = match([a, shifted(a, 200)], [0.9, 0.8], [a, b])
    assert matches.person.tolist() == [0, 0]
    assert metrics.recall(matches) == 0.5
    assert metrics.duplicate_rate(matches) == 0.5


def test_equal_scores_are_taken_in_the_order_given():
    a = person(0)
    assert metrics.mpjpe_m(match([shifted(a, 30), a], [0.5, 0.5], [a])) == pytest.approx(0.030)
    assert metrics.mpjpe_m(match([a, shifted(a, 30)], [0.5, 0.5], [a])) == 0.0


def test_of_a_phantom_and_a_hit_with_equal_scores_the_order_decides_ap():
    a, phantom = person(0), person(9)
    assert metrics.average_precision(match([phantom, a], [0.5, 0.5], [a]), 0.1) == 0.5
    assert metrics.average_precision(match([a, phantom], [0.5, 0.5], [a]), 0.1) == 1.0
    # The same over scenes: in the order of the scenes.
    hit, miss = match([a], [0.5], [a]), match([phantom], [0.5], [])
    assert metrics.average_precision(metrics.concatenate([miss, hit]), 0.1) == 0.5
    assert metrics.average_precision(metrics.concatenate([hit, miss]), 0.1) == 1.0


def test_predictions_at_equal_distance_of_two_people_go_to_the_first():
    # 250 mm from both of two people; 0.25 and 0.5 are exact in binary.
    a, b = person(0), person(0.5)
    middle = person(0.25)
    one = match([middle], [0.9], [a, b])
    assert one.person.tolist() == [0]
    assert metrics.recall(one) == 0.5
    two = match([middle, middle], [0.9, 0.8], [a, b])
    assert two.person.tolist() == [0, 0]
    assert metrics.recall(two) == 0.5
    assert metrics.people_found(two).tolist() == [True, False]
    assert metrics.duplicate_rate(two) == 0.5
    # One hit at rank 1 of two people; nothing within 250 mm itself.
    assert metrics.average_precision(two, 0.3) == 0.5
    assert metrics.average_precision(two, 0.25) == 0.0
    assert metrics.mpjpe_m(two) == 0.25


def test_two_predictions_equally_far_from_one_person_the_surer_counts():
    a = person(0)
    matches = match([shifted(a, 40), shifted(a, -40)], [0.3, 0.9], [a])
    order, hit = metrics.first_matches(matches, 0.05)
    assert order.tolist() == [1, 0]
    assert hit.tolist() == [True, False]
    assert metrics.average_precision(matches, 0.05) == 1.0


def test_map_worked_by_hand():
    # Two people; errors 10, 60 and 110 mm; in order of score a hit, the far one, a duplicate of a.
    a, b = person(0), person(2)
    figures = metrics.summary(
        match([shifted(a, 10), shifted(b, 110), shifted(a, 60)], [0.9, 0.8, 0.7], [a, b])
    )
    expected = {"AP25": 50, "AP50": 50, "AP75": 50, "AP100": 50, "AP125": 100, "AP150": 100}
    assert {name: figures[name] for name in expected} == pytest.approx(expected)
    assert figures["mAP"] == pytest.approx(400 / 6)
    assert figures["recall500"] == 100
    assert figures["MPJPE_mm"] == pytest.approx(60)
    assert figures["duplicate_percent"] == pytest.approx(100 / 3)
    assert (figures["people"], figures["predictions"]) == (2, 3)


def test_recall_worked_by_hand():
    # Of three people one is found at 499 mm, one missed by 501 mm, one by nobody.
    a, b, c = person(0), person(4), person(8)
    matches = match([shifted(a, 499), shifted(b, 501)], [0.9, 0.8], [a, b, c])
    assert metrics.recall(matches) == pytest.approx(1 / 3)
    assert metrics.recall(matches, 0.6) == pytest.approx(2 / 3)
    assert metrics.recall(matches, 0.1) == 0.0


def test_mpjpe_is_the_mean_over_people_of_means_over_joints():
    # a has 5 known joints, all 10 mm off; b all 15, 40 mm off: (10 + 40) / 2, not by joints.
    a, b = person(0), person(2)
    partly = a.copy()
    partly[5:] = np.nan
    matches = match([shifted(a, 10), shifted(b, 40)], [0.9, 0.8], [partly, b])
    assert metrics.mpjpe_m(matches) == pytest.approx(0.025)


def test_thresholds_are_strict():
    a = person(0)
    matches = match([a + np.array([0.5, 0.0, 0.0])], [1.0], [a])
    assert metrics.recall(matches, 0.5) == 0.0
    assert metrics.phantom_rate(matches, 0.5) == 1.0
    assert math.isnan(metrics.mpjpe_m(matches, 0.5))


def test_unknown_joints_are_left_out():
    a = person(0)
    wrong = a.copy()
    wrong[3] += 1.0
    assert metrics.mpjpe_m(match([wrong], [1.0], [a])) == pytest.approx(math.sqrt(3) / J)
    unknown = a.copy()
    unknown[3] = np.nan
    assert metrics.mpjpe_m(match([wrong], [1.0], [unknown])) == 0.0
    valid = np.ones((1, J), bool)
    valid[0, 3] = False
    assert metrics.mpjpe_m(match([wrong], [1.0], [a], joint_valid=valid)) == 0.0
    # A joint that the method does not give is left out too.
    partial = wrong.copy()
    partial[3] = np.nan
    assert metrics.mpjpe_m(match([partial], [1.0], [a])) == 0.0


def test_a_person_without_known_joints_does_not_count():
    nobody = np.full((J, 3), np.nan)
    matches = match([person(0)], [1.0], [nobody, person(0)])
    assert matches.n_people == 1
    assert metrics.average_precision(matches, 0.025) == pytest.approx(1.0)


def test_a_prediction_without_joints_is_a_phantom():
    matches = match([np.full((J, 3), np.nan), person(0)], [0.9, 0.8], [person(0)])
    assert matches.person.tolist() == [-1, 0]
    assert metrics.phantom_rate(matches) == 0.5
    assert metrics.average_precision(matches, 0.025) == pytest.approx(0.5)


def test_a_prediction_that_shares_no_joint_with_a_person_is_a_phantom():
    upper, lower = person(0), person(0)
    upper[8:], lower[:8] = np.nan, np.nan
    matches = match([upper], [0.9], [lower])
    assert matches.person.tolist() == [-1]
    assert np.isnan(matches.joint_error_m).all()
    assert metrics.phantom_rate(matches) == 1.0
    assert metrics.recall(matches) == 0.0
    # Beside a person with other joints it belongs to that one, over the joints that both have.
    near = match([upper], [0.9], [lower, shifted(person(0), 30)])
    assert near.person.tolist() == [1]
    assert metrics.mpjpe_m(near) == pytest.approx(0.030)


def test_one_joint_decides_where_only_one_is_known():
    a, b = person(0), person(1)
    a[1:] = np.nan
    matches = match([shifted(person(0), 20)], [0.9], [b, a])
    assert matches.person.tolist() == [1]
    assert np.isfinite(matches.joint_error_m).sum() == 1
    assert metrics.mpjpe_m(matches) == pytest.approx(0.020)


def test_mpjpe_over_chosen_joints_keeps_who_is_found():
    a, b = person(0), person(2)
    wrong = a.copy()
    wrong[0] += np.array([0.3, 0.0, 0.0])
    matches = match([wrong, shifted(b, 20)], [0.9, 0.8], [a, b])
    joints = np.ones((2, J), bool)
    joints[0, 0] = False
    assert metrics.mpjpe_m(matches, joints=joints) == pytest.approx((0.0 + 0.020) / 2)
    joints[0] = False  # nothing of a is asked for: only b counts
    assert metrics.mpjpe_m(matches, joints=joints) == pytest.approx(0.020)


def test_empty_cases():
    a = person(0)
    nothing_found = match([], [], [a])
    assert metrics.average_precision(nothing_found, 0.1) == 0.0
    assert metrics.recall(nothing_found) == 0.0
    assert metrics.phantom_rate(nothing_found) == 0.0
    assert metrics.duplicate_rate(nothing_found) == 0.0
    assert math.isnan(metrics.mpjpe_m(nothing_found))

    empty_room = match([a], [0.7], [])
    assert math.isnan(metrics.average_precision(empty_room, 0.1))
    assert math.isnan(metrics.recall(empty_room))
    assert metrics.phantom_rate(empty_room) == 1.0

    # A phantom in an empty room lowers the precision of the whole.
    both = metrics.concatenate([empty_room, match([a], [0.6], [a])])
    assert metrics.average_precision(both, 0.1) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no scenes"):
        metrics.concatenate([])


def test_empty_rooms_and_silent_methods_in_the_summary():
    silent = metrics.summary(match([], [], [person(0)]))
    assert (silent["AP25"], silent["mAP"], silent["recall500"]) == (0, 0, 0)
    assert math.isnan(silent["MPJPE_mm"])
    assert (silent["people"], silent["predictions"]) == (1, 0)
    for predicted in ([], [person(0)]):
        empty = metrics.summary(match(predicted, [0.5] * len(predicted), []))
        assert all(math.isnan(empty[name]) for name in ("AP25", "mAP", "recall500", "MPJPE_mm"))
        assert empty["phantom_percent"] == 100 * len(predicted)
        assert empty["duplicate_percent"] == 0
    # Nothing at all changes nothing.
    a = match([person(0)], [0.5], [person(0)])
    nothing = match([], [], [])
    assert metrics.summary(metrics.concatenate([nothing, a, nothing])) == metrics.summary(a)


def test_people_are_renumbered_over_scenes():
    a, b = person(0), person(2)
    first, second = match([b], [0.9], [a, b]), match([a, person(9)], [0.8, 0.7], [a])
    both = metrics.concatenate([first, match([], [], [a]), second])
    assert both.person.tolist() == [1, 3, 3]
    assert metrics.people_found(both).tolist() == [False, True, False, True]
    assert metrics.recall(both) == 0.5


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="must be"):
        metrics.match_scene(np.zeros((1, 14, 3)), np.ones(1), np.zeros((1, 15, 3)))
    with pytest.raises(ValueError, match="2 predictions but 1 scores"):
        metrics.match_scene(np.zeros((2, 15, 3)), np.ones(1), np.zeros((1, 15, 3)))


def published_ap(items: list[tuple[float, float, int]], n_people: int, threshold_m: float) -> float:
    """The definition written out item by item: (score, distance, person)."""
    points, seen, true = [], set(), 0
    for rank, (_, distance, who) in enumerate(sorted(items, key=lambda i: -i[0]), start=1):
        if distance < threshold_m and who not in seen:
            seen.add(who)
            true += 1
        points.append((true / n_people, true / rank))
    area, reached = 0.0, 0.0
    for index, (rec, _) in enumerate(points):
        best_from_here = max(prec for _, prec in points[index:])
        area += (rec - reached) * best_from_here
        reached = rec
    return area


@pytest.mark.parametrize("seed", range(20))
def test_many_scenes_agree_with_the_definition(seed):
    rng = np.random.default_rng(seed)
    scenes, items, total = [], [], 0
    for _ in range(12):
        truth = [person(2.0 * i) for i in range(rng.integers(0, 4))]
        predicted, score = [], []
        for _ in range(rng.integers(0, 6)):
            base = truth[rng.integers(len(truth))] if truth and rng.random() < 0.8 else person(30)
            predicted.append(shifted(base, rng.choice([5, 40, 90, 140, 700])))
            score.append(round(float(rng.random()), 1))  # rounded: many ties
        scene = match(predicted, score, truth)
        scenes.append(scene)
        for s, d, who in zip(scene.score, scene.distance_m, scene.person):
            items.append((s, d, total + int(who)))
        total += len(truth)
    matches = metrics.concatenate(scenes)
    for threshold_mm in metrics.AP_THRESHOLDS_MM:
        expected = published_ap(items, total, threshold_mm / 1000)
        assert metrics.average_precision(matches, threshold_mm / 1000) == pytest.approx(expected)
    near = {who for _, distance, who in items if distance < 0.5}
    assert metrics.recall(matches) == pytest.approx(len(near) / total)
    assert metrics.people_found(matches).sum() == len(near)
