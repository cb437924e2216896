"""Who is the man, how far are his joints, and how long does a false person stand."""

import numpy as np
import pytest

from mvssm_ros.demo.comparison import (
    BYSTANDER_XY_M,
    PseudoTruth,
    compare,
    find_truth,
    load_truth,
)


@pytest.fixture
def truth(person):
    joints_m = np.repeat(person().joints_m[None], 10, axis=0)
    valid = np.ones((10, 15), bool)
    valid[3, 5] = False
    joints_m[3, 5] = np.nan
    return PseudoTruth(joints_m, valid)


def test_distances_are_over_valid_joints(truth, person, answer):
    moved = [answer(f, person(at=(0.03, 0.04))) for f in range(5)]
    result = compare(moved, truth)
    assert result.found_sets == result.compared_sets == 5
    assert np.isfinite(result.distances_m).sum() == 5 * 15 - 1
    assert result.quantile_mm(0.5) == pytest.approx(50.0)
    assert result.quantile_mm(0.9) == pytest.approx(50.0)


def test_quantiles_see_the_bad_tenth(truth, person, answer):
    joints_m = person().joints_m
    joints_m[:3, 2] += 0.2  # three joints of fifteen: a fifth
    result = compare([answer(0, person(joints_m=joints_m))], truth)
    assert result.quantile_mm(0.5) == pytest.approx(0.0)
    assert result.quantile_mm(0.9) == pytest.approx(200.0)


def test_somebody_elsewhere_is_not_the_man(truth, person, answer):
    result = compare([answer(0, person(at=(1.0, 0.0)))], truth)
    assert result.found_sets == 0
    assert result.compared_sets == 1
    assert result.false_person_sets == 1
    assert np.isnan(result.quantile_mm(0.5))


def test_who_is_only_remembered_counts_as_nobody(truth, person, answer):
    result = compare([answer(0, person(state=2)), answer(1, person(state=3))], truth)
    assert result.found_sets == 0
    assert result.false_person_sets == 0


def test_of_two_the_nearer_is_the_man(truth, person, answer):
    copy = person("p0002", at=(0.1, 0.0))
    result = compare([answer(0, copy, person(at=(0.01, 0.0)))], truth)
    assert result.quantile_mm(0.5) == pytest.approx(10.0)
    assert [p.id for p in result.others[0]] == ["p0002"]


def test_longest_run_is_of_one_place(truth, person, answer):
    here, there = {"at": (1.5, 0.0)}, {"at": (-1.5, 0.0)}
    places = [here, here, there, here, here, here, None, here]
    answers = [
        answer(f, person(), *([] if place is None else [person("p0009", **place)]))
        for f, place in enumerate(places)
    ]
    result = compare(answers, truth)
    assert result.found_sets == 8
    assert result.false_person_sets == 7
    assert result.longest_false_sets == 3


def test_the_bystander_is_real(truth, person, answer):
    result = compare([answer(0, person(), person("p0002", at=BYSTANDER_XY_M))], truth)
    assert result.false_person_sets == 0
    assert result.longest_false_sets == 0


def test_frames_outside_the_film_are_left_out(truth, person, answer):
    result = compare([answer(-1, person()), answer(10, person()), answer(2, person())], truth)
    assert result.compared_sets == 1


def test_reads_the_real_file(shared_data, monkeypatch):
    monkeypatch.setenv("MVSSM_SHARED_DATA", str(shared_data))
    path = find_truth()
    assert path is not None
    truth = load_truth(path)
    assert truth.joints_m.shape == (100, 15, 3)
    assert np.isfinite(truth.joints_m[truth.valid]).all()
    hips = truth.joints_m[:, 2]
    assert (np.abs(hips[:, 2] - 0.9) < 0.3).all()  # metres, z up


def test_no_file_no_truth(tmp_path, monkeypatch):
    monkeypatch.setenv("MVSSM_SHARED_DATA", str(tmp_path))
    assert find_truth() is None
