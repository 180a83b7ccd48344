"""What people thought of answers: week by week, and which answers they liked least."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.feedback_tables import Verdict
from bot.storage.preference_tables import NAMED, PRIVATE, Preference
from bot.storage.standing import stands
from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, Thread, Vote

MOST_REMARKS = 3  # of one answer are shown, the newest


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
    remarks: tuple["Remark", ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody said beside a 👎; *user_id* is empty where they want no name on it."""

    user_id: str
    text: str


async def votes_since(session: AsyncSession, moment: datetime) -> Sequence[tuple[datetime, Vote]]:
    """Return when each thumb that counts was given, and whether it was up or down."""
    statement = select(Feedback.created_at, Feedback.vote).where(
        Feedback.superseded_at.is_(None), Feedback.vote.in_([Vote.UP, Vote.DOWN]), Feedback.created_at >= moment
    )
    return [(at, Vote(vote)) for at, vote in await session.execute(statement)]


async def corrections_since(session: AsyncSession, moment: datetime) -> Sequence[datetime]:
    """Return when each correction that counts was given."""
    statement = select(Correction.created_at).where(stands(), Correction.created_at >= moment)
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
    said = await session.execute(
        select(Feedback.user_id, Feedback.reason, Feedback.comment, Preference.shown)
        .outerjoin(Preference, Preference.user_id == Feedback.user_id)
        .where(Feedback.answer_id == answer_id, Feedback.superseded_at.is_(None), Feedback.vote == Vote.DOWN)
        .order_by(Feedback.id.desc())
    )
    told = [(*row[:3], row[3] or NAMED) for row in said if row[3] != PRIVATE]
    reasons = tuple(sorted({reason for _, reason, _, _ in told if reason}))
    remarks = tuple(Remark(user if shown == NAMED else "", text) for user, _, text, shown in told if text)
    link = reply_ts[0] if reply_ts else ""
    return Disliked(
        answer_id, channel_id, link, question, answer, int(downs), int(ups), reasons, remarks[:MOST_REMARKS]
    )


async def count_verdicts(session: AsyncSession, moment: datetime) -> tuple[int, int]:
    """Return how many of what was said to be fixed its authors found better since a moment, and how many not."""
    rows = await session.execute(
        select(Verdict.vote, func.count()).where(Verdict.created_at >= moment).group_by(Verdict.vote)
    )
    counts = {row[0]: row[1] for row in rows}
    return counts.get(Vote.UP, 0), counts.get(Vote.DOWN, 0)


async def save_verdict(session: AsyncSession, correction_id: str, *, user_id: str, vote: Vote, adapter: str) -> bool:
    """Keep what the author of a correction thinks of what is answered now; False where it is not theirs, or said."""
    correction = await session.get(Correction, correction_id)
    known = await session.get(Verdict, correction_id)
    if correction is None or correction.user_id != user_id or known is not None:
        return False
    session.add(Verdict(correction_id=correction_id, user_id=user_id, vote=vote, adapter=adapter))
    return True
