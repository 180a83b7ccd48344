"""How far one person's word counts: floods, newcomers and contrary voters, and what a reviewer's word changes."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.learning.data import choosing
from bot.learning.data import trust as reasons
from bot.learning.data.choosing import Choice, choose
from bot.learning.data.gathering import look
from bot.learning.data.policy import DataPolicy, Trust
from bot.learning.data.trust import Standing
from bot.learning.examples import Source
from bot.storage.admin_tables import ReviewState
from bot.storage.choices import OptedOut
from bot.storage.db import Database
from bot.storage.reviews import decide_review
from bot.storage.signals import CORRECTIONS, PAIRS, VOTES, Signal
from tests.learning.feedback_rows import BEGAN, PLAIN, Team, system
from tests.learning.test_data_choosing import correction, signal

POLICY = replace(DataPolicy().among_people(), needs_consent=False)
TRUST = Trust()


def chosen_of(*signals: Signal, standing: Standing | None = None) -> Choice:
    """Choose from signals, which are given oldest first."""
    by_table = [[one for one in reversed(signals) if one.table == table] for table in (CORRECTIONS, PAIRS, VOTES)]
    return choose(*by_table, policy=POLICY, without=OptedOut(), standing=standing)


def people_in(choice: Choice) -> Counter[str]:
    """Count what each person gave of what was chosen."""
    return Counter(one.user_id for chosen in choice.chosen for one in chosen.signals)


def test_a_flood_within_a_week_is_cut() -> None:
    """250 votes of one evening are 20; what a reviewer approved comes on top, and another week has its own 20."""
    evening = [signal(user="eve", answer=f"e{n}") for n in range(250)]
    later = [
        signal(user="eve", answer=f"l{n}", created_at=datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=n))
        for n in range(5)
    ]
    facts = [correction("eve", f"q{n}") for n in range(30)]
    others = [signal(user=f"u{n}", answer=f"u{n}-{m}") for n in range(20) for m in range(15)]
    approved = frozenset(one.row_id for one in facts)

    assert people_in(chosen_of(*evening, *others))["eve"] == 20
    assert chosen_of(*evening, *others).left_out[reasons.TOO_FAST] == 230
    assert people_in(chosen_of(*evening, *later, *facts, *others, standing=Standing(approved=approved)))["eve"] == 50


def test_one_message_gives_few_answers() -> None:
    """Whoever has one question answered anew again and again, and likes each, teaches three of these."""
    again = [signal(user="eve", answer=f"a{n}", message_id="m1") for n in range(12)]
    choice = chosen_of(*again, signal(user="ada", answer="b"), signal(user="bo", answer="c"))

    assert people_in(choice) == {"eve": 3, "ada": 1, "bo": 1}
    assert choice.left_out == {reasons.ONE_MESSAGE: 9}


def test_whoever_votes_against_all_others_is_put_aside() -> None:
    """Of answers that three people judged, one who contradicts nearly each is heard no more; a sceptic is."""
    votes = [signal(user=user, answer=f"a{n}") for n in range(10) for user in ("ada", "bo", "cy")]
    contrary = [signal(user="eve", answer=f"a{n}", is_liked=n == 0) for n in range(10)]
    sceptic = [signal(user="sam", answer=f"a{n}", is_liked=n < 5) for n in range(10)]
    choice = chosen_of(*votes, *contrary, *sceptic, signal(user="eve", answer="elsewhere"))

    assert "eve" not in people_in(choice)
    assert people_in(choice)["sam"] == 5
    assert choice.left_out[reasons.CONTRARY] == 11


def test_few_shared_answers_put_nobody_aside() -> None:
    """Who differs on a handful of answers differs, no more."""
    few = TRUST.least_shared - 1
    votes = [signal(user=user, answer=f"a{n}") for n in range(few) for user in ("ada", "bo")]
    choice = chosen_of(*votes, *(signal(user="eve", answer=f"a{n}", is_liked=False) for n in range(few)))

    assert choice.left_out[reasons.CONTRARY] == 0


async def test_newcomers_wait_for_a_reviewer(database: Database) -> None:
    """Who came within two weeks teaches nothing unless a reviewer approves it; where all are new, nobody is one."""
    team = Team()
    for day, person in ((0, "ada"), (0, "bo"), (20, "new")):
        team.minutes = day * 24 * 60
        for number in range(2):
            answer = team.ask(person, f"What is {person} {number * 7919}?", "I do not know.")
            team.correct(person, answer, f"It is {number}.")
    await team.save(database)
    until = BEGAN + timedelta(days=21)
    policy = replace(PLAIN, trust=TRUST)
    early = await look(database, policy=policy, system=system, since=None, until=BEGAN + timedelta(days=2))
    harvest = await look(database, policy=policy, system=system, since=None, until=until)
    waiting = next(row for row in team.rows if getattr(row, "text", "") == "It is 1." and row.user_id == "new")
    async with database.begin() as session:
        await decide_review(session, waiting.id, ReviewState.APPROVED, by="U1")
    reviewed = await look(database, policy=policy, system=system, since=None, until=until)

    assert early.left_out[reasons.NEW_HERE] == 0
    assert people_in(harvest.choice) == {"ada": 2, "bo": 2}
    assert harvest.left_out[reasons.NEW_HERE] == 2
    assert people_in(reviewed.choice) == {"ada": 2, "bo": 2, "new": 1}


def test_what_a_reviewer_approved_stands() -> None:
    """Neither a newer correction that nobody has looked at, nor people who like the wrong answer, undo it."""
    good, newer = correction("ada", text="desk", answer="a1"), correction("eve", text="mine", answer="a2")
    likes = [signal(user=user, answer="a1") for user in ("eve", "mal", "moe")]
    approved = Standing(approved=frozenset({good.row_id}))

    assert chosen_of(good, newer).chosen[0].signals == (newer,)
    assert [one.signals for one in chosen_of(good, newer, *likes, standing=approved).chosen] == [(good,)]


def test_a_preference_counts_only_where_not_as_many_say_the_opposite() -> None:
    """Whoever has an answer written anew and prefers that one is outvoted by those who dislike it."""
    own = signal(PAIRS, "eve", "rude", other_id="good", source="regenerate")
    disliked = signal(user="ada", answer="rude", is_liked=False)
    supported = [signal(user=user, answer="rude") for user in ("bo", "cy")]

    assert [one.source for one in chosen_of(own, disliked).chosen] == [Source.DISLIKED]
    assert choosing.OUTVOTED in chosen_of(own, disliked).left_out
    assert Source.REGENERATED not in {one.source for one in chosen_of(own, signal(user="bo", answer="good")).chosen}
    assert {one.source for one in chosen_of(own, disliked, *supported).chosen} == {Source.REGENERATED, Source.LIKED}


def test_whoever_prefers_against_all_others_is_put_aside() -> None:
    """What stands beside a preference is no vote any more, and must not hide who always contradicts."""
    votes = [signal(user=user, answer=f"rude{n}", is_liked=False) for n in range(10) for user in ("ada", "bo")]
    pairs = [signal(PAIRS, "eve", f"rude{n}", other_id=f"good{n}", source="regenerate") for n in range(10)]
    choice = chosen_of(*votes, *pairs, signal(user="eve", answer="elsewhere"))

    assert people_in(choice)["eve"] == 0
    assert choice.left_out[reasons.CONTRARY] == 11
