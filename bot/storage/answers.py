"""Answers: begun, finished, found again by a button."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.asking_tables import Candidate
from bot.storage.tables import Answer, AnswerState, Message, Thread
from bot.storage.threads import SLACK_TS, Place, lock_messages


@dataclass(frozen=True)
class AnswerRecord:
    """An answer with its question and its place."""

    answer: Answer
    message: Message
    place: Place


async def begin_answer(
    session: AsyncSession, message: Message, *, replaces_id: str | None = None
) -> tuple[Answer, bool]:
    """Return the answer to write, and whether it was begun before: by a try that a crash or Slack interrupted."""
    unfinished = select(Answer).filter_by(message_id=message.id, replaces_id=replaces_id, state=AnswerState.WRITING)
    begun = await session.scalar(unfinished.order_by(Answer.id).limit(1))  # of several to choose from the first
    if begun is not None:
        return begun, True
    answer = Answer(message_id=message.id, replaces_id=replaces_id, audience=message.audience, reply_ts=[])
    session.add(answer)
    await session.flush()
    return answer, False


async def load_carriers(session: AsyncSession, thread_id: str) -> set[str]:
    """Return every message in Slack that is known to carry an answer in a thread."""
    statement = select(Answer.reply_ts).join(Message, Answer.message_id == Message.id)
    found = await session.scalars(statement.where(Message.thread_id == thread_id))
    return {ts for reply_ts in found for ts in reply_ts}


async def has_outcome(session: AsyncSession, message_id: str) -> bool:
    """Return whether a message has got its visible outcome already."""
    statement = select(Answer.id).where(Answer.message_id == message_id, Answer.state != AnswerState.WRITING)
    return (await session.scalar(statement.limit(1))) is not None


async def is_replaced(session: AsyncSession, answer_id: str) -> bool:
    """Return whether another answer has taken the place of *answer_id* already."""
    statement = select(Answer.id).where(Answer.replaces_id == answer_id, Answer.state != AnswerState.WRITING)
    return (await session.scalar(statement.limit(1))) is not None


async def has_newer(session: AsyncSession, answer: Answer) -> bool:
    """Return whether the message of *answer* got another answer after it; those shown beside it are none."""
    beside = select(Candidate.answer_id).where(Candidate.message_id == answer.message_id)
    newer = select(Answer.id).where(
        Answer.message_id == answer.message_id, Answer.id > answer.id, Answer.id.not_in(beside)
    )
    return (await session.scalar(newer.where(Answer.state != AnswerState.WRITING).limit(1))) is not None


def answers_another(message: Message, answer: Answer) -> bool:
    """Return whether the question became another one after the answer."""
    return message.edited_at is not None and answer.created_at <= message.edited_at


async def is_outdated(session: AsyncSession, record: AnswerRecord) -> bool:
    """Return whether an answer is not what stands any more, or its question became another one since."""
    return (
        answers_another(record.message, record.answer)
        or await is_replaced(session, record.answer.id)
        or await has_newer(session, record.answer)
    )


async def find_standing(session: AsyncSession, message_id: str) -> Answer | None:
    """Return what stands as the answer to a message: the newest one that was not passed over."""
    passed_over = select(Candidate.answer_id).where(Candidate.stands.is_(False))
    here = select(Answer).where(Answer.message_id == message_id, Answer.id.not_in(passed_over))
    return await session.scalar(here.order_by(Answer.id.desc()).limit(1))


async def update_answer(session: AsyncSession, answer_id: str, **values: Any) -> None:
    """Write *values* to an answer's row."""
    await session.execute(update(Answer).where(Answer.id == answer_id).values(**values))


async def newest_answer(session: AsyncSession, team_id: str, channel_id: str, thread_ts: str) -> AnswerRecord | None:
    """Return what stands as the answer to the newest question of a thread."""
    here = {"team_id": team_id, "channel_id": channel_id, "thread_ts": thread_ts}
    passed_over = select(Candidate.answer_id).where(Candidate.stands.is_(False))
    statement = (
        select(Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .filter(*(getattr(Thread, name) == value for name, value in here.items()))
        .where(Answer.state != AnswerState.WRITING, Answer.id.not_in(passed_over))
        .order_by(Message.ts.desc(), Answer.id.desc())
    )
    found = await session.scalar(statement.limit(1))
    return None if found is None else await load_answer(session, found)


async def find_reply_times(session: AsyncSession, team_id: str, channel_id: str, *, since: datetime) -> set[str]:
    """Return which of our messages in a channel are known as answers that were begun since then."""
    answers = select(Answer.reply_ts).join(Message, Answer.message_id == Message.id)
    here = answers.join(Thread, Message.thread_id == Thread.id).where(Answer.created_at >= since)
    here = here.where(Thread.team_id == team_id, Thread.channel_id == channel_id)
    return {ts for reply_ts in await session.scalars(here) for ts in reply_ts}


async def list_carriers(session: AsyncSession, team_id: str, *, since: datetime, most: int) -> dict[Place, set[str]]:
    """Return which messages carry the newest answers of a workspace since a moment, by thread.

    What is still written is left out, and what only its asker sees.
    """
    columns = (Thread.channel_id, Thread.thread_ts, Answer.reply_ts)
    carried = select(*columns).join(Message, Answer.message_id == Message.id).join(Thread)
    carried = carried.where(Thread.team_id == team_id, Answer.created_at >= since, Answer.state != AnswerState.WRITING)
    found: dict[Place, set[str]] = {}
    for channel_id, thread_ts, reply_ts in await session.execute(carried.order_by(Answer.id.desc()).limit(most)):
        if SLACK_TS.fullmatch(thread_ts) is not None:
            found.setdefault(Place(team_id, channel_id, thread_ts), set()).update(reply_ts)
    return found


async def load_answer(session: AsyncSession, answer_id: str, *, is_locked: bool = False) -> AnswerRecord | None:
    """Return an answer with its question and place; None for an unknown or malformed id.

    *is_locked* lets whoever else wants to change what belongs to the answer, or to edit its question, wait until this
    session commits.
    """
    statement = (
        select(Answer, Message, Thread)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .where(Answer.id == answer_id)
    )
    if is_locked:
        await lock_messages(
            session, await session.scalar(select(Answer.message_id).where(Answer.id == answer_id)) or ""
        )
        statement = statement.with_for_update(of=Answer)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    answer, message, thread = row
    return AnswerRecord(answer, message, Place(thread.team_id, thread.channel_id, thread.thread_ts))


async def load_replaced(session: AsyncSession, answer_id: str) -> AnswerRecord | None:
    """Return the answer that another one takes the place of, if there are words of it."""
    replaced_id = await session.scalar(select(Answer.replaces_id).where(Answer.id == answer_id))
    record = None if replaced_id is None else await load_answer(session, replaced_id)
    return record if record is not None and record.answer.text.strip() else None
