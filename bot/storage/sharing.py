"""Who works with a database: any number of processes, or the one alone that puts a backup in its place."""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.errors import StorageError, first_line
from bot.storage.addresses import tell_place

CLAIMED = 0x617071  # the number of PostgreSQL's lock that everybody shares, or a restore has alone
REPLACED = "DATABASE_URL: a backup is being put back just now: try again once that has ended."
IN_USE = "DATABASE_URL: a bot or another command works with the database just now: try again once that has ended."
ALIVE = (  # a machine that died keeps nobody from restoring on another: the server asks whether it is there
    "set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)


@contextmanager
def sharing(file: Path | None) -> Iterator[None]:
    """Work with an SQLite *file* while the block runs; what is written would be lost while it is being replaced."""
    with _locking(file, fcntl.LOCK_SH, REPLACED):
        yield


@contextmanager
def replacing(file: Path | None) -> Iterator[None]:
    """Replace an SQLite *file* while the block runs, which nobody else works with."""
    with _locking(file, fcntl.LOCK_EX, IN_USE):
        yield


@contextmanager
def _locking(file: Path | None, kind: int, refusal: str) -> Iterator[None]:
    """Lock the folder, for the file itself is another one afterwards; without a file or a folder nobody is in the way.

    Some file systems lock no folders: it is as if nobody were in the way there.
    """
    if file is None or not file.parent.is_dir():
        yield
        return
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            try:
                fcntl.flock(folder, kind | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StorageError(refusal) from error
        yield
    finally:
        os.close(folder)


@asynccontextmanager
async def claiming(engine: AsyncEngine, *, is_alone: bool) -> AsyncIterator[None]:
    """Work with PostgreSQL's database while the block runs, or replace it; a connection of its own holds the lock.

    If that is lost the lock is as well: whoever puts a backup back is told to stop every bot before.
    """
    if engine.dialect.name == "sqlite":
        yield
        return
    take = f"SELECT pg_try_advisory_lock{'' if is_alone else '_shared'}({CLAIMED}), {ALIVE}"
    try:
        connection = await engine.connect()
        is_taken = await connection.scalar(text(take))
        await connection.commit()
    except (DBAPIError, OSError) as error:
        said = f"{tell_place(engine.url)} cannot be opened: {first_line(error)}. Start it, or correct DATABASE_URL."
        raise StorageError(said) from error
    try:
        if not is_taken:
            raise StorageError(IN_USE if is_alone else REPLACED)
        yield
    finally:
        await connection.invalidate()  # the lock ends with it, and not when somebody else closes it
        await connection.close()
