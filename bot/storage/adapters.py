"""Adapters: made, judged, served, taken back; every change of state has its reasons beside it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.audit import is_off_since
from bot.storage.learning_tables import Adapter, AdapterState, Assignment, DecisionRow, Evaluation
from bot.storage.memory_tables import HELPED
from bot.storage.tables import Answer, AnswerState, Feedback, Message, Thread, Vote, now

SERVED = (AdapterState.ACTIVE, AdapterState.CANARY)
HELD = "held"  # said of what waits, and is not served before a person promotes it: training was switched off since
TOLD = "told"  # the decision of which people have heard, beside what an adapter is watched by
BY_ENGINE = "engine"  # who puts away what the engine cannot serve
MOST_DIGITS = 9  # of a run's number, as databases keep one
CLOCKS_DIFFER = timedelta(minutes=1)  # of two bots on one database
QUEUE = "rollout"  # of whoever decides about an adapter: bots, terminals, the gate, the watch, what follows deletions


async def find_adapter(session: AsyncSession, name: str) -> Adapter | None:
    """Return an adapter by its name, or by its run's number."""
    if is_number(name):
        statement = select(Adapter).where(Adapter.run_id == int(name)).order_by(Adapter.id.desc()).limit(1)
        return await session.scalar(statement)
    return await session.scalar(select(Adapter).filter_by(name=name))


def is_number(name: str) -> bool:
    """Return whether a name can be the number of a run."""
    return name.isdecimal() and len(name) <= MOST_DIGITS


async def adapter_of_run(session: AsyncSession, run_id: int) -> Adapter | None:
    """Return the adapter that a run made."""
    return await session.scalar(select(Adapter).filter_by(run_id=run_id).order_by(Adapter.id.desc()).limit(1))


async def adapter_in(session: AsyncSession, state: AdapterState, *, channel_id: str = "") -> Adapter | None:
    """Return the newest adapter in a state: everybody's, or a channel's own."""
    statement = select(Adapter).where(Adapter.state == state, Adapter.channel_id == channel_id)
    return await session.scalar(statement.order_by(Adapter.changed_at.desc()).limit(1))


async def find_answering(session: AsyncSession, channel_id: str = "") -> Adapter | None:
    """Return the adapter that answers in a channel: its own, or else everybody's; None for the base."""
    own = await adapter_in(session, AdapterState.ACTIVE, channel_id=channel_id)
    return own or await adapter_in(session, AdapterState.ACTIVE)


async def adapters_in(session: AsyncSession, *states: AdapterState) -> Sequence[Adapter]:
    """Return the adapters in any of some states, everybody's and channels' own, the oldest first."""
    return list(await session.scalars(select(Adapter).where(Adapter.state.in_(states)).order_by(Adapter.id)))


async def served_adapters(session: AsyncSession) -> Sequence[Adapter]:
    """Return what is served: for everybody the active adapter and the canary, then each channel's own."""
    statement = select(Adapter).where(Adapter.state.in_(SERVED)).order_by(Adapter.channel_id, Adapter.state, Adapter.id)
    return list(await session.scalars(statement))


async def find_served_base(session: AsyncSession) -> str:
    """Return the checksum of the model that is served, as far as rows tell: of what answers, or answered last."""
    for adapter in await served_adapters(session):
        return adapter.base_sha256
    known = select(Answer.model_sha256).where(Answer.model_sha256 != "").order_by(Answer.id.desc()).limit(1)
    return await session.scalar(known) or ""


async def mixed_with(session: AsyncSession, name: str) -> Sequence[Adapter]:
    """Return the channels' adapters that have the adapter *name* in them and are served or wait to be."""
    live = (*SERVED, AdapterState.WAITING)
    return list(await session.scalars(select(Adapter).where(Adapter.mixed_with == name, Adapter.state.in_(live))))


async def newest_of_channel(session: AsyncSession, channel_id: str) -> Adapter | None:
    """Return the adapter that was made last for a channel."""
    statement = select(Adapter).filter_by(channel_id=channel_id).order_by(Adapter.id.desc()).limit(1)
    return await session.scalar(statement)


async def changed_since(session: AsyncSession, moment: datetime) -> Sequence[Adapter]:
    """Return the adapters whose state changed after a moment."""
    return list(await session.scalars(select(Adapter).where(Adapter.changed_at > moment)))


