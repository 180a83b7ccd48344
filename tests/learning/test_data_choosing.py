"""What people said becomes what is learned: newest wins, contradictions are settled, nobody says more than a share."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.data import choosing, eligibility
from bot.learning.data.caps import find_limit, keep_within
from bot.learning.data.choosing import Choice, choose
from bot.learning.data.policy import Cap, DataPolicy
from bot.learning.examples import Source
from bot.storage.choices import OptedOut
from bot.storage.signals import CORRECTIONS, PAIRS, SIGNS, VOTES, Signal
from bot.storage.tables import Audience

POLICY = DataPolicy()
EVERYBODY = OptedOut()
COUNTER = iter(range(1_000_000))


def signal(table: str = VOTES, user: str = "ada", answer: str = "a1", **changes: Any) -> Signal:
    """Build a signal; each one is newer than the one before."""
    number = next(COUNTER)
    values = {
        "row_id": f"r{number:06d}",
        "created_at": datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number),
        "is_finished": True,
        "message_id": f"m-{answer}",
        "asker_id": "asker",
        "thread_id": f"t-{answer}",
        "channel_id": "C1",
        "audiences": frozenset({Audience.PUBLIC}),
        "is_liked": True if table == VOTES else None,
    }
    return Signal(table=table, user_id=user, answer_id=answer, **{**values, **changes})


def correction(user: str = "ada", question: str = "q", text: str = "t", **changes: Any) -> Signal:
    """Build a correction."""
    changes = {"answer": f"a-{question}", **changes}
    return signal(CORRECTIONS, user, question_key=question.encode(), text_key=text.encode(), **changes)


def chosen_of(*signals: Signal, policy: DataPolicy = POLICY, without: OptedOut = EVERYBODY) -> Choice:
    """Choose from signals, which are given oldest first."""
    by_table = [[one for one in reversed(signals) if one.table == table] for table in (CORRECTIONS, PAIRS, VOTES)]
    return choose(*by_table, policy=policy, without=without)


def sources(choice: Choice) -> Counter[Source]:
    """Count what was chosen."""
    return Counter(one.source for one in choice.chosen)


def test_the_newest_correction_of_a_person_counts() -> None:
    """Whoever corrects the same question again means the later text."""
    first, second = correction(text="old"), correction(text="new")
    choice = chosen_of(first, second)

    assert [one.signals for one in choice.chosen] == [(second,)]
    assert choice.left_out == {choosing.NEWER: 1}


def test_most_people_are_right_and_of_as_many_the_newest() -> None:
    """Two who agree outweigh a third, even a later one; one against one, the later counts."""
    one, two, three = correction("ada", text="x"), correction("bo", text="x"), correction("cy", text="y")
    assert chosen_of(one, two, three).chosen[0].signals == (two, one)
    assert chosen_of(one, three).chosen[0].signals == (three,)


def test_a_correction_says_it_once() -> None:
    """The 👎 that belongs to a correction is not learned from again, and others' votes on that answer neither."""
    fact = correction(answer="a1")
    choice = chosen_of(signal(user="ada", is_liked=False), signal(user="bo", is_liked=False), fact)

    assert sources(choice) == {Source.CORRECTION: 1}
    assert choice.left_out == {choosing.CORRECTED: 1}


def test_an_answer_that_more_people_like_than_correct_stays() -> None:
    """One person cannot correct what two others found good."""
    likes = [signal(user=user) for user in ("bo", "cy")]
    choice = chosen_of(*likes, correction(answer="a1"))

    assert sources(choice) == {Source.LIKED: 1}
    assert choice.left_out == {choosing.LIKED_ANYWAY: 1}


@pytest.mark.parametrize(
    ("ups", "downs", "expected"),
    [(1, 0, Source.LIKED), (0, 2, Source.DISLIKED), (2, 1, Source.LIKED), (1, 3, Source.DISLIKED), (2, 2, None)],
)
def test_votes_on_one_answer_are_weighed_against_each_other(ups: int, downs: int, expected: Source | None) -> None:
    """The larger side wins, a tie teaches nothing."""
    votes = [signal(user=f"u{n}", is_liked=n < ups) for n in range(ups + downs)]
    assert sources(chosen_of(*votes)) == ({expected: 1} if expected else {})


