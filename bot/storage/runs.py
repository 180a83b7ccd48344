"""Runs: asked for, taken up, brought to an end, and what each learned from."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.adapters import SERVED, find_adapter, is_number
from bot.storage.admin_tables import ReviewRow, ReviewState
from bot.storage.choices import OWN_ADAPTER, load_opted_out
from bot.storage.learning_tables import (
    ENDED,
    Adapter,
    AdapterState,
    DecisionRow,
    Run,
    RunExample,
    RunState,
    TrainingChoice,
)
from bot.storage.standing import stands
from bot.storage.tables import Audience, Correction, Message, Thread, now


async def queue_run(session: AsyncSession, *, trigger: str, by: str, is_dry: bool = False, channel_id: str = "") -> Run:
    """Queue a run, for everybody or for a channel."""
    run = Run(trigger=trigger, requested_by=by, is_dry=is_dry, channel_id=channel_id, progress={}, report={})
    session.add(run)
    await session.flush()
    return run


async def open_run(session: AsyncSession) -> Run | None:
    """Return the oldest run that has not ended."""
    return await session.scalar(select(Run).where(Run.state.not_in(ENDED)).order_by(Run.id).limit(1))


async def last_run(session: AsyncSession, *, is_dry: bool | None = None, channel_id: str | None = None) -> Run | None:
    """Return the newest run that has ended: any, everybody's (an empty id) or a channel's."""
    statement = select(Run).where(Run.state.in_(ENDED)).order_by(Run.id.desc()).limit(1)
    if channel_id is not None:
        statement = statement.where(Run.channel_id == channel_id)
    return await session.scalar(statement if is_dry is None else statement.where(Run.is_dry == is_dry))


async def recent_runs(session: AsyncSession, *, most: int) -> Sequence[Run]:
    """Return the newest ended runs for everybody, those that only looked left out."""
    statement = select(Run).where(Run.channel_id == "", Run.is_dry.is_(False), Run.state.in_(ENDED))
    return list(await session.scalars(statement.order_by(Run.id.desc()).limit(most)))


async def keep_picture(session: AsyncSession, run_id: int, picture_id: str) -> None:
    """Keep where the picture of a run's curves is in Slack."""
    await session.execute(update(Run).where(Run.id == run_id).values(picture_id=picture_id))


async def find_picture(session: AsyncSession, run_id: int) -> str:
    """Return where the picture of a run's curves is in Slack; empty: nowhere."""
    return await session.scalar(select(Run.picture_id).where(Run.id == run_id)) or ""


async def find_run(session: AsyncSession, name: str) -> Run | None:
    """Return a run by its number or by its adapter's name."""
    if is_number(name):
        return await session.get(Run, int(name))
    return await session.scalar(select(Run).join(Adapter, Adapter.run_id == Run.id).where(Adapter.name == name))


async def last_learned_at(session: AsyncSession, *, channel_id: str = "") -> datetime | None:
    """Return when the newest run that made an adapter, everybody's or a channel's, began to collect.

    Later signal is new to the next one.
    """
    statement = select(Run.started_at).join(Adapter, Adapter.run_id == Run.id).where(Run.channel_id == channel_id)
    return await session.scalar(statement.order_by(Run.id.desc()).limit(1))


async def owes_training(session: AsyncSession) -> bool:
    """Return whether what was served was taken back, for words that went, and no run has begun since."""
    was_served = (DecisionRow.to_state == AdapterState.TAINTED, DecisionRow.from_state.in_(SERVED))
    taken_back_at = await session.scalar(select(func.max(DecisionRow.at)).where(*was_served))
    begun_at = await session.scalar(select(func.max(Run.created_at)).where(Run.is_dry.is_(False)))
    return taken_back_at is not None and (begun_at is None or taken_back_at > begun_at)


async def update_run(session: AsyncSession, run_id: int, **values: Any) -> None:
    """Write *values* to a run's row, unless it has ended already."""
    await session.execute(update(Run).where(Run.id == run_id, Run.state.not_in(ENDED)).values(**values))


async def end_run(session: AsyncSession, run_id: int, state: RunState, *, reason: str, mend: str = "") -> None:
    """End a run with the reason in words."""
    await update_run(session, run_id, state=state, reason=reason, mend=mend, finished_at=now())


async def unreported(session: AsyncSession) -> Sequence[Run]:
    """Return the ended runs of which nobody has been told."""
    return list(await session.scalars(select(Run).where(Run.state.in_(ENDED), Run.reported_at.is_(None))))


async def ages(session: AsyncSession) -> Sequence[tuple[int, RunState, datetime | None]]:
    """Return number, state and end of every run, the newest first."""
    statement = select(Run.id, Run.state, Run.finished_at).order_by(Run.id.desc())
    return [(row[0], row[1], row[2]) for row in await session.execute(statement)]


