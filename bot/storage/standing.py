"""Which of somebody's corrections of an answer counts: what a reviewer approved, until one looked at newer words."""

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.admin_tables import APPROVED, ReviewRow
from bot.storage.tables import Correction, Message


def stands() -> ColumnElement[bool]:
    """Match the correction that counts of those that its author has not taken back."""
    other = aliased(Correction)
    is_newer = and_(other.id > Correction.id, or_(is_approved(other), ~is_approved(Correction)))
    outranks = or_(and_(is_approved(other), ~is_approved(Correction)), is_newer)
    same = (other.answer_id == Correction.answer_id, other.user_id == Correction.user_id)
    outranked = exists().where(*same, other.superseded_at.is_(None), outranks).correlate_except(other)
    return and_(Correction.superseded_at.is_(None), ~outranked)


def is_approved(correction: Any = Correction) -> ColumnElement[bool]:
    """Match what a reviewer approved, as it stands or in other words."""
    review = aliased(ReviewRow)
    found = exists().where(review.correction_id == correction.id, review.state.in_(APPROVED))
    return found.correlate_except(review)


async def find_lasting(
    session: AsyncSession, answer_id: str, *, user_id: str, asked: Message | None, is_for_everyone: bool
) -> Correction | None:
    """Return what a reviewer approved of somebody's and newer words leave as it is.

    Not what answers other words than the question has by now, nor what its author would give to everyone no more.
    """
    query = select(Correction).filter_by(answer_id=answer_id, user_id=user_id).where(stands(), is_approved())
    if asked is not None and asked.edited_at is not None:
        query = query.where(Correction.created_at > asked.edited_at)
    if not is_for_everyone:
        query = query.where(Correction.is_for_everyone.is_(False))
    return await session.scalar(query)
