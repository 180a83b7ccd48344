"""Whether a person's or a channel's words may be learned from: kept as history, the newest row of a subject counts."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.learning_tables import TrainingChoice
from bot.storage.moments import later

PERSON, CHANNEL, OWN_ADAPTER = "person", "channel", "own-adapter"


@dataclass(frozen=True, slots=True)
class OptedOut:
    """The ids of the people and channels whose words nothing may be learned from; *own* are those for themselves alone.

    A channel in *own* has asked for an adapter of its own. What only its people could read goes nowhere else then.
    *agreed* are the channels that an admin has turned on, those in *own* among them.
    """

    people: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    agreed: frozenset[str] = frozenset()


async def save_choice(session: AsyncSession, *, kind: str, subject_id: str, is_allowed: bool, by: str) -> None:
    """Add what was chosen for a `person` or a `channel`; what was chosen before stays as history."""
    at = await later(session)
    session.add(TrainingChoice(kind=kind, subject_id=subject_id, is_allowed=is_allowed, by=by, at=at))


async def newest_choice(session: AsyncSession, *, kind: str, subject_id: str) -> TrainingChoice | None:
    """Return what was chosen last for a person or a channel; None when nothing was."""
    chosen = select(TrainingChoice).filter_by(kind=kind, subject_id=subject_id)
    return await session.scalar(chosen.order_by(TrainingChoice.at.desc(), TrainingChoice.id.desc()).limit(1))


async def load_opted_out(session: AsyncSession) -> OptedOut:
    """Return everybody and every channel whose newest choice is no, and the channels whose newest choice is yes."""
    place = func.row_number().over(
        partition_by=(TrainingChoice.kind, TrainingChoice.subject_id),
        order_by=(TrainingChoice.at.desc(), TrainingChoice.id.desc()),
    )
    ranked = select(TrainingChoice.kind, TrainingChoice.subject_id, TrainingChoice.is_allowed, place.label("place"))
    newest = ranked.subquery()
    rows = await session.execute(
        select(newest.c.kind, newest.c.is_allowed, newest.c.subject_id).where(newest.c.place == 1)
    )
    found: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for kind, is_allowed, subject_id in rows:
        found[kind, is_allowed].add(subject_id)
    own = frozenset(found[OWN_ADAPTER, True])
    return OptedOut(
        frozenset(found[PERSON, False]), frozenset(found[CHANNEL, False]), own, own | frozenset(found[CHANNEL, True])
    )
