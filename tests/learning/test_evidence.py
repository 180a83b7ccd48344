"""When ratings prove harm: the same answer as the closed form, valid at every look, and instant reasons."""

import math
from datetime import timedelta

import numpy as np
import pytest

from bot.learning.rollout.evidence import (
    ALPHA_WITHOUT,
    Evidence,
    cap_first,
    cap_votes,
    choose_floor,
    find_breach,
    leave_one_out,
    log_evidence,
    log_evidence_of_no_harm,
    should_roll_back,
)

WEEK = timedelta(days=7)


def integrate(a: float, b: float, upper: float) -> float:
    """Return the log of the incomplete Beta integral, by a grid far finer than ours."""
    rates = (np.arange(400_000) + 0.5) / 400_000 * upper
    logs = (a - 1) * np.log(rates) + (b - 1) * np.log1p(-rates)
    return float(logs.max() + np.log(np.exp(logs - logs.max()).sum() * upper / 400_000))


@pytest.mark.parametrize(
    ("ups", "downs", "floor"), [(0, 5, 0.8), (30, 20, 0.8), (300, 100, 0.8), (4, 1, 0.5), (90, 60, 0.6)]
)
def test_it_is_the_closed_form(ups: int, downs: int, floor: float) -> None:
    """The sum over a grid equals the ratio of Beta integrals that the method is defined by."""
    upper = floor - 0.02
    known = integrate(2 + ups, 2 + downs, upper) - integrate(2, 2, upper)
    known -= ups * math.log(floor) + downs * math.log(1 - floor)

    assert log_evidence(ups, downs, floor=floor) == pytest.approx(known, abs=1e-3)


@pytest.mark.parametrize("rate", [0.8, 0.85, 0.95])
def test_one_more_rating_never_adds_evidence_on_average(rate: float) -> None:
    """At or above the floor the expected evidence does not grow, wherever one stands: so it holds at every look."""
    for ups, downs in [(0, 0), (7, 3), (40, 15), (100, 60)]:
        now, up, down = (math.exp(log_evidence(ups + a, downs + b, floor=0.8)) for a, b in [(0, 0), (1, 0), (0, 1)])

        assert rate * up + (1 - rate) * down <= now * (1 + 1e-9)


def test_equal_adapters_stay_and_worse_ones_go() -> None:
    """In 300 deployments with a look after every rating, few equal ones are taken back and nearly all worse ones."""
    rng, limit = np.random.default_rng(3), 400
    ended = {0.8: 0, 0.6: 0}
    for rate in ended:
        for _ in range(300):
            ups = np.cumsum(rng.random(limit) < rate)
            ended[rate] += any(
                should_roll_back(int(ups[n - 1]), int(n - ups[n - 1]), floor=0.8) for n in range(4, limit, 4)
            )

    assert ended[0.8] <= 15
    assert ended[0.6] >= 295


def test_the_floor_is_lower_where_less_is_known() -> None:
    """It is a lower bound: below the rate, nearer with more votes, and with none it hardly asks for anything."""
    few, many = choose_floor(16, 4), choose_floor(1600, 400)

    assert few < many < 0.8
    assert many == pytest.approx(0.8 - 0.8416 * 0.4 / math.sqrt(2000), abs=0.002)
    assert choose_floor(0, 0) == pytest.approx(0.2, abs=0.001)
    assert choose_floor(100_000, 0) <= 0.98


def test_evidence_gathers_and_speaks() -> None:
    """Ratings add up, and the sentence has the figures."""
    evidence = Evidence.against(80, 20).add(3, 9).add(0, 6)

    assert (evidence.ups, evidence.downs, evidence.votes) == (3, 15, 18)
    assert evidence.shows_harm()
    assert "3 of 18 ratings are good" in evidence.say()
    assert "No rating yet" in Evidence(0.7).say()


