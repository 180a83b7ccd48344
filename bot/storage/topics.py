"""What somebody asked lately, where they see it again: to suggest it to them, and to nobody else."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.tables import Audience, Message, Thread

MOST_READ = 60


async def recent_questions(
    session: AsyncSession, user_id: str, *, team_id: str, channel_id: str = "", since: datetime
) -> Sequence[str]:
    """Return what somebody began a conversation with, the newest first: in direct messages, and in one channel."""
    is_own_place = Thread.audience == Audience.DIRECT
    here = or_(is_own_place, Thread.channel_id == channel_id) if channel_id else is_own_place
    statement = (
        select(Message.text)
        .join(Thread, Message.thread_id == Thread.id)
        .where(
            and_(Message.user_id == user_id, Message.created_at >= since),
            Thread.team_id == team_id,
            Message.ts == Thread.thread_ts,
            here,
        )
    )
    return list(await session.scalars(statement.order_by(Message.id.desc()).limit(MOST_READ)))
