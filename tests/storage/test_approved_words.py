"""What a reviewer approved stands until one has looked at newer words of its author, on both kinds of database."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.admin import reviews
from bot.admin.backup import back_up
from bot.admin.restore import restore
from bot.learning.data.gathering import look, read_drafts
from bot.learning.data.policy import DataPolicy
from bot.learning.data.reviewed import WAITING
from bot.storage.admin_tables import ReviewState
from bot.storage.choices import OptedOut
from bot.storage.correction_search import Asked, find_by_terms
from bot.storage.db import Database, open_database
from bot.storage.fates import list_fates
from bot.storage.feedback import current_correction, save_correction, save_vote, take_back_vote
from bot.storage.forgetting import change_message
from bot.storage.person_data import collect_person, forget_person
from bot.storage.signal_counts import count_signals
from bot.storage.tables import Answer, Audience, Vote
from bot.storage.terms import find_terms
from bot.storage.threads import Place
from tests.builders import answered, said
from tests.storage.test_backup import tools

__all__ = ["tools"]  # a fixture

QUESTION = "What port does the staging database use?"
EVERYBODY = Asked(team_id="T1", channel_id="C9", user_id="U9", audience=Audience.PUBLIC, is_ours=True)
APPROVED, REJECTED = ReviewState.APPROVED, ReviewState.REJECTED


async def asked(database: Database, ts: str = "100.000", question: str = QUESTION) -> str:
    """Let U1 ask in the open; return the answer's id."""
    async with database.begin() as session:
        message = await said(session, question, ts=ts, place=Place("T1", "C1", ts))
        return (await answered(session, message, "No idea.", finish_reason="stop")).id


async def corrected(database: Database, answer_id: str, text: str, *, everyone: bool = False) -> str:
    """Let U1 press 👎 and say what it should have been; return the newest correction's id."""
    async with database.begin() as session:
        answer = await session.get_one(Answer, answer_id)
        await save_vote(session, answer, user_id="U1", vote=Vote.DOWN)
        await save_correction(session, answer, user_id="U1", text=text, is_for_everyone=everyone)
        newest = await current_correction(session, answer_id, user_id="U1")
        return newest.id if newest else ""


async def shown(database: Database, *, needs_review: bool = False) -> set[str]:
    """Return what would be answered with at once."""
    async with database.read() as session:
        found = await find_by_terms(session, replace(EVERYBODY, needs_review=needs_review), find_terms(QUESTION))
    return {one.text for one in found}


async def learned(database: Database, *, needs_review: bool = False) -> tuple[set[str], int]:
    """Return what the night would learn, and how many corrections it leaves out because they wait."""
    policy = DataPolicy(needs_review=needs_review)
    harvest = await look(database, policy=policy, system=lambda _day: "", since=None)
    drafts = [draft async for draft, _group in read_drafts(database, harvest, say=lambda *_: None)]
    texts = {draft.answer for draft in drafts if draft.is_fact}
    return texts, harvest.left_out[WAITING]


async def waiting(database: Database) -> list[str]:
    """Return what stands in the reviewers' queue."""
    return [one.text for one in await reviews.list_waiting(database, most=9)]


@pytest.mark.parametrize("needs_review", [False, True])
@pytest.mark.parametrize("words", ["8841", "8842"])
async def test_what_was_approved_stands_until_a_reviewer_looked(
    database: Database, words: str, *, needs_review: bool
) -> None:
    """As written or edited: at once, at night, in the counts; the newer words wait, and take its place in the end."""
    answer_id = await asked(database)
    first = await corrected(database, answer_id, "8841")
    await reviews.decide(database, first, APPROVED, by="UR", text=words, is_alone=True)
    newer = await corrected(database, answer_id, "pink")

    assert await shown(database, needs_review=needs_review) == {words}
    assert await learned(database, needs_review=needs_review) == ({words}, 1)
    assert await waiting(database) == ["pink"]
    async with database.read() as session:
        fates = await list_fates(session, "U1", most=5)
        rows = (await collect_person(session, "U1"))["corrections"]
        kinds = {"audiences": {Audience.PUBLIC}, "without": OptedOut(), "needs_review": needs_review}
        assert (await count_signals(session, since=None, **kinds)).corrections == 1
    assert [(fate.text, fate.waits) for fate in fates] == [("pink", True), ("8841", False)]
    assert [(row["text"], row["superseded_at"]) for row in rows] == [("8841", None), ("pink", None)]

    await reviews.decide(database, newer, APPROVED, by="UR")
    assert await shown(database, needs_review=needs_review) == {"pink"}
    assert await learned(database, needs_review=needs_review) == ({"pink"}, 0)
    async with database.read() as session:
        assert [(fate.text, fate.waits) for fate in await list_fates(session, "U1", most=5)] == [("pink", False)]

    await reviews.decide(database, newer, ReviewState.WAITING, by="UR")  # Undo
    assert await shown(database, needs_review=needs_review) == {words}
    await reviews.decide(database, newer, REJECTED, by="UR")
    assert await shown(database, needs_review=needs_review) == {words}
    assert await learned(database, needs_review=needs_review) == ({words}, 0)
    assert await waiting(database) == []


