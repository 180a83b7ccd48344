"""Threads, answers and feedback as later turns and the learning loop will read them."""

from sqlalchemy import select

from bot.storage.answers import begin_answer, has_outcome, load_answer
from bot.storage.db import Database
from bot.storage.feedback import current_correction, current_vote, save_correction, save_vote
from bot.storage.tables import AnswerState, Audience, Correction, Feedback, PreferencePair, Vote
from bot.storage.threads import Said, load_history
from tests.builders import answered, said


async def test_history_has_the_newest_answer_of_each_message(database: Database) -> None:
    """A regenerated answer replaces the earlier one; a failed one is not remembered; later messages are left out."""
    async with database.begin() as session:
        first = await said(session, "one", ts="100.001")
        old = await answered(session, first, "old")
        await answered(session, first, "new", replaces_id=old.id)
        second = await said(session, "two", ts="100.002")
        await answered(session, second, "half a sentence", state=AnswerState.FAILED)
        await said(session, "three", ts="100.003")

        history = await load_history(session, first.thread_id, before_ts="100.003")

    assert history == [
        Said("Maya", "one", "new", "100.001", first.id),
        Said("Maya", "two", None, "100.002", second.id),
    ]


async def test_a_message_is_stored_once(database: Database) -> None:
    """A turn that runs again finds its message and its unfinished answer."""
    async with database.begin() as session:
        message = await said(session)
        answer, _ = await begin_answer(session, message)
        again = await said(session)

        assert again.id == message.id
        begun, is_begun = await begin_answer(session, again)
        assert is_begun
        assert begun.id == answer.id
        assert not await has_outcome(session, message.id)


async def test_token_ids_come_back_as_they_went_in(database: Database) -> None:
    """The learning loop trains on exactly the ids that were served."""
    async with database.begin() as session:
        answer = await answered(session, await said(session), "hi", completion_token_ids=[0, 1, 151_935])
    async with database.begin() as session:
        record = await load_answer(session, answer.id)

    assert record is not None
    assert tuple(record.answer.completion_token_ids) == (0, 1, 151_935)
    assert record.answer.audience == Audience.PUBLIC
    assert record.answer.created_at.tzinfo is not None


async def test_a_changed_vote_keeps_its_history(database: Database) -> None:
    """Only the last vote counts, and the earlier ones stay readable."""
    async with database.begin() as session:
        answer = await answered(session, await said(session), "hi")
        for vote in (Vote.UP, Vote.DOWN, Vote.DOWN, Vote.UP):
            await save_vote(session, answer, user_id="U1", vote=vote)
        await save_vote(session, answer, user_id="U2", vote=Vote.DOWN, reason="wrong")

    async with database.begin() as session:
        mine = await current_vote(session, answer.id, user_id="U1")
        rows = (await session.scalars(select(Feedback).order_by(Feedback.id))).all()
    assert mine is not None
    assert mine.vote == Vote.UP
    assert [row.vote for row in rows] == ["up", "down", "down", "up", "down"]
    assert sum(row.superseded_at is None for row in rows) == 2


async def test_a_correction_can_be_changed_and_taken_back(database: Database) -> None:
    """The newest text counts; an empty one withdraws it; the audience is the answer's."""
    async with database.begin() as session:
        answer = await answered(session, await said(session), "hi")
        await save_correction(session, answer, user_id="U1", text="first")
        await save_correction(session, answer, user_id="U1", text="second")
        current = await current_correction(session, answer.id, user_id="U1")
        assert current is not None
        assert (current.text, current.audience) == ("second", Audience.PUBLIC)

        await save_correction(session, answer, user_id="U1", text="")
        assert await current_correction(session, answer.id, user_id="U1") is None
        assert len((await session.scalars(select(Correction))).all()) == 2


async def test_liking_a_regenerated_answer_prefers_it(database: Database) -> None:
    """The pair appears once, goes when the vote goes, and never against an answer that had failed."""
    async with database.begin() as session:
        message = await said(session)
        old = await answered(session, message, "old")
        new = await answered(session, message, "new", replaces_id=old.id)
        await save_vote(session, new, user_id="U1", vote=Vote.UP)
        await save_vote(session, new, user_id="U1", vote=Vote.UP)
        (pair,) = (await session.scalars(select(PreferencePair))).all()
        assert (pair.chosen_id, pair.rejected_id, pair.source) == (new.id, old.id, "regenerate")

        await save_vote(session, new, user_id="U1", vote=Vote.NONE)
        assert (await session.scalars(select(PreferencePair))).all() == []

        failed = await answered(session, message, "", replaces_id=new.id, state=AnswerState.FAILED)
        retried = await answered(session, message, "works", replaces_id=failed.id)
        await save_vote(session, retried, user_id="U1", vote=Vote.UP)
        assert (await session.scalars(select(PreferencePair))).all() == []
