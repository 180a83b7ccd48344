"""What a full or read-only disk and hostile words do to the database: an error, and otherwise nothing."""

import resource
import string
from pathlib import Path

import pytest
from sqlalchemy import func, insert, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError

from bot.storage.audit import latest_rows, record, verify_chain
from bot.storage.db import Database, open_database
from bot.storage.feedback import save_correction, save_vote
from bot.storage.forgetting import change_message, forget_message
from bot.storage.inbox import accept
from bot.storage.person_data import collect_person, forget_person
from bot.storage.tables import Answer, Feedback, Inbox, Message, Vote, new_id
from bot.storage.threads import Place
from tests.builders import answered, arrival, said

QUOTES = ("'", '"', "`", "')", '")', "\\'", "''", "%' ", "$$", "\u02bc", "；", "1", "]")
ACTS = (
    "; DROP TABLE messages; --",
    " OR 1=1 --",
    " OR '1'='1' /*",
    " UNION SELECT token FROM installations --",
    "; UPDATE user_rights SET right='admin'; --",
    "; DELETE FROM audit; --",
    "; ATTACH DATABASE '/tmp/x' AS x; --",
    "; COPY messages TO PROGRAM 'id'; --",
    " || (SELECT pg_sleep(9)) || ",
    "; PRAGMA writable_schema=ON; --",
    " AND randomblob(1000000000) --",
    "; VACUUM INTO '/tmp/x'; --",
    ":name %(name)s ? $1 {0} \\x00 %s",
)


def payloads() -> list[str]:
    """Return ten thousand texts that are made to be read as SQL somewhere."""
    marks = [f"{letter}{digit}" for letter in string.ascii_lowercase for digit in range(3)]
    found = [f"{mark}{quote}{act}{mark}" for mark in marks for quote in QUOTES for act in ACTS]
    assert len(set(found)) == len(found) >= 10_000
    return found[:10_000]


async def test_ten_thousand_injections_have_no_effect(database: Database) -> None:
    """In texts, names, ids, comments, searches: each comes back as it is, and the tables are what they were."""
    hostile = payloads()
    async with database.begin() as session:
        message = await said(session, "hello")
        known = {"thread_id": message.thread_id, "user_id": "U9", "audience": "public"}
        rows = [
            known | {"id": new_id(), "ts": f"{number}", "user_name": one, "text": one}
            for number, one in enumerate(hostile)
        ]
        await session.execute(insert(Message), rows)
        tables = await (await session.connection()).run_sync(lambda sync: inspect(sync).get_table_names())
    async with database.begin() as session:
        stored = await session.execute(select(Message.user_name, Message.text).where(Message.user_id == "U9"))
        assert sorted(tuple(row) for row in stored) == sorted((one, one) for one in hostile)
        for number, one in enumerate(hostile[::2000]):
            place = Place(one[:32], one[-32:], str(number))
            asked = await said(session, one, ts=one[:32], place=place, user=one[:32])
            answer = await answered(session, asked, one)
            await save_vote(session, answer, user_id=one[:32], vote=Vote.DOWN, reason=one[:64])
            await save_correction(session, answer, user_id=one[:32], text=one)
            record(session, one, by=one, target=one, details=one)
            assert (await collect_person(session, one[:32]))["messages"][0]["text"] == one
            assert await latest_rows(session, most=5, containing=one) == []
            await change_message(session, place.team_id, place.channel_id, ts=one[:32], text=f"{one} again")
            if number % 2:
                await forget_message(session, place.team_id, place.channel_id, ts=one[:32])
            else:
                await forget_person(session, one[:32])
    async with database.begin() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == len(hostile) + 1
        assert await session.scalar(select(func.count()).select_from(Answer)) == 0
        assert await session.scalar(select(func.count()).select_from(Feedback)) == 0
        assert await (await session.connection()).run_sync(lambda sync: inspect(sync).get_table_names()) == tables
        chain = await verify_chain(session)
        assert (chain.broken_at, chain.count) == (None, 5)


async def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """An event that cannot be written is not acknowledged; delivered again once there is room, it is there once."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        async with database.begin() as session:
            assert await accept(session, arrival(event_id="E1", ts="1.0"))
        long = {"event": {"text": "x" * 3_000_000}}
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
        try:
            with pytest.raises(DBAPIError, match=r"full|disk"):
                async with database.begin() as session:
                    await accept(session, arrival(event_id="E2", ts="2.0", payload=long))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        async with database.begin() as session:
            assert await accept(session, arrival(event_id="E2", ts="2.0", payload=long))
            assert not await accept(session, arrival(event_id="E2", ts="2.0", payload=long))
        async with database.read() as session:
            assert await session.scalar(text("PRAGMA integrity_check")) == "ok"
            assert list(await session.scalars(select(Inbox.event_id).order_by(Inbox.id))) == ["E1", "E2"]


async def test_a_read_only_database_loses_nothing(database: Database, database_url: str) -> None:
    """What was there can be read, what comes is refused with an error, and later it can be written."""
    async with database.begin() as session:
        await accept(session, arrival(event_id="E1", ts="1.0"))
    if database.is_sqlite:
        path = database_url.removeprefix("sqlite+aiosqlite:///")
        locked = Database(f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true")
    else:
        name = make_url(database_url).database
        async with database.begin() as session:
            await session.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        locked = Database(database_url)
    with pytest.raises(DBAPIError, match=r"read-?only"):
        async with locked.begin() as session:
            await accept(session, arrival(event_id="E2", ts="2.0"))
    async with locked.read() as session:
        assert list(await session.scalars(select(Inbox.event_id))) == ["E1"]
    await locked.close()
    async with database.begin() as session:
        assert await accept(session, arrival(event_id="E2", ts="2.0"))


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_a_database_that_was_moved_away_takes_nothing(tmp_path: Path, is_replaced: bool) -> None:
    """What is written to a file that stands elsewhere would be gone with the process; once it is back all goes on."""
    file, away = tmp_path / "bot.db", tmp_path / "away.db"
    async with open_database(f"sqlite+aiosqlite:///{file}") as database:
        async with database.begin() as session:
            await accept(session, arrival(event_id="E1", ts="1.0"))
        file.rename(away)
        if is_replaced:
            file.touch()
        with pytest.raises(DBAPIError, match="is not there any more"):
            async with database.begin() as session:
                await accept(session, arrival(event_id="E2", ts="2.0"))
        with pytest.raises(DBAPIError, match="is not there any more"):
            async with database.read() as session:
                await session.scalar(select(func.count()).select_from(Inbox))
        away.replace(file)
        async with database.begin() as session:
            assert await accept(session, arrival(event_id="E2", ts="2.0"))


async def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    """At least five seconds, and what was acknowledged is on the disk."""
    async with open_database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}") as database, database.read() as session:
        pragmas = {name: await session.scalar(text(f"PRAGMA {name}")) for name in ("busy_timeout", "synchronous")}
    assert pragmas == {"busy_timeout": 15_000, "synchronous": 2}
