"""Whether Slack may still have to deliver what was said before: it tries again at once, and then after a minute."""

import time
from datetime import datetime, timedelta

from bot.storage.tables import now

LASTS_S = 75.0
DISMISSED = timedelta(minutes=1)  # before another process is taken for dead it may have been so


class Doubt:
    """Is there for a while after a message may have been lost on its way."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self.settled: set[tuple[str, str]] = set()  # threads about which there is none any more
        self.since: datetime | None = None  # what was said from then on was not looked for in the history yet

    def begin(self, since: datetime | None = None) -> None:
        """Say that a message may have been lost: with a connection, with a process, or on a full disk."""
        self._began_at = time.monotonic()
        self.settled.clear()
        self.since = min(self.since or now(), since or now())

    def begin_at_dismissal(self) -> None:
        """Say that another process shows no sign of life: what Slack gave to it of late it may not have stored."""
        self.begin(now() - DISMISSED)

    def is_there(self) -> bool:
        """Return whether what was said earlier may come later."""
        return self._began_at is not None and time.monotonic() - self._began_at < LASTS_S
