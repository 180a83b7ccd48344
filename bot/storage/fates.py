"""What somebody said about answers, and what became of it: for their eyes alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bot.storage.admin_tables import APPROVED, ReviewRow, ReviewState
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunExample
from bot.storage.outvoted import is_behind, is_liked_anyway, is_outvoted
from bot.storage.standing import is_approved, stands
from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, Thread, Vote

CORRECTIONS = "corrections"
PREFIX = f"{CORRECTIONS}:"  # before a correction's id in the report of a run
TRAINED = "train"  # the split of what a run learned from; the rest was held out to examine it
SERVED = (AdapterState.ACTIVE, AdapterState.CANARY)


@dataclass(frozen=True, slots=True)
class Opinions:
    """How much somebody said, and how much of their corrections was learned from and answered better since."""

    liked: int = 0
    disliked: int = 0
    corrected: int = 0
    learned: int = 0
    fixed: int = 0


@dataclass(frozen=True, slots=True)
class Fate:
    """One correction and what became of it.

    *question* is empty where its author may no longer read it, and where it was made another one since.
    """

    question: str
    text: str
    at: datetime
    is_rejected: bool
    adapter: str  # the newest one that learned from it and is served; empty: none is
    is_fixed: bool
    run_id: int | None = None  # the newest training that it went into
    is_outvoted: bool = False  # others taught another answer to the same question
    is_liked_anyway: bool = False  # more people like the answer that it corrects
    is_outdated: bool = False  # the question was made another one since
    waits: bool = False  # for a reviewer, behind what one approved before
    is_alone: bool = False  # said where only its author could read it, and not taught to everyone


async def count_opinions(session: AsyncSession, user_id: str) -> Opinions:
    """Count what somebody thinks now."""
    votes = select(Feedback.vote, func.count()).where(Feedback.user_id == user_id, Feedback.superseded_at.is_(None))
    by_vote: Mapping[str, int] = {row[0]: row[1] for row in await session.execute(votes.group_by(Feedback.vote))}
    own = select(func.count()).select_from(Correction).where(*_current(user_id))
    return Opinions(
        liked=by_vote.get(Vote.UP, 0),
        disliked=by_vote.get(Vote.DOWN, 0),
        corrected=await session.scalar(own) or 0,
        learned=await session.scalar(own.where(_went_into(AdapterState.ACTIVE))) or 0,
        fixed=await session.scalar(own.where(Correction.id.in_(await _load_fixed(session)))) or 0,
    )


async def list_fates(session: AsyncSession, user_id: str, *, most: int) -> Sequence[Fate]:
    """Return somebody's newest corrections; a question of another person only where everybody may read it."""
    statement = (
        select(Correction, Message, Thread.audience, ReviewRow.state, stands())
        .join(Answer, Correction.answer_id == Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .outerjoin(ReviewRow, ReviewRow.correction_id == Correction.id)
        .where(*_current(user_id))
        .order_by(Correction.id.desc())
        .limit(most)
    )
    fates, fixed = [], await _load_fixed(session)
    for correction, message, audience, review, counts in (await session.execute(statement)).all():
        is_readable = message.user_id == user_id or {message.audience, audience} == {Audience.PUBLIC}
        is_outdated = message.edited_at is not None and correction.created_at <= message.edited_at
        is_taught = correction.is_for_everyone and message.user_id == user_id
        fates.append(
            Fate(
                question=message.text if is_readable and not is_outdated else "",
                text=correction.text,
                at=correction.created_at,
                is_rejected=review == ReviewState.REJECTED,
                adapter=await _find_adapter(session, correction.id),
                is_fixed=correction.id in fixed,
                run_id=await _find_training(session, correction.id),
                is_outvoted=await is_outvoted(session, correction, message.text),
                is_liked_anyway=review not in APPROVED and await is_liked_anyway(session, correction),
                is_outdated=is_outdated,
                waits=not counts or await is_behind(session, correction, message.text),
                is_alone=Audience.DIRECT in {correction.audience, message.audience} and not is_taught,
            )
        )
    return fates


def _current(user_id: str) -> tuple[ColumnElement[bool], ...]:
    return Correction.user_id == user_id, Correction.superseded_at.is_(None), or_(stands(), ~is_approved())


def _examples(correction_id: str | InstrumentedAttribute[str]) -> tuple[ColumnElement[bool], ...]:
    return RunExample.row_table == CORRECTIONS, RunExample.row_id == correction_id, RunExample.split == TRAINED


async def _find_training(session: AsyncSession, correction_id: str) -> int | None:
    """Return the newest run that trained on a correction, or meant to; a dry one only looked at it."""
    newest = select(func.max(RunExample.run_id)).join(Run, Run.id == RunExample.run_id)
    return await session.scalar(newest.where(*_examples(correction_id), Run.is_dry.is_(False)))


def _went_into(*states: AdapterState) -> ColumnElement[bool]:
    """Return the condition that an adapter in one of some states learned from a correction."""
    made = select(RunExample.id).join(Adapter, Adapter.run_id == RunExample.run_id)
    return made.where(*_examples(Correction.id), Adapter.state.in_(states)).exists()


async def _load_fixed(session: AsyncSession) -> set[str]:
    """Return the corrections whose questions the adapter that answers everybody was seen to answer right."""
    report = await session.scalar(
        select(Run.report)
        .join(Adapter, Adapter.run_id == Run.id)
        .where(Adapter.state == AdapterState.ACTIVE, Adapter.channel_id == "")
        .limit(1)
    )
    asked = (report or {}).get("before_after") or []
    return {str(item.get("row", "")).removeprefix(PREFIX) for item in asked if item.get("is_right")}


async def _find_adapter(session: AsyncSession, correction_id: str) -> str:
    served = select(Adapter.name).join(RunExample, RunExample.run_id == Adapter.run_id)
    served = served.where(*_examples(correction_id), Adapter.state.in_(SERVED))
    return await session.scalar(served.order_by(Adapter.id.desc()).limit(1)) or ""
