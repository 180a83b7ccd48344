"""How often an answer may be refreshed: Slack's limits count per workspace, so everyone's answers share them."""

from collections.abc import Iterator
from contextlib import contextmanager

APPENDS_PER_S = 1.6  # chat.appendStream is Tier 4: 100 a minute
UPDATES_PER_S = 0.8  # chat.update is Tier 3: 50 a minute
FASTEST_APPEND_S = 0.35
FASTEST_UPDATE_S = 1.0


class Pace:
    """Counts the answers under way and stretches their refreshes accordingly."""

    def __init__(self) -> None:
        self._under_way = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count an answer for as long as it is shown growing."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def append_interval(self) -> float:
        """Return the seconds between two appends of one native stream."""
        return max(FASTEST_APPEND_S, self._under_way / APPENDS_PER_S)

    def update_interval(self) -> float:
        """Return the seconds between two edits of one message."""
        return max(FASTEST_UPDATE_S, self._under_way / UPDATES_PER_S)
