"""Several answers to choose from, and what is asked for oneself, on every database."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.storage.answers import has_newer, load_answer, newest_answer
from bot.storage.asking_tables import PRIVATE, Candidate
from bot.storage.askings import (
    LONGEST_SHARE,
    Chosen,
    Put,
    begin_candidates,
    choose,
    claim_share,
    count_rounds,
    find_asking,
    publish,
    release_share,
    save_asking,
    save_round,
)
from bot.storage.db import Database
from bot.storage.inbox import accept, claim_kind, has_waiting
from bot.storage.tables import AnswerState, Audience, Message, PreferencePair, Thread, now
from bot.storage.threads import Place, load_history
from tests.builders import PLACE, answered, arrival, said

SINCE = timedelta(days=1)


async def test_the_chosen_answer_stands_and_is_preferred(database: Database) -> None:
    """Until somebody chooses the first one stands; a second choice changes nothing."""
    async with database.begin() as session:
        message = await said(session, "hello", ts="100.001")
        ids = [(await answered(session, message, text)).id for text in ("one", "two", "three")]
        await save_round(session, ids)
        before = await load_history(session, message.thread_id, before_ts="100.009")
        first = await choose(session, ids[1], user_id="U1", since=now() - SINCE, most=20)
        again = await choose(session, ids[2], user_id="U1", since=now() - SINCE, most=20)
        after = await load_history(session, message.thread_id, before_ts="100.009")
        pairs = (await session.scalars(select(PreferencePair))).all()
        standing = await newest_answer(session, PLACE.team_id, PLACE.channel_id, PLACE.thread_ts)
        rounds = await count_rounds(session, "U1", since=now() - SINCE)

    assert (before[0].answer, after[0].answer) == ("one", "two")
    assert first == (Chosen.STORED, ids[1])
    assert again == (Chosen.KNOWN, ids[1])
    assert {(pair.chosen_id, pair.rejected_id, pair.source) for pair in pairs} == {
        (ids[1], ids[0], "compared"),
        (ids[1], ids[2], "compared"),
    }
    assert standing is not None
    assert standing.answer.id == ids[1]
    assert rounds == 1


async def test_one_person_is_not_learned_from_without_end(database: Database) -> None:
    """What is chosen beyond the day's number stands, and teaches nothing; of what is no choice nothing comes."""
    outcomes = []
    async with database.begin() as session:
        for number in range(3):
            message = await said(session, "hello", ts=f"100.00{number}")
            ids = [(await answered(session, message, text)).id for text in ("one", "two")]
            await save_round(session, ids)
            outcomes.append((await choose(session, ids[1], user_id="U1", since=now() - SINCE, most=2))[0])
        lone = await answered(session, await said(session, "alone", ts="100.009"), "one")
        outcomes.append((await choose(session, lone.id, user_id="U1", since=now() - SINCE, most=2))[0])
        pairs = (await session.scalars(select(PreferencePair))).all()

    assert outcomes == [Chosen.STORED, Chosen.STORED, Chosen.UNSTORED, Chosen.NOTHING]
    assert len(pairs) == 2


async def test_what_a_crash_interrupted_is_taken_up_again(database: Database) -> None:
    """No row is left over that nobody writes."""
    async with database.begin() as session:
        message = await said(session)
        first = await answered(session, message, "", state=AnswerState.WRITING)
        ids = await begin_candidates(session, first.id, count=3)
        assert await begin_candidates(session, first.id, count=3) == ids
        assert ids[0] == first.id
        assert len(set(ids)) == 3


