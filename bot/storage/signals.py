"""What people said about answers, newest first and without their texts: what the learning loop chooses from.

A row here has all that decides whether it may be learned from. Texts and token ids are read later, for what is left.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.feedback_tables import ImplicitSignal
from bot.storage.memory_tables import HELPED
from bot.storage.standing import is_approved, stands
from bot.storage.tables import (
    Answer,
    AnswerState,
    Audience,
    Correction,
    Feedback,
    Message,
    PreferencePair,
    Thread,
    Vote,
)

VOTES, CORRECTIONS, PAIRS, SIGNS = "feedback", "corrections", "preference_pairs", "implicit_signals"
REVIEWS = "reviews"  # in which a reviewer's words stand for those of a correction
AT_ONCE = 2000
ABOUT = (
    Answer.id,
    Answer.state,
    Answer.finish_reason,
    Answer.audience,
    Message.id,
    Message.user_id,
    Message.audience,
    Thread.id,
    Thread.channel_id,
    Thread.audience,
    HELPED,
    and_(Message.edited_at.is_not(None), Answer.created_at <= Message.edited_at),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What one person said about one answer, or about two (*other_id* is the answer they rejected).

    *audiences* are those of every text that it stands on. *question_key* and *text_key* are equal for equal texts, and
    only corrections have them. *is_helped* says that a correction stood in the prompt of the answer, *is_outdated* that
    the question became another one after the answer, or after the correction, which may be of an earlier answer;
    *is_behind* that other words of the same person about the same answer count instead.
    """

    table: str
    row_id: str
    user_id: str
    created_at: datetime
    answer_id: str
    is_finished: bool
    message_id: str
    asker_id: str
    thread_id: str
    channel_id: str
    audiences: frozenset[Audience]
    other_id: str = ""
    is_liked: bool | None = None
    source: str = ""
    is_for_everyone: bool = False
    is_helped: bool = False
    is_outdated: bool = False
    is_behind: bool = False
    question_key: bytes = b""
    text_key: bytes = b""
    weight: float = 1.0  # how much it says beside a person's own vote


async def stream_votes(
    session: AsyncSession, *, since: datetime | None, most: int, channel_id: str = ""
) -> AsyncIterator[Signal]:
    """Yield the thumbs that count now, newest first, of everywhere or of one channel."""
    query = join_answer(select(Feedback.id, Feedback.user_id, Feedback.created_at, Feedback.vote, *ABOUT), Feedback)
    query = query.where(Feedback.superseded_at.is_(None), Feedback.vote.in_([Vote.UP, Vote.DOWN]))
    async for row in _newest(session, query, Feedback, since=since, most=most, channel_id=channel_id):
        row_id, user_id, created_at, vote, *about = row
        yield Signal(
            table=VOTES,
            row_id=row_id,
            user_id=user_id,
            created_at=created_at,
            is_liked=vote == Vote.UP,
            **_read(about),
        )


async def stream_signs(
    session: AsyncSession, *, since: datetime | None, most: int, channel_id: str = ""
) -> AsyncIterator[Signal]:
    """Yield what people showed without saying it, newest first, of everywhere or of one channel."""
    own = (ImplicitSignal.id, ImplicitSignal.user_id, ImplicitSignal.created_at, ImplicitSignal.source)
    query = join_answer(select(*own, ImplicitSignal.weight, *ABOUT), ImplicitSignal)
    async for row in _newest(session, query, ImplicitSignal, since=since, most=most, channel_id=channel_id):
        row_id, user_id, created_at, source, weight, *about = row
        yield Signal(
            table=SIGNS,
            row_id=row_id,
            user_id=user_id,
            created_at=created_at,
            source=source,
            is_liked=False,
            weight=weight,
            **_read(about),
        )


async def stream_corrections(
    session: AsyncSession, *, since: datetime | None, most: int, channel_id: str = ""
) -> AsyncIterator[Signal]:
    """Yield what its authors hold to, newest first, of everywhere or of one channel; not what was approved after it."""
    query = _select_corrections().where(Correction.superseded_at.is_(None), or_(stands(), ~is_approved()))
    async for row in _newest(session, query, Correction, since=since, most=most, channel_id=channel_id):
        yield _read_correction(row)


async def find_corrections(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Signal]:
    """Return corrections by their ids, also such as count no more."""
    rows = await session.execute(_select_corrections().where(Correction.id.in_(ids)))
    return {row[0]: _read_correction(row) for row in rows}


def _select_corrections() -> Select[*tuple[Any, ...]]:
    own = (Correction.id, Correction.user_id, Correction.created_at, Correction.is_for_everyone, Correction.audience)
    is_outdated = and_(Message.edited_at.is_not(None), Correction.created_at <= Message.edited_at)
    return join_answer(select(*own, is_outdated, ~stands(), Correction.text, Message.text, *ABOUT), Correction)