async def all_adapters(session: AsyncSession) -> Sequence[Adapter]:
    """Return every adapter, newest first."""
    return list(await session.scalars(select(Adapter).order_by(Adapter.id.desc())))


async def move_adapter(
    session: AsyncSession, adapter: Adapter, state: AdapterState, *, by: str, reasons: Iterable[str], **values: Any
) -> None:
    """Change an adapter's state, and keep who did it and why."""
    kept = list(reasons)
    session.add(DecisionRow(adapter_id=adapter.id, from_state=adapter.state, to_state=state, by=by, reasons=kept))
    changes = {"state": state, "changed_at": now(), **values}
    await session.execute(update(Adapter).where(Adapter.id == adapter.id).values(**changes))
    for name, value in changes.items():
        setattr(adapter, name, value)


async def find_shown_state(session: AsyncSession, adapter: Adapter) -> str:
    """Return what people are told that an adapter is: its state, or *HELD*."""
    is_waiting = adapter.state == AdapterState.WAITING
    return HELD if is_waiting and await is_off_since(session, adapter.changed_at) else str(adapter.state)


async def set_aside(session: AsyncSession, run_id: int, *, by: str, reason: str) -> None:
    """Reject what an ended run made and nobody judged, so that the list says what became of it."""
    adapter = await adapter_of_run(session, run_id)
    if adapter is not None and adapter.state == AdapterState.BUILT:
        await move_adapter(session, adapter, AdapterState.REJECTED, by=by, reasons=[reason])


async def move_paths(session: AsyncSession, before: str, after: str) -> None:
    """Let the files of adapters lie below another folder than *before*."""
    moved = func.replace(Adapter.path, f"{before}/", f"{after}/")
    await session.execute(
        update(Adapter).where(Adapter.path.startswith(f"{before}/", autoescape=True)).values(path=moved)
    )


async def catch_up_with_clock(session: AsyncSession) -> None:
    """Let what was changed before the clock was set back, and so seems to come, have been changed now.

    Else nothing that is said of an adapter would count until the clock is as late again.
    """
    moment = now()
    statement = update(Adapter).where(Adapter.changed_at > moment + CLOCKS_DIFFER)
    await session.execute(statement.values(changed_at=moment))


async def set_watch(session: AsyncSession, adapter_id: int, watch: Mapping[str, Any]) -> None:
    """Keep what an adapter is compared with, and the evidence so far."""
    await session.execute(update(Adapter).where(Adapter.id == adapter_id).values(watch=dict(watch)))


async def note_told(session: AsyncSession, adapter_id: int, decision_id: str) -> None:
    """Keep that people have heard of a decision about an adapter."""
    adapter = await session.get_one(Adapter, adapter_id, with_for_update=True)
    adapter.watch = {**adapter.watch, TOLD: decision_id}


async def last_reasons(session: AsyncSession, adapter_id: int) -> tuple[str, ...]:
    """Return why an adapter is in its state."""
    statement = select(DecisionRow.reasons).filter_by(adapter_id=adapter_id).order_by(DecisionRow.id.desc()).limit(1)
    return tuple(await session.scalar(statement) or ())


async def was_taken_by_others(session: AsyncSession, within: timedelta, *, than: str) -> bool:
    """Return whether anybody other *than* this one ended a moment ago that everybody gets some adapter."""
    found = select(DecisionRow.id).join(Adapter, DecisionRow.adapter_id == Adapter.id).where(Adapter.channel_id == "")
    found = found.where(DecisionRow.from_state.in_(SERVED), DecisionRow.to_state.not_in(SERVED))
    is_new = DecisionRow.at.between(now() - within, now() + within)  # or to come: the clock was set back since
    return await session.scalar(found.where(is_new, DecisionRow.by != than).limit(1)) is not None


async def decisions_of(session: AsyncSession, adapter_id: int) -> Sequence[DecisionRow]:
    """Return every decision about an adapter, oldest first."""
    return list(await session.scalars(select(DecisionRow).filter_by(adapter_id=adapter_id).order_by(DecisionRow.id)))


