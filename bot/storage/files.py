"""Files of messages: announced, read, found again in their thread, dropped."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.erasures import record_files
from bot.storage.file_tables import AnswerFile, FileState, MessageFile
from bot.storage.tables import Message, Thread
from bot.storage.traces import forget_prompts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """A file as Slack announces it with a message."""

    slack_id: str
    name: str
    mimetype: str
    size: int
    url: str
    permalink: str = ""


@dataclass(frozen=True, slots=True)
class ThreadFile:
    """A file of a thread, and the message that it came with."""

    row: MessageFile
    ts: str


async def announce_files(session: AsyncSession, message: Message, files: Sequence[SharedFile]) -> None:
    """Note the files of a message, each once."""
    if not files:
        return
    known = set(await session.scalars(select(MessageFile.slack_id).where(MessageFile.message_id == message.id)))
    session.add_all(
        MessageFile(message_id=message.id, audience=message.audience, **_values(file))
        for file in {file.slack_id: file for file in files}.values()
        if file.slack_id not in known
    )
    await session.flush()


def _values(file: SharedFile) -> dict[str, str | int]:
    return {
        "slack_id": file.slack_id,
        "name": file.name,
        "mimetype": file.mimetype,
        "size": file.size,
        "url": file.url,
        "permalink": file.permalink,
    }


async def load_thread_files(session: AsyncSession, thread_ids: Collection[str], *, until_ts: str) -> list[ThreadFile]:
    """Return the files of some threads' messages up to one, in their order."""
    rows = await session.execute(
        select(MessageFile, Message.ts)
        .join(Message, MessageFile.message_id == Message.id)
        .where(Message.thread_id.in_(thread_ids), Message.ts <= until_ts)
        .order_by(Message.ts, MessageFile.id)
    )
    return [ThreadFile(row, ts) for row, ts in rows]


async def save_file_text(
    session: AsyncSession, file_id: str, *, kind: str, text: str, pages: Sequence[int] = (), is_cut: bool = False
) -> None:
    """Store what could be read in a file; if its message is gone meanwhile, nothing is stored."""
    values = {"state": FileState.READ, "kind": kind, "text": text, "pages": list(pages), "is_cut": is_cut, "reason": ""}
    await session.execute(update(MessageFile).where(MessageFile.id == file_id).values(**values))


async def refuse_file(session: AsyncSession, file_id: str, *, kind: str, reason: str, is_final: bool = True) -> None:
    """Store why a file was not read; one that may be readable later stays new."""
    state = FileState.REFUSED if is_final else FileState.NEW
    values = {"state": state, "kind": kind, "reason": reason, "text": ""}
    await session.execute(update(MessageFile).where(MessageFile.id == file_id).values(**values))


async def list_file_ids(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> set[str]:
    """Return Slack's ids of the files that are stored with a message."""
    files = select(MessageFile.slack_id).join(Message, MessageFile.message_id == Message.id).join(Thread)
    here = files.where(Thread.team_id == team_id, Thread.channel_id == channel_id, Message.ts == ts)
    return set(await session.scalars(here))


async def keep_files(session: AsyncSession, team_id: str, channel_id: str, *, ts: str, left: Collection[str]) -> None:
    """Drop the files of a message that are no longer in it."""
    messages = select(Message.id).join(Thread, Message.thread_id == Thread.id)
    messages = messages.where(Thread.team_id == team_id, Thread.channel_id == channel_id, Message.ts == ts)
    await _drop(session, MessageFile.message_id.in_(messages), MessageFile.slack_id.not_in(left))


async def forget_files(session: AsyncSession, thread_id: str, times: Collection[str]) -> None:
    """Drop the files of some messages of a thread."""
    messages = select(Message.id).where(Message.thread_id == thread_id, Message.ts.in_(times))
    await _drop(session, MessageFile.message_id.in_(messages))


async def drop_file(session: AsyncSession, team_id: str, slack_id: str) -> None:
    """Drop a file that was deleted in Slack, wherever in the workspace it was shared."""
    messages = select(Message.id).join(Thread, Message.thread_id == Thread.id).where(Thread.team_id == team_id)
    await _drop(session, MessageFile.message_id.in_(messages), MessageFile.slack_id == slack_id)


async def _drop(session: AsyncSession, *which: ColumnElement[bool]) -> None:
    """Drop files, and the prompts in which they were quoted."""
    gone = list(await session.scalars(select(MessageFile.id).where(*which)))
    await record_files(session, MessageFile.id.in_(gone))
    answers = await session.scalars(select(AnswerFile.answer_id).where(AnswerFile.file_id.in_(gone)))
    await forget_prompts_of(session, list(answers))
    await session.execute(delete(MessageFile).where(MessageFile.id.in_(gone)))


async def record_use(session: AsyncSession, answer_id: str, parts: Mapping[str, str]) -> bool:
    """Store which files, and which parts of them, an answer was made from; False when one was dropped meanwhile."""
    await session.execute(delete(AnswerFile).where(AnswerFile.answer_id == answer_id))
    if not parts:
        return True
    known = list(await session.scalars(select(MessageFile.id).where(MessageFile.id.in_(parts))))
    session.add_all(AnswerFile(answer_id=answer_id, file_id=file_id, part=parts[file_id]) for file_id in known)
    return len(known) == len(parts)


async def load_use(session: AsyncSession, answer_id: str) -> list[tuple[MessageFile, str]]:
    """Return the files that an answer was made from, with the part of each."""
    rows = await session.execute(
        select(MessageFile, AnswerFile.part)
        .join(AnswerFile, AnswerFile.file_id == MessageFile.id)
        .where(AnswerFile.answer_id == answer_id)
        .order_by(MessageFile.id)
    )
    return [(row, part) for row, part in rows]
