"""Intervals, ranks and other numbers: right where the answer is known, honest where little is."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.examples import Example, Source, Split, Use
from bot.learning.judging.intervals import bootstrap, bootstrap_mean, mean_of, shuffle_labels
from bot.learning.judging.measures import (
    area_of,
    calibration_error,
    classify,
    is_looping,
    rank,
    rank_area,
    repetition,
    without_length,
)
from bot.learning.judging.people import leave_out_people, leave_out_voters

RNG = np.random.default_rng(4)


def test_the_interval_covers_the_truth() -> None:
    """Of 80 samples of 40 groups, about 95 in 100 intervals hold the true mean."""
    held = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        centres = np.repeat(rng.normal(0.3, 1, 40), 3)
        found = bootstrap_mean(centres + rng.normal(0, 0.1, 120), [str(n // 3) for n in range(120)], seed=seed)
        held += found.low <= 0.3 <= found.high

    assert 70 <= held <= 79


def test_rows_of_one_group_are_one_witness() -> None:
    """Ten copies of each row do not make an interval narrower."""
    values = list(RNG.normal(0, 1, 30))
    once = bootstrap_mean(values, [str(n) for n in range(30)], seed=1)
    tenfold = bootstrap_mean(values * 10, [str(n) for n in range(30)] * 10, seed=1)

    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))
    assert tenfold.clusters == 30


@pytest.mark.parametrize(
    ("right", "of", "p"), [(10, 10, 1 / 1024), (9, 10, 2 / 1024), (0, 10, 1.0), (40, 40, 1 / 20_000)]
)
def test_luck_is_the_chance_of_signs(right: int, of: int, p: float) -> None:
    """Ten facts learned of ten is one turn of signs in 1,024; many groups are never said to be without luck."""
    found = bootstrap_mean([1.0] * right + [0.0] * (of - right), [str(n) for n in range(of)], seed=1)

    assert found.p == pytest.approx(p)


def test_luck_of_an_area_is_the_chance_of_labels() -> None:
    """Three liked answers ahead of three others are one way in twenty to label them; ties leave nothing to tell."""
    liked = np.array([False, False, False, True, True, True])

    assert shuffle_labels(rank(np.array([1.0, 2, 3, 7, 8, 9])), liked) == pytest.approx(1 / 20, abs=0.01)
    assert shuffle_labels(rank(np.ones(6)), liked) == 1
    assert rank(np.array([5.0, 1, 5, 9])).tolist() == [2.5, 1, 2.5, 4]


def test_luck_of_few_votes_is_not_said_to_be_rarer_than_it_is() -> None:
    """Five liked answers ahead of five others are one labelling in 252, of which a bootstrap knows nothing."""
    liked, scores = np.arange(10) >= 5, np.arange(10.0)
    by_bootstrap = bootstrap(lambda drawn: area_of(scores, liked)(drawn) - 0.5, [str(n) for n in range(10)], seed=1)

    assert shuffle_labels(rank(scores), liked) == pytest.approx(1 / 252, rel=0.25)
    assert by_bootstrap.p < 1 / 1000


def test_nothing_and_one_group_have_no_interval() -> None:
    """What cannot be estimated is not made up."""
    assert bootstrap_mean([], [], seed=1).low is None
    assert bootstrap_mean([1.0, 2.0], ["a", "a"], seed=1).high is None
    assert bootstrap(mean_of(np.ones(0)), [], seed=1).p == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=50, deadline=None)
def test_the_area_is_the_share_of_pairs(rows: list[tuple[int, bool]]) -> None:
    """AUC counts the pairs in which the good one is ahead, ties as half."""
    good, bad = [v for v, is_good in rows if is_good], [v for v, is_good in rows if not is_good]
    found = rank_area(np.array([float(v) for v, _ in rows]), np.array([g for _, g in rows]))

    if not good or not bad:
        assert math.isnan(found)
    else:
        pairs = [(a > b) + (a == b) / 2 for a in good for b in bad]
        assert found == pytest.approx(sum(pairs) / len(pairs))


def test_what_length_explains_is_taken_away() -> None:
    """Scores that are nothing but length rank nobody any more."""
    lengths = RNG.integers(5, 200, 60).astype(float)
    good = RNG.random(60) < 0.5

    assert np.abs(without_length(3 * np.log(lengths) + 1, lengths)).max() < 1e-9
    kept = without_length(np.log(lengths) + 5.0 * good, lengths)
    assert rank_area(kept, good) > 0.95


def test_answers_that_loop_are_seen() -> None:
    """Half of the words again and again is a loop; a list with a common beginning is not."""
    assert is_looping("we will see what we will see " * 6)
    assert not is_looping("One is short. Two is longer than one. Three is the longest of all of them here today.")
    assert not is_looping("yes yes yes yes")
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)


def test_yes_or_no_in_figures() -> None:
    """Accuracy, precision, recall and F1 as everybody defines them."""
    found = classify([True, True, False, False], [True, False, True, False])

    assert found == {"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert classify([False], [False])["accuracy"] == 1
    assert calibration_error([0.95, 0.95], [True, True]) == pytest.approx(0.05)


def test_a_benefit_of_three_people_is_found_out() -> None:
    """Without those who carry it nothing is left of it; where everybody shares it, it stays."""
    people = [(f"U{n % 10}",) for n in range(100)]
    groups = [str(n) for n in range(100)]
    carried = np.array([1.0 if n % 10 < 3 else 0.0 for n in range(100)])

    few = leave_out_people(mean_of(carried), people, groups, seed=1)
    shared = leave_out_people(mean_of(np.full(100, 0.5)), people, groups, seed=1)
    alone = leave_out_people(mean_of(np.full(100, 0.5)), [("U1",)] * 100, groups, seed=1)

    assert few["without"] == 0
    assert shared["without"] == pytest.approx(0.5)
    assert alone == {"people": 1.0}


def test_a_benefit_is_whose_votes_it_is_not_who_asked() -> None:
    """One who judges what ten people were told carries it alone; without their votes nothing is left of it."""
    plain = {"use": Use.THUMB, "source": Source.LIKED, "split": Split.TEST, "prompt_ids": (1,), "completion_ids": (1,)}
    names = [("eve",) if n % 2 else (f"V{n % 8}",) for n in range(100)]
    rows = [
        Example(id=f"{n}", group=f"{n}", people=(f"U{n % 10}",), said_by=name, **plain)  # type: ignore[arg-type]
        for n, name in enumerate(names)
    ]
    gained = mean_of(np.array([float(name == ("eve",)) for name in names]))
    groups = [row.group for row in rows]

    assert leave_out_people(gained, [row.people for row in rows], groups, seed=1)["without"] > 0.2
    assert leave_out_voters(gained, rows, groups, seed=1)["without"] == 0
    assert leave_out_voters(gained, [replace(row, said_by=("eve",)) for row in rows], groups, seed=1) == {"people": 1.0}
