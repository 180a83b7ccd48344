"""Ids that sort by the order in which they were given, also where the machine's clock was set back in between."""

import secrets
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock

from ulid import ULID

STEP_BITS = 48  # of chance between two ids of one moment, so that nobody guesses the next


class Ids:
    """Gives ULIDs, each behind all that were given or known before."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = Lock()

    def give(self) -> str:
        """Return a fresh ULID (26 characters)."""
        with self._lock:
            self._last = max(int(ULID()), self._last + 1 + secrets.randbits(STEP_BITS))
            return str(ULID.from_int(self._last))

    def go_on_after(self, known: Iterable[str | None]) -> None:
        """Give none from here on that would sort before one of those that are *known*."""
        for text in known:
            with suppress(ValueError), self._lock:
                self._last = max(self._last, int(ULID.from_str(text or "")))
