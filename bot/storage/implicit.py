"""What people show without saying it: kept beside their votes, with how much it says, and never as one of them."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.feedback_tables import ImplicitSignal, Sign
from bot.storage.tables import Answer, AnswerState, Message, Thread, now
from bot.storage.terms import find_terms, measure_likeness
from bot.storage.threads import Place

WEIGHTS = {Sign.STOPPED: 0.1, Sign.REGENERATED: 0.3, Sign.REPHRASED: 0.3, Sign.TAKEN_OVER: 0.2}
AT_ONCE = timedelta(minutes=3)  # after an answer: whoever asks again, or answers instead, does so because of it
LIKE = 0.6


async def note_sign(session: AsyncSession, answer_id: str, *, user_id: str, sign: Sign) -> None:
    """Keep that somebody did this after an answer, once; nothing where its question was deleted meanwhile."""
    known = select(ImplicitSignal.id).filter_by(answer_id=answer_id, user_id=user_id, source=sign)
    there = select(Answer.id).where(Answer.id == answer_id).with_for_update(key_share=True)
    if await session.scalar(known) is None and await session.scalar(there) is not None:
        session.add(ImplicitSignal(answer_id=answer_id, user_id=user_id, source=sign, weight=WEIGHTS[sign]))
        await session.flush()


async def note_rephrasing(session: AsyncSession, answer_id: str) -> None:
    """Keep it when an answer is to nearly the same as its asker's last question in the thread, just answered too."""
    message = await session.scalar(select(Message).join(Answer).where(Answer.id == answer_id))
    if message is None:
        return
    before = (
        select(Answer.id, Message.text)
        .join(Message, Answer.message_id == Message.id)
        .where(
            Message.thread_id == message.thread_id,
            Message.user_id == message.user_id,
            Message.ts < message.ts,
            Answer.state == AnswerState.COMPLETE,
            Answer.finished_at >= now() - AT_ONCE,
        )
        .order_by(Message.ts.desc(), Answer.id.desc())
        .limit(1)
    )
    found = (await session.execute(before)).one_or_none()
    if found is not None and measure_likeness(find_terms(found[1]), find_terms(message.text)) >= LIKE:
        await note_sign(session, found[0], user_id=message.user_id, sign=Sign.REPHRASED)


async def note_taking_over(session: AsyncSession, place: Place, *, user_id: str) -> None:
    """Keep it when somebody other than who asked speaks to people right after an answer in the thread."""
    newest = (
        select(Answer.id, Message.user_id, Answer.finished_at)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .where(
            Thread.team_id == place.team_id, Thread.channel_id == place.channel_id, Thread.thread_ts == place.thread_ts
        )
        .order_by(Message.ts.desc(), Answer.id.desc())
        .limit(1)
    )
    found = (await session.execute(newest)).one_or_none()
    if found is not None and found[1] != user_id and _is_fresh(found[2]):
        await note_sign(session, found[0], user_id=user_id, sign=Sign.TAKEN_OVER)


def _is_fresh(finished_at: datetime | None) -> bool:
    return finished_at is not None and finished_at >= now() - AT_ONCE
