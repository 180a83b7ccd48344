"""What the learning loop reads: votes, corrections, preferences, choices and texts, on both kinds of database."""

from datetime import UTC, datetime, timedelta

from bot.storage.adapters import votes_by_person
from bot.storage.choices import CHANNEL, PERSON, OptedOut, load_opted_out, newest_choice, save_choice
from bot.storage.db import Database
from bot.storage.feedback import save_correction, save_vote
from bot.storage.forgetting import change_message
from bot.storage.learning_tables import TrainingChoice
from bot.storage.material import load_corrections, load_material, load_turns
from bot.storage.memory_tables import SourceKind
from bot.storage.signal_counts import SignalCounts, count_signals
from bot.storage.signals import Signal, count_people, stream_corrections, stream_pairs, stream_votes
from bot.storage.tables import AnswerState, Audience, Correction, PreferencePair, Vote
from bot.storage.threads import Place
from bot.storage.traces import Source, save_sources
from tests.builders import answered, said

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PUBLIC = frozenset({Audience.PUBLIC})


async def read(database: Database, stream: object, *, since: datetime | None = None, most: int = 100) -> list[Signal]:
    """Return what a stream yields."""
    async with database.read() as session:
        return [signal async for signal in stream(session, since=since, most=most)]  # type: ignore[operator]


async def test_votes_stream_newest_first_as_they_are_now(database: Database) -> None:
    """A superseded vote and one that was taken back are gone; the newest come first and no more than asked for."""
    async with database.begin() as session:
        message = await said(session)
        one = await answered(session, message, "hi", finish_reason="stop")
        two = await answered(session, message, "hello", finish_reason="length", replaces_id=one.id)
        for vote in (Vote.UP, Vote.DOWN):
            await save_vote(session, one, user_id="U1", vote=vote)
        await save_vote(session, one, user_id="U2", vote=Vote.NONE)
        await save_vote(session, two, user_id="U2", vote=Vote.UP)

    votes = await read(database, stream_votes)
    assert {(vote.user_id, vote.answer_id, vote.is_liked) for vote in votes} == {
        ("U1", one.id, False),
        ("U2", two.id, True),
    }
    assert [vote.row_id for vote in votes] == sorted((vote.row_id for vote in votes), reverse=True)
    assert {vote.answer_id: vote.is_finished for vote in votes} == {one.id: True, two.id: False}
    assert {(vote.asker_id, vote.channel_id, vote.audiences) for vote in votes} == {("U1", "C1", PUBLIC)}
    assert len(await read(database, stream_votes, most=1)) == 1
    assert await read(database, stream_votes, since=datetime.now(UTC) + timedelta(minutes=1)) == []


async def test_what_was_helped_or_is_outdated_is_marked(database: Database) -> None:
    """A vote on an answer that had a correction before it, or whose question was made another one, is no evidence."""
    async with database.begin() as session:
        one = await answered(session, await said(session, "one", ts="1"), "hi", finish_reason="stop")
        two = await answered(session, await said(session, "two", ts="2"), "hi", finish_reason="stop")
        plain = await answered(session, await said(session, "three", ts="3"), "hi", finish_reason="stop")
        for answer in (one, two, plain):
            await save_vote(session, answer, user_id="U1", vote=Vote.UP)
        await save_sources(session, one.id, [Source(SourceKind.CORRECTION, "X"), Source(SourceKind.MESSAGE, "Y")])
        await save_sources(session, plain.id, [Source(SourceKind.MESSAGE, "Y")])
        await change_message(session, "T1", "C1", ts="2", text="Something else")
        assert await votes_by_person(session, None) == {"U1": (2, 0)}
        assert await votes_by_person(session, None, is_helped_too=True) == {"U1": (3, 0)}
        material = await load_material(session, [one.id, plain.id])

    votes = {vote.answer_id: vote for vote in await read(database, stream_votes)}
    assert [votes[answer.id].is_helped for answer in (one, two, plain)] == [True, False, False]
    assert [votes[answer.id].is_outdated for answer in (one, two, plain)] == [False, True, False]
    assert [material[answer.id].is_alone for answer in (one, plain)] == [False, True]


