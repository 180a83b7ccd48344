"""Who works with an SQLite database: any number of processes, or the one alone that puts a backup in its place."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bot.errors import StorageError

REPLACED = "DATABASE_URL: a backup is being put back just now: try again once that has ended."
IN_USE = "DATABASE_URL: another command works with the database just now: try again once that has ended."


@contextmanager
def sharing(file: Path | None) -> Iterator[None]:
    """Work with a database's *file* while the block runs; what is written would be lost while it is being replaced."""
    with _locking(file, fcntl.LOCK_SH, REPLACED):
        yield


@contextmanager
def replacing(file: Path | None) -> Iterator[None]:
    """Replace a database's *file* while the block runs, which nobody else works with."""
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
