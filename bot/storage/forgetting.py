"""What people change or delete in Slack: everything that was stored of it follows, wherever it stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.answers import find_standing, load_answer
from bot.storage.correction_index import is_same, reindex_message
from bot.storage.erasure_tables import Cause
from bot.storage.erasures import batched, record_answers, record_edit, record_messages, record_rows
from bot.storage.feedback import find_carried
from bot.storage.file_tables import AnswerFile, MessageFile
from bot.storage.lessons import drop_lesson
from bot.storage.limits import keep_spent
from bot.storage.privacy import is_stored
from bot.storage.summaries import forget_summary
from bot.storage.tables import (
    Answer,
    AnswerState,
    Audience,
    Base,
    Correction,
    Inbox,
    InboxState,
    Message,
    Thread,
    now,
)
from bot.storage.threads import Place, lock_messages, narrow
from bot.storage.traces import forget_prompts_of, forget_prompts_with

AT_ONCE, MOST_AT_ONCE = timedelta(seconds=5), 50  # in one transaction: what several messages of one person make


class StillWritten(Exception):  # noqa: N818 - reads as a state
    """An answer is being written, so nobody can say yet which messages carry it."""


@dataclass(frozen=True, slots=True)
class Stump:
    """The messages in Slack that show the beginning of an answer."""

    place: Place
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A message that says something else now, with its newest answer if it has one."""

    answer_id: str | None


async def change_message(
    session: AsyncSession, team_id: str, channel_id: str, *, ts: str, text: str, current: Audience = Audience.PUBLIC
) -> Changed | None:
    """Let a stored message say what its author made of it; None when nothing is stored, or it says the same.

    Of an author who wants nothing stored by now nothing stays: neither the new words nor those that they replace.

    *current* are those who can read in its channel now, which may have become private since the message.
    What was said about earlier answers is about the earlier words: it is no longer learned from then.
    """
    await drop_lesson(session, team_id, channel_id, ts=ts, edited=text)
    message = next(iter(await _find(session, team_id, channel_id, ts)), None)
    if message is None or message.text in {"", text}:  # empty: its author wants nothing stored
        return None
    is_another, stores = not is_same(message.text, text), await is_stored(session, message.user_id)
    if not (is_another or stores):
        return None
    answered = await _find_answered(session, message)
    if message.id not in await lock_messages(session, message.id, answered.id):
        return None
    await _drop_copies(session, message)
    if is_another:
        await record_edit(session, message)
        message.edited_at = answered.edited_at = now()
    message.text, message.audience = text if stores else "", narrow(Audience(message.audience), current)
    await session.flush()
    await reindex_message(session, message.id, message.text)
    if not stores:
        return None
    answers = select(Answer.id).where(Answer.message_id == answered.id).order_by(Answer.id.desc())
    return Changed(await session.scalar(answers.limit(1)))


async def find_stump(session: AsyncSession, team_id: str, channel_id: str, *, ts: str, worker_id: str) -> Stump | None:
    """Return what Slack shows of an answer to a message that was begun and that nobody goes on with but *worker_id*."""
    message = next(iter(await _find(session, team_id, channel_id, ts)), None)
    if message is None:
        return None
    answered = await _find_answered(session, message)
    begun = select(Answer.reply_ts).where(Answer.message_id == answered.id, Answer.state == AnswerState.WRITING)
    shown = {one for reply_ts in await session.scalars(begun) for one in reply_ts}
    thread = await session.get_one(Thread, message.thread_id)
    here = {"team_id": team_id, "channel_id": channel_id, "thread_ts": thread.thread_ts, "state": InboxState.RUNNING}
    others = select(Inbox.id).filter_by(**here).where(Inbox.worker_id != worker_id)
    if not shown or await session.scalar(others.limit(1)) is not None:
        return None
    return Stump(Place(team_id, channel_id, thread.thread_ts), tuple(sorted(shown)))


