"""Copies of the whole database, taken while it is used, compared row by row, and put back.

SQLite copies itself. PostgreSQL is copied and put back by its own tools, which must be at hand and no older than it.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import randbits

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bot.errors import StorageError, first_line
from bot.storage.addresses import file_of, find_file, read_url
from bot.storage.db import HALF, UNFINISHED, Session
from bot.storage.sharing import claiming, replacing
from bot.storage.troubles import explain_refusal

Tables = Mapping[str, list[str | int]]  # how many rows each table has, and their checksum whatever their order
LIST = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
FUNCTIONS = (
    "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
    "WHERE n.nspname = current_schema()"
)
GONE = (  # in which no name of a schema is needed: pg_dump leaves the search path empty
    "DO $$ BEGIN IF pg_catalog.pg_try_advisory_xact_lock({}) THEN "
    "RAISE EXCEPTION 'whoever put the backup back is gone'; END IF; END $$;"
)
SUM = "SELECT count(*), coalesce(sum(('x' || md5(t::text))::bit(64)::bigint::numeric), 0)::text FROM {} t"


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy holds: its kind of database, its revision and its tables."""

    kind: str
    revision: str
    tables: Tables


async def copy_database(url: str, target: Path) -> Copy:
    """Write a copy as of one moment to *target*; whoever writes meanwhile is not held up."""
    where = read_url(url)
    try:
        if file := _file_of(where):
            return await asyncio.to_thread(_copy_sqlite, file, target)
        return await _dump_postgres(where, target)
    except (sqlite3.Error, OSError, DBAPIError) as error:
        raise StorageError(f"The database cannot be copied to {target}: {explain_refusal(error)}") from error


def _file_of(url: URL) -> Path | None:
    """Return the file of an SQLite database; None for PostgreSQL."""
    file = file_of(url)
    if file is None and url.get_backend_name() == "sqlite":
        raise StorageError("The database lies in memory alone: there is nothing to copy, and nothing to put back.")
    return file


def _copy_sqlite(source: Path, target: Path) -> Copy:
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))  # what was deleted before is not in it
    return examine_sqlite(target)


