"""The inbox: every event once, one at a time per thread, in order, also after a crash."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.storage import inbox
from bot.storage.db import Database
from bot.storage.tables import Inbox, now
from tests.builders import arrival


async def claim(database: Database, limit: int = 10) -> list[str]:
    """Claim what is ready and return the events' ids."""
    async with database.begin() as session:
        return [row.event_id for row in await inbox.claim_ready(session, limit=limit)]


async def put(database: Database, **changes: str) -> bool:
    """Accept one event."""
    async with database.begin() as session:
        return await inbox.accept(session, arrival(**changes))


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
    await put(database, event_id="Ev2", ts="101.000")
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
        assert await inbox.recover(session) == 1

    async with database.begin() as session:
        (row,) = await inbox.claim_ready(session, limit=1)
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
    await put(database, event_id="Ev1", ts="100.500")

    assert await claim(database) == ["Ev1"]
