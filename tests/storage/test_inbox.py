"""The inbox: every event once, one at a time per thread, in order, also after a crash."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.storage import inbox, workers
from bot.storage.db import Database
from bot.storage.tables import Inbox, now
from bot.storage.waiting import count_by_person
from tests.builders import arrival


async def claim(database: Database, limit: int = 10) -> list[str]:
    """Claim what is ready and return the events' ids, those of one turn joined."""
    async with database.begin() as session:
        turns = await inbox.claim_ready(session, limit=limit)
        return ["+".join(row.event_id for row in rows) for rows in turns]


async def put(database: Database, *, user: str = "U1", merge_s: float = 0, **changes: str) -> bool:
    """Accept one event."""
    async with database.begin() as session:
        event = {"user": user, "text": "hello"}
        return await inbox.accept(session, arrival(payload={"event": event}, **changes), merge_s=merge_s)


async def wait_over(database: Database, *, seconds: float) -> None:
    """Let what waits for more have waited *seconds* longer."""
    async with database.begin() as session:
        for row in await session.scalars(select(Inbox).where(Inbox.ready_at.is_not(None))):
            row.ready_at -= timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("second", "is_new"),
    [
        ({}, False),
        ({"event_id": "Ev2"}, False),
        ({"event_id": "Ev2", "ts": "101.000"}, True),
        ({"event_id": "Ev2", "kind": "again"}, True),
        ({"event_id": "Ev2", "channel_id": "C2"}, True),
        ({"event_id": "Ev2", "team_id": "T2"}, True),
    ],
)
async def test_an_event_is_accepted_once(database: Database, second: dict[str, str], is_new: bool) -> None:
    """A redelivery and the twin of a mention, which has another event id, are recognised."""
    assert await put(database)

    assert await put(database, **second) is is_new


async def test_one_event_of_a_thread_runs_at_a_time(database: Database) -> None:
    """The second message of a thread waits for the first; another thread does not."""
    await put(database)
    await put(database, user="U2", event_id="Ev2", ts="101.000")
    await put(database, event_id="Ev3", ts="102.000", thread_ts="102.000")

    assert await claim(database) == ["Ev1", "Ev3"]
    assert await claim(database) == []
    async with database.begin() as session:
        await inbox.finish(session, 1)
    assert await claim(database) == ["Ev2"]


async def test_what_a_crash_interrupted_runs_again(database: Database) -> None:
    """Recovery gives the event back and remembers that it was tried."""
    await put(database)
    await claim(database)
    async with database.begin() as session:
        assert await workers.recover(session) == 1

    async with database.begin() as session:
        ((row,),) = await inbox.claim_ready(session, limit=1)
    assert row.attempts == 2


async def test_a_finished_event_keeps_its_ids_and_loses_its_text(database: Database) -> None:
    """What people wrote does not linger in the inbox; a late redelivery is still recognised."""
    await put(database)
    await claim(database)
    async with database.begin() as session:
        await inbox.finish(session, 1)

    async with database.begin() as session:
        row = await session.scalar(select(Inbox))
        assert row is not None
        assert row.payload == {}
        assert await inbox.count_waiting(session) == 0
    assert not await put(database)


async def test_pruning_keeps_what_is_recent_or_unfinished(database: Database) -> None:
    """Only events that were done long ago are forgotten."""
    await put(database)
    await put(database, event_id="Ev2", ts="101.000", thread_ts="101.000")
    async with database.begin() as session:
        await inbox.finish(session, 1)
        await inbox.prune(session, before=now() - timedelta(days=1))
    assert not await put(database)

    async with database.begin() as session:
        await inbox.prune(session, before=now() + timedelta(days=1))
    assert await put(database)
    assert not await put(database, event_id="Ev2", ts="101.000")


async def test_a_thread_is_ordered_by_slacks_time(database: Database) -> None:
    """Two messages that arrive in the wrong order are answered in the right one."""
    await put(database, event_id="Ev2", ts="101.000")
    await put(database, user="U2", event_id="Ev1", ts="100.500")

    assert await claim(database) == ["Ev1"]


