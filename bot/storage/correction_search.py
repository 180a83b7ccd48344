"""Corrections of similar questions that may be shown where somebody asks: found by the index, within one audience.

Said in a public channel, a correction is for everybody of the workspace; said elsewhere, for the same channel or direct
message alone, unless whoever asked taught it to everyone. What was said in a channel that is shared with another
organisation goes nowhere, and nothing goes there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, case, distinct, false, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import APPROVED, ReviewRow, ReviewState
from bot.storage.choices import load_opted_out
from bot.storage.memory_tables import AnswerSource, CorrectionTerm, CorrectionVector, SourceKind
from bot.storage.reviews import is_reviewed
from bot.storage.standing import stands
from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, Thread, Vote
from bot.storage.terms import LEAST_SHARED

MOST = 50
MOST_POSTINGS = 2000
MOST_VECTORS = 5000
LEAST_DISLIKES = 2  # of answers that used a correction, by as many people, before it is used no more
AUDIENCES = (Answer.audience, Message.audience, Thread.audience, Correction.audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where and by whom something is asked; *is_ours* is true for members of the workspace, not for guests.

    *audience* is of the answer: whoever asks privately in a channel is alone with it.

    *needs_review* leaves out what no reviewer has approved.
    """

    team_id: str
    channel_id: str
    user_id: str
    audience: Audience
    is_ours: bool
    needs_review: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A correction with the question that it answers."""

    correction_id: str
    question: str
    text: str
    user_id: str
    channel_id: str
    is_here: bool
    created_at: datetime
    is_approved: bool = False  # by a reviewer


async def has_any(session: AsyncSession) -> bool:
    """Return whether anybody has ever corrected anything: if not, the searches below are time before a first word."""
    return (await session.scalar(select(Correction.id).limit(1))) is not None


async def find_by_terms(session: AsyncSession, asked: Asked, terms: Collection[str]) -> list[Found]:
    """Return the corrections that share most terms with a question, in no order."""
    if not terms or asked.audience is Audience.SHARED:
        return []
    telling = await _choose_terms(session, terms)
    if not telling:
        return []
    least = min(LEAST_SHARED, len(terms)) if len(telling) == len(terms) else 1
    common = func.count()
    rows = await session.execute(
        select(CorrectionTerm.correction_id, common)
        .where(CorrectionTerm.term.in_(telling))
        .group_by(CorrectionTerm.correction_id)
        .having(common >= least)
        .order_by(common.desc(), CorrectionTerm.correction_id.desc())
        .limit(MOST_POSTINGS)
    )
    counts = {row[0]: row[1] for row in rows}
    allowed = await _narrow(session, asked, counts)
    best = sorted(allowed, key=lambda correction_id: (counts[correction_id], correction_id), reverse=True)
    return await _load(session, asked, best[:MOST])


async def _choose_terms(session: AsyncSession, terms: Collection[str]) -> Collection[str]:
    """Return the rarest terms, so many that what has one of them can be looked through at once; at least two.

    None where no correction has any of them.
    """
    known = await session.execute(
        select(CorrectionTerm.term, func.count()).where(CorrectionTerm.term.in_(terms)).group_by(CorrectionTerm.term)
    )
    counts = sorted((row[1], row[0]) for row in known)
    if not counts:
        return []
    if sum(count for count, _ in counts) <= MOST_POSTINGS:
        return terms
    chosen: list[str] = []
    total = 0
    for count, term in counts:
        total += count
        if total > MOST_POSTINGS and len(chosen) >= LEAST_SHARED:
            break
        chosen.append(term)
    return chosen


async def find_by_ids(session: AsyncSession, asked: Asked, ids: Collection[str]) -> list[Found]:
    """Return those of some corrections that may be shown."""
    return await _load(session, asked, await _narrow(session, asked, ids))


async def load_vectors(session: AsyncSession, asked: Asked, model: str) -> tuple[list[str], NDArray[np.float32]]:
    """Return the newest vectors of the questions whose corrections may be shown, one row for each id."""
    if asked.audience is Audience.SHARED:
        return [], np.zeros((0, 0), dtype=np.float32)
    query = select(Correction.id, CorrectionVector.vector).join(
        CorrectionVector, and_(CorrectionVector.correction_id == Correction.id, CorrectionVector.model == model)
    )
    rows = (
        await session.execute(await _within(session, asked, query.order_by(Correction.id.desc()).limit(MOST_VECTORS)))
    ).all()
    size = len(rows[0][1]) if rows else 0
    same = [(row[0], row[1]) for row in rows if len(row[1]) == size]
    if not same:
        return [], np.zeros((0, 0), dtype=np.float32)
    matrix = np.frombuffer(b"".join(vector for _, vector in same), dtype="<f4").reshape(len(same), size // 4)
    return [correction_id for correction_id, _ in same], matrix


async def find_without_vector(session: AsyncSession, asked: Asked, model: str, *, most: int) -> Mapping[str, str]:
    """Return the newest questions that a model has made no vector of."""
    known = select(CorrectionVector.correction_id).where(
        CorrectionVector.correction_id == Correction.id, CorrectionVector.model == model
    )
    query = select(Correction.id, Message.text).where(~known.exists()).order_by(Correction.id.desc()).limit(most)
    rows = await session.execute(await _within(session, asked, query))
    return {row[0]: row[1] for row in rows}


async def _narrow(session: AsyncSession, asked: Asked, ids: Collection[str]) -> list[str]:
    """Return those of some corrections that may be shown."""
    if not ids:
        return []
    return list(
        await session.scalars(await _within(session, asked, select(Correction.id).where(Correction.id.in_(ids))))
    )


async def _within(session: AsyncSession, asked: Asked, query: Any) -> Any:
    """Narrow a query of corrections to those that count now and may be shown to whoever reads the answer."""
    without = await load_opted_out(session)
    is_edited = and_(ReviewRow.state == ReviewState.EDITED, ReviewRow.user_id.in_(without.people))
    joined = query.join(Answer, Correction.answer_id == Answer.id).join(Message, Answer.message_id == Message.id)
    return joined.join(Thread, Message.thread_id == Thread.id).where(
        stands(),
        or_(Message.edited_at.is_(None), Correction.created_at > Message.edited_at),
        Correction.user_id.not_in(without.people),
        Message.user_id.not_in(without.people),
        Correction.id.not_in(select(ReviewRow.correction_id).where(is_edited)),
        Thread.channel_id.not_in(without.channels),
        # Not by the index of places, which SQLite would begin with: it knows no better, and reads every thread then.
        func.coalesce(Thread.team_id, "") == asked.team_id,
        *(audience != Audience.SHARED for audience in AUDIENCES),
        _may_be_read(asked, own=without.own),
        is_reviewed(needs_review=asked.needs_review),
    )


def _may_be_read(asked: Asked, *, own: Collection[str]) -> ColumnElement[bool]:
    is_here: ColumnElement[bool] = Thread.channel_id == asked.channel_id
    is_between_us = or_(*(audience == Audience.DIRECT for audience in AUDIENCES))
    if asked.audience is Audience.DIRECT:  # what is between two stays between the same two
        is_here = and_(is_here, or_(Message.user_id == asked.user_id, not_(is_between_us)))
    else:
        is_here = and_(is_here, not_(is_between_us))
    if not asked.is_ours:
        return is_here
    is_public = and_(*(audience == Audience.PUBLIC for audience in AUDIENCES))
    is_given = and_(Correction.is_for_everyone, Correction.user_id == Message.user_id, Thread.channel_id.not_in(own))
    return or_(is_here, is_public, is_given)


async def _load(session: AsyncSession, asked: Asked, found: Collection[str]) -> list[Found]:
    """Read what was found, without what people have contradicted."""
    if not found:
        return []
    rows = await session.execute(
        select(
            Correction.id,
            Message.text,
            case((ReviewRow.state == ReviewState.EDITED, ReviewRow.text), else_=Correction.text),
            Correction.user_id,
            Thread.channel_id,
            Correction.created_at,
            func.coalesce(ReviewRow.state.in_(APPROVED), false()),
        )
        .outerjoin(ReviewRow, ReviewRow.correction_id == Correction.id)
        .join(Answer, Correction.answer_id == Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .where(Correction.id.in_(found))
    )
    liked, disliked = await _find_contradicted(session, found)
    return [
        Found(row[0], row[1], row[2], row[3], row[4], row[4] == asked.channel_id, row[5], bool(row[6]))
        for row in rows
        if row[0] not in disliked and (row[6] or row[0] not in liked)
    ]


async def _find_contradicted(session: AsyncSession, ids: Collection[str]) -> tuple[set[str], set[str]]:
    """Return those whose answer more people like than dislike, and those whose use several people disliked."""
    people = {
        vote: func.count(
            distinct(case((and_(Feedback.vote == vote, Feedback.superseded_at.is_(None)), Feedback.user_id)))
        )
        for vote in (Vote.UP, Vote.DOWN)
    }
    liked = await session.scalars(
        select(Correction.id)
        .join(Feedback, Feedback.answer_id == Correction.answer_id)
        .where(Correction.id.in_(ids))
        .group_by(Correction.id)
        .having(people[Vote.UP] > people[Vote.DOWN])
    )
    disliked = await session.scalars(
        select(AnswerSource.ref_id)
        .join(Feedback, Feedback.answer_id == AnswerSource.answer_id)
        .where(AnswerSource.kind == SourceKind.CORRECTION, AnswerSource.ref_id.in_(ids))
        .group_by(AnswerSource.ref_id)
        .having(and_(people[Vote.DOWN] > people[Vote.UP], people[Vote.DOWN] >= LEAST_DISLIKES))
    )
    return set(liked), set(disliked)
