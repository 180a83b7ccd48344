"""Connections to SQLite that end well whenever they are cancelled: no lock is left, and nobody waits for a thread."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite


class EndingConnection(sqlite3.Connection):
    """A connection that ends its transaction when it is closed.

    SQLite puts that off for as long as there is a statement, and whoever handles a cancelled one holds it: what is
    written meanwhile would wait for a lock that nobody gives back (https://sqlite.org/c3ref/close.html).
    """

    def close(self) -> None:
        """Roll back, then close."""
        with suppress(sqlite3.Error):  # of a connection that is closed already, or a file that is gone
            self.rollback()
        super().close()


class ThreadedConnection(aiosqlite.Connection):
    """A connection in a thread of its own that is told to end once.

    Closing is cut short where it is cancelled a second time, and then the thread is told to end by both: it hears one
    of them, and whoever waited for the other waited for good, so that the process could not end.
    """

    _ending: asyncio.Future[Any] | None = None

    async def _connect(self) -> aiosqlite.Connection:
        """Open the file; where that fails, the thread ends before the loop that it answers to: so without a trace."""
        try:
            return await super()._connect()
        except sqlite3.Error:
            if self._ending is not None:
                await self._ending
            raise

    def stop(self) -> asyncio.Future[Any] | None:
        """Tell the thread to end; return what is done once it has."""
        if self._ending is None:
            self._ending = super().stop()
        return self._ending


def move_log(file: Path, mode: str) -> bool:
    """Move what stands in SQLite's write-ahead log into the database; return whether all of it was.

    Nobody is waited for, so that nobody waits: `PASSIVE` goes on beside readers and writers, as far as readers let it,
    and `TRUNCATE` empties the log too, where nobody reads in it (https://sqlite.org/pragma.html#pragma_wal_checkpoint).
    """
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=0)) as connection:
        is_busy, in_log, moved = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return not is_busy and in_log == moved


def connect(*where: Any, **options: Any) -> aiosqlite.Connection:
    """Return a connection that is opened when it is awaited, as `aiosqlite.connect` does."""
    opened = partial(sqlite3.connect, *where, factory=EndingConnection, **options)
    connection = ThreadedConnection(opened, iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does: a process waits for none of them
    return connection
