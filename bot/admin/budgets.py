"""How much each person and channel may have computed in a day, and what is left of it.

What counts are the tokens that the model had to read or write for answers; what it still knew from before costs
nothing. A day begins at midnight on the machine that the bot runs on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.storage import limits
from bot.storage.audit import record
from bot.storage.db import Database, Session

PERSON, CHANNEL = "person", "channel"
KINDS = {PERSON: limits.PERSON_BUDGET, CHANNEL: limits.CHANNEL_BUDGET}


@dataclass(frozen=True, slots=True)
class Budgets:
    """Tokens a day where nothing else was set; 0: no limit."""

    person: int = 0
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """What a person or a channel has used today; *limit* 0: as much as they like."""

    kind: str
    subject_id: str
    used: int
    limit: int
    answers: int
    free_at: datetime

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left."""
        return bool(self.limit) and self.used >= self.limit


async def read_use(database: Database, defaults: Budgets, *, user_id: str = "", channel_id: str = "") -> Sequence[Use]:
    """Return what a person and a channel have used today, those of the two that are named."""
    async with database.read() as session:
        uses = [await _read(session, PERSON, user_id, defaults.person)] if user_id else []
        return uses + ([await _read(session, CHANNEL, channel_id, defaults.channel)] if channel_id else [])


async def find_empty(database: Database, defaults: Budgets, *, user_id: str, channel_id: str) -> Use | None:
    """Return the budget of which nothing is left; None where there is one more answer."""
    async with database.read() as session:
        for kind, subject_id, default in ((PERSON, user_id, defaults.person), (CHANNEL, channel_id, defaults.channel)):
            # Where there is no limit nothing has to be counted, and most have none.
            if subject_id and await _find_limit(session, kind, subject_id, default):
                use = await _read(session, kind, subject_id, default)
                if use.is_over:
                    return use
    return None


async def list_budgets(database: Database) -> Sequence[tuple[str, str, int]]:
    """Return what was set: the kind, whom it is for, and the tokens a day (0: no limit)."""
    words = {kind: word for word, kind in KINDS.items()}
    async with database.read() as session:
        rows = await limits.all_limits(session, *KINDS.values())
    return [(words[row.kind], row.subject_id, row.value) for row in rows]


async def set_budget(database: Database, kind: str, subject_id: str, tokens: int | None, *, by: str) -> int | None:
    """Set the tokens a day (0: no limit, None: as in the settings); return what was set before."""
    async with database.begin() as session:
        before = await limits.find_limit(session, KINDS[kind], subject_id)
        await limits.set_limit(session, KINDS[kind], subject_id, tokens, by=by)
        record(session, "budget.set", by=by, target=subject_id, kind=kind, tokens=tokens, before=before)
    return before


async def _find_limit(session: Session, kind: str, subject_id: str, default: int) -> int:
    found = await limits.find_limit(session, KINDS[kind], subject_id)
    return default if found is None else found


async def _read(session: Session, kind: str, subject_id: str, default: int) -> Use:
    begin = limits.begin_of_day()
    limit = await _find_limit(session, kind, subject_id, default)
    named = {"user_id": subject_id} if kind == PERSON else {"channel_id": subject_id}
    tokens, answers = await limits.count_tokens(session, since=begin, **named)
    tomorrow = (begin.replace(tzinfo=None) + timedelta(days=1)).astimezone()
    return Use(kind, subject_id, tokens, limit, answers, tomorrow)