async def test_newer_words_below_another_answer_wait_too(database: Database) -> None:
    """The same author, the same question asked again: the night learns what was approved, and says that one waits."""
    first = await corrected(database, await asked(database), "8841")
    await reviews.decide(database, first, APPROVED, by="UR")
    await corrected(database, await asked(database, ts="200.000"), "pink")

    assert await learned(database) == ({"8841"}, 1)
    async with database.read() as session:
        fates = await list_fates(session, "U1", most=5)
    assert [(fate.text, fate.waits) for fate in fates] == [("pink", True), ("8841", False)]


async def test_what_its_author_takes_back_goes_approved_or_not(database: Database) -> None:
    """An empty form, Undo, forget-me; the same words sent again take back only the newer ones."""
    answer_id = await asked(database)
    first = await corrected(database, answer_id, "8841")
    await reviews.decide(database, first, APPROVED, by="UR")
    await corrected(database, answer_id, "pink")
    await corrected(database, answer_id, "mauve")
    assert await waiting(database) == ["mauve"]
    assert await corrected(database, answer_id, "8841") == first
    assert (await waiting(database), await shown(database)) == ([], {"8841"})

    await corrected(database, answer_id, "pink")
    async with database.begin() as session:
        await take_back_vote(session, await session.get_one(Answer, answer_id), user_id="U1")
    assert (await waiting(database), await shown(database)) == ([], set())

    first = await corrected(database, answer_id, "8841")
    await reviews.decide(database, first, APPROVED, by="UR")
    await corrected(database, answer_id, "pink")
    await corrected(database, answer_id, "")
    assert (await waiting(database), await shown(database)) == ([], set())

    first = await corrected(database, answer_id, "8841")
    await reviews.decide(database, first, APPROVED, by="UR")
    await corrected(database, answer_id, "pink")
    async with database.begin() as session:
        await forget_person(session, "U1")
    assert (await waiting(database), await shown(database)) == ([], set())


async def test_what_was_approved_of_another_question_gives_way(database: Database) -> None:
    """And what was given to everyone, where its author gives it no more."""
    answer_id = await asked(database)
    first = await corrected(database, answer_id, "8841", everyone=True)
    await reviews.decide(database, first, APPROVED, by="UR")
    assert await corrected(database, answer_id, "8841") != first
    async with database.read() as session:
        (current,) = await list_fates(session, "U1", most=5)
    assert (current.text, current.waits) == ("8841", False)

    async with database.begin() as session:
        newer = await current_correction(session, answer_id, user_id="U1")
        assert newer is not None
    await reviews.decide(database, newer.id, APPROVED, by="UR")
    async with database.begin() as session:
        await change_message(session, "T1", "C1", ts="100.000", text="Which port has the staging database by now?")
    await corrected(database, answer_id, "pink")
    assert await shown(database) == {"pink"}


async def test_no_more_approved_the_newest_words_count(database: Database) -> None:
    """The reviewer whose words stood is forgotten, or somebody rejects what was approved."""
    for ts, is_forgotten in (("100.000", True), ("200.000", False)):
        answer_id = await asked(database, ts=ts, question=f"{QUESTION} {ts}")
        first = await corrected(database, answer_id, "8841")
        await reviews.decide(database, first, APPROVED, by="UR", text="8842", is_alone=True)
        await corrected(database, answer_id, f"pink {ts}")
        if is_forgotten:
            async with database.begin() as session:
                await forget_person(session, "UR")
        else:
            await reviews.decide(database, first, REJECTED, by="US")
    assert await shown(database) == {"pink 100.000", "pink 200.000"}


async def test_both_are_put_back(database: Database, database_url: str, tmp_path: Path) -> None:
    """A backup that has both, or the first alone; what was decided and taken back since holds."""
    answer_id = await asked(database)
    first = await corrected(database, answer_id, "8841")
    await reviews.decide(database, first, APPROVED, by="UR")
    one = await back_up(database_url, tmp_path, tmp_path / "one.tar.gz")
    newer = await corrected(database, answer_id, "pink")
    both = await back_up(database_url, tmp_path, tmp_path / "both.tar.gz")
    await reviews.decide(database, newer, APPROVED, by="UR")
    await database.close()

    await restore(database_url, tmp_path, both, is_forced=True, by="cli:me")
    async with open_database(database_url) as opened:
        assert await shown(opened) == {"pink"}
        await reviews.decide(opened, newer, ReviewState.WAITING, by="UR")
        assert await shown(opened) == {"8841"}
        await corrected(opened, answer_id, "mauve")
    await restore(database_url, tmp_path, both, is_forced=True, by="cli:me")
    async with open_database(database_url) as opened:
        assert (await shown(opened), await waiting(opened)) == ({"8841"}, [])
        await corrected(opened, answer_id, "mauve")
    await restore(database_url, tmp_path, one, is_forced=True, by="cli:me")
    async with open_database(database_url) as opened:
        assert (await shown(opened), await waiting(opened)) == ({"8841"}, [])
        await corrected(opened, answer_id, "")
    await restore(database_url, tmp_path, one, is_forced=True, by="cli:me")
    async with open_database(database_url) as opened:
        assert await shown(opened) == set()
