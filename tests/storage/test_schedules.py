"""What people want at a certain time: each due time happens once, over all processes, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from bot.conversation.when import When, next_times
from bot.storage.db import Database
from bot.storage.schedule_tables import Kind, Occurrence, OccurrenceState, Schedule
from bot.storage.schedules import (
    IN_ONE_PLACE,
    LEASE,
    Due,
    add_schedule,
    claim_due,
    claim_stale,
    count_schedules,
    end_occurrence,
    end_schedule,
    find_schedule,
    has_due,
    list_schedules,
    prune_schedules,
    put_off,
    remove_schedule,
)
from bot.storage.workers import enlist, recover, resign

NOON = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)


async def plan(database: Database, **changes: Any) -> int:
    """Keep a schedule that is due at noon."""
    values = {"team_id": "T1", "user_id": "U1", "kind": Kind.REMINDER, "channel_id": "", "text": "call Tom"}
    async with database.begin() as session:
        schedule = Schedule(**{**values, "tz": "UTC", "cron": "", "next_at": NOON, **changes})
        return (await add_schedule(session, schedule)).id


def find_next(moment: datetime) -> Any:
    """Return what says when a schedule is due after *moment*."""

    def find(schedule: Schedule) -> datetime | None:
        when = When(cron=schedule.cron)
        return next(iter(next_times(when, after=moment, count=1)), None) if schedule.cron else None

    return find


async def claim(database: Database, moment: datetime, *, worker_id: str = "one") -> list[Due]:
    """Claim what is due."""
    async with database.begin() as session:
        stale = await claim_stale(session, moment=moment, limit=10, worker_id=worker_id)
        next_ = find_next(moment)
        return [*stale, *await claim_due(session, moment=moment, find_next=next_, limit=10, worker_id=worker_id)]


async def end(database: Database, due: Due, state: OccurrenceState = OccurrenceState.DONE) -> None:
    """End a due time."""
    async with database.begin() as session:
        await end_occurrence(session, due, state=state, moment=NOON)


async def test_a_reminder_happens_once(database: Database) -> None:
    """Not before its time, and not again; what is over has lost its text."""
    number = await plan(database)
    assert await claim(database, NOON - timedelta(seconds=1)) == []
    (due,) = await claim(database, NOON)
    assert (due.schedule.text, due.attempts) == ("call Tom", 1)
    assert await claim(database, NOON + timedelta(minutes=1)) == []
    await end(database, due)

    assert await claim(database, NOON + timedelta(days=1)) == []
    async with database.read() as session:
        kept = await session.get(Schedule, number)
        assert kept is not None
        assert (kept.text, kept.next_at) == ("", None)


async def test_many_processes_do_it_once(database: Database) -> None:
    """Each of several that look at the same moment may find it, one has it."""
    await plan(database, cron="0 * * * *")
    found = await asyncio.gather(*(claim(database, NOON) for _process in range(5)))

    assert sum(map(len, found)) == 1
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Occurrence)) == 1


async def test_what_comes_again_comes_again(database: Database) -> None:
    """The next time is known as soon as this one is claimed; what was missed meanwhile is made up for once."""
    await plan(database, cron="0 * * * *")
    (due,) = await claim(database, NOON + timedelta(hours=5, minutes=1))
    assert due.due_at == NOON
    await end(database, due)
    assert await claim(database, NOON + timedelta(hours=5, minutes=59)) == []

    (later,) = await claim(database, NOON + timedelta(hours=6))
    assert later.due_at == NOON + timedelta(hours=6)


async def test_what_a_crash_interrupted_is_tried_again(database: Database) -> None:
    """By whoever looks when its time is up, and that is known."""
    await plan(database)
    await claim(database, NOON)
    assert await claim(database, NOON + LEASE - timedelta(seconds=1)) == []
    (again,) = await claim(database, NOON + LEASE)
    assert again.attempts == 2

    await end(database, again, OccurrenceState.FAILED)
    assert await claim(database, NOON + 3 * LEASE) == []


async def test_what_a_worker_that_is_gone_had_begun_is_tried_at_once(database: Database) -> None:
    """By whoever enlists in its place or takes it off the list; not what another has, nor what is over or put off."""
    for _ in range(4):
        await plan(database)
    async with database.begin() as session:
        dead, alive = await enlist(session, "dead"), await enlist(session, "alive")
    late, over, off = await claim(database, NOON, worker_id=dead)
    (others,) = await claim(database, NOON, worker_id=alive)
    await end(database, over)
    async with database.begin() as session:
        await put_off(session, off, until=NOON + timedelta(minutes=1))
        assert await recover(session) == 0
        await enlist(session, "dead")
        assert await recover(session) == 1
    (again,) = await claim(database, NOON + timedelta(seconds=30), worker_id=alive)
    assert (again.schedule.id, again.attempts) == (late.schedule.id, 2)
    async with database.begin() as session:
        await resign(session, alive)
    given = await claim(database, NOON + timedelta(seconds=31))

    assert sorted((due.schedule.id, due.attempts) for due in given) == [(late.schedule.id, 3), (others.schedule.id, 2)]


async def test_what_a_bot_of_before_has_begun_waits_until_its_time_is_up(database: Database) -> None:
    """It writes down no worker, and may be at it while its successor starts."""
    await plan(database)
    await claim(database, NOON)
    async with database.begin() as session:
        await session.execute(update(Occurrence).values(worker_id=None))
        assert await recover(session) == 0
    assert await claim(database, NOON + timedelta(minutes=1)) == []


async def test_a_slack_that_is_away_counts_as_no_attempt(database: Database) -> None:
    """However often it is put off."""
    await plan(database)
    (due,) = await claim(database, NOON)
    for minute in range(1, 4):
        async with database.begin() as session:
            await put_off(session, due, until=NOON + timedelta(minutes=minute))
        (due,) = await claim(database, NOON + timedelta(minutes=minute))
        assert due.attempts == 1


async def test_of_one_place_only_a_few_are_begun(database: Database) -> None:
    """Whether they are new or were put off; what is for another place, or of another kind, comes in between."""
    many = [await plan(database, channel_id="C1") for _ in range(12)]
    few = [await plan(database, channel_id="C2"), await plan(database, channel_id="C1", kind=Kind.DIGEST)]
    dues = await claim(database, NOON)
    assert [due.schedule.id for due in dues] == [*many[:IN_ONE_PLACE], *few]
    async with database.begin() as session:
        how: dict[str, Any] = {"moment": NOON, "limit": 10, "worker_id": "one"}
        full = [dues[0].place]
        assert await claim_due(session, find_next=find_next(NOON), full=full, **how) == []
    while rest := await claim(database, NOON):
        dues += rest
    assert [due.schedule.id for due in dues] == [*many[:IN_ONE_PLACE], *few, *many[IN_ONE_PLACE:]]

    async with database.begin() as session:
        for due in dues:
            await put_off(session, due, until=NOON)
        stale = await claim_stale(session, **how)
        assert sorted(due.schedule.id for due in stale) == [*many[:IN_ONE_PLACE], *few]
    async with database.begin() as session:
        assert len(await claim_stale(session, **how)) == IN_ONE_PLACE
        assert await claim_stale(session, full=full, **how) == []


async def test_the_cheap_look_finds_what_can_be_claimed(database: Database) -> None:
    """Most of the time there is nothing, and nobody needs to write for that."""
    async with database.read() as session:
        assert not await has_due(session, moment=NOON)
    await plan(database)
    async with database.read() as session:
        assert not await has_due(session, moment=NOON - timedelta(seconds=1))
        assert await has_due(session, moment=NOON)
    await claim(database, NOON)
    async with database.read() as session:
        assert not await has_due(session, moment=NOON + timedelta(minutes=1))
        assert await has_due(session, moment=NOON + LEASE)


async def test_people_see_their_own_and_what_is_for_the_channel(database: Database) -> None:
    """In the workspace in which they ask, soonest first, and count as often as they are still to come."""
    mine = await plan(database, next_at=NOON + timedelta(hours=1))
    here = await plan(database, user_id="U2", channel_id="C1")
    await plan(database, user_id="U2")
    await plan(database, user_id="U2", channel_id="C2")
    await plan(database, team_id="T2")
    async with database.read() as session:
        found = await list_schedules(session, "T1", user_id="U1", channel_id="C1")
        assert [schedule.id for schedule in found] == [here, mine]
        assert await count_schedules(session, "T1", user_id="U2") == 3
        assert await count_schedules(session, "T1", channel_id="C1") == 1
        assert await find_schedule(session, "T2", mine) is None


async def test_what_is_taken_back_is_gone(database: Database) -> None:
    """With its due times; a schedule that was ended is no longer listed."""
    first, second = await plan(database), await plan(database, user_id="U2")
    dues = await claim(database, NOON)
    async with database.begin() as session:
        await remove_schedule(session, await session.get_one(Schedule, first), by="U1")
        await end_schedule(session, dues[1])
        assert await find_schedule(session, "T1", second) is None
        await remove_schedule(session, await session.get_one(Schedule, second), by="U2")
        assert await session.scalar(select(func.count()).select_from(Occurrence)) == 0


async def test_what_is_long_over_is_forgotten(database: Database) -> None:
    """A month later nothing is left of a reminder that was said; what still comes stays."""
    await plan(database, created_at=NOON)
    coming = await plan(database, cron="0 * * * *", created_at=NOON)
    for due in await claim(database, NOON):
        await end(database, due)
    async with database.begin() as session:
        await prune_schedules(session, moment=NOON + timedelta(days=31))

    async with database.read() as session:
        assert list(await session.scalars(select(Schedule.id))) == [coming]
        assert await session.scalar(select(func.count()).select_from(Occurrence)) == 0
