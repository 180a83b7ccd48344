"""Whether an SQLite file still stands where it was opened: what is written to one that was moved away is lost."""

import logging
import sqlite3
from pathlib import Path

from sqlalchemy.exc import OperationalError

MOVED = "is not there any more, or another one stands in its place: put it back, or stop the bot and start it anew"

log = logging.getLogger(__name__)


class FileWatch:
    """A file of SQLite, which looks for that itself with a rollback journal, by the same number, but not with WAL."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._number: int | None = None
        self._is_told = False

    def remember(self) -> None:
        """Remember which file it is, once it was opened."""
        if self._number is None:
            self._number = self._find()

    def check(self) -> None:
        """Raise what a full disk would, and say it once in the log, where it is not that one any more."""
        if self._number is None or self._find() == self._number:
            self._is_told = False
            return
        if not self._is_told:
            log.error("database: %s %s", self._file, MOVED)
            self._is_told = True
        raise OperationalError("BEGIN", None, sqlite3.OperationalError(f"{self._file} {MOVED}"))

    def _find(self) -> int | None:
        try:
            return self._file.stat().st_ino if self._file is not None else None
        except OSError:  # or it cannot be looked at: then nothing can be stored there either
            return None
