"""What each person wants of the assistant; they choose it in their Home."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.preference_tables import Preference
from bot.storage.tables import now


class Privacy(StrEnum):
    """Who may see what somebody says about an answer."""

    PRIVATE = "private"
    ANONYMOUS = "anonymous"
    PUBLIC = "public"


class Serving(StrEnum):
    """What somebody wants to be answered by, where an admin lets people choose."""

    AS_DECIDED = ""
    BASE = "base"
    CURRENT = "current"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What somebody wants; *length* is `short`, `long` or empty, *language* empty for the one that Slack knows."""

    language: str = ""
    length: str = ""
    streams: bool = True
    model: Serving = Serving.AS_DECIDED
    reminds: bool = True
    feedback: Privacy = Privacy.PRIVATE


async def load_preferences(session: AsyncSession, user_id: str) -> Preferences:
    """Return what somebody wants."""
    row = await session.get(Preference, user_id)
    if row is None:
        return Preferences()
    return Preferences(
        language=row.language,
        length=row.length,
        streams=row.streams,
        model=Serving(row.model),
        reminds=row.reminds,
        feedback=Privacy(row.feedback),
    )


async def save_preferences(session: AsyncSession, user_id: str, **changes: Any) -> Preferences:
    """Change what somebody wants, and return it as a whole."""
    row = await session.get(Preference, user_id)
    if row is None:
        row = Preference(user_id=user_id)
        session.add(row)
    for name, value in changes.items():
        setattr(row, name, value)
    row.at = now()
    await session.flush()
    return await load_preferences(session, user_id)