def examine_sqlite(path: Path) -> Copy:
    """Read what a copy holds; *StorageError* where it is damaged."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
                raise StorageError("The copy of the database is damaged.")
            names = [name for (name,) in connection.execute(LIST)]
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return Copy("sqlite", revision, {name: _sum_sqlite(connection, name) for name in names})
    except (sqlite3.Error, TypeError) as error:
        raise StorageError(f"The copy of the database cannot be read ({error}).") from error


def _sum_sqlite(connection: sqlite3.Connection, table: str) -> list[str | int]:
    total = count = 0
    for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - the name is the database's own
        total += int.from_bytes(sha256(repr(row).encode()).digest()[:8], "big")
        count += 1
    return [count, f"{total:x}"]


async def _dump_postgres(url: URL, target: Path) -> Copy:
    """Dump and count in the same snapshot, so that both tell of the same moment."""
    async with _frozen(url) as connection:
        if UNFINISHED in (await connection.scalars(text(TABLES))).all():
            raise StorageError(HALF)
        snapshot = await connection.scalar(text("SELECT pg_export_snapshot()"))
        await _run(url, "pg_dump", "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={target}")
        return await _examine_postgres(connection)


@asynccontextmanager
async def replaced(url: str) -> AsyncIterator[None]:
    """Keep everybody else from working with the database while the block puts a backup in its place."""
    where = read_url(url)
    if where.get_backend_name() == "sqlite":
        with replacing(find_file(url)):
            yield
        return
    engine = create_async_engine(where, hide_parameters=True)
    try:
        async with claiming(engine, is_alone=True):
            yield
    finally:
        await engine.dispose()


@asynccontextmanager
async def _frozen(url: URL) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url, isolation_level="REPEATABLE READ", hide_parameters=True)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def _examine_postgres(connection: AsyncConnection) -> Copy:
    await connection.execute(text("SET LOCAL timezone = 'UTC'"))
    tables: dict[str, list[str | int]] = {}
    for name in (await connection.scalars(text(TABLES))).all():
        if name == UNFINISHED:
            continue
        row = (await connection.execute(text(SUM.format(f'"{name}"')))).one()
        tables[str(name)] = [int(row[0]), str(row[1])]
    return Copy("postgresql", str(await connection.scalar(text("SELECT version_num FROM alembic_version"))), tables)


async def is_empty(url: str) -> bool:
    """Return whether there is nothing that putting a copy back would overwrite."""
    where = read_url(url)
    if file := _file_of(where):
        return not await asyncio.to_thread(file.exists)
    try:
        async with _frozen(where) as connection:
            return not (await connection.scalars(text(TABLES))).all()
    except (DBAPIError, OSError) as error:
        raise StorageError(f"The database cannot be opened ({first_line(error)}).") from error


async def put_back(url: str, copy: Path, wanted: Copy, *, note: str = "") -> None:
    """Let the database be what *copy* is, in place of what it was; nobody else may use it meanwhile.

    PostgreSQL has *note*, of ASCII in one line, in a table of its own from the same moment on: whoever has done what is
    left to be done drops it, and until then nobody can work with the database.
    """
    where = read_url(url)
    if where.get_backend_name() != wanted.kind:
        raise StorageError(f"This is a copy of {wanted.kind}; DATABASE_URL names {where.get_backend_name()}.")
    if file := _file_of(where):
        _put_back_sqlite(file, copy)
        return
    await _put_back_postgres(where, copy, note)
    async with _frozen(where) as connection:
        if await _examine_postgres(connection) != wanted:
            raise StorageError("The database is not what the backup says it should be: restore it again.")


def _put_back_sqlite(file: Path, copy: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.restored")  # DATA_DIR may be another disk
    try:
        shutil.move(copy, draft)
        for name in ("-wal", "-shm"):  # they belong to what is replaced, and would be read into what replaces it
            file.with_name(file.name + name).unlink(missing_ok=True)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


async def end_restore(session: Session) -> None:
    """Let others work with what was put back, from the moment on in which *session* commits."""
    await session.execute(text("DROP TABLE IF EXISTS restore_unfinished"))


async def _put_back_postgres(url: URL, copy: Path, note: str) -> None:
    """Drop what is there and fill in the copy, in one transaction: all of it or nothing.

    PostgreSQL's tool outlives this process if that is killed. Its last act is to look whether the lock is still held
    that goes with us: else somebody may work with the database again, and nothing must take its place.
    """
    script, clear, check = (copy.with_suffix(suffix) for suffix in (".sql", ".clear.sql", ".check.sql"))
    await _run(url, "pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(copy))
    escaped = note.replace("\\", "\\\\")
    made = [f"CREATE TABLE {UNFINISHED} (said text NOT NULL);", f"COPY {UNFINISHED} FROM stdin;", escaped, "\\.", ""]
    lock = randbits(62)
    check.write_text(GONE.format(lock))
    flags = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
    async with _frozen(url) as connection:
        drops = [f'DROP TABLE "{name}" CASCADE;' for name in (await connection.scalars(text(TABLES))).all()]
        drops += [f"DROP FUNCTION {name} CASCADE;" for name in (await connection.scalars(text(FUNCTIONS))).all()]
        clear.write_text("\n".join([*drops, *made]))
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({lock})"))
        await _run(url, "psql", *flags, f"--file={clear}", f"--file={script}", f"--file={check}")


async def _run(url: URL, tool: str, *options: str) -> None:
    """Run one of PostgreSQL's tools; the password travels in its environment, which nobody else can read."""
    query = {name: value if isinstance(value, str) else value[0] for name, value in url.query.items()}
    known = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": str(url.port) if url.port else query.get("port"),
        "PGUSER": url.username or query.get("user"),
        "PGPASSWORD": url.password or query.get("password"),
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode") or query.get("ssl"),
    }
    environment = {"PATH": os.environ.get("PATH", ""), **{name: str(value) for name, value in known.items() if value}}
    try:
        process = await asyncio.create_subprocess_exec(
            tool, *options, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as error:
        raise StorageError(
            f"{tool} is not installed here: install PostgreSQL's client tools of your server's version."
        ) from error
    _, said = await process.communicate()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or [f"it ended with {process.returncode}"]
        raise StorageError(f"{tool}: {' '.join(lines)[:300]}")