def test_a_canary_goes_on_when_it_is_harmless_or_was_quiet_for_long() -> None:
    """Proof of no harm is enough; else it takes 50 ratings and a week, which is said to be no proof."""
    assert "loses less than" in Evidence(0.75, ups=190, downs=10).allows_promotion(timedelta(hours=1))
    assert log_evidence_of_no_harm(190, 10, floor=0.75) > math.log(20)
    quiet = Evidence(0.78, ups=40, downs=10)
    assert quiet.allows_promotion(timedelta(days=6)) == ""
    assert "no proof" in quiet.allows_promotion(WEEK)
    assert Evidence(0.78, ups=39, downs=10).allows_promotion(WEEK) == ""
    assert Evidence(0.78, ups=20, downs=40).allows_promotion(WEEK) == ""


@pytest.mark.parametrize(
    ("broken", "people", "words"),
    [
        (["U1", ""] * 3, 1, "3 of its last 6 answers"),
        (["U1", "U2", "U1"], 30, "3 of its last 3 answers"),
        (["U1"] * 20, 30, ""),
        (["U1"] * 5 + [""] * 20, 1, ""),
        ([], 1, ""),
    ],
)
def test_some_harm_needs_no_statistics(broken: list[str], people: int, words: str) -> None:
    """Broken answers take an adapter back at once, in words; few or old ones do not, nor those of one of several."""
    found = find_breach(broken, people=people)

    assert words in found
    assert bool(found) == bool(words)


def test_one_of_several_decides_nothing() -> None:
    """Whoever says most of what would decide is left out, up or down; of a few people all count."""
    votes = {"U1": (0, 9), "U2": (1, 1), "U3": (30, 0), "U4": (0, 2)}

    assert leave_one_out(votes, people=4, is_liked=False) == (31, 3)
    assert leave_one_out(votes, people=4, is_liked=True) == (1, 12)
    assert leave_one_out(votes, people=3, is_liked=False) == (31, 12)
    assert leave_one_out({}, people=9, is_liked=True) == (0, 0)


@pytest.mark.parametrize(
    ("votes", "people", "counted"),
    [
        ({}, 9, (0, 0)),
        ({"U1": (500, 0)}, 9, (0, 0)),
        ({"U1": (500, 0)}, 3, (500, 0)),
        ({"U1": (500, 0), "U2": (3, 2), "U3": (1, 1)}, 9, (9, 3)),
        ({"U1": (0, 50), "U2": (5, 5), "U3": (1, 1)}, 9, (6, 16)),
        ({"U1": (30, 10), "U2": (3, 1), "U3": (2, 2)}, 9, (8, 4)),
        ({"U1": (2, 2), "U2": (3, 1)}, 9, (5, 3)),
    ],
)
def test_of_what_was_served_nobody_says_more_than_the_next(
    votes: dict[str, tuple[int, int]], people: int, counted: tuple[int, int]
) -> None:
    """One person's hundreds of thumbs would decide what a successor is compared with; what they are for stays."""
    assert cap_first(votes, people=people) == counted


def _is_taken_back(votes: dict[str, tuple[int, int]]) -> bool:
    """Return what the watch makes of votes in a team of nine, where four of five were good before."""
    held = cap_votes(votes, people=9)
    said = Evidence(0.8, sum(ups for ups, _ in held.values()), sum(downs for _, downs in held.values()))
    others = Evidence(0.8, *leave_one_out(held, people=9, is_liked=False))
    return said.shows_harm() and others.shows_harm(alpha=ALPHA_WITHOUT)


def test_hundreds_of_thumbs_of_one_or_two_decide_nothing() -> None:
    """One who likes it two hundred times holds up nothing bad, and two who dislike it take nothing good back."""
    bad, good = ({f"U{n}": said for n in range(7)} for said in ((2, 6), (9, 1)))

    assert _is_taken_back(bad)
    assert _is_taken_back(bad | {"eve": (200, 0)})
    assert not _is_taken_back(good)
    assert not _is_taken_back(good | {"eve": (0, 60)})
    assert not _is_taken_back(good | {"eve": (0, 60), "mal": (0, 60)})
    canary = cap_votes(dict.fromkeys(good, (60, 5)) | {"eve": (0, 500)}, people=9)
    grown = Evidence(0.8, *leave_one_out(canary, people=9, is_liked=True))
    assert not grown.shows_harm()
