"""Several processes on one inbox: nothing twice, nothing lost, and no word from whoever was taken for dead."""

import asyncio
import socket
import time
from datetime import timedelta

import pytest
from sqlalchemy import make_url, select, text, update
from sqlalchemy.exc import DBAPIError

from bot.slack.turns.duty import Duty, Pulse
from bot.storage import db, inbox, workers
from bot.storage.db import Database
from bot.storage.hold import Hold, Released, holding, until_sure
from bot.storage.leases import wait_in_line
from bot.storage.tables import Inbox, InboxState, now
from bot.storage.troubles import is_away
from bot.storage.worker_tables import Worker
from tests.builders import arrival

WATCHFUL = Pulse(beat_s=10, stalled_s=0.05)


async def put(database: Database, number: int, *, thread: int = 1, user: str = "") -> None:
    """Accept one event of a thread."""
    async with database.begin() as session:
        event = {"user": user or f"U{number}", "text": "hello"}
        where = {"ts": f"{100 + number}.000", "thread_ts": f"{thread}.000"}
        await inbox.accept(session, arrival(event_id=f"Ev{number}", payload={"event": event}, **where))


async def enlist(database: Database, place: str) -> str:
    """Let a process begin to work."""
    async with database.begin() as session:
        return await workers.enlist(session, place)


async def claim(database: Database, worker_id: str) -> list[int]:
    """Claim everything that is ready and return the events."""
    async with database.begin() as session:
        turns = await inbox.claim_ready(session, limit=10, worker_id=worker_id)
    return [row.id for rows in turns for row in rows]


async def running(database: Database) -> dict[int, str | None]:
    """Return what is under way, and who has it."""
    async with database.read() as session:
        found = await session.scalars(select(Inbox).filter_by(state=InboxState.RUNNING))
        return {row.id: row.worker_id for row in found}


async def test_many_processes_answer_each_event_once_and_each_thread_in_order(database: Database) -> None:
    """Six claim at the same time; no thread is ever with two of them, and its events come one after the other."""
    for number in range(60):
        await put(database, number, thread=number % 10)
    seen: list[tuple[str, str]] = []
    busy: set[str] = set()

    async def work(name: str) -> None:
        worker_id = await enlist(database, name)
        while len(seen) < 60:
            async with database.begin() as session:
                turns = await inbox.claim_ready(session, limit=2, worker_id=worker_id)
            for row in [row for rows in turns for row in rows]:
                assert row.thread_ts not in busy
                busy.add(row.thread_ts)
                seen.append((row.thread_ts, row.ts))
                await asyncio.sleep(0.002)
                async with database.begin() as session:
                    busy.discard(row.thread_ts)  # before it is free for others
                    await inbox.finish(session, row.id)
            await asyncio.sleep(0.002)

    await asyncio.gather(*(work(f"host{index}") for index in range(6)))

    assert len(seen) == len(set(seen)) == 60
    for thread in {thread for thread, _ in seen}:
        times = [ts for other, ts in seen if other == thread]
        assert times == sorted(times)


async def test_whoever_was_relieved_writes_nothing_more(database: Database) -> None:
    """The token is checked within the same transaction as what it is for."""
    await put(database, 1)
    worker_id = await enlist(database, "one")
    (claimed,) = await claim(database, worker_id)
    async with database.begin() as session:
        assert await workers.dismiss(session, worker_id, beats=0)
        assert await workers.recover(session) == 1

    hold = Hold(worker_id)
    with holding(hold), pytest.raises(Released):
        async with database.begin() as session:
            await inbox.finish(session, claimed)

    assert hold.is_lost
    async with database.read() as session:
        row = await session.get_one(Inbox, claimed)
    assert (row.state, row.worker_id, row.attempts) == (InboxState.PENDING, None, 1)


async def test_a_process_without_a_sign_of_life_is_relieved(database: Database) -> None:
    """One that counts on is left alone; one that does not for a while loses what it had begun, and learns of it."""
    await put(database, 1)
    dead, alive = Duty(database, place="dead"), Duty(database, place="alive")
    watcher = Duty(database, place="watcher", pulse=WATCHFUL)
    for duty in (dead, alive, watcher):
        await duty.begin()
    told = []
    watcher.on_recover, dead.on_release = lambda: told.append("recovered"), lambda: told.append("released")
    old = dead.hold
    assert await claim(database, old.worker_id) == [1]
    await watcher.beat()
    assert await running(database) == {1: old.worker_id}
    await asyncio.sleep(0.06)
    await alive.beat()
    await watcher.beat()

    assert told == ["recovered"]
    assert await running(database) == {}
    async with database.read() as session:
        assert set(await workers.list_beats(session)) == {alive.hold.worker_id, watcher.hold.worker_id}
    await dead.beat()
    assert told == ["recovered", "released"]
    assert old.is_lost
    assert dead.hold.worker_id != old.worker_id
    assert await claim(database, dead.hold.worker_id) == [1]


async def test_whoever_takes_another_for_dead_looks_for_what_that_one_may_have_lost(database: Database) -> None:
    """Once for each; who is relieved itself hears of nobody else's end."""
    other = Duty(database, place="other", pulse=Pulse(beat_s=10, stalled_s=100))
    watcher, heard = Duty(database, place="w", pulse=Pulse(beat_s=10, stalled_s=0.02)), []
    watcher.on_dismissal = lambda: heard.append("watcher")
    other.on_dismissal = lambda: heard.append("other")
    await other.begin()
    await watcher.begin()
    for _ in range(3):
        await watcher.beat()
        await asyncio.sleep(0.05)
    await other.beat()

    assert heard == ["watcher"]


