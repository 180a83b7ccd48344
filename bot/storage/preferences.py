"""What each person wants of the assistant; they choose it in their Home."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.preference_tables import Preference
from bot.storage.tables import now


@dataclass(frozen=True, slots=True)
class Preferences:
    """What somebody wants; *length* is `short`, `long` or empty, *language* empty for the one that Slack knows."""

    language: str = ""
    length: str = ""
    streams: bool = True


async def load_preferences(session: AsyncSession, user_id: str) -> Preferences:
    """Return what somebody wants."""
    row = await session.get(Preference, user_id)
    return Preferences() if row is None else Preferences(row.language, row.length, row.streams)


async def save_preferences(session: AsyncSession, user_id: str, **changes: Any) -> None:
    """Change what somebody wants."""
    row = await session.get(Preference, user_id)
    if row is None:
        row = Preference(user_id=user_id)
        session.add(row)
    for name, value in changes.items():
        setattr(row, name, value)
    row.at = now()
