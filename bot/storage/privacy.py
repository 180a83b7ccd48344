"""How much of somebody's words stays: all of it, nothing to learn from, or nothing at all."""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.audit import record
from bot.storage.choices import CHANNEL, PERSON, newest_choice, save_choice
from bot.storage.learning_tables import TrainingChoice

STORING = "storing"


class Privacy(StrEnum):
    """What somebody wants to become of what they say to the assistant, and of its answers to them."""

    NORMAL = "normal"
    UNLEARNED = "unlearned"  # stored, but not learned from
    UNSTORED = "unstored"  # gone as soon as it is answered


async def is_stored(session: AsyncSession, user_id: str) -> bool:
    """Return whether somebody's words may be stored."""
    choice = await newest_choice(session, kind=STORING, subject_id=user_id)
    return choice is None or choice.is_allowed


async def find_privacy(session: AsyncSession, user_id: str) -> Privacy:
    """Return what somebody wants."""
    if not await is_stored(session, user_id):
        return Privacy.UNSTORED
    choice = await newest_choice(session, kind=PERSON, subject_id=user_id)
    return Privacy.NORMAL if choice is None or choice.is_allowed else Privacy.UNLEARNED


async def choose_privacy(session: AsyncSession, user_id: str, wish: Privacy) -> None:
    """Keep what somebody wants from now on, also when they are forgotten."""
    await save_choice(session, kind=STORING, subject_id=user_id, is_allowed=wish is not Privacy.UNSTORED, by=user_id)
    await save_choice(session, kind=PERSON, subject_id=user_id, is_allowed=wish is Privacy.NORMAL, by=user_id)
    record(session, "privacy.choose", by=user_id, target=f"person:{user_id}", privacy=str(wish))


async def newest_refusals(session: AsyncSession) -> Sequence[tuple[str, str, str, str]]:
    """Return what people said no to and did not allow again: the choice's id, kind, subject, and who said so."""
    chosen = select(TrainingChoice).where(TrainingChoice.kind.in_([PERSON, CHANNEL, STORING]))
    rows = await session.scalars(chosen.order_by(TrainingChoice.at, TrainingChoice.id))
    newest = {(row.kind, row.subject_id): row for row in rows}
    return [(row.id, row.kind, row.subject_id, row.by) for row in newest.values() if not row.is_allowed]