def _read_correction(row: Any) -> Signal:
    row_id, user_id, created_at, is_for_everyone, audience, is_outdated, is_behind, text, question, *about = row
    read = _read(about, audience)
    is_of_another = read.pop("is_outdated")  # an answer to the words of before is no worse answer to those of now
    return Signal(
        table=CORRECTIONS,
        row_id=row_id,
        user_id=user_id,
        created_at=created_at,
        is_for_everyone=is_for_everyone,
        question_key=key_of(question),
        text_key=key_of(text),
        is_outdated=bool(is_outdated),
        is_behind=bool(is_behind),
        **read | {"is_finished": read["is_finished"] and not is_of_another},
    )


async def stream_pairs(
    session: AsyncSession, *, since: datetime | None, most: int, channel_id: str = ""
) -> AsyncIterator[Signal]:
    """Yield the preferences, newest first, of everywhere or of one channel.

    One whose answers belong to different messages is not finished.
    """
    other = aliased(Answer)
    own = (PreferencePair.id, PreferencePair.user_id, PreferencePair.created_at, PreferencePair.source)
    others = (other.id, other.state, other.finish_reason, other.audience, other.message_id)
    query = join_answer(select(*own, *others, *ABOUT), PreferencePair, answer_id=PreferencePair.chosen_id)
    query = query.join(other, PreferencePair.rejected_id == other.id)
    async for row in _newest(session, query, PreferencePair, since=since, most=most, channel_id=channel_id):
        row_id, user_id, created_at, source, other_id, state, reason, audience, message_id, *about = row
        read = _read(about, audience)
        read["is_finished"] &= is_finished(state, reason) and message_id == read["message_id"]
        yield Signal(
            table=PAIRS,
            row_id=row_id,
            user_id=user_id,
            created_at=created_at,
            source=source,
            other_id=other_id,
            **read,
        )


async def count_people(session: AsyncSession, *, most: int, channel_id: str = "") -> int:
    """Return how many people have used the assistant, everywhere or in one channel, counted up to *most*."""
    people = select(Message.user_id)
    if channel_id:
        people = people.join(Thread, Message.thread_id == Thread.id).where(Thread.channel_id == channel_id)
    some = people.distinct().limit(most).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


def is_finished(state: str, finish_reason: str | None) -> bool:
    """Return whether an answer was written to its own end."""
    return state == AnswerState.COMPLETE and finish_reason == "stop"


def join_answer(
    query: Select[*tuple[Any, ...]], table: type[Any], *, answer_id: Any = None
) -> Select[*tuple[Any, ...]]:
    """Join what a signal is about."""
    joined = query.join(Answer, (table.answer_id if answer_id is None else answer_id) == Answer.id)
    return joined.join(Message, Answer.message_id == Message.id).join(Thread, Message.thread_id == Thread.id)


async def _newest(
    session: AsyncSession,
    query: Select[*tuple[Any, ...]],
    table: type[Any],
    *,
    since: datetime | None,
    most: int,
    channel_id: str,
) -> AsyncIterator[Any]:
    """Yield a query's rows by age; ids sort by time, and every database has them in an index."""
    conditions: list[ColumnElement[bool]] = [] if since is None else [table.created_at >= since]
    conditions += [Thread.channel_id == channel_id] if channel_id else []
    ordered = query.where(*conditions).order_by(table.id.desc()).limit(most)
    rows = await session.stream(ordered.execution_options(yield_per=AT_ONCE))
    async for row in rows:
        yield row


def _read(about: list[Any], *audiences: str) -> dict[str, Any]:
    answer_id, state, reason, audience, message_id, asker_id, asked, *place, is_helped, is_outdated = about
    thread_id, channel_id, thread_audience = place
    return {
        "is_helped": bool(is_helped),
        "is_outdated": bool(is_outdated),
        "answer_id": answer_id,
        "is_finished": is_finished(state, reason),
        "message_id": message_id,
        "asker_id": asker_id,
        "thread_id": thread_id,
        "channel_id": channel_id,
        "audiences": _audiences(audience, asked, thread_audience, *audiences),
    }


@lru_cache
def _audiences(*found: str) -> frozenset[Audience]:
    return frozenset(Audience(name) for name in found)


def key_of(text: str) -> bytes:
    """Return a few bytes that are equal for texts that differ in case, spaces and punctuation at the end only."""
    plain = " ".join(text.casefold().split()).rstrip(".!?… ")
    return blake2b(plain.encode(errors="replace"), digest_size=12).digest()