async def test_whoever_was_away_itself_judges_nobody(database: Database) -> None:
    """After a gap, be it that the database was away for all, others get their time again."""
    other, watcher = Duty(database, place="other"), Duty(database, place="w", pulse=Pulse(beat_s=0.01, stalled_s=0.02))
    await other.begin()
    await watcher.begin()
    for _ in range(3):
        await watcher.beat()
        await asyncio.sleep(0.05)

    async with database.read() as session:
        assert other.hold.worker_id in await workers.list_beats(session)


async def test_a_stop_on_purpose_counts_as_no_attempt(database: Database) -> None:
    """However often processes are replaced meanwhile, a question is not given up for it."""
    await put(database, 1)
    for _ in range(5):
        duty = Duty(database, place="one")
        await duty.begin()
        assert await claim(database, duty.hold.worker_id) == [1]
        await duty.end()

    async with database.read() as session:
        row = await session.get_one(Inbox, 1)
        assert (await session.scalars(select(Worker))).all() == []
    assert (row.state, row.attempts) == (InboxState.PENDING, 0)


async def test_the_same_place_is_taken_over_at_once(database: Database) -> None:
    """Two processes cannot be in one folder, so nobody waits for the first one's time to run out."""
    await put(database, 1)
    first, second = Duty(database, place="folder"), Duty(database, place="folder")
    await first.begin()
    await claim(database, first.hold.worker_id)

    assert await second.begin() == 1
    assert await claim(database, second.hold.worker_id) == [1]


async def test_what_was_begun_before_workers_were_known_is_given_back(database: Database) -> None:
    """A row of an older version has no worker."""
    await put(database, 1)
    async with database.begin() as session:
        await session.execute(update(Inbox).values(state=InboxState.RUNNING))

    assert await Duty(database, place="new").begin() == 1


async def test_nothing_is_said_in_doubt(database: Database) -> None:
    """A turn waits until its process is sure to hold it, and ends when that was given to another."""
    hold = Hold("one")
    with holding(hold):
        await until_sure()
        hold.sure_until = 0
        waiting = asyncio.create_task(until_sure())
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        hold.is_lost = True
        with pytest.raises(Released):
            await until_sure()
        await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_databases_migrate_once_when_many_start(database_url: str) -> None:
    """Processes that start together on an empty database do not get in each other's way."""
    opened = [Database(database_url) for _ in range(3)]
    if opened[0].is_sqlite:
        opened = opened[:1]  # there the folder's lock lets only one start
    await asyncio.gather(*(one.migrate() for one in opened))

    for one in opened:
        found, newest = await one.revision()
        assert found == newest
        await one.close()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_who_hangs_in_a_transaction_holds_nobody_up(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stands still, or whose machine is gone, keeps its locks for a while and not for good."""
    monkeypatch.setattr(db, "LEFT_S", 1)
    hanging, other = Database(database_url), Database(database_url)
    await other.migrate()

    async def hang() -> None:
        async with hanging.begin() as session:
            await wait_in_line(session, inbox.CLAIM)
            async with asyncio.timeout(10), other.begin() as theirs:
                await wait_in_line(theirs, inbox.CLAIM)
            await session.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError) as ended:
        await hang()
    async with hanging.begin() as session:
        assert await session.scalar(text("SELECT 1")) == 1
    await hanging.close()
    await other.close()

    assert is_away(ended.value)  # so that it is tried again


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone can say it so")
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_connection_that_got_lost_is_given_up(database_url: str) -> None:
    """A router forgets what is silent, without a word: by itself the system would wait for an answer for minutes."""
    url = make_url(database_url)
    file = f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(file)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65536):
            writer.write(said)
        writer.close()

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as relay:
        port = relay.sockets[0].getsockname()[1]
        far = Database(url.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False))
        async with far.read() as session:
            raw = await (await session.connection()).get_raw_connection()
            assert raw.driver_connection is not None
            wire = raw.driver_connection._transport.get_extra_info("socket")
            kept = [wire.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in db.KEEPING]
        await far.close()

    assert kept == list(db.KEEPING.values())


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_whoever_stops_waits_for_no_database_that_is_silent(database_url: str) -> None:
    """What is said to it vanishes: what was begun is not handed over, and found by whoever comes next."""
    url = make_url(database_url)
    file = f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"
    hears = asyncio.Event()
    hears.set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(file)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65536):
            await hears.wait()
            writer.write(said)
        writer.close()

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as relay:
        port = relay.sockets[0].getsockname()[1]
        far = Database(url.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False))
        await far.migrate()
        duty = Duty(far, place="here")
        await duty.begin()
        hears.clear()
        began = time.monotonic()
        await duty.end()
        await far.close()
        took = time.monotonic() - began
        hears.set()

    assert took < 15


async def test_what_was_heard_is_told_by_the_clock_that_all_share(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bot whose own clock was ahead would have the next one take for heard what was said without it."""
    if database.is_sqlite:
        pytest.skip("one process alone, with its own clock")
    ahead = now() + timedelta(minutes=10)
    for module in ("leases", "workers"):
        monkeypatch.setattr(f"bot.storage.{module}.now", lambda: ahead, raising=False)
    async with database.begin() as session:
        await workers.note_heard(session)
        until = await workers.heard_until(session)
    assert until is not None
    assert until < now() + timedelta(minutes=1)


async def test_since_when_a_channel_is_heard(database: Database) -> None:
    """By when we first heard something there, not by when it was said, which may be before we came in."""
    await put(database, 1)
    async with database.read() as session:
        since = await workers.heard_since(session, "T1", "C1")
        assert since is not None
        assert now() - since < timedelta(minutes=1)
        assert await workers.heard_since(session, "T1", "C2") is None