async def test_a_correction_below_an_edited_question_is_learned(database: Database) -> None:
    """It is about the new words, as it is when it answers at once; the answer to the old ones is no worse answer."""
    async with database.begin() as session:
        answer = await answered(session, await said(session, "one", ts="1"), "hi", finish_reason="stop")
        await save_correction(session, answer, user_id="U1", text="said before the edit")
        await change_message(session, "T1", "C1", ts="1", text="two")
        await save_correction(session, answer, user_id="U2", text="said after it")

    read_now = {signal.user_id: signal for signal in await read(database, stream_corrections)}
    assert {user: (one.is_outdated, one.is_finished) for user, one in read_now.items()} == {
        "U1": (True, False),
        "U2": (False, False),
    }
    async with database.read() as session:
        counted = await count_signals(session, since=None, audiences=PUBLIC, without=OptedOut())
    assert (counted.corrections, counted.people) == (1, 1)


async def test_corrections_of_the_same_question_have_the_same_key(database: Database) -> None:
    """Case, spaces and the sign at the end do not make another question; audiences are those of every text."""
    async with database.begin() as session:
        for number, (question, text) in enumerate(
            [("Who leads?", "Maya."), ("who  LEADS", "maya"), ("Who follows?", "Jo")]
        ):
            message = await said(session, question, ts=f"100.00{number}")
            answer = await answered(session, message, "?", finish_reason="stop")
            await save_correction(session, answer, user_id=f"U{number}", text="old")
            await save_correction(session, answer, user_id=f"U{number}", text=text)
        private = Correction(
            answer_id=answer.id, user_id="U9", text="x", audience=Audience.DIRECT, is_for_everyone=True
        )
        session.add(private)

    found = {signal.user_id: signal for signal in await read(database, stream_corrections)}
    assert set(found) == {"U0", "U1", "U2", "U9"}
    assert found["U0"].question_key == found["U1"].question_key != found["U2"].question_key
    assert found["U0"].text_key == found["U1"].text_key != found["U2"].text_key
    assert found["U9"].audiences == {Audience.PUBLIC, Audience.DIRECT}
    assert [found[user].is_for_everyone for user in ("U0", "U9")] == [False, True]


async def test_a_preference_needs_two_finished_answers_to_one_message(database: Database) -> None:
    """What was preferred to a failed answer, or to one to another question, is not finished."""
    async with database.begin() as session:
        first, second = await said(session, ts="100.001"), await said(session, ts="100.002")
        good = await answered(session, first, "good", finish_reason="stop")
        worse = await answered(session, first, "worse", finish_reason="stop", replaces_id=good.id)
        failed = await answered(session, first, "", state=AnswerState.FAILED, replaces_id=worse.id)
        elsewhere = await answered(session, second, "other", finish_reason="stop")
        for number, rejected in enumerate((worse, failed, elsewhere)):
            session.add(
                PreferencePair(chosen_id=good.id, rejected_id=rejected.id, user_id=f"U{number}", source="regenerate")
            )

    pairs = {pair.user_id: pair for pair in await read(database, stream_pairs)}
    assert [pairs[f"U{number}"].is_finished for number in range(3)] == [True, False, False]
    assert (pairs["U0"].answer_id, pairs["U0"].other_id, pairs["U0"].source) == (good.id, worse.id, "regenerate")


async def test_the_newest_choice_of_each_counts(database: Database) -> None:
    """Who said no and then yes is in again; what was chosen about other things opts nobody out."""
    async with database.begin() as session:
        for number, (kind, subject, is_allowed) in enumerate(
            [
                (PERSON, "U1", False),
                (PERSON, "U1", True),
                (PERSON, "U2", True),
                (PERSON, "U2", False),
                (CHANNEL, "C1", False),
                ("news", "U3", False),
            ]
        ):
            at = LONG_AGO + timedelta(microseconds=number)
            session.add(TrainingChoice(kind=kind, subject_id=subject, is_allowed=is_allowed, by="U1", at=at))
    async with database.begin() as session:
        await save_choice(session, kind=CHANNEL, subject_id="C2", is_allowed=False, by="U1")

    async with database.read() as session:
        assert await load_opted_out(session) == OptedOut(frozenset({"U2"}), frozenset({"C1", "C2"}))
        newest = await newest_choice(session, kind=PERSON, subject_id="U2")
        assert newest is not None
        assert not newest.is_allowed
        assert await newest_choice(session, kind=PERSON, subject_id="U3") is None