async def test_a_share_that_a_kill_cut_short_can_be_begun_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, for it may still be under way; what was posted is not posted again."""
    later = now() + LONGEST_SHARE + timedelta(seconds=1)
    async with database.begin() as session:
        message = await said(session, "hello", place=Place("T1", "C1", f"{PRIVATE}1"))
        await save_asking(session, message.id, Put(is_private=True))
        answer = await answered(session, message, "hi")
        claims = [await claim_share(session, message.id), await claim_share(session, message.id)]
        monkeypatch.setattr("bot.storage.askings.now", lambda: later)
        claims += [await claim_share(session, message.id), await claim_share(session, message.id)]
        place = Place("T1", "C1", "200.000")
        await publish(session, answer, message, place=place, ts="200.000", audience=Audience.PUBLIC)
        monkeypatch.setattr("bot.storage.askings.now", lambda: later + LONGEST_SHARE * 2)
        claims.append(await claim_share(session, message.id))

    assert claims == [True, False, True, False, False]


async def test_a_private_answer_is_shared_once_and_moves_to_its_place(database: Database) -> None:
    """Then it has the audience of the channel; a second click finds it taken, until the first has failed."""
    async with database.begin() as session:
        message = await said(session, "hello", place=Place("T1", "C1", f"{PRIVATE}1"))
        await save_asking(session, message.id, Put(length="short", is_private=True))
        answer = await answered(session, message, "hi")
        claims = [await claim_share(session, message.id), await claim_share(session, message.id)]
        await release_share(session, message.id)
        claims.append(await claim_share(session, message.id))
        place = Place("T1", "C1", "200.000")
        await publish(session, answer, message, place=place, ts="200.000", audience=Audience.PRIVATE)
        usual = await said(session, "usual", ts="300.000")
        await save_asking(session, usual.id, Put())
    async with database.begin() as session:
        record = await load_answer(session, answer.id)
        threads = set(await session.scalars(select(Thread.thread_ts)))
        put = await find_asking(session, message.id)
        moved = await session.get_one(Message, message.id)
        shared_again = await claim_share(session, message.id)
        other = await claim_share(session, usual.id)

    assert claims == [True, False, True]
    assert record is not None
    assert (record.place, record.answer.reply_ts) == (place, ["200.000"])
    assert (record.answer.audience, moved.audience, moved.ts) == ("private", "private", "200.000")
    assert threads == {"200.000", PLACE.thread_ts}
    assert put == Put(length="short", is_private=True)
    assert not shared_again
    assert not other


async def test_orders_are_claimed_beside_their_thread(database: Database) -> None:
    """They wait for nothing, and each is claimed once."""
    async with database.begin() as session:
        await accept(session, arrival())
        await accept(session, arrival(event_id="Ev2", kind="order", thread_ts="!100.001", ts="100.001"))
        assert await has_waiting(session, "order")
        claimed = await claim_kind(session, "order", limit=5)
        assert [[row.event_id for row in turn] for turn in claimed] == [["Ev2"]]
        assert await claim_kind(session, "order", limit=5) == []
        assert not await has_waiting(session, "order")


async def test_answers_beside_each_other_are_none_after_each_other(database: Database) -> None:
    """An edit of the question finds nothing newer in them; what answers the edited question cannot be chosen away."""
    async with database.begin() as session:
        message = await said(session, "hello", ts="100.001")
        first, second = [await answered(session, message, text) for text in ("one", "two")]
        await save_round(session, [first.id, second.id])
        assert not await has_newer(session, first)
        await answered(session, message, "to the edited question")
        assert await has_newer(session, first)
        outcome = await choose(session, second.id, user_id="U1", since=now() - SINCE, most=20)

    assert outcome == (Chosen.NOTHING, second.id)


async def test_two_presses_at_once_are_one_choice(database: Database) -> None:
    """Of two buttons, in two processes: what the other one chose is seen."""
    async with database.begin() as session:
        message = await said(session, "hello", ts="100.001")
        ids = [(await answered(session, message, text)).id for text in ("one", "two")]
        await save_round(session, ids)

    async def press(answer_id: str) -> tuple[Chosen, str]:
        async with database.begin() as session:
            outcome = await choose(session, answer_id, user_id="U1", since=now() - SINCE, most=20)
            await asyncio.sleep(0.2)
            return outcome

    outcomes = await asyncio.gather(*map(press, ids))
    async with database.read() as session:
        pairs = (await session.scalars(select(PreferencePair))).all()
        found = (await session.scalars(select(Candidate).order_by(Candidate.number))).all()

    assert sorted(outcome for outcome, _ in outcomes) == [Chosen.KNOWN, Chosen.STORED]
    assert len({answer_id for _, answer_id in outcomes}) == 1
    assert len(pairs) == 1
    assert [one.stands for one in found] == [one.chosen_at is not None for one in found]


async def test_two_choices_at_once_are_one(database: Database, database_url: str) -> None:
    """Through two bots: the later one waits, and learns which stands."""
    async with database.begin() as session:
        message = await said(session, "hello", ts="100.001")
        ids = [(await answered(session, message, text)).id for text in ("one", "two")]
        await save_round(session, ids)
    other = Database(database_url)

    async def press(used: Database, answer_id: str) -> tuple[Chosen, str]:
        async with used.begin() as session:
            await load_answer(session, answer_id, is_locked=True)
            await asyncio.sleep(0.1)
            return await choose(session, answer_id, user_id="U1", since=now() - SINCE, most=20)

    outcomes = await asyncio.gather(press(database, ids[0]), press(other, ids[1]))
    await other.close()
    async with database.read() as session:
        pairs = (await session.scalars(select(PreferencePair))).all()
    assert {outcome for outcome, _answer in outcomes} == {Chosen.STORED, Chosen.KNOWN}
    assert len({answer_id for _outcome, answer_id in outcomes}) == len(pairs) == 1
