"""Corrections that a reviewer has to look at: which wait, what became of the others, and what is learned instead."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.admin_tables import APPROVED, ReviewRow, ReviewState
from bot.storage.moments import STEP
from bot.storage.preference_tables import ANONYMOUS, PRIVATE, Preference
from bot.storage.refused_words import is_refused, note_refusal
from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, Thread, new_id, now
from bot.storage.traces import forget_prompts_with

IS_PUBLIC = and_(*(table.audience == Audience.PUBLIC for table in (Answer, Message, Thread, Correction)))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A correction that everybody could come to read in an answer, so that a reviewer may read it too.

    *answer* is empty where not everybody could read it: only the question and the correction were given to everyone.
    *text* is what would be learned, in the words of *writer_id*: the author, or a reviewer whose own wait. *approved*
    is what a reviewer approved of the same author's before, and what counts until somebody has looked at this.
    """

    correction_id: str
    user_id: str
    channel_id: str
    question: str
    answer: str
    text: str
    created_at: datetime
    state: ReviewState = ReviewState.WAITING
    reason: str = ""
    comment: str = ""
    is_named: bool = True  # whether its author wants to be known to reviewers
    writer_id: str = ""
    original: str = ""
    approved: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """What was decided about a correction, and what is learned instead (empty: what it says), in whose words."""

    state: ReviewState = ReviewState.WAITING
    text: str = ""
    words_id: str = ""
    writer_id: str = ""


async def find_candidates(session: AsyncSession, *, most: int, before_id: str = "") -> Sequence[Candidate]:
    """Return the corrections that nobody has decided about, those after *before_id*.

    Each author's newest come first, then each one's second newest, so that one person's many do not hide another's.
    """
    found = list_current(Correction.id, Correction.user_id, ReviewRow.state).order_by(Correction.id.desc())
    given: Counter[str] = Counter()
    places: dict[str, tuple[int, int]] = {}  # of the decided ones too, so that nobody's changes with a decision
    waiting = []
    for number, (correction_id, user_id, state) in enumerate(await session.execute(found)):
        places[correction_id] = given[user_id], number
        given[user_id] += 1
        waiting += [correction_id] if state in {None, ReviewState.WAITING} else []
    begin = places.get(before_id, (-1, 0))
    wanted = sorted((one for one in waiting if places[one] > begin), key=lambda one: places[one])[:most]
    return sorted(await _find(session, Correction.id.in_(wanted)), key=lambda one: places[one.correction_id])


async def find_candidate(session: AsyncSession, correction_id: str, *, is_locked: bool = False) -> Candidate | None:
    """Return one correction with what became of it; None where a reviewer may not read it, or it is gone.

    *is_locked* lets another reviewer wait until this session commits.
    """
    if is_locked:
        await session.execute(select(Correction.id).where(Correction.id == correction_id).with_for_update())
    found = await _find(session, Correction.id == correction_id)
    return found[0] if found else None