async def save_examples(session: AsyncSession, run_id: int, rows: Iterable[dict[str, Any]]) -> None:
    """Keep which rows a run learned from, in place of what an earlier try kept."""
    values = [{"run_id": run_id, **row} for row in rows]
    await session.execute(delete(RunExample).where(RunExample.run_id == run_id))
    if values:
        await session.execute(insert(RunExample), values)
    said = select(Thread.channel_id).join(Message, Message.thread_id == Thread.id)
    place = func.coalesce(said.where(Message.id == RunExample.row_id).scalar_subquery(), "")
    messages = update(RunExample).where(RunExample.run_id == run_id, RunExample.row_table == "messages")
    await session.execute(messages.values(channel_id=place))  # which outlives them


async def has_unwilling(session: AsyncSession, run_id: int) -> bool:
    """Return whether a run learns from somebody, or from a channel, that said no after it had begun.

    A private channel that asks for an adapter of its own says no to what everybody gets; one of which the message
    is gone may have been private.
    """
    began = select(Run.started_at).where(Run.id == run_id).scalar_subquery()
    is_no = or_(TrainingChoice.is_allowed.is_(False), TrainingChoice.kind == OWN_ADAPTER)
    said_no = set(await session.scalars(select(TrainingChoice.subject_id).where(is_no, TrainingChoice.at > began)))
    if not said_no:
        return False
    now_out = await load_opted_out(session)
    rows = select(RunExample.id).where(RunExample.run_id == run_id).limit(1)
    is_private = or_(Message.id.is_(None), Thread.audience != Audience.PUBLIC, Message.audience != Audience.PUBLIC)
    own = rows.join(Run, RunExample.run_id == Run.id).where(Run.channel_id == "", is_private)
    own = own.outerjoin(Message, RunExample.row_id == Message.id).outerjoin(Thread, Message.thread_id == Thread.id)
    statements = (
        rows.where(RunExample.user_id.in_(now_out.people & said_no)),
        rows.where(RunExample.channel_id.in_(now_out.channels & said_no)),
        own.where(RunExample.channel_id.in_(now_out.own & said_no)),
    )
    return any([await session.scalar(statement) is not None for statement in statements])


async def is_unwilling_in(session: AsyncSession, adapter: Adapter) -> bool:
    """Return whether an adapter, or the one that is mixed into it, has learned from any that said no since."""
    part = await find_adapter(session, adapter.mixed_with) if adapter.mixed_with else None
    runs = [adapter.run_id] if part is None else [adapter.run_id, part.run_id]
    return any([await has_unwilling(session, run_id) for run_id in runs])


async def runs_that_quote(session: AsyncSession, run_ids: Collection[int]) -> list[int]:
    """Return those of some runs whose report still shows answers before and after."""
    found = await session.execute(select(Run.id, Run.report).where(Run.id.in_(run_ids)))
    return [run_id for run_id, report in found if (report or {}).get("before_after")]


async def has_taken_back(session: AsyncSession, run_id: int) -> bool:
    """Return whether a run learns from a correction that was changed, taken back or rejected since."""
    rows = select(RunExample.id).where(RunExample.run_id == run_id, RunExample.row_table == "corrections")
    changed = rows.join(Correction, RunExample.row_id == Correction.id).where(~stands())
    return await session.scalar(changed.limit(1)) is not None or await has_rejected(session, run_id)


async def has_rejected(session: AsyncSession, run_id: int) -> bool:
    """Return whether a run learns from a correction that a reviewer has rejected since."""
    rows = select(RunExample.id).where(RunExample.run_id == run_id, RunExample.row_table == "corrections")
    rejected = rows.join(ReviewRow, RunExample.row_id == ReviewRow.correction_id)
    rejected = rejected.where(ReviewRow.state == ReviewState.REJECTED)
    return await session.scalar(rejected.limit(1)) is not None


async def runs_of_row(session: AsyncSession, row_table: str, row_id: str) -> Sequence[int]:
    """Return the runs that a row of the database went into."""
    statement = select(RunExample.run_id).where(RunExample.row_table == row_table, RunExample.row_id == row_id)
    return list(await session.scalars(statement.distinct().order_by(RunExample.run_id)))


async def untold(session: AsyncSession, run_id: int) -> dict[str, str]:
    """Return the corrections of a run whose authors have not heard what became of them: row id to person."""
    statement = select(RunExample.row_id, RunExample.user_id).where(
        RunExample.run_id == run_id, RunExample.row_table == "corrections", RunExample.told_at.is_(None)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def mark_told(session: AsyncSession, row_id: str) -> None:
    """Keep that the author of a correction has heard of it, in whichever run."""
    statement = update(RunExample).where(RunExample.row_table == "corrections", RunExample.row_id == row_id)
    await session.execute(statement.values(told_at=now()))


async def was_told(session: AsyncSession, row_id: str) -> bool:
    """Return whether the author of a correction has heard of it in any run."""
    statement = select(RunExample.id).where(
        RunExample.row_table == "corrections", RunExample.row_id == row_id, RunExample.told_at.is_not(None)
    )
    return (await session.scalar(statement.limit(1))) is not None
