"""How many in the line are whose: one person's must not fill it."""

from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.tables import Inbox, InboxState


async def count_by_person(session: AsyncSession) -> Counter[str]:
    """Return how many events of each person wait or run."""
    user, bot, clicked = Inbox.payload["event"]["user"], Inbox.payload["event"]["bot_id"], Inbox.payload["user_id"]
    speaker = func.coalesce(user.as_string(), bot.as_string(), clicked.as_string(), "")
    rows = await session.execute(select(speaker, func.count()).where(Inbox.state != InboxState.DONE).group_by(speaker))
    return Counter({str(row[0]): int(row[1]) for row in rows})