def test_preferences_that_contradict_each_other_are_settled() -> None:
    """Two people against one prefer; one against one says nothing; their votes on the same answers count once."""
    mine = signal(PAIRS, "ada", "a1", other_id="a2", source="regenerate")
    against = signal(PAIRS, "bo", "a2", other_id="a1", source="side-by-side")
    more = signal(PAIRS, "cy", "a1", other_id="a2", source="regenerate")

    assert sources(chosen_of(mine, signal(user="ada"))) == {Source.REGENERATED: 1}
    assert sources(chosen_of(against)) == {Source.COMPARED: 1}
    assert sources(chosen_of(mine, against)) == {}
    assert sources(chosen_of(mine, against, more)) == {Source.REGENERATED: 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audiences": frozenset({Audience.PUBLIC, Audience.DIRECT})}, eligibility.NOT_PUBLIC),
        ({"audiences": frozenset({Audience.PRIVATE})}, eligibility.NOT_PUBLIC),
        ({"audiences": frozenset({Audience.SHARED})}, eligibility.SHARED_PLACE),
        ({"user": "dan"}, eligibility.UNWILLING),
        ({"asker_id": "dan"}, eligibility.UNWILLING),
        ({"channel_id": "C9"}, eligibility.UNWILLING_CHANNEL),
        ({"is_finished": False}, eligibility.UNFINISHED),
        ({"is_helped": True}, eligibility.HELPED),
        ({"is_outdated": True}, eligibility.OUTDATED),
    ],
)
def test_what_may_not_be_learned_from_is_named(changes: dict[str, Any], reason: str) -> None:
    """Where, by whom and what: each bar has its words."""
    without = OptedOut(frozenset({"dan"}), frozenset({"C9"}))
    choice = chosen_of(signal(**changes), without=without)

    assert choice.chosen == ()
    assert choice.left_out == {reason: 1}


def test_a_correction_stands_for_itself() -> None:
    """Also that of an answer which had an older one before it; not that of a question which is another one now."""
    assert chosen_of(correction("ada", is_helped=True)).chosen
    assert chosen_of(correction("ada", is_outdated=True)).left_out == {eligibility.OUTDATED: 1}


@pytest.mark.parametrize("audience", list(Audience))
@pytest.mark.parametrize("is_for_everyone", [True, False])
@pytest.mark.parametrize("asker", ["ada", "bo"])
def test_what_is_private_is_taught_by_its_own_author_only(
    audience: Audience, is_for_everyone: bool, asker: str
) -> None:
    """A question asked in private becomes everybody's when who asked it says so; another organisation's never does."""
    fact = correction("ada", audiences=frozenset({audience}), is_for_everyone=is_for_everyone, asker_id=asker)
    may = audience is Audience.PUBLIC or (audience is not Audience.SHARED and is_for_everyone and asker == "ada")
    assert bool(chosen_of(fact).chosen) == may


@given(st.dictionaries(st.sampled_from("abcdefghijklmnop"), st.integers(1, 2000), min_size=1))
def test_a_limit_is_a_share_of_what_is_kept(counts: dict[str, int]) -> None:
    """Nobody keeps more than the share of all that is kept, an equal part of it, or the least that anybody may say."""
    cap = Cap(share=0.1, least=20)
    limit = find_limit(counts, cap)
    kept = sum(min(count, limit) for count in counts.values())

    assert limit >= cap.least
    assert limit == cap.least or limit <= max(cap.share, 1 / len(counts)) * kept + 1e-6
    flooded = counts | {"a": 10**9}
    assert len(flooded) == 1 or find_limit(flooded, cap) <= max(cap.least, sum(counts.values()))


