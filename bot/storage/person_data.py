"""All that is stored of one person: taken out for them, or deleted.

Every table with a column *user_id* is covered, also one that is added later, and what hangs on a person's messages
goes with them. What stays of them are decisions about them: a block, a limit, and that they must not be learned from;
and for two days, under a name that hides theirs, how much of today's budget they have used.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage import inbox
from bot.storage.admin_tables import ReviewRow, UserRight
from bot.storage.erasure_tables import Cause
from bot.storage.erasures import record_messages, record_person
from bot.storage.feedback_tables import Lesson, LessonState
from bot.storage.file_tables import MessageFile
from bot.storage.installing_tables import ChannelPersona
from bot.storage.learning_tables import RunExample, TrainingChoice
from bot.storage.limits import keep_spent_of
from bot.storage.memory_tables import ThreadSummary
from bot.storage.preference_tables import Preference
from bot.storage.tables import Answer, Base, Correction, Feedback, Inbox, InboxState, Message, Thread
from bot.storage.traces import forget_prompts_with

KEPT = {UserRight.__tablename__}
LOT = 500  # rows that are read at once: between them others are heard
UNREADABLE = (bytes, tuple, list)  # token ids and vectors, which say nothing that the texts do not


async def collect_person(session: AsyncSession, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return what is stored of somebody, by table, as plain values."""
    found = {
        table.name: await _read(session, select(table).where(table.c.user_id == user_id)) for table in _own_tables()
    }
    own = select(Message.id).where(Message.user_id == user_id)
    answers = select(Answer.__table__).where(Answer.message_id.in_(own))
    files = select(MessageFile.__table__).where(MessageFile.message_id.in_(own))
    choices = select(TrainingChoice.__table__).where(TrainingChoice.subject_id == user_id)
    found["answers"] = await _read(session, answers.order_by(Answer.id))
    found["message_files"] = await _read(session, files)
    found["training_choices"] = await _read(session, choices)
    found["channel_personas"] = await _read(session, select(ChannelPersona.__table__).where(_own_persona(user_id)))
    asked = select(*(column for column in Lesson.__table__.c if column.name != "text"))  # which another wrote
    found["lessons"] += await _read(session, asked.where(Lesson.asked_by == user_id, Lesson.user_id != user_id))
    return {name: rows for name, rows in found.items() if rows}


async def list_corrections(session: AsyncSession, user_id: str) -> Collection[str]:
    """Return the corrections that go when somebody is forgotten: their own, and those of answers to them.

    And those of which only their words go: that were put, by them as a reviewer, in the place of what another says.
    """
    about = select(Answer.id).join(Message, Answer.message_id == Message.id).where(Message.user_id == user_id)
    statement = select(Correction.id).where((Correction.user_id == user_id) | Correction.answer_id.in_(about))
    edited = select(ReviewRow.correction_id).where(ReviewRow.user_id == user_id)
    return {*await session.scalars(statement), *await session.scalars(edited)}


async def forget_person(session: AsyncSession, user_id: str) -> dict[str, int]:
    """Delete what is stored of somebody, and return how many rows of what."""
    own = select(Message.id).where(Message.user_id == user_id)
    about = select(Answer.id).where(Answer.message_id.in_(own))
    counts = {
        "answers": await _count(session, Answer, Answer.message_id.in_(own)),
        "message_files": await _count(session, MessageFile, MessageFile.message_id.in_(own)),
        "corrections by others": await _count(
            session, Correction, Correction.answer_id.in_(about), Correction.user_id != user_id
        ),
        "feedback by others": await _count(
            session, Feedback, Feedback.answer_id.in_(about), Feedback.user_id != user_id
        ),
    }
    await keep_spent_of(session, user_id)
    refused = Lesson.state == LessonState.REFUSED  # an author's no holds on, without their name
    await session.execute(update(Lesson).where(Lesson.user_id == user_id, refused).values(user_id=""))
    await record_person(session, user_id, _own_tables())
    threads = set(await session.scalars(select(Message.thread_id).where(Message.user_id == user_id).distinct()))
    await _forget_traces(session, threads)
    await forget_prompts_with(session, await list_corrections(session, user_id))
    counts["inbox"] = await _forget_waiting(session, user_id)
    theirs = Lesson.asked_by == user_id
    await session.execute(update(Lesson).where(theirs, refused).values(asked_by=""))
    await session.execute(delete(Lesson).where(theirs))
    await session.execute(delete(ChannelPersona).where(_own_persona(user_id)))
    hiding = select(Preference.shown, Preference.has_hints).where(Preference.user_id == user_id)
    shown, has_hints = (await session.execute(hiding)).one_or_none() or ("", True)
    for table in reversed(_own_tables()):
        gone = await session.execute(delete(table).where(table.c.user_id == user_id))
        counts[table.name] = gone.rowcount  # type: ignore[attr-defined]
    if shown or not has_hints:  # what nobody is to see of theirs, nobody sees of what they say later either
        session.add(Preference(user_id=user_id, shown=shown, has_hints=has_hints))
        await session.flush()
    has_words = select(Message.id).where(Message.thread_id == Thread.id).exists()
    await session.execute(delete(Thread).where(Thread.id.in_(threads), ~has_words))
    return {name: count for name, count in counts.items() if count}


