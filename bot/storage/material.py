"""The texts and token ids of answers, with what was said before them: read in small lots."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.file_tables import AnswerFile, MessageFile
from bot.storage.memory_tables import AnswerSource, SourceKind
from bot.storage.tables import Answer, AnswerState, Audience, Correction, Message, Thread

ASIDE = or_(
    exists().where(AnswerSource.answer_id == Answer.id, AnswerSource.kind != SourceKind.MESSAGE),
    exists().where(AnswerFile.answer_id == Answer.id),
)
SUMMARISED = exists().where(AnswerSource.answer_id == Answer.id, AnswerSource.kind == SourceKind.SUMMARY)


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of a thread with the newest answer to it, and the ids of its *files* where these are asked for."""

    message_id: str
    ts: str
    user_id: str
    user_name: str
    text: str
    audience: Audience
    answer: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """An answer as it was served; the question is the thread's turn at *ts*."""

    answer_id: str
    thread_id: str
    ts: str
    text: str
    audience: Audience
    model_sha256: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    messages_used: int | None
    messages_total: int | None
    created_at: datetime
    is_alone: bool = True  # whether nothing stood in the prompt beside the conversation
    is_summarised: bool = False  # whether a summary of what was said before stood in it


async def load_material(session: AsyncSession, answer_ids: Collection[str]) -> dict[str, Material]:
    """Return answers by their ids."""
    found = await _read_materials(session, _select_materials().where(Answer.id.in_(answer_ids)))
    return {material.answer_id: material for material in found}


async def find_served_since(
    session: AsyncSession, after: str, *, since: datetime, base_sha256: str, channel_id: str, limit: int
) -> list[Material]:
    """Return whole answers of a base, oldest first, after the answer *after*, with the prompts that were served.

    Of one channel, or (empty) of all places where adapters answer: not where another organisation reads along.
    """
    statement = _select_materials().where(
        Answer.id > after,
        Answer.created_at >= since,
        Answer.state == AnswerState.COMPLETE,
        Answer.text != "",
        Answer.model_sha256 == base_sha256,
        Answer.audience != Audience.SHARED,
        Answer.prompt_token_ids.is_not(None),
        Answer.completion_token_ids.is_not(None),
    )
    if channel_id:
        statement = statement.join(Thread, Message.thread_id == Thread.id).where(Thread.channel_id == channel_id)
    return await _read_materials(session, statement.order_by(Answer.id).limit(limit))


def _select_materials() -> Select[Any]:
    return select(
        Answer.id,
        Message.thread_id,
        Message.ts,
        Answer.text,
        Answer.audience,
        Answer.model_sha256,
        Answer.prompt_token_ids,
        Answer.completion_token_ids,
        Answer.messages_used,
        Answer.messages_total,
        Answer.created_at,
        ~ASIDE,
        SUMMARISED,
    ).join(Message, Answer.message_id == Message.id)


async def _read_materials(session: AsyncSession, statement: Select[Any]) -> list[Material]:
    return [
        Material(
            answer_id=row[0],
            thread_id=row[1],
            ts=row[2],
            text=row[3],
            audience=Audience(row[4]),
            model_sha256=row[5],
            prompt_ids=tuple(row[6] or ()),
            completion_ids=tuple(row[7] or ()),
            messages_used=row[8],
            messages_total=row[9],
            created_at=row[10],
            is_alone=bool(row[11]),
            is_summarised=bool(row[12]),
        )
        for row in await session.execute(statement)
    ]


async def load_turns(session: AsyncSession, thread_ids: Collection[str]) -> Mapping[str, list[Turn]]:
    """Return what was said in threads, oldest first, each message with the newest answer as later turns read it.

    An answer that fewer may read than its question is none of it: one that its asker alone saw beside the one that was
    shared, or that was written anew after the channel had become private.
    """
    answers = await session.execute(
        select(Answer.message_id, Answer.text)
        .join(Message, Answer.message_id == Message.id)
        .where(
            Message.thread_id.in_(thread_ids),
            Answer.state.in_([AnswerState.COMPLETE, AnswerState.STOPPED]),
            or_(Answer.audience == Message.audience, Answer.audience == Audience.PUBLIC),
        )
        .order_by(Answer.id)
    )
    newest = {message_id: text for message_id, text in answers if text}
    columns = (Message.id, Message.thread_id, Message.ts, Message.user_id, Message.user_name, Message.text)
    messages = await session.execute(
        select(*columns, Message.audience)
        .where(Message.thread_id.in_(thread_ids), Message.text != "")  # empty: not stored
        .order_by(Message.ts)
    )
    turns: dict[str, list[Turn]] = defaultdict(list)
    for message_id, thread_id, ts, user_id, user_name, text, audience in messages:
        said = Turn(message_id, ts, user_id, user_name, text, Audience(audience), newest.get(message_id, ""))
        turns[thread_id].append(said)
    return turns


async def load_sharings(session: AsyncSession, thread_ids: Collection[str]) -> Mapping[str, list[Turn]]:
    """Return the messages of threads that had files, oldest first, without what they say: an answer may rest on any."""
    columns = (Message.id, Message.thread_id, Message.ts, Message.user_id, Message.audience)
    shared = select(*columns, MessageFile.id).join(MessageFile, MessageFile.message_id == Message.id)
    found = await session.execute(
        shared.where(Message.thread_id.in_(thread_ids)).order_by(Message.ts, Message.id, MessageFile.id)
    )
    turns: dict[str, list[Turn]] = defaultdict(list)
    for (message_id, thread_id, ts, user_id, audience), rows in groupby(found, key=lambda row: tuple(row[:5])):
        files = tuple(row[5] for row in rows)
        turns[thread_id].append(Turn(message_id, ts, user_id, "", "", Audience(audience), files=files))
    return turns


async def load_corrections(session: AsyncSession, ids: Collection[str]) -> dict[str, str]:
    """Return the texts of corrections by their ids."""
    rows = await session.execute(select(Correction.id, Correction.text).where(Correction.id.in_(ids)))
    return {row[0]: row[1] for row in rows}
