"""How much people said about answers: counted by the database, for a line of status."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.choices import OptedOut
from bot.storage.memory_tables import HELPED
from bot.storage.reviews import is_reviewed
from bot.storage.signals import join_answer
from bot.storage.standing import stands
from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, PreferencePair, Thread, Vote


@dataclass(frozen=True, slots=True)
class SignalCounts:
    """How many signals there are, each counted once, and how many people gave them."""

    corrections: int
    pairs: int
    votes: int
    people: int


async def count_signals(
    session: AsyncSession,
    *,
    since: datetime | None,
    audiences: Collection[Audience],
    without: OptedOut,
    channel_id: str = "",
    needs_review: bool = False,
    needs_consent: bool = False,
) -> SignalCounts:
    """Count what could be learned from, everywhere or in one channel.

    A vote beside the same person's correction or preference says nothing more. *needs_consent* counts only what was
    said in channels that an admin has turned on, and what was taught to everyone in direct messages.
    """
    here = (
        Thread.channel_id == channel_id
        if channel_id
        else or_(Thread.channel_id.not_in(without.own), Thread.audience == Audience.PUBLIC)
    )
    agreed = or_(Thread.channel_id.in_(without.agreed), Thread.audience == Audience.DIRECT)
    counts: list[int] = []
    people: set[str] = set()
    for table, answer_id, conditions in _kinds(audiences, needs_review=needs_review):
        said_at = table.created_at if table is Correction else Answer.created_at
        query = join_answer(select(table.user_id, func.count()), table, answer_id=answer_id).where(
            *conditions,
            *([] if since is None else [table.created_at >= since]),
            or_(Message.edited_at.is_(None), said_at > Message.edited_at),
            table.user_id.not_in(without.people),
            Message.user_id.not_in(without.people),
            Thread.channel_id.not_in(without.channels),
            here,
            *([agreed] if needs_consent else []),
        )
        found = (await session.execute(query.group_by(table.user_id))).all()
        counts.append(sum(row[1] for row in found))
        people |= {row[0] for row in found}
    return SignalCounts(counts[0], counts[1], counts[2], len(people))


def _kinds(
    audiences: Collection[Audience], *, needs_review: bool
) -> list[tuple[type[Any], Any, list[ColumnElement[bool]]]]:
    """Return each table of signals with its way to the answer and what counts in it."""
    is_own = and_(Correction.is_for_everyone, Correction.user_id == Message.user_id, Thread.audience != Audience.SHARED)
    corrected = select(Correction.id).where(
        Correction.answer_id == Feedback.answer_id,
        Correction.user_id == Feedback.user_id,
        Correction.superseded_at.is_(None),
    )
    preferred = select(PreferencePair.id).where(
        PreferencePair.user_id == Feedback.user_id,
        or_(PreferencePair.chosen_id == Feedback.answer_id, PreferencePair.rejected_id == Feedback.answer_id),
    )
    is_read = Answer.audience.in_(audiences)
    is_vote = [Feedback.superseded_at.is_(None), Feedback.vote.in_([Vote.UP, Vote.DOWN])]
    return [
        (
            Correction,
            None,
            [stands(), or_(is_read, is_own), is_reviewed(needs_review=needs_review)],
        ),
        (PreferencePair, PreferencePair.chosen_id, [is_read, ~HELPED]),
        (Feedback, None, [*is_vote, is_read, ~HELPED, ~corrected.exists(), ~preferred.exists()]),
    ]
