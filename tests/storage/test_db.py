"""The database as a whole: built by migrations, equal to the tables, clear when it cannot be used."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint, select, text

from bot.errors import StorageError
from bot.storage.addresses import find_file
from bot.storage.connecting import connect
from bot.storage.copies import copy_database, is_empty
from bot.storage.db import Database
from bot.storage.tables import Base, Thread


async def test_migrations_build_exactly_the_tables(database: Database) -> None:
    """What the migrations build is what the code believes in, on both databases."""

    def compare(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, Base.metadata)

    async with database.begin() as session:
        connection = await session.connection()
        differences = await connection.run_sync(compare)

    assert differences == []


def test_what_a_deletion_looks_up_has_an_index() -> None:
    """Without one each row that goes reads the whole table that may name it: minutes, in which nobody is heard."""
    missing = []
    for table in Base.metadata.tables.values():
        unique = [one for one in table.constraints if isinstance(one, PrimaryKeyConstraint | UniqueConstraint)]
        first = {next(iter(one.columns)).name for one in (*table.indexes, *unique)}
        missing += [str(key.parent) for key in table.foreign_keys if key.parent.name not in first]
    assert missing == []


async def test_whoever_is_cancelled_amid_a_statement_can_still_write(database: Database) -> None:
    """What is held of the cancelled statement while its end is handled holds no lock."""
    counting = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000000)"
    long = f"{counting} SELECT max(x) FROM c UNION ALL SELECT 1"

    async def write(ts: str, *, is_long: bool) -> None:
        async with database.begin() as session:
            session.add(Thread(team_id="T", channel_id="C", thread_ts=ts, audience="public"))
            await session.flush()
            if is_long:
                await session.execute(text(long))

    async def be_cancelled() -> None:
        try:
            await write("1", is_long=True)
        finally:
            async with asyncio.timeout(10):
                await write("2", is_long=False)

    task = asyncio.create_task(be_cancelled())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with database.read() as session:
        assert list(await session.scalars(select(Thread.thread_ts))) == ["2"]


async def test_a_connection_that_is_told_to_end_twice_ends() -> None:
    """As where closing is cancelled: whoever closes it does not wait for a thread that has ended already."""
    connection = await connect(":memory:")
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0)  # it waits for the thread now

    connection.stop()
    done, _ = await asyncio.wait({closing}, timeout=10)

    assert done


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    """A second start finds nothing to do."""
    await database.migrate()

    found, newest = await database.revision()
    assert found == newest


async def test_a_block_that_fails_leaves_nothing_behind(database: Database) -> None:
    """An error rolls the whole block back."""

    async def break_off() -> None:
        async with database.begin() as session:
            session.add(Thread(team_id="T", channel_id="C", thread_ts="1", audience="public"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await break_off()

    async with database.begin() as session:
        assert await session.scalar(text("SELECT count(*) FROM threads")) == 0


async def test_sqlite_survives_a_power_cut(tmp_path: Path) -> None:
    """WAL with full synchronisation: what was acknowledged is on the disk."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'deep' / 'new.db'}")
    async with database.begin() as session:
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await session.scalar(text("PRAGMA synchronous")) == 2
        assert await session.scalar(text("PRAGMA foreign_keys")) == 1
    await database.close()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("file:{}/deep%20er/x.db?uri=true", "deep er/x.db"),
        ("file://localhost{}/deep/x.db?mode=rwc&uri=true", "deep/x.db"),
        ("file:{}/none/x.db?mode=ro&uri=true", None),
        ("file::memory:?uri=true", None),
        (":memory:", None),
    ],
)
async def test_the_address_of_a_file_may_be_a_uri(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str | None
) -> None:
    """Its folder is made where the file lies, and nothing where it is only read or lies in memory."""
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    url = f"sqlite+aiosqlite:///{name.format(tmp_path)}"
    database = Database(url)
    if file is not None:
        await database.migrate()
        assert (tmp_path / file).is_file()
        assert find_file(url) == tmp_path / file
        await copy_database(url, tmp_path / "copy.db")
        assert not await is_empty(url)
    await database.close()

    assert find_file("sqlite:///file:x?mode=memory&uri=true") is None
    assert list(here.iterdir()) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("nonsense", "DATABASE_URL"),
        ("mysql+aiomysql://x", "DATABASE_URL"),
        ("postgresql+asyncpg://bot:hunter2@127.0.0.1:1/none", "127.0.0.1:1"),
        ("postgres://bot:hunter2@127.0.0.1:1/none", "127.0.0.1:1"),
        ("postgresql+asyncpg://bot@127.0.0.1:1/none?password=hunter2", "127.0.0.1:1"),
        ("postgresql+asyncpg://bot:oh@hunter2@127.0.0.1:1/none", "%40"),
        ("postgresql+asyncpg://bot:hun[hunter2]@127.0.0.1:1/none", "127.0.0.1:1"),
        ("sqlite+aiosqlite:////proc/nowhere/x.db", "/proc/nowhere"),
    ],
)
async def test_a_database_that_cannot_be_used_is_named(url: str, named: str) -> None:
    """The error names the variable or the place, and no password."""
    with pytest.raises(StorageError) as raised:
        await Database(url).migrate()

    assert named in str(raised.value)
    assert "hunter2" not in str(raised.value)