async def test_counts_say_each_thing_once(database: Database) -> None:
    """A 👎 beside a correction and a 👍 beside a preference do not count again; nor does what may not be learned."""
    async with database.begin() as session:
        message = await said(session, user="U1")
        first = await answered(session, message, "a", finish_reason="stop")
        second = await answered(session, message, "b", finish_reason="stop", replaces_id=first.id)
        await save_vote(session, second, user_id="U1", vote=Vote.UP)  # a preference as well
        await save_vote(session, first, user_id="U2", vote=Vote.DOWN)
        await save_correction(session, first, user_id="U2", text="c")
        await save_vote(session, first, user_id="U3", vote=Vote.UP)
        await save_vote(session, first, user_id="U4", vote=Vote.UP)
        elsewhere = await said(session, place=Place("T1", "C2", "200.000"), ts="200.000")
        await save_vote(session, await answered(session, elsewhere, "d"), user_id="U3", vote=Vote.UP)

    async with database.read() as session:
        without = OptedOut(frozenset({"U4"}), frozenset({"C2"}))
        counted = await count_signals(session, since=None, audiences=PUBLIC, without=without)
        later = await count_signals(
            session, since=datetime.now(UTC) + timedelta(hours=1), audiences=PUBLIC, without=without
        )
        nowhere = await count_signals(session, since=None, audiences={Audience.DIRECT}, without=OptedOut())
        people = await count_people(session, most=3)

    assert counted == SignalCounts(corrections=1, pairs=1, votes=1, people=3)
    assert later == nowhere == SignalCounts(0, 0, 0, 0)
    assert people == 1


async def test_texts_come_with_what_was_said_before_them(database: Database) -> None:
    """An answer has its token ids, its thread the newest answer to each message, oldest message first."""
    async with database.begin() as session:
        first = await said(session, "one", ts="100.001")
        old = await answered(session, first, "old")
        await answered(session, first, "new", replaces_id=old.id)
        second = await said(session, "two", ts="100.002")
        answer = await answered(
            session, second, "there", prompt_token_ids=[1, 2], completion_token_ids=[3], messages_used=1
        )
        await save_correction(session, answer, user_id="U1", text="here")
    (correction,) = await read(database, stream_corrections)

    async with database.read() as session:
        material = (await load_material(session, [answer.id]))[answer.id]
        turns = (await load_turns(session, [first.thread_id]))[first.thread_id]
        texts = await load_corrections(session, [correction.row_id])

    assert (material.prompt_ids, material.completion_ids, material.ts, material.text) == (
        (1, 2),
        (3,),
        "100.002",
        "there",
    )
    assert [(turn.text, turn.answer) for turn in turns] == [("one", "new"), ("two", "there")]
    assert texts == {correction.row_id: "here"}


async def test_an_answer_that_fewer_could_read_is_no_part_of_a_thread(database: Database) -> None:
    """Neither what its asker alone saw beside what they shared, nor what was written anew in a channel gone private."""
    async with database.begin() as session:
        first = await said(session, "one", ts="100.001")
        await answered(session, first, "shared")
        for text, audience in (("seen by one", Audience.DIRECT), ("anew", Audience.PRIVATE)):
            await answered(session, first, text, audience=audience)
        second = await said(session, "two", ts="100.002")
        await answered(session, second, "there")
        second.audience = Audience.PRIVATE
        turns = (await load_turns(session, [first.thread_id]))[first.thread_id]

    assert [(turn.text, turn.answer) for turn in turns] == [("one", "shared"), ("two", "there")]
