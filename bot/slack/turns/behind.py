"""Workspaces that could not be read: since when, and when each is tried again, at a slow pace."""

import logging
import time
from dataclasses import dataclass
from datetime import datetime

from bot.slack.calls import error_code, is_locked_out
from bot.slack.turns.past import FARTHEST
from bot.storage.tables import now

AGAIN_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _One:
    since: datetime
    code: str  # why it could not be read
    again_at: float
    is_held: bool


class Behind:
    """Keeps them in mind; *home_id* is the workspace of SLACK_BOT_TOKEN."""

    def __init__(self, home_id: str) -> None:
        self._home_id = home_id
        self._known: dict[str, _One] = {}

    def since(self, team_id: str, first: datetime) -> datetime:
        """Return since when a workspace is to be read where the others are since *first*."""
        known = self._known.get(team_id)
        return first if known is None else known.since

    def due(self) -> dict[str, datetime]:
        """Return which are to be tried again by now, and since when each is to be read."""
        return {team_id: one.since for team_id, one in self._known.items() if time.monotonic() >= one.again_at}

    def is_held(self) -> bool:
        """Return whether to write down that all was heard would let another process look for too little."""
        return any(one.is_held for one in self._known.values())

    def drop(self, team_id: str) -> None:
        """Forget a workspace that was read, or is not served any more."""
        self._known.pop(team_id, None)

    def put_off(self, team_id: str, since: datetime, error: Exception) -> None:
        """Try a workspace again later, and name it in the log once.

        A token of an installation that Slack refuses may be refused for good, so nothing is held for it. Since when it
        has been, nobody knows: once Slack takes it again the workspace is read from as far back as any.
        """
        code, known = error_code(error), self._known.get(team_id)
        if known is None or known.code != code:
            mend = "; install the app there again" if is_locked_out(error) else ""
            log.warning("catch-up: %s cannot be read (%s), and is tried every %.0f s%s", team_id, code, AGAIN_S, mend)
        is_held, far = team_id == self._home_id or not is_locked_out(error), now() - FARTHEST
        since = max(since, far) if is_held else far
        self._known[team_id] = _One(since, code, time.monotonic() + AGAIN_S, is_held)
