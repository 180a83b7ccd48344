"""When somebody who never says what they think of answers may be reminded that they can."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.feedback import has_given
from bot.storage.preference_tables import Preference
from bot.storage.tables import Answer, AnswerState, Message, now


async def is_hint_due(session: AsyncSession, user_id: str, *, answers: int, rest: timedelta) -> bool:
    """Return whether somebody had so many answers, and so long a rest, since the last reminder, and gave no word."""
    wish = await session.get(Preference, user_id)
    hinted_at = wish.hinted_at if wish is not None else None
    if (wish is not None and not wish.has_hints) or (hinted_at is not None and hinted_at > now() - rest):
        return False
    got = select(Answer.id).join(Message, Answer.message_id == Message.id)
    got = got.where(Message.user_id == user_id, Answer.state == AnswerState.COMPLETE)
    got = got if hinted_at is None else got.where(Answer.created_at > hinted_at)
    count = await session.scalar(select(func.count()).select_from(got.limit(answers).subquery())) or 0
    return count >= answers and not await has_given(session, user_id)
