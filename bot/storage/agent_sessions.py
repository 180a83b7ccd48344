"""Where Slack says that we work, so that a crash leaves nobody waiting for ever, and which titles people chose."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.agent_session_tables import AgentSession
from bot.storage.tables import now
from bot.storage.threads import Place


async def note_shown(session: AsyncSession, place: Place, method: str) -> bool:
    """Store by which method Slack is told that we work in a thread, empty: by none; return whether it is new to us."""
    row = await _find(session, place)
    is_new = row is None
    if row is None:
        row = AgentSession(team_id=place.team_id, channel_id=place.channel_id, thread_ts=place.thread_ts)
        session.add(row)
    row.shown_by, row.at = method, now()
    return is_new


async def note_renamed(session: AsyncSession, place: Place) -> None:
    """Store that a person gave the thread its title, which is theirs from now on."""
    row = await _find(session, place)
    if row is None:
        row = AgentSession(team_id=place.team_id, channel_id=place.channel_id, thread_ts=place.thread_ts)
        session.add(row)
    row.is_renamed = True


async def is_renamed(session: AsyncSession, place: Place) -> bool:
    """Return whether a person gave the thread its title."""
    row = await _find(session, place)
    return row is not None and row.is_renamed


async def list_shown(session: AsyncSession) -> Sequence[tuple[Place, str]]:
    """Return where Slack was told that we work, and by which method."""
    rows = await session.scalars(select(AgentSession).where(AgentSession.shown_by != ""))
    return [(Place(row.team_id, row.channel_id, row.thread_ts), row.shown_by) for row in rows]


async def _find(session: AsyncSession, place: Place) -> AgentSession | None:
    return await session.get(AgentSession, (place.team_id, place.channel_id, place.thread_ts))
