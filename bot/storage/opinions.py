"""What people thought of answers: week by week, and which answers they liked least."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, Thread, Vote


@dataclass(frozen=True, slots=True)
class Disliked:
    """An answer that everybody could read, with what people thought of it."""

    answer_id: str
    channel_id: str
    reply_ts: str
    question: str
    answer: str
    downs: int
    ups: int
    reasons: tuple[str, ...]


async def votes_since(session: AsyncSession, moment: datetime) -> Sequence[tuple[datetime, Vote]]:
    """Return when each thumb that counts was given, and whether it was up or down."""
    statement = select(Feedback.created_at, Feedback.vote).where(
        Feedback.superseded_at.is_(None), Feedback.vote.in_([Vote.UP, Vote.DOWN]), Feedback.created_at >= moment
    )
    return [(at, Vote(vote)) for at, vote in await session.execute(statement)]


async def corrections_since(session: AsyncSession, moment: datetime) -> Sequence[datetime]:
    """Return when each correction that counts was given."""
    statement = select(Correction.created_at).where(Correction.superseded_at.is_(None), Correction.created_at >= moment)
    return list(await session.scalars(statement))


async def answers_since(session: AsyncSession, moment: datetime) -> Sequence[datetime]:
    """Return when each answer was begun."""
    return list(await session.scalars(select(Answer.created_at).where(Answer.created_at >= moment)))


async def worst_answers(session: AsyncSession, *, since: datetime, most: int) -> Sequence[Disliked]:
    """Return the answers with the most thumbs down of those that were said, asked and read in public."""
    downs = func.sum(case((Feedback.vote == Vote.DOWN, 1), else_=0))
    ups = func.sum(case((Feedback.vote == Vote.UP, 1), else_=0))
    ranked = (
        select(Answer.id, downs, ups)
        .join(Feedback, Feedback.answer_id == Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .where(
            Feedback.superseded_at.is_(None),
            Answer.created_at >= since,
            *(table.audience == Audience.PUBLIC for table in (Answer, Message, Thread)),
        )
        .group_by(Answer.id)
        .having(downs > 0)
        .order_by((downs - ups).desc(), Answer.id.desc())
        .limit(most)
    )
    found = (await session.execute(ranked)).all()
    return [await _describe(session, *row) for row in found]


async def _describe(session: AsyncSession, answer_id: str, downs: int, ups: int) -> Disliked:
    row = await session.execute(
        select(Answer.text, Answer.reply_ts, Message.text, Thread.channel_id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .where(Answer.id == answer_id)
    )
    answer, reply_ts, question, channel_id = row.one()
    current = select(Feedback.reason).where(Feedback.answer_id == answer_id, Feedback.superseded_at.is_(None))
    reasons = tuple(sorted({reason for reason in await session.scalars(current) if reason}))
    return Disliked(
        answer_id, channel_id, reply_ts[0] if reply_ts else "", question, answer, int(downs), int(ups), reasons
    )