async def test_messages_of_one_person_are_one_turn(database: Database) -> None:
    """What queues up behind an answer becomes the next turn, up to somebody else's word; order is kept."""
    await put(database)
    assert await claim(database) == ["Ev1"]
    for number, user in ((2, "U1"), (3, "U1"), (4, "U2"), (5, "U1")):
        await put(database, user=user, event_id=f"Ev{number}", ts=f"10{number}.000")
    async with database.begin() as session:
        await inbox.finish(session, 1)

    assert await claim(database) == ["Ev2+Ev3"]
    assert await claim(database) == []
    async with database.begin() as session:
        await inbox.finish(session, [2, 3])
    assert await claim(database) == ["Ev4"]


async def test_a_click_is_a_turn_of_its_own(database: Database) -> None:
    """Regenerate between two messages is not swallowed by them."""
    await put(database)
    await put(database, event_id="Ev2", ts="101.000", kind="again")
    await put(database, event_id="Ev3", ts="102.000")

    assert await claim(database) == ["Ev1"]


async def test_rapid_messages_wait_for_each_other(database: Database) -> None:
    """A message waits a moment; whatever comes meanwhile is answered with it, and nobody waits for ever."""
    await put(database, merge_s=1.5, ts="101.000")
    assert await claim(database) == []
    await wait_over(database, seconds=1)
    await put(database, merge_s=1.5, event_id="Ev2", ts="102.000")
    await wait_over(database, seconds=1)
    async with database.read() as session:
        next_at = await inbox.next_ready_at(session, after=now())
    assert next_at is not None
    assert await claim(database) == []

    await wait_over(database, seconds=1)
    assert await claim(database) == ["Ev1+Ev2"]
    async with database.read() as session:
        assert await inbox.next_ready_at(session, after=now()) is None


async def test_whoever_goes_on_writing_is_answered(database: Database) -> None:
    """The oldest message waits no longer than a few seconds beyond its time."""
    await put(database, merge_s=1.5, ts="101.000")
    await wait_over(database, seconds=8)
    await put(database, merge_s=1.5, event_id="Ev2", ts="102.000")

    assert await claim(database) == ["Ev1+Ev2"]


async def test_a_turn_is_the_same_turn_after_a_crash(database: Database) -> None:
    """What came in meanwhile is not mixed into it: its half-shown answer goes on under the same message."""
    await put(database)
    await put(database, event_id="Ev2", ts="101.000")
    assert await claim(database) == ["Ev1+Ev2"]
    await put(database, event_id="Ev3", ts="102.000")
    async with database.begin() as session:
        assert await workers.recover(session) == 2

    assert await claim(database) == ["Ev1+Ev2"]
    async with database.begin() as session:
        await inbox.finish(session, [1, 2])
    assert await claim(database) == ["Ev3"]


async def test_a_turn_without_its_last_message_is_still_one(database: Database) -> None:
    """Somebody deletes a message between a crash and the restart; the rest is answered, once."""
    await put(database)
    await put(database, event_id="Ev2", ts="101.000")
    await put(database, event_id="Ev3", ts="102.000")
    assert await claim(database) == ["Ev1+Ev2+Ev3"]
    async with database.begin() as session:
        await workers.recover(session)
        await inbox.drop_waiting(session, "T1", "C1", ts="102.000")

    assert await claim(database) == ["Ev1+Ev2"]


async def test_a_message_that_comes_after_its_deletion_is_known(database: Database) -> None:
    """Slack promises no order: nothing of it is stored or answered then; its thread is not one of ours."""
    async with database.begin() as session:
        await inbox.drop_waiting(session, "T1", "C1", ts="100.000")
        await inbox.drop_waiting(session, "T1", "C1", ts="100.000")

    assert not await put(database)
    assert await claim(database) == []
    async with database.read() as session:
        assert await inbox.list_threads(session, "T1", "C1") == []
        assert await inbox.count_waiting(session) == 0