async def forget_message(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> None:
    """Delete a message, its files and answers, what people thought of them, and every copy of its words.

    The answer to several messages that were said at once goes with each of them.
    """
    await drop_lesson(session, team_id, channel_id, ts=ts)
    messages = await _find(session, team_id, channel_id, ts)
    for message in messages:
        answered = await _find_answered(session, message)
        if answered is not message:
            answers = await session.scalars(select(Answer.id).where(Answer.message_id == answered.id))
            await forget_answers(session, answers.all())
    await forget_messages(session, [message.id for message in messages])


async def forget_messages(session: AsyncSession, message_ids: Collection[str], *, cause: Cause = Cause.MESSAGE) -> None:
    """The same by the ids of messages."""
    await lock_messages(session, *message_ids)
    await keep_spent(session, Message.id.in_(message_ids))
    await record_messages(session, Message.id.in_(message_ids), cause=cause)
    for message in await session.scalars(select(Message).where(Message.id.in_(message_ids))):
        await _drop_copies(session, message)
        await session.execute(delete(Message).where(Message.id == message.id))


async def forget_answer(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> bool:
    """Delete what was ever answered to a question when a message that carries the answer is gone.

    The question stays, unless that same message showed it, as one does that its asker shared. False: it carries none,
    or no more: what we delete ourselves is taken out of its answer before. Raises *StillWritten* while another try at
    the answer is under way.
    """
    answer_id = await find_carried(session, team_id, channel_id, ts=ts)
    record = await load_answer(session, answer_id, is_locked=True) if answer_id else None
    standing = await find_standing(session, record.message.id) if record is not None else None
    if record is None or standing is None or ts not in standing.reply_ts:
        return False
    if standing.state == AnswerState.WRITING:
        raise StillWritten
    if record.message.ts == ts:
        await forget_messages(session, [record.message.id])
    else:
        found = await session.scalars(select(Answer.id).where(Answer.message_id == record.message.id))
        await forget_answers(session, found.all())
    return True


async def forget_answers(session: AsyncSession, answer_ids: Collection[str]) -> None:
    """Delete some answers, what people thought of them, and every copy of their words."""
    await keep_spent(session, Answer.id.in_(answer_ids))
    await record_answers(session, Answer.id.in_(answer_ids), cause=Cause.MESSAGE)
    asked = select(Answer.message_id).where(Answer.id.in_(answer_ids))
    for message in await session.scalars(select(Message).where(Message.id.in_(asked))):
        await _drop_copies(session, message)
    await session.execute(delete(Answer).where(Answer.id.in_(answer_ids)))


async def erase_again(session: AsyncSession, erasures: Sequence[Mapping[str, Any]]) -> int:
    """Delete what a restored backup has brought back, for the reason it went before, and return how many rows.

    A message that was edited since goes as well: only the words that its author took back are known.
    """
    wanted: dict[tuple[str, Cause], set[str]] = {}
    for row in erasures:
        cause = Cause.AGE if row.get("cause") == Cause.AGE else Cause.MESSAGE  # what only grew too old taints nothing
        wanted.setdefault((row["row_table"], cause), set()).add(row["row_id"])
    count = 0
    for (name, cause), ids in sorted(wanted.items(), key=lambda item: item[0][0] != Message.__tablename__):
        table = Base.metadata.tables.get(name)
        if table is None:
            continue
        for lot in batched(sorted(ids)):
            there = list(await session.scalars(select(table.c.id).where(table.c.id.in_(lot))))
            if name == Message.__tablename__:
                await forget_messages(session, there, cause=cause)
            elif name == Answer.__tablename__:
                await forget_answers(session, there)
            else:
                await record_rows(session, table, there, cause=cause)
                await session.execute(delete(table).where(table.c.id.in_(there)))
            count += len(there)
    return count


async def _drop_copies(session: AsyncSession, message: Message) -> None:
    """Drop what other rows hold of a message's words: prompts in which it stood, and summaries of it."""
    corrections = select(Correction.id).join(Answer).where(Answer.message_id == message.id)
    ids = [message.id, *await session.scalars(corrections)]
    summary_id = await forget_summary(session, message.thread_id, ts=message.ts)
    await forget_prompts_with(session, [*ids, *([summary_id] if summary_id else [])])
    files = select(AnswerFile.answer_id).join(MessageFile, AnswerFile.file_id == MessageFile.id)
    await forget_prompts_of(session, list(await session.scalars(files.where(MessageFile.message_id == message.id))))


async def _find_answered(session: AsyncSession, message: Message) -> Message:
    """Return the message below which the answer to *message* stands.

    What one person says at once is stored at once, and has one answer, which the last of it carries.
    """
    has_answer = exists().where(Answer.message_id == Message.id)
    at_once = (Message.created_at >= message.created_at, Message.created_at <= message.created_at + AT_ONCE)
    later = select(Message, has_answer).filter_by(thread_id=message.thread_id).where(Message.ts >= message.ts, *at_once)
    for found, is_answered in (await session.execute(later.order_by(Message.ts).limit(MOST_AT_ONCE))).all():
        if found.user_id != message.user_id:
            break
        if is_answered:
            return found
    return message


async def _find(session: AsyncSession, team_id: str, channel_id: str, ts: str) -> Sequence[Message]:
    there = select(Message).join(Thread, Message.thread_id == Thread.id)
    there = there.where(Thread.team_id == team_id, Thread.channel_id == channel_id, Message.ts == ts)
    return (await session.scalars(there)).all()