async def forget_old(session: AsyncSession, *, before: datetime, channel_id: str = "", without: Collection[str]) -> int:
    """Delete the messages older than a moment, of one channel or of all *without* some; return how many."""
    threads = select(Thread.id).where(
        Thread.channel_id == channel_id if channel_id else Thread.channel_id.not_in(without)
    )
    old = select(Message.id).where(Message.created_at < before, Message.thread_id.in_(threads))
    touched = set(await session.scalars(select(Message.thread_id).where(Message.id.in_(old)).distinct()))
    await _forget_traces(session, touched)
    corrections = (
        select(Correction.id).join(Answer, Correction.answer_id == Answer.id).where(Answer.message_id.in_(old))
    )
    await forget_prompts_with(session, list(await session.scalars(corrections)))
    await record_messages(session, Message.id.in_(old), cause=Cause.AGE)
    gone = await session.execute(delete(Message).where(Message.id.in_(old)))
    has_words = select(Message.id).where(Message.thread_id == Thread.id).exists()
    await session.execute(delete(Thread).where(Thread.id.in_(touched), ~has_words))
    return int(gone.rowcount)  # type: ignore[attr-defined]


async def list_runs(session: AsyncSession, user_id: str) -> Collection[int]:
    """Return the trainings that somebody's words went into."""
    return set(await session.scalars(select(RunExample.run_id).where(RunExample.user_id == user_id).distinct()))


async def _forget_traces(session: AsyncSession, threads: Collection[str]) -> None:
    """Drop what quotes a thread: the prompts of answers to others in it, and the summaries of its older part."""
    in_them = select(Message.id).where(Message.thread_id.in_(threads))
    await session.execute(update(Answer).where(Answer.message_id.in_(in_them)).values(prompt_token_ids=None))
    await session.execute(delete(ThreadSummary).where(ThreadSummary.thread_id.in_(threads)))


async def _forget_waiting(session: AsyncSession, user_id: str) -> int:
    waiting = await session.scalars(select(Inbox).where(Inbox.state != InboxState.DONE))
    theirs = [row.id for row in waiting if _speaker(row.payload) == user_id]
    for row_id in theirs:
        await inbox.finish(session, row_id)
    return len(theirs)


def _speaker(payload: dict[str, Any]) -> str:
    return str((payload.get("event") or {}).get("user") or payload.get("user_id") or "")


def _own_tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if "user_id" in table.c and table.name not in KEPT]


def _own_persona(user_id: str) -> ColumnElement[bool]:
    """Match how the assistant speaks in somebody's direct message; a channel's is everybody's, whoever chose it."""
    return (ChannelPersona.by == user_id) & ChannelPersona.channel_id.startswith("D")


async def _count(session: AsyncSession, table: type[Base], *conditions: ColumnElement[bool]) -> int:
    return await session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


async def _read(session: AsyncSession, statement: Any) -> list[dict[str, Any]]:
    rows = []
    async for lot in (await session.stream(statement)).mappings().partitions(LOT):
        rows += [
            {name: _plain(value) for name, value in row.items() if not isinstance(value, UNREADABLE)} for row in lot
        ]
    return rows


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
