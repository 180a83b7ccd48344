"""Which events have come from Slack, by their names in the manifest."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.installing_tables import EventSighting
from bot.storage.tables import now


async def note_sighting(session: AsyncSession, name: str) -> None:
    """Remember that an event has come."""
    await session.merge(EventSighting(name=name, at=now()))


async def load_sightings(session: AsyncSession, *, since: datetime) -> frozenset[str]:
    """Return the events that have come since a moment."""
    return frozenset(await session.scalars(select(EventSighting.name).where(EventSighting.at >= since)))
