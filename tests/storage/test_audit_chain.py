"""The audit log: only added to, in one chain, whoever writes at the same time, and a change shows."""

import asyncio
import subprocess
import sys
from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from bot.storage.audit import latest_rows, newest, record, verify_chain
from bot.storage.db import Database, alembic_config
from bot.storage.tables import now

WRITER = """
import asyncio, sys
from bot.storage.audit import record
from bot.storage.db import Database

async def main():
    database = Database(sys.argv[1])
    for number in range(15):
        async with database.begin() as session:
            record(session, "test.write", by=sys.argv[2], target=str(number), share=0.1 * number, words=["ä", number])
            record(session, "test.second", by=sys.argv[2])
    await database.close()

asyncio.run(main())
"""
UNLOCK = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["ALTER TABLE audit DISABLE TRIGGER ALL"],
}


async def write(database: Database, *targets: str) -> None:
    """Record a row for each target, each in a transaction of its own."""
    for target in targets:
        async with database.begin() as session:
            record(session, "test", by="U1", target=target)


async def tamper(database: Database, statement: str) -> None:
    """Change the log as somebody who owns the database could."""
    async with database.begin() as session:
        for line in UNLOCK[session.get_bind().dialect.name]:
            await session.execute(text(line))
        await session.execute(text(statement))


async def test_several_processes_write_one_chain(database: Database, database_url: str) -> None:
    """Two processes and two tasks of a third at the same time: no gap, no fork, every seal holds."""
    others = [
        subprocess.Popen([sys.executable, "-c", WRITER, database_url, name], stderr=subprocess.PIPE)  # noqa: ASYNC220
        for name in ("first", "second")
    ]
    await asyncio.gather(*(write(database, *map(str, range(15))) for _ in range(2)))
    for process in others:
        _, complaint = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, complaint.decode()

    async with database.read() as session:
        chain = await verify_chain(session)
        rows = await latest_rows(session, most=1000)
    assert (chain.count, chain.broken_at) == (2 * 15 * 2 + 2 * 15, None)
    assert [row.number for row in rows] == list(range(90, 0, -1))
    assert rows[0].seal == chain.seal


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET actor = 'U2' WHERE number = 2", 2),
        ("UPDATE audit SET target = '' WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 2", 3),
        ("UPDATE audit SET number = 9 WHERE number = 3", 4),
    ],
)
async def test_a_change_shows(database: Database, statement: str, broken_at: int) -> None:
    """Whoever changes, takes out or moves a row breaks the chain there."""
    await write(database, "a", "b", "c", "d")
    await tamper(database, statement)

    async with database.read() as session:
        assert (await verify_chain(session)).broken_at == broken_at


async def test_cutting_off_the_end_shows_by_a_head_that_was_kept(database: Database) -> None:
    """The chain alone cannot know what was to come; a seal kept elsewhere does."""
    await write(database, "a", "b")
    async with database.read() as session:
        head = (await verify_chain(session)).seal
    await write(database, "c")
    async with database.read() as session:
        assert (await verify_chain(session, head=head)).has_head
    await tamper(database, "DELETE FROM audit WHERE number > 1")

    async with database.read() as session:
        chain = await verify_chain(session, head=head)
    assert (chain.count, chain.broken_at, chain.has_head) == (1, None, False)


async def test_the_database_refuses_changes(database: Database) -> None:
    """A mistake in our own code cannot change the log either."""
    await write(database, "a")
    for statement in ("UPDATE audit SET actor = 'U2'", "DELETE FROM audit"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.begin() as session:
                await session.execute(text(statement))


async def test_what_is_rolled_back_was_never_done(database: Database) -> None:
    """A block that fails leaves no row and no gap."""

    async def break_off() -> None:
        async with database.begin() as session:
            record(session, "test", by="U1", target="lost")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await break_off()
    await write(database, "kept")

    async with database.read() as session:
        assert [(row.number, row.target) for row in await latest_rows(session, most=9)] == [(1, "kept")]


async def test_rows_are_found_by_what_they_begin_with(database: Database) -> None:
    """By who, what or on whom; a percent sign is only itself."""
    async with database.begin() as session:
        record(session, "users.block", by="U1", target="U7")
        record(session, "budget.set", by="U2", target="U7")
    async with database.read() as session:
        for word, count in (("users", 1), ("U7", 2), ("U2", 1), ("%", 0), ("", 2)):
            assert len(await latest_rows(session, most=9, containing=word)) == count
        found = await newest(session, {"users.block", "budget.set"})
    assert found is not None
    assert found.action == "budget.set"
    assert found.at > now() - timedelta(minutes=5)


async def test_an_older_log_is_chained_by_the_migration(database: Database) -> None:
    """Rows from before there was a chain are numbered in their order and sealed, and nothing else of them changes."""
    await write(database, "a", "b", "c")
    async with database.read() as session:
        before = [(row.id, row.target) for row in await latest_rows(session, most=9)]

    def down_and_up(connection: Connection) -> None:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        command.upgrade(config, "head")

    async with database.begin() as session:
        await (await session.connection()).run_sync(down_and_up)
    await write(database, "d")

    async with database.read() as session:
        chain = await verify_chain(session)
        after = [(row.id, row.target) for row in await latest_rows(session, most=9)]
    assert (chain.count, chain.broken_at) == (4, None)
    assert after[1:] == before