@given(
    honest=st.lists(st.integers(5, 30), min_size=10, max_size=20),
    colluding=st.integers(1, 3),
    flood=st.integers(100, 1000),
)
@settings(max_examples=25, deadline=None)
def test_neither_one_nor_three_together_steer(honest: list[int], colluding: int, flood: int) -> None:
    """In a team of eleven or more, flooding gives a person a tenth of what is kept, and three of them three tenths."""
    counts = [flood] * colluding + honest
    signals = [
        signal(user=f"u{person}", answer=f"{person}-{n}") for person, many in enumerate(counts) for n in range(many)
    ]
    kept, _ = keep_within(signals, Cap(share=0.1, least=5), owner=lambda one: one.user_id)
    by_person = Counter(one.user_id for one in kept)
    theirs = sum(by_person[f"u{person}"] for person in range(colluding))

    assert max(by_person.values()) <= max(5, 0.1 * len(kept))
    assert theirs <= max(5 * colluding, 0.1 * colluding * len(kept))


def test_a_single_person_is_not_capped_but_named() -> None:
    """Where only one person says anything the cap would only take away; the report says so."""
    choice = chosen_of(*(correction(question=f"q{n}") for n in range(30)))

    assert sources(choice) == {Source.CORRECTION: 30}
    assert "one person" in choice.notes[0]


def test_corrections_are_kept_before_votes() -> None:
    """Who reaches the cap loses votes first, then preferences, then corrections, the oldest first."""
    own = [correction("ada", f"q{n}") for n in range(15)] + [signal(user="ada", answer=f"v{n}") for n in range(30)]
    others = [signal(user=user, answer=f"{user}{n}") for user in ("bo", "cy") for n in range(5)]
    choice = chosen_of(*own, *others)
    by_source = Counter(one.source for one in choice.chosen if one.newest.user_id == "ada")

    assert by_source == {Source.CORRECTION: 15, Source.LIKED: 5}
    assert choice.left_out == {choosing.ONE_PERSON: 25}


def test_a_channel_has_a_cap_of_its_own() -> None:
    """One busy channel does not drown all others."""
    policy = DataPolicy(person_cap=Cap(share=1, least=1000), channel_cap=Cap(share=0.5, least=10))
    busy = [signal(user=f"u{n}", answer=f"b{n}") for n in range(100)]
    quiet = [signal(user=f"u{n}", answer=f"q{n}", channel_id="C2") for n in range(20)]
    choice = chosen_of(*busy, *quiet, policy=policy)

    assert Counter(one.newest.channel_id for one in choice.chosen) == {"C1": 20, "C2": 20}
    assert choice.left_out == {choosing.ONE_CHANNEL: 80}


def test_what_people_showed_says_little_and_only_where_nobody_spoke() -> None:
    """It is no vote: it earns no points, outvotes nobody, and is left out where anybody said what they think."""
    shown = [signal(SIGNS, "bo", answer, is_liked=False, weight=0.3, source="rephrased") for answer in ("a1", "a2")]
    vote = signal(VOTES, "ada", "a1", is_liked=True)
    choice = choose([], [], [vote], shown, policy=POLICY, without=EVERYBODY)

    assert sources(choice) == {Source.LIKED: 1, Source.IMPLICIT: 1}
    sign = next(one for one in choice.chosen if one.source is Source.IMPLICIT)
    assert (sign.newest.answer_id, sign.points(POLICY.points)) == ("a2", 0.0)
    assert choice.left_out == {choosing.SAID: 1}
    assert set(choice.person_weights) == {"ada"}


def test_what_people_showed_is_barred_and_capped_like_votes() -> None:
    """An unwilling person's, a stopped answer's, and more than one person may give are left out."""
    cap = DataPolicy(person_cap=Cap(share=0.1, least=2))
    shown = [signal(SIGNS, "bo", f"a{number}", is_liked=False) for number in range(4)]
    other = signal(SIGNS, "cy", "a9", is_liked=False)
    barred = [signal(SIGNS, "no", "a7", is_liked=False), signal(SIGNS, "cy", "a8", is_liked=False, is_finished=False)]
    without = OptedOut(people=frozenset({"no"}))
    choice = choose([], [], [], [*shown, other, *barred], policy=cap, without=without)

    assert Counter(one.newest.user_id for one in choice.chosen) == {"bo": 2, "cy": 1}
    assert choice.left_out == {eligibility.UNWILLING: 1, eligibility.UNFINISHED: 1, choosing.ONE_PERSON: 2}
