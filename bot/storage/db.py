"""The database: one engine, one place that commits, and the migrations that build it."""

import asyncio
import logging
import os
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, nullcontext, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session as SyncSession

from bot.errors import StorageError
from bot.shipped import shipped
from bot.storage import (  # noqa: F401 - whoever opens a database knows all its tables: a person is forgotten in each
    admin_tables,
    asking_tables,
    erasure_tables,
    feedback_tables,
    file_tables,
    installing_tables,
    learning_tables,
    manners_tables,
    memory_tables,
    preference_tables,
    schedule_tables,
    spending_tables,
    worker_tables,
)
from bot.storage.addresses import file_of, find_file, read_url, tell_place
from bot.storage.connecting import connect, move_log
from bot.storage.file_watch import FileWatch
from bot.storage.hold import check_hold
from bot.storage.sealing import seal_audit
from bot.storage.sharing import claiming, sharing
from bot.storage.tables import IDS, Answer, Correction
from bot.storage.troubles import explain_refusal, is_away

BACKUPS = "backups"  # the folder of copies, beside an SQLite file
BUSY_TIMEOUT_MS = 15_000
ANSWER_S, CLOSING_S = 3.0, 5.0
NO_UTF8 = (
    "{place} stores text as {encoding}, which has no room for every character that people write. Make one that has: "
    "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and let DATABASE_URL name it."
)
LOOKS, LOOK_S = 5, 0.5  # for a moment in which nobody reads in the log of SQLite
LEFT_S = 30  # for so long a process may hang in a transaction, or a connection be cut off, until it ends
KEEPING = {"TCP_KEEPIDLE": LEFT_S // 2, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": LEFT_S * 1000}
READS = "apprentice_reads"
UNFINISHED = "restore_unfinished"  # PostgreSQL's table for as long as a backup is filled in and not made true yet
HALF = (
    "DATABASE_URL: a restore was killed before its end, and what was deleted since that backup would be there again: "
    "run `bot restore FILE --force` once more."
)
ODD_URL = (
    "DATABASE_URL is not an address such as postgresql+asyncpg://user:password@host/name. In a password @ is written "
    "%40, / %2F, : %3A and [ %5B."
)
SORTED = (Answer, Correction, admin_tables.Notice, learning_tables.AuditRow, learning_tables.DecisionRow)  # by id
MIGRATING = 0x617070  # the number of PostgreSQL's lock under which one process at a time migrates

log = logging.getLogger(__name__)

Session = AsyncSession  # the name by which other rooms know it


class SealingSession(SyncSession):
    """A session whose last act before it commits is to chain what it recorded to the audit log."""


event.listen(SealingSession, "before_commit", seal_audit)


class Database:
    """An open database; *url* is any SQLAlchemy address of `sqlite+aiosqlite` or `postgresql+asyncpg`."""

    def __init__(self, url: str) -> None:
        try:
            self._url = read_url(url)
            self.is_sqlite = self._url.get_backend_name() == "sqlite"
            options: dict[str, Any] = {"pool_size": 10, "pool_pre_ping": True}
            if self.is_sqlite:  # its connections are threads, and opening one costs more than keeping it
                options = {"pool_size": 20} if file_of(self._url) else {}
                options["connect_args"] = {"async_creator_fn": connect}
            self._engine = create_async_engine(self._url, hide_parameters=True, **options)
        except ModuleNotFoundError as error:
            raise StorageError(
                f"DATABASE_URL needs the package {error.name}: pip install 'apprentice[postgres]'."
            ) from error
        except (NoSuchModuleError, ValueError, DBAPIError) as error:
            raise StorageError(ODD_URL) from error
        except Exception as error:
            raise StorageError("DATABASE_URL cannot be read; see .env.example for its form.") from error
        if self.is_sqlite:
            self._open_sqlite()
        else:
            self._open_postgres()
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False, sync_session_class=SealingSession)
        self._readers = async_sessionmaker(self._engine.execution_options(**{READS: True}))
        # SQLite has one writer, and its own waiting is a sleep that grows: here writers wait in line instead.
        self._writing: AbstractAsyncContextManager[Any] = asyncio.Lock() if self.is_sqlite else nullcontext()

    def _open_sqlite(self) -> None:
        """Set WAL and full synchronisation: what was acknowledged to Slack must survive a power cut."""
        file = file_of(self._url)
        watch = FileWatch(file)
        if file is not None and self._url.query.get("mode") != "ro":
            try:
                file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise StorageError(f"DATA_DIR: cannot create {file.parent} ({error}).") from error

        @event.listens_for(self._engine.sync_engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                "secure_delete=ON",  # what is deleted is overwritten, and not only free to be
                f"busy_timeout={BUSY_TIMEOUT_MS}",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
            connection.isolation_level = None  # the driver would begin in its own way, and too late
            watch.remember()

        @event.listens_for(self._engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            # A transaction that begins by reading and then writes can be refused at once, whatever the time-out.
            watch.check()
            is_read = connection.get_execution_options().get(READS)
            connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")

    def _open_postgres(self) -> None:
        """Let nobody wait for good: others for the locks of a process that hangs, this one for words that got lost."""

        @event.listens_for(self._engine.sync_engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{LEFT_S}s'")
            cursor.close()
            connection.commit()
            transport = connection.driver_connection._transport  # noqa: SLF001 - the driver has no setting for it
            wire = transport.get_extra_info("socket")
            if wire.family != getattr(socket, "AF_UNIX", None):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, value in KEEPING.items():
                    if hasattr(socket, name):  # not every system has each
                        wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Open a session that commits when the block ends well and rolls back when it does not.

        What belongs to a turn is written only for as long as the turn is this process's own.
        """
        async with self._writing, self._sessions.begin() as session:
            await check_hold(session)
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a session that only reads, and so waits for no writer."""
        async with self._readers() as session:
            yield session

    async def answers(self) -> bool:
        """Return whether it can be read now, and is the one that was opened."""
        try:
            async with asyncio.timeout(ANSWER_S), self.read() as session:
                await session.execute(text("SELECT 1"))
        except Exception:  # noqa: BLE001 - whatever it suffers from
            return False
        return True

    async def empty_log(self) -> bool:
        """Empty SQLite's write-ahead log, in which what was deleted can be read; return whether it could be now.

        A few moments are tried, for whoever reads just then has it stay, and nobody waits for it.
        """
        file = file_of(self._url)
        if file is None:
            return True
        for _ in range(LOOKS):
            try:
                await asyncio.to_thread(move_log, file, "PASSIVE")  # while others write: the rest is soon done
                async with self._writing:
                    if await asyncio.to_thread(move_log, file, "TRUNCATE"):
                        return True
            except sqlite3.Error as error:  # no room, or the file was moved away: whoever writes says so
                log.info("database: its write-ahead log cannot be emptied now (%s)", error)
            await asyncio.sleep(LOOK_S)
        return False

    async def migrate(self, *, is_restoring: bool = False) -> None:
        """Bring the database to the newest revision; raise *StorageError* when it cannot be reached.

        SQLite is copied first, beside its file, for whoever has to go back to an earlier version. What a restore left
        that was killed is refused, unless it *is_restoring*: there are words in it that were deleted.
        """
        try:
            await self._check_finished(is_restoring=is_restoring)
            await self.check_encoding()
            found, newest = await self.revision()
            check_known(found, self.place())
            if found and found != newest and (file := file_of(self._url)):
                await asyncio.to_thread(_copy_before, file, newest)
            async with self._engine.begin() as connection:
                await connection.run_sync(_upgrade)
            await self._check_finished(is_restoring=is_restoring)  # one that was at work had us wait until here
            async with self.read() as session:  # what comes next sorts after what is there, whatever the clock says
                IDS.go_on_after([await session.scalar(select(func.max(table.id))) for table in SORTED])
        except (DBAPIError, sqlite3.Error, OSError) as error:
            name = "DATA_DIR or DATABASE_URL" if self.is_sqlite else "DATABASE_URL"
            raise StorageError(f"{name}: {self.place()} cannot be opened: {explain_refusal(error)}") from error

    async def _check_finished(self, *, is_restoring: bool) -> None:
        if not is_restoring and await self.read_unfinished() is not None:
            raise StorageError(HALF)

    async def check_encoding(self) -> None:
        """Raise *StorageError* if PostgreSQL's database has no room for every character that people write."""
        if self._engine.dialect.name != "postgresql":
            return
        async with self._engine.connect() as connection:
            encoding = await connection.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise StorageError(NO_UTF8.format(place=self.place(), encoding=encoding))

    async def revision(self) -> tuple[str | None, str | None]:
        """Return the database's revision and the newest one."""
        async with self._engine.connect() as connection:
            found = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
        return found, ScriptDirectory.from_config(alembic_config()).get_current_head()

    async def read_unfinished(self) -> str | None:
        """Return what a restore had noted for its end that was killed before it; None where none was."""
        if self.is_sqlite:
            return None
        async with self._engine.connect() as connection:
            if await connection.scalar(text("SELECT to_regclass('restore_unfinished') IS NULL")):
                return None
            return str(await connection.scalar(text("SELECT said FROM restore_unfinished")))

    def refuse(self, error: DBAPIError) -> StorageError:
        """Return what to say where the database took nothing any more."""
        return StorageError(f"{self.place()} cannot be used: {explain_refusal(error)}")

    def claimed(self) -> AbstractAsyncContextManager[None]:
        """Keep everybody from putting a backup in the place of PostgreSQL's database while the block runs."""
        return claiming(self._engine, is_alone=False)

    def place(self) -> str:
        """Name the database without its password."""
        return tell_place(self._url)

    async def close(self) -> None:
        """Close every connection; one to a server that is heard of no more is left to the system."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if self.is_sqlite else CLOSING_S):
                await self._engine.dispose()


def check_known(revision: str | None, place: str) -> None:
    """Raise *StorageError* where *place* is at a revision that this version does not know."""
    scripts = ScriptDirectory.from_config(alembic_config())
    if revision and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise StorageError(
            f"{place} is at revision {revision}, which this version does not know: install the version that made it, "
            "or a newer one."
        )


@asynccontextmanager
async def open_database(url: str, *, is_restoring: bool = False) -> AsyncIterator[Database]:
    """Open the database at *url* and bring it to the newest revision."""
    with sharing(None if is_restoring else find_file(url)):
        database = Database(url)
        try:
            async with nullcontext() if is_restoring else database.claimed():
                await database.migrate(is_restoring=is_restoring)
                yield database
        except DBAPIError as error:
            if is_away(error):
                raise database.refuse(error) from error
            raise
        finally:
            await database.close()


def alembic_config() -> Config:
    """Return the configuration of the migrations, which need no `alembic.ini`."""
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    config.set_main_option("path_separator", "os")
    return config


def _copy_before(file: Path, revision: str | None) -> None:
    """Copy a database before it is migrated; the copy goes with the other backups (`bot/admin/backup.py`)."""
    target = file.parent / BACKUPS / f"before-{revision}.db"
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    target.parent.mkdir(mode=0o700, exist_ok=True)
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=60)) as connection:
            connection.execute("VACUUM INTO ?", (str(draft),))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # several bots may start at once
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
