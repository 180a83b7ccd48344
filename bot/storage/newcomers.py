"""Who has been here for some time: they said or judged something before a moment."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.tables import Correction, Feedback, Message, PreferencePair


async def find_established(session: AsyncSession, *, before: datetime) -> frozenset[str] | None:
    """Return whoever was here *before* a moment; None when nobody was, for the assistant itself is newer."""
    found: set[str] = set()
    for table in (Message, Feedback, Correction, PreferencePair):
        found |= set(await session.scalars(select(table.user_id).where(table.created_at < before).distinct()))
    return frozenset(found) or None