def list_current(*columns: Any) -> Select[Any]:
    """Select of current corrections; none that was not for everybody.

    None either whose question was made another one since: its new words were given to nobody.
    """
    is_given = and_(
        Correction.is_for_everyone, Correction.user_id == Message.user_id, Thread.audience != Audience.SHARED
    )
    is_as_asked = or_(Message.edited_at.is_(None), Correction.created_at > Message.edited_at)
    is_shown = or_(Preference.shown.is_(None), Preference.shown != PRIVATE)
    return (
        select(*columns)
        .join(Answer, Correction.answer_id == Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .outerjoin(ReviewRow, ReviewRow.correction_id == Correction.id)
        .outerjoin(Preference, Preference.user_id == Correction.user_id)
        .where(Correction.superseded_at.is_(None), or_(IS_PUBLIC, is_given), is_as_asked, is_shown)
    )


async def _find(session: AsyncSession, condition: ColumnElement[bool]) -> list[Candidate]:
    is_beside = and_(
        Feedback.answer_id == Correction.answer_id,
        Feedback.user_id == Correction.user_id,
        Feedback.superseded_at.is_(None),
    )
    statement = list_current(
        Correction.id,
        Correction.user_id,
        Thread.channel_id,
        Message.text,
        Answer.text,
        Correction.text,
        Correction.created_at,
        ReviewRow.state,
        ReviewRow.text,
        Feedback.reason,
        Feedback.comment,
        Preference.shown,
        IS_PUBLIC,
        ReviewRow.by,
        _select_approved(),
    )
    rows = await session.execute(statement.outerjoin(Feedback, is_beside).where(condition))
    return [
        Candidate(
            row[0],
            row[1],
            row[2],
            row[3],
            row[4] if row[12] else "",
            row[8] or row[5],
            row[6],
            ReviewState(row[7] or ReviewState.WAITING),
            row[9] or "",
            row[10] or "",
            row[11] != ANONYMOUS,
            row[13] if row[8] and row[7] == ReviewState.WAITING else row[1],
            row[5],
            row[14] or "",
        )
        for row in rows
    ]


def _select_approved() -> ScalarSelect[str]:
    """Select what the author of a correction said before about the same answer, and a reviewer approved."""
    before, review = aliased(Correction), aliased(ReviewRow)
    words = select(func.coalesce(func.nullif(review.text, ""), before.text)).where(review.correction_id == before.id)
    same = (before.answer_id == Correction.answer_id, before.user_id == Correction.user_id)
    is_earlier = (before.superseded_at.is_(None), before.id < Correction.id, review.state.in_(APPROVED))
    newest = words.where(*same, *is_earlier).order_by(before.id.desc()).limit(1)
    return newest.correlate(Correction).scalar_subquery()


def is_reviewed(*, needs_review: bool) -> ColumnElement[bool]:
    """Return the condition that no reviewer has rejected a correction, or, where it needs one, that one approved it."""
    about = select(ReviewRow.correction_id).where(ReviewRow.correction_id == Correction.id)
    if needs_review:
        return about.where(ReviewRow.state.in_(APPROVED)).exists()
    return ~about.where(ReviewRow.state == ReviewState.REJECTED).exists()


async def decide_review(
    session: AsyncSession, correction_id: str, state: ReviewState, *, by: str, text: str = ""
) -> ReviewState:
    """Keep what a reviewer decided about a correction; return what had been decided before.

    Whoever puts another *text* in its place has written it; approved as it stands, it stays whoever's it was.
    """
    row = await session.scalar(select(ReviewRow).filter_by(correction_id=correction_id))
    before = ReviewState.WAITING if row is None else ReviewState(row.state)
    if row is None:
        row = ReviewRow(correction_id=correction_id)
        session.add(row)
    if row.text and text != row.text:
        await forget_prompts_with(session, [correction_id])  # in which the words that go may stand
    if text != (row.text or ""):
        row.id, row.user_id = (new_id(), by) if text else (None, None)
    at = now() if row.at is None else max(now(), row.at + STEP)  # by which a restore tells which is the later
    row.state, row.text, row.by, row.at = state, text, by, at
    await note_refusal(session, correction_id, is_lifted=state != ReviewState.REJECTED)
    return before


async def keep_rejected(session: AsyncSession, correction_id: str) -> None:
    """Let a reviewer's no hold for the same words to the same question, whoever says them again."""
    if await is_refused(session, correction_id):
        await decide_review(session, correction_id, ReviewState.REJECTED, by="")


async def load_reviews(session: AsyncSession, *, without: Collection[str] = ()) -> Mapping[str, Review]:
    """Return what was decided about corrections, but not where it stands in the words of people *without* whom."""
    rows = await session.scalars(select(ReviewRow))
    found = {
        row.correction_id: Review(ReviewState(row.state), row.text, row.id or "", row.user_id or "") for row in rows
    }
    return {correction_id: review for correction_id, review in found.items() if review.writer_id not in without}