async def test_what_is_deleted_while_it_is_answered_is_known_to_be_gone(database: Database) -> None:
    """Its words are gone from the row, and nobody stores them anew; what stands is as it was sent."""
    await put(database)
    await put(database, event_id="Ev2", ts="101.000", thread_ts="101.000")
    await claim(database)
    async with database.begin() as session:
        await inbox.drop_waiting(session, "T1", "C1", ts="100.000")
        found = await inbox.find_edits(session, "T1", "C1", ["100.000", "101.000", "102.000"])
    assert found == {"100.000": None, "101.000": ""}


async def test_an_older_edit_that_comes_again_changes_nothing(database: Database) -> None:
    """Of the edits of what waits or begins the newest counts, in whichever order they come."""
    await put(database)
    await claim(database)
    for text, edited_ts in (("first", "103.000"), ("third", "105.000"), ("second", "104.000")):
        async with database.begin() as session:
            message = {"text": text, "edited": {"user": "U1", "ts": edited_ts}}
            await inbox.replace_waiting(session, "T1", "C1", ts="100.000", message=message)
    async with database.begin() as session:
        assert await inbox.find_edits(session, "T1", "C1", ["100.000"]) == {"100.000": "105.000"}
        row = (await session.scalars(select(Inbox))).one()
    assert row.payload["event"]["text"] == "third"


async def test_what_was_put_back_waits_behind_what_came_before_it(database: Database) -> None:
    """It was not begun in vain, so it may be begun as often as ever."""
    await put(database, event_id="Ev2", ts="101.000")
    assert await claim(database) == ["Ev2"]
    async with database.read() as session:
        row = (await session.scalars(select(Inbox))).one()
        assert not await inbox.has_earlier(session, row)
    await put(database)
    async with database.begin() as session:
        assert await inbox.has_earlier(session, row)
        await inbox.put_back(session, [row.id])
    assert await claim(database) == ["Ev1"]
    async with database.read() as session:
        attempts = {row.event_id: row.attempts for row in await session.scalars(select(Inbox))}
    assert attempts == {"Ev1": 1, "Ev2": 0}


async def test_what_was_begun_twice_in_vain_is_begun_alone(database: Database) -> None:
    """Of several that may have ended the process one runs at a time, the oldest first; others go on beside it."""
    for number in (1, 2, 3):
        await put(database, event_id=f"Ev{number}", ts=f"10{number}.000", thread_ts=f"10{number}.000")
    async with database.begin() as session:
        for row in await session.scalars(select(Inbox)):
            row.attempts = 1
    assert await claim(database) == ["Ev1", "Ev2", "Ev3"]
    async with database.begin() as session:
        await workers.recover(session)
    await put(database, event_id="Ev4", ts="104.000", thread_ts="104.000")

    assert await claim(database) == ["Ev1", "Ev4"]
    assert await claim(database) == []
    async with database.begin() as session:
        await inbox.finish(session, 1)
    assert await claim(database) == ["Ev2"]


async def test_a_clock_that_is_set_back_holds_nobody_up(database: Database) -> None:
    """What was to wait for a second and a half does not wait for the hour that comes twice."""
    await put(database, merge_s=1.5)
    await wait_over(database, seconds=-3600)

    assert await claim(database) == ["Ev1"]


async def test_who_waits_in_the_line(database: Database) -> None:
    """Questions, clicks and other apps count by whose they are; what is done waits no more."""
    payloads = [
        {"event": {"user": "U1"}},
        {"event": {"user": "U1"}},
        {"event": {"bot_id": "B1"}},
        {"user_id": "U2"},
        {},
        {"event": {"user": "U3", "text": "\x00 and \ud800"}},  # what PostgreSQL can store and not read as text
        {"event": {"user": ["U4"]}},
    ]
    async with database.begin() as session:
        for number, payload in enumerate(payloads):
            await inbox.accept(session, arrival(event_id=f"E{number}", ts=f"10{number}.0", payload=payload))
        await inbox.turn_away(session, arrival(event_id="E1", ts="101.0"))
        known: dict[str, str] = {"gone": "U1"}
        assert await count_by_person(session, known) == {"U1": 1, "B1": 1, "U2": 1, "": 1, "U3": 1, "['U4']": 1}
        await inbox.finish(session, list(await session.scalars(select(Inbox.id))))
        assert not await count_by_person(session, known)
        assert not known
