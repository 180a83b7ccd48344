"""How the assistant speaks in a channel."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage import audit
from bot.storage.installing_tables import ChannelPersona
from bot.storage.tables import now


async def find_persona(session: AsyncSession, team_id: str, channel_id: str) -> str:
    """Return the name of a channel's persona; empty when it has none."""
    found = await session.get(ChannelPersona, (team_id, channel_id))
    return found.persona if found else ""


async def choose_persona(session: AsyncSession, team_id: str, channel_id: str, *, persona: str, by: str) -> None:
    """Let a channel have *persona*, or none when it is empty."""
    found = await session.get(ChannelPersona, (team_id, channel_id))
    if found is not None and not persona:
        await session.delete(found)
    elif found is not None:
        found.persona, found.by, found.at = persona, by, now()
    elif persona:
        session.add(ChannelPersona(team_id=team_id, channel_id=channel_id, persona=persona, by=by))
    audit.record(session, "persona", by=by, target=channel_id, persona=persona or "none")