async def put_away_by_engine(session: AsyncSession) -> Sequence[tuple[Adapter, AdapterState]]:
    """Return what was served until another model was, the newest first, and what each was."""
    found: list[tuple[Adapter, AdapterState]] = []
    for adapter in await session.scalars(select(Adapter).filter_by(state=AdapterState.RETIRED).order_by(Adapter.id)):
        decisions = await decisions_of(session, adapter.id)
        if decisions and decisions[-1].by == BY_ENGINE and decisions[-1].from_state in SERVED:
            found.insert(0, (adapter, AdapterState(decisions[-1].from_state)))
    return found


def save_evaluations(session: AsyncSession, adapter_id: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep the figures of a candidate."""
    session.add_all(Evaluation(adapter_id=adapter_id, **row) for row in rows)


async def count_votes(session: AsyncSession, adapter: str) -> tuple[int, int]:
    """Return how many thumbs up and down all answers of an adapter have now, those with a correction in them too."""
    votes = await votes_by_person(session, adapter, is_helped_too=True)
    return sum(ups for ups, _ in votes.values()), sum(downs for _, downs in votes.values())


async def votes_by_person(
    session: AsyncSession,
    adapter: str | None,
    *,
    since: datetime | None = None,
    channel_id: str = "",
    is_helped_too: bool = False,
) -> Mapping[str, tuple[int, int]]:
    """Return how many thumbs up and down everybody gives to answers of an adapter (None: of the base) by now.

    An answer for which a correction was looked up says little about who wrote it, and is left out, unless
    *is_helped_too*.
    """
    statement = (
        select(Feedback.user_id, Feedback.vote, func.count())
        .join(Answer, Feedback.answer_id == Answer.id)
        .where(
            Feedback.superseded_at.is_(None),
            Answer.adapter.is_(None) if adapter is None else Answer.adapter == adapter,
            true() if is_helped_too else ~HELPED,
        )
        .group_by(Feedback.user_id, Feedback.vote)
    )
    if since is not None:
        statement = statement.where(Answer.created_at >= since)
    if channel_id:
        statement = statement.join(Message, Answer.message_id == Message.id)
        statement = statement.join(Thread, Message.thread_id == Thread.id).where(Thread.channel_id == channel_id)
    found = {(row[0], row[1]): row[2] for row in await session.execute(statement)}
    people = {person for person, _ in found}
    return {person: (found.get((person, Vote.UP), 0), found.get((person, Vote.DOWN), 0)) for person in people}


async def newest_answers(
    session: AsyncSession, adapter: str, *, since: datetime, limit: int
) -> Sequence[tuple[Answer, str]]:
    """Return the newest ended answers of an adapter, and who asked for each.

    Of whoever wants nothing stored, neither question nor answer has a word left: nobody can say what they were.
    """
    statement = (
        select(Answer, Message.user_id)
        .join(Message, Answer.message_id == Message.id)
        .where(Answer.adapter == adapter, Answer.created_at >= since, Answer.state != AnswerState.WRITING)
        .where(Message.text != "")
        .order_by(Answer.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def count_people(session: AsyncSession, *, since: datetime, channel_id: str = "") -> int:
    """Return how many people have asked something, anywhere or in a channel."""
    statement = select(func.count(Message.user_id.distinct())).where(Message.created_at >= since)
    if channel_id:
        statement = statement.join(Thread, Message.thread_id == Thread.id).where(Thread.channel_id == channel_id)
    return await session.scalar(statement) or 0


async def find_assignment(session: AsyncSession, adapter_id: int, user_id: str) -> bool | None:
    """Return whether a person gets the canary; None while that is undecided."""
    statement = select(Assignment.is_canary).filter_by(adapter_id=adapter_id, user_id=user_id)
    return await session.scalar(statement)


async def count_assignments(session: AsyncSession, adapter_id: int) -> tuple[int, int]:
    """Return how many people get the canary, and how many have been assigned."""
    statement = select(Assignment.is_canary, func.count()).filter_by(adapter_id=adapter_id)
    counts = {bool(key): count for key, count in await session.execute(statement.group_by(Assignment.is_canary))}
    return counts.get(True, 0), sum(counts.values())


async def assign(session: AsyncSession, adapter_id: int, user_id: str, *, is_canary: bool) -> None:
    """Keep for good whether a person gets a canary, unless another question of theirs has just decided that."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    new = insert(Assignment).values(adapter_id=adapter_id, user_id=user_id, is_canary=is_canary, at=now())
    await session.execute(new.on_conflict_do_nothing(index_elements=["adapter_id", "user_id"]))
