"""How often an answer may be refreshed: Slack's limits count per workspace, so everyone's answers share them."""

from collections.abc import Iterator
from contextlib import contextmanager

from bot.slack.rates import Rates

FASTEST_APPEND_S = 0.35
FASTEST_UPDATE_S = 1.5


class Pace:
    """Counts the answers under way and stretches their refreshes accordingly, so that each brings more at once."""

    def __init__(self, rates: Rates | None = None) -> None:
        rates = rates or Rates()
        self._appends_per_s = rates.within_a_minute("chat.appendStream") / 60
        self._updates_per_s = rates.within_a_minute("chat.update") / 60
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
        return max(FASTEST_APPEND_S, self._under_way / self._appends_per_s)

    def update_interval(self) -> float:
        """Return the seconds between two edits of one message."""
        return max(FASTEST_UPDATE_S, self._under_way / self._updates_per_s)
